//! Who speaks in a notice.

use serde::Deserialize;

/// The hotline, as it signs and can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hotline {
    pub name: String,
    /// A mailbox for questions; also the sender of mails.
    pub contact: String,
    /// Of the hotline; right of the @ in message ids.
    pub domain: String,
    /// Where providers reach the portal, without a slash at the end.
    pub public_base: String,
    /// For how long a signed notice holds, days.
    pub notice_days: u16,
}

impl Default for Hotline {
    fn default() -> Self {
        Self {
            name: "Synthetic Hotline".into(),
            contact: "notices@hotline.example".into(),
            domain: "hotline.example".into(),
            public_base: "http://127.0.0.1:8080".into(),
            notice_days: 90,
        }
    }
}
