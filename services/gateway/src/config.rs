//! The gateway's settings. Holds no secret: the gateway has none.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::Error;
use crate::mail::MailDoor;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// As the outside reaches the gateway, without a slash at the end.
    pub public_base: String,
    /// Who speaks on the pages.
    pub hotline: String,
    /// A mailbox for questions about a notice.
    pub contact: String,
    /// Whom a young person may turn to; stands in the help beside an outcome.
    pub helpline: String,
    /// Proxies in front of the gateway, whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub limits: Limits,
    /// Where mails come back to, for a role that has an address for it.
    pub mail: MailDoor,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_base: "http://127.0.0.1:8080".into(),
            hotline: "Synthetic Hotline".into(),
            contact: "notices@hotline.example".into(),
            helpline: "a helpline for young people, such as Childline in the UK (0800 1111)".into(),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            mail: MailDoor::default(),
        }
    }
}

impl Config {
    /// Refuses what could only fail later.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let base = url::Url::parse(&self.public_base).ok();
        let plain = base.is_some_and(|base| {
            matches!(base.scheme(), "http" | "https") && base.has_host() && base.query().is_none()
        });
        if !plain || self.public_base.ends_with('/') {
            return Err(Error::Config {
                key: "public_base",
                sentence: "give an http or https address without a slash at the end",
            });
        }
        let limits = &self.limits;
        if limits.in_flight == 0 || limits.connections == 0 || limits.call_seconds == 0 {
            return Err(Error::Config {
                key: "limits",
                sentence: "connections, in_flight and call_seconds are at least 1",
            });
        }
        if [limits.credential, limits.address]
            .iter()
            .any(|rate| rate.per_second == 0 || rate.burst == 0)
        {
            return Err(Error::Config {
                key: "limits",
                sentence: "a rate's per_second and burst are at least 1",
            });
        }
        self.mail.check()
    }

    /// Whether the outside reaches the gateway over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.public_base.starts_with("https:")
    }
}

/// What the gateway takes at most; beyond it, the answer says when to come again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Of one bearer credential.
    pub credential: Rate,
    /// Of one peer: an IPv4 address or an IPv6 /64. Counts requests with a credential too.
    pub address: Rate,
    /// Requests that are worked on at a time.
    pub in_flight: usize,
    /// Connections that are open at a time.
    pub connections: usize,
    /// Event streams that are open at a time.
    pub streams: usize,
    /// Of them, of one bearer credential.
    pub streams_each: usize,
    /// From a request's head to its answer.
    pub call_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            credential: Rate::new(1000, 2000),
            address: Rate::new(5000, 10_000),
            in_flight: 1024,
            connections: 4096,
            streams: 512,
            streams_each: 8,
            call_seconds: 30,
        }
    }
}

impl Limits {
    pub(crate) fn call(&self) -> Duration {
        Duration::from_secs(self.call_seconds)
    }
}

/// A token bucket: so many at once, refilled at so many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub per_second: u32,
    pub burst: u32,
}

impl Rate {
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}
