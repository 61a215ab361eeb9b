//! Why a reported URL is invalid: a stable code for programs, and a sentence that states what to send
//! instead. Never contains any part of the text.

use crate::Invalid;

/// Why a URL is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum UrlError {
    #[error("the url is empty")]
    Empty,
    #[error("the url is longer than 8192 bytes")]
    TooLong,
    #[error("there is more than one url")]
    SeveralUrls,
    #[error("the url contains a control character")]
    ControlCharacter,
    #[error("the text is not a complete url")]
    NotAUrl,
    #[error("the scheme is neither http nor https")]
    SchemeNotAllowed,
    #[error("the url has no host")]
    NoHost,
    #[error("the url contains user information")]
    UserInformation,
    #[error("the port is not a number from 1 to 65535")]
    PortInvalid,
    #[error("the host is not valid")]
    HostInvalid,
    #[error("the host has an empty label")]
    LabelEmpty,
    #[error("a label of the host is longer than 63 octets")]
    LabelTooLong,
    #[error("the host is longer than 253 octets")]
    HostTooLong,
    #[error("the host has a single label")]
    SingleLabel,
    #[error("the host is a private network name")]
    PrivateName,
    #[error("the host is an address that is not reachable from the internet")]
    PrivateAddress,
    #[error("the onion host is not a version 3 address")]
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

    /// Stable code for programs.
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

    /// What to send instead, for people.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Empty => "Send the URL of the material; a report without one cannot be acted on.",
            Self::TooLong => "Send a URL of at most 8,192 bytes, also when it is percent-encoded.",
            Self::SeveralUrls => "Send one URL in each report.",
            Self::ControlCharacter => "Send one URL in each report, without control characters.",
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
                "Check the host: it may contain letters, digits, hyphens, underscores and dots, or be a complete IP address."
            }
            Self::LabelEmpty => {
                "Check the host: it has an empty part between two dots, or starts or ends with a dot."
            }
            Self::LabelTooLong => {
                "Check the host: each part between two dots can have at most 63 characters."
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
                "Check the onion host: it has 56 characters from a-z and 2-7 before .onion."
            }
            Self::NotCanonical => "Restore the row: its URL is invalid.",
        }
    }

    /// The error for the field that held the URL, such as `reports[3].url`.
    pub fn into_invalid(self, field: impl Into<String>) -> Invalid {
        Invalid::new(self.code(), field, self.detail())
    }
}
