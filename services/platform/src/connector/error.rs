//! Errors of outgoing requests. They never contain the URL, a host or an address.

/// Why a request has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    #[error("the address is refused: {0}")]
    Refused(Refusal),
    #[error("the host name could not be resolved")]
    DnsFailed,
    /// According to the machine's resolver. A resolver without upstream servers reports this for every name.
    #[error("the host name does not exist")]
    NoSuchName,
    #[error("no connection could be made")]
    ConnectFailed,
    #[error("no trusted TLS connection could be made")]
    TlsFailed,
    #[error("the request timed out")]
    TimedOut,
    #[error("the response is larger than allowed")]
    TooLarge,
    #[error("the response is not complete and valid HTTP")]
    BadResponse,
}

/// Why a request was refused before a connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the scheme is neither http nor https")]
    Scheme,
    #[error("the host is missing or malformed")]
    Host,
    #[error("the port belongs to another protocol")]
    Port,
    #[error("a resolved address is not public")]
    NotPublic,
    #[error("the path, query or a header cannot be sent")]
    Request,
}

impl ConnectorError {
    /// A stable code for records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused_address",
            Self::DnsFailed => "dns_failed",
            Self::NoSuchName => "no_such_name",
            Self::ConnectFailed => "connect_failed",
            Self::TlsFailed => "tls_failed",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::BadResponse => "bad_response",
        }
    }

    /// True if the host may have received the whole request, so that it may be repeated only if that is
    /// harmless.
    pub fn outcome_unknown(self) -> bool {
        matches!(self, Self::TimedOut | Self::TooLarge | Self::BadResponse)
    }
}
