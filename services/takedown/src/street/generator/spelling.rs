//! Other spellings of the same URL, as reporters send them. Must never change what the URL means.

use super::words::Chance;

/// The URL as it is, or in another spelling.
pub(super) fn another(url: &str, chance: &mut Chance) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, tail) = rest.split_at(end);
    let is_literal = host.starts_with('[');
    match chance.below(16) {
        0 => format!("{}://{}{tail}", scheme.to_uppercase(), upper(host)),
        1 if !has_port(host) => {
            let port = if scheme == "https" { 443 } else { 80 };
            format!("{scheme}://{host}:{port}{tail}")
        }
        2 if !is_literal && !is_address(host) => format!("{scheme}://{}{tail}", dotted(host)),
        3 => format!("  {url}\t"),
        4 => format!(
            "{}://{}{tail}",
            scheme.replace("tt", "xx"),
            host.replacen('.', "[.]", 1)
        ),
        5 => {
            let bare = tail.split('#').next().unwrap_or(tail);
            format!("{scheme}://{host}{bare}#{}", chance.below(900))
        }
        6 => format!("{scheme}://{host}/.{tail}"),
        7 if !host.is_ascii() => format!("{scheme}://{}{tail}", punycode(host)),
        _ => url.to_owned(),
    }
}

/// Capitals of another alphabet may fold to something else, so only ASCII is raised.
fn upper(host: &str) -> String {
    host.to_ascii_uppercase()
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(front, port)| {
        (!front.starts_with('[') || front.ends_with(']'))
            && port.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_address(host: &str) -> bool {
    host.split(':')
        .next()
        .is_some_and(|name| name.parse::<std::net::Ipv4Addr>().is_ok())
}

fn dotted(host: &str) -> String {
    match host.split_once(':') {
        Some((name, port)) => format!("{name}.:{port}"),
        None => format!("{host}."),
    }
}

fn punycode(host: &str) -> String {
    let (name, port) = host
        .split_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port)));
    let ascii = match url::Host::parse(name) {
        Ok(parsed) => parsed.to_string(),
        Err(_) => name.to_owned(),
    };
    match port {
        Some(port) => format!("{ascii}:{port}"),
        None => ascii,
    }
}
