//! Other forms of the same URL, as reporters send them. All forms of a URL must have the same canonical URL.

use super::rng::Rng;

/// The URL unchanged, or in another form.
pub(super) fn vary(url: &str, rng: &mut Rng) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, tail) = rest.split_at(end);
    let is_ipv6 = host.starts_with('[');
    match rng.below(16) {
        0 => format!("{}://{}{tail}", scheme.to_uppercase(), uppercase(host)),
        1 if !has_port(host) => {
            let port = if scheme == "https" { 443 } else { 80 };
            format!("{scheme}://{host}:{port}{tail}")
        }
        2 if !is_ipv6 && !is_ipv4(host) => format!("{scheme}://{}{tail}", with_trailing_dot(host)),
        3 => format!("  {url}\t"),
        4 => format!(
            "{}://{}{tail}",
            scheme.replace("tt", "xx"),
            host.replacen('.', "[.]", 1)
        ),
        5 => {
            let without_fragment = tail.split('#').next().unwrap_or(tail);
            format!("{scheme}://{host}{without_fragment}#{}", rng.below(900))
        }
        6 => format!("{scheme}://{host}/.{tail}"),
        7 if !host.is_ascii() => format!("{scheme}://{}{tail}", punycode(host)),
        _ => url.to_owned(),
    }
}

/// Raises ASCII letters only: other capitals may fold to a different name.
fn uppercase(host: &str) -> String {
    host.to_ascii_uppercase()
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(front, port)| {
        (!front.starts_with('[') || front.ends_with(']'))
            && port.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_ipv4(host: &str) -> bool {
    host.split(':')
        .next()
        .is_some_and(|name| name.parse::<std::net::Ipv4Addr>().is_ok())
}

fn with_trailing_dot(host: &str) -> String {
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
