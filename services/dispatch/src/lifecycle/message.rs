//! What a message about a notice is. The words stand in SQL, in the signed notice and in the provider's listing.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// The first about a notice.
    Notice,
    /// As `Notice`, of a step that reminds.
    Reminder,
    /// The hotline's answer to a question.
    Information,
    /// The verdict stands after a second look.
    Upheld,
    /// The verdict was taken back.
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
