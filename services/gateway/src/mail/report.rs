//! A `message/delivery-status` (RFC 3464 section 2): fields of the message, then fields of each recipient, with blank
//! lines between. An address of ours is on one mail to one mailbox, so that one recipient's failure is the notice's.

use super::reading::What;

/// The worst that is said of a recipient; `None` where it was delivered, or nothing is said.
pub(super) fn read(text: &[u8]) -> Option<What> {
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
    let mut delayed = None;
    for group in text.split("\n\n") {
        match of_recipient(group) {
            Some(bounced @ What::Bounced(_)) => return Some(bounced),
            Some(other) => delayed = delayed.or(Some(other)),
            None => {}
        }
    }
    delayed
}

/// `failed` is final whatever the status: whoever says so has given up (section 2.3.3), also where each try alone had only
/// to wait. Where no action is named the class of the status decides.
fn of_recipient(group: &str) -> Option<What> {
    let field = |name: &str| {
        group.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            // Comments in brackets may follow (RFC 3464 section 2.1.1).
            let word = value.split_ascii_whitespace().next()?;
            found
                .trim_end()
                .eq_ignore_ascii_case(name)
                .then(|| word.to_ascii_lowercase())
        })
    };
    let status = field("Status").filter(|status| is_status(status));
    let action = field("Action");
    let class = status.as_deref().and_then(|status| status.chars().next());
    let known = status.clone().unwrap_or_default();
    match (action.as_deref(), class) {
        (Some("failed"), _) | (None, Some('5')) => Some(What::Bounced(known)),
        (Some("delayed"), _) | (None, Some('4')) => Some(What::Delayed(known)),
        _ => None,
    }
}

/// RFC 3463 section 2: class, subject and detail.
fn is_status(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts.iter().all(number)
}
