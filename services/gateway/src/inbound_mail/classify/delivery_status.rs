//! Parses `message/delivery-status` (RFC 3464 section 2): fields of the message, then fields of each
//! recipient, separated by blank lines. Each notice mail has one recipient and a return address of its own,
//! so a failed recipient means that the notice failed.

use super::MailClass;

/// The worst result for any recipient; `None` if the mail was delivered, or no result is given.
pub(super) fn parse(text: &[u8]) -> Option<MailClass> {
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
    let mut delayed = None;
    for group in text.split("\n\n") {
        match recipient(group) {
            Some(bounced @ MailClass::Bounced(_)) => return Some(bounced),
            Some(other) => delayed = delayed.or(Some(other)),
            None => {}
        }
    }
    delayed
}

/// The result for one recipient. `Action: failed` is final whatever the status: the server has given up, even
/// if each attempt failed temporarily (RFC 3464 section 2.3.3). Without an action, the class of the status
/// decides.
fn recipient(group: &str) -> Option<MailClass> {
    let field = |name: &str| {
        group.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            // A comment in parentheses may follow (RFC 3464 section 2.1.1).
            let value = value.split_ascii_whitespace().next()?;
            found
                .trim_end()
                .eq_ignore_ascii_case(name)
                .then(|| value.to_ascii_lowercase())
        })
    };
    let status = field("Status").filter(|status| is_status(status));
    let action = field("Action");
    let class = status.as_deref().and_then(|status| status.chars().next());
    let code = status.clone().unwrap_or_default();
    match (action.as_deref(), class) {
        (Some("failed"), _) | (None, Some('5')) => Some(MailClass::Bounced(code)),
        (Some("delayed"), _) | (None, Some('4')) => Some(MailClass::Delayed(code)),
        _ => None,
    }
}

/// RFC 3463 section 2: class, subject and detail.
fn is_status(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts.iter().all(is_number)
}
