//! Kinds of messages about a notice. Their names appear in SQL, in the signed notice and in the provider's
//! listing.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// The first message about a notice.
    Notice,
    /// The first message about a notice whose step is a reminder or a next contact.
    Reminder,
    /// The hotline's answer to a provider's question.
    Information,
    /// The verdict was upheld in a review.
    Upheld,
    /// The verdict was withdrawn.
    Retraction,
}

impl Message {
    pub const ALL: [Self; 5] = [
        Self::Notice,
        Self::Reminder,
        Self::Information,
        Self::Upheld,
        Self::Retraction,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Reminder => "reminder",
            Self::Information => "information",
            Self::Upheld => "upheld",
            Self::Retraction => "retraction",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|message| message.as_str() == text)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
