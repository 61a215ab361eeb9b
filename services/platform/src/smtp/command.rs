//! One line of the other side's (RFC 5321 section 4.1). Pure; nothing is judged here but the form.

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo,
    Helo,
    StartTls,
    /// The sender, none for the null reverse-path, and the size that was announced (RFC 1870).
    Mail(Option<String>, Option<usize>),
    Rcpt(String),
    Data,
    Reset,
    Nothing,
    Quit,
    /// VRFY and the like: known, and not done here.
    NotHere,
    Unknown,
}

pub(super) fn parse(line: &str) -> Command {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => Command::Ehlo,
        "HELO" => Command::Helo,
        "STARTTLS" => Command::StartTls,
        "MAIL" => match path(rest, "FROM:") {
            Some((address, parameters)) => {
                let sender = (!address.is_empty()).then(|| address.to_owned());
                Command::Mail(sender, size(parameters))
            }
            None => Command::Unknown,
        },
        "RCPT" => match path(rest, "TO:") {
            Some((address, _)) if !address.is_empty() => Command::Rcpt(address.to_owned()),
            _ => Command::Unknown,
        },
        "DATA" => Command::Data,
        "RSET" => Command::Reset,
        "NOOP" => Command::Nothing,
        "QUIT" => Command::Quit,
        "VRFY" | "EXPN" | "HELP" | "AUTH" | "BDAT" => Command::NotHere,
        _ => Command::Unknown,
    }
}

/// The address of `FROM:<address> parameters`. A source route is passed over (RFC 5321 appendix C).
fn path<'a>(rest: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..word.len())?;
    if !head.eq_ignore_ascii_case(word) {
        return None;
    }
    let (address, parameters) = rest[word.len()..]
        .trim_start()
        .strip_prefix('<')?
        .split_once('>')?;
    let address = match address.split_once(':') {
        Some((route, address)) if route.starts_with('@') => address,
        _ => address,
    };
    Some((address, parameters))
}

fn size(parameters: &str) -> Option<usize> {
    parameters
        .split_ascii_whitespace()
        .find_map(|one| {
            one.get(..5)?
                .eq_ignore_ascii_case("SIZE=")
                .then(|| &one[5..])
        })
        .and_then(|number| number.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_the_standard_has_it() {
        let rcpt = |address: &str| Command::Rcpt(address.to_owned());
        for (line, command) in [
            ("EHLO mx.example", Command::Ehlo),
            ("helo mx.example", Command::Helo),
            ("STARTTLS", Command::StartTls),
            ("MAIL FROM:<>", Command::Mail(None, None)),
            (
                "mail from:<a@b.example> BODY=8BITMIME size=1200",
                Command::Mail(Some("a@b.example".into()), Some(1200)),
            ),
            ("RCPT TO:<c@d.example>", rcpt("c@d.example")),
            ("RCPT TO: <c@d.example>", rcpt("c@d.example")),
            ("RCPT TO:<@one,@two:c@d.example>", rcpt("c@d.example")),
            ("RCPT TO:<>", Command::Unknown),
            ("RCPT TO:c@d.example", Command::Unknown),
            ("MAIL", Command::Unknown),
            ("MAIL FRÖM:<>", Command::Unknown),
            ("DATA", Command::Data),
            ("VRFY root", Command::NotHere),
            ("", Command::Unknown),
        ] {
            assert_eq!(parse(line), command, "{line}");
        }
    }
}
