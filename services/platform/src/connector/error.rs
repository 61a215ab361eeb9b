//! What can go wrong with an outgoing request. No variant holds the URL, a host or an address.

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    #[error("the address is refused: {0}")]
    Refused(Refusal),
    #[error("the host's name could not be resolved")]
    DnsFailed,
    /// As far as the machine's resolver can tell: one that asks nobody says so of every name.
    #[error("the host's name does not exist")]
    NoSuchName,
    #[error("no connection could be made")]
    ConnectFailed,
    #[error("no trusted TLS connection could be made")]
    TlsFailed,
    #[error("the request timed out")]
    TimedOut,
    #[error("the answer is larger than allowed")]
    TooLarge,
    #[error("the answer is not whole and well-formed HTTP")]
    BadResponse,
}

/// What was wrong with an address before anything was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("only http and https are sent")]
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

    /// Whether the other side may have seen the whole request, so that sending again must be harmless to it.
    pub fn outcome_unknown(self) -> bool {
        matches!(self, Self::TimedOut | Self::TooLarge | Self::BadResponse)
    }
}
