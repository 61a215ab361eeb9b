//! Why a text is refused as a reported URL: a stable code for machines and a sentence that says what to send instead.
//! Must not carry any part of the text.

use crate::Invalid;

/// Each variant is one reason; the words of a report are never inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum UrlError {
    #[error("there is no url")]
    Empty,
    #[error("the url is longer than 8192 bytes")]
    TooLong,
    #[error("there is more than one url in one item")]
    SeveralUrls,
    #[error("the url has a control character inside")]
    ControlCharacter,
    #[error("the text is not a complete url")]
    NotAUrl,
    #[error("the scheme is neither http nor https")]
    SchemeNotAllowed,
    #[error("the url names no host")]
    NoHost,
    #[error("the url carries user information")]
    UserInformation,
    #[error("the port is not a number from 1 to 65535")]
    PortInvalid,
    #[error("the host cannot exist")]
    HostInvalid,
    #[error("the host has an empty label")]
    LabelEmpty,
    #[error("a label of the host is longer than 63 octets")]
    LabelTooLong,
    #[error("the host is longer than 253 octets")]
    HostTooLong,
    #[error("the host has a single label")]
    SingleLabel,
    #[error("the host is a name of a private network")]
    PrivateName,
    #[error("the host is an address that the internet cannot reach")]
    PrivateAddress,
    #[error("the onion host is not of version 3")]
    OnionInvalid,
    #[error("the stored url is not in its canonical form")]
    NotCanonical,
}

impl UrlError {
    pub const ALL: [Self; 18] = [
        Self::Empty,
        Self::TooLong,
        Self::SeveralUrls,
        Self::ControlCharacter,
        Self::NotAUrl,
        Self::SchemeNotAllowed,
        Self::NoHost,
        Self::UserInformation,
        Self::PortInvalid,
        Self::HostInvalid,
        Self::LabelEmpty,
        Self::LabelTooLong,
        Self::HostTooLong,
        Self::SingleLabel,
        Self::PrivateName,
        Self::PrivateAddress,
        Self::OnionInvalid,
        Self::NotCanonical,
    ];

    /// Stable: partners build on it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "url_empty",
            Self::TooLong => "url_too_long",
            Self::SeveralUrls => "url_several",
            Self::ControlCharacter => "url_control_character",
            Self::NotAUrl => "url_not_a_url",
            Self::SchemeNotAllowed => "url_scheme_not_allowed",
            Self::NoHost => "url_no_host",
            Self::UserInformation => "url_user_information",
            Self::PortInvalid => "url_port_invalid",
            Self::HostInvalid => "url_host_invalid",
            Self::LabelEmpty => "url_label_empty",
            Self::LabelTooLong => "url_label_too_long",
            Self::HostTooLong => "url_host_too_long",
            Self::SingleLabel => "url_single_label",
            Self::PrivateName => "url_private_name",
            Self::PrivateAddress => "url_private_address",
            Self::OnionInvalid => "url_onion_invalid",
            Self::NotCanonical => "url_not_canonical",
        }
    }

    /// What to send instead, for the person who sent it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Empty => "Send the URL of the material; a report without one cannot be acted on.",
            Self::TooLong => "Send a URL of at most 8,192 bytes, also when it is percent-encoded.",
            Self::SeveralUrls => "Send one URL in each item.",
            Self::ControlCharacter => "Send one URL in each item, without control characters.",
            Self::NotAUrl => {
                "Send the complete URL, beginning with http:// or https://, as the browser's address bar shows it."
            }
            Self::SchemeNotAllowed => "Send a URL that begins with http:// or https://.",
            Self::NoHost => "Send the complete URL with the name of the site after https://.",
            Self::UserInformation => {
                "Send the URL without a user name or password before the host."
            }
            Self::PortInvalid => {
                "Send a port from 1 to 65535 after the host, or leave the port out."
            }
            Self::HostInvalid => {
                "Check the host: it may hold letters, digits, hyphens, underscores and dots, or be a complete IP address."
            }
            Self::LabelEmpty => "Check the host: there is a dot too many.",
            Self::LabelTooLong => {
                "Check the host: between two dots there can be at most 63 characters."
            }
            Self::HostTooLong => "Check the host: it can have at most 253 characters.",
            Self::SingleLabel => "Send the full name of the host, such as www.site.example.",
            Self::PrivateName => {
                "Send a URL that can be reached from the internet; this host exists only in a private network."
            }
            Self::PrivateAddress => {
                "Send a URL that can be reached from the internet; this address is private, local or reserved."
            }
            Self::OnionInvalid => {
                "Check the onion host: before .onion there are 56 characters from a-z and 2-7."
            }
            Self::NotCanonical => "Restore the row: its URL is not the one that was written.",
        }
    }

    /// The refusal of the field where the URL stood, such as `items[3].url`.
    pub fn at(self, field: impl Into<String>) -> Invalid {
        Invalid::new(self.code(), field, self.sentence())
    }
}
