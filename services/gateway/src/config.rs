//! The gateway's settings. They contain no secrets, because the gateway has none.

use std::time::Duration;

use ipnet::IpNet;
use platform::smtp::Certificate;
use serde::Deserialize;

use crate::Error;
use crate::rate_limiter::Rate;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Public base URL of the gateway, without a trailing slash.
    pub public_base: String,
    /// The hotline's name, shown on the notice page.
    pub hotline: String,
    /// A mailbox for questions about a notice.
    pub contact: String,
    /// Where a young person can get help; shown in the text of some report outcomes.
    pub helpline: String,
    /// Proxies in front of the gateway, whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    pub limits: RequestLimits,
    /// Inbound mail, for a process that has a listener for it.
    pub mail: InboundMailConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_base: "http://127.0.0.1:8080".into(),
            hotline: "Synthetic Hotline".into(),
            contact: "notices@hotline.example".into(),
            helpline: "a helpline for young people, such as Childline in the UK (0800 1111)".into(),
            trusted_proxies: Vec::new(),
            limits: RequestLimits::default(),
            mail: InboundMailConfig::default(),
        }
    }
}

impl Config {
    /// Rejects values that would only fail later.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let base = url::Url::parse(&self.public_base).ok();
        let is_base_url = base.is_some_and(|base| {
            matches!(base.scheme(), "http" | "https") && base.has_host() && base.query().is_none()
        });
        if !is_base_url || self.public_base.ends_with('/') {
            return Err(Error::Config {
                key: "public_base",
                sentence: "give an http or https URL without a trailing slash",
            });
        }
        let limits = &self.limits;
        if limits.in_flight == 0 || limits.connections == 0 || limits.request_timeout_seconds == 0 {
            return Err(Error::Config {
                key: "limits",
                sentence: "connections, in_flight and request_timeout_seconds must be at least 1",
            });
        }
        if [limits.credential, limits.address]
            .iter()
            .any(|rate| rate.per_second == 0 || rate.burst == 0)
        {
            return Err(Error::Config {
                key: "limits",
                sentence: "per_second and burst of a rate must be at least 1",
            });
        }
        self.mail.check()
    }

    /// Whether clients reach the gateway over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.public_base.starts_with("https:")
    }
}

/// Limits on requests. A request over a limit is refused with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Rate for each bearer credential.
    pub credential: Rate,
    /// Rate for each client: an IPv4 address or an IPv6 /64. Counts requests with a credential too.
    pub address: Rate,
    /// Requests processed at a time.
    pub in_flight: usize,
    /// Connections open at a time.
    pub connections: usize,
    /// Event streams open at a time.
    pub streams: usize,
    /// Event streams open at a time with one bearer credential.
    pub streams_per_credential: usize,
    /// From a request's head to its response.
    pub request_timeout_seconds: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            credential: Rate::new(1000, 2000),
            address: Rate::new(5000, 10_000),
            in_flight: 1024,
            connections: 4096,
            streams: 512,
            streams_per_credential: 8,
            request_timeout_seconds: 30,
        }
    }
}

impl RequestLimits {
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }
}

/// Settings of the SMTP server for inbound mail.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InboundMailConfig {
    /// Host name in the greeting: the target of the MX record.
    pub name: String,
    /// Certificate and key (PEM) for STARTTLS. Without them STARTTLS is not offered, which suits only
    /// loopback or a mail server of the hotline in front.
    pub tls: Option<Certificate>,
    pub connections: usize,
    /// Maximum recipients of one mail.
    pub recipients: usize,
    /// Maximum size of one mail, in octets. A delivery report may contain the original mail.
    pub size: usize,
    /// Timeout for the next line.
    pub line_timeout_seconds: u64,
    /// Timeout for a whole session.
    pub session_timeout_seconds: u64,
    /// Rate of recipients for each peer: an IPv4 address or an IPv6 /64.
    pub recipient_rate: Rate,
}

impl Default for InboundMailConfig {
    fn default() -> Self {
        Self {
            name: "mail.hotline.example".into(),
            tls: None,
            connections: 64,
            recipients: 16,
            size: 1024 * 1024,
            line_timeout_seconds: 60,
            session_timeout_seconds: 600,
            recipient_rate: Rate::new(20, 200),
        }
    }
}

impl InboundMailConfig {
    fn check(&self) -> Result<(), Error> {
        let is_host_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if self.name.is_empty() || !self.name.chars().all(is_host_char) {
            return Err(Error::Config {
                key: "mail.name",
                sentence: "give the host name that the MX record points to",
            });
        }
        let bounds = [
            self.connections as u64,
            self.recipients as u64,
            self.size as u64,
            self.line_timeout_seconds,
            self.session_timeout_seconds,
            self.recipient_rate.per_second.into(),
            self.recipient_rate.burst.into(),
        ];
        if bounds.contains(&0) {
            return Err(Error::Config {
                key: "mail",
                sentence: "every limit must be at least 1",
            });
        }
        Ok(())
    }
}
