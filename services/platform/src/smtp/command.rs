//! Parses SMTP commands (RFC 5321 section 4.1).

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo,
    Helo,
    StartTls,
    /// The sender (`None` for the null reverse-path) and the announced size in bytes (RFC 1870).
    Mail(Option<String>, Option<usize>),
    Rcpt(String),
    Data,
    Reset,
    Noop,
    Quit,
    /// A known command that is not implemented, such as VRFY.
    NotImplemented,
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
        "NOOP" => Command::Noop,
        "QUIT" => Command::Quit,
        "VRFY" | "EXPN" | "HELP" | "AUTH" | "BDAT" => Command::NotImplemented,
        _ => Command::Unknown,
    }
}

/// Parses `FROM:<address> parameters`. A source route is ignored (RFC 5321 appendix C).
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (address, parameters) = rest[keyword.len()..]
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
        .find_map(|parameter| {
            parameter
                .get(..5)?
                .eq_ignore_ascii_case("SIZE=")
                .then(|| &parameter[5..])
        })
        .and_then(|number| number.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_parsed_as_in_rfc_5321() {
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
            ("VRFY root", Command::NotImplemented),
            ("", Command::Unknown),
        ] {
            assert_eq!(parse(line), command, "{line}");
        }
    }
}
