//! What a request connects to, read from its URL. Pooled connections are found by it.

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::address::is_refused_port;
use super::error::{ConnectorError, Refusal};

/// Scheme, host and port of a request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct RequestTarget {
    pub(super) https: bool,
    pub(super) host: TargetHost,
    pub(super) port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum TargetHost {
    /// Lower case, without a trailing dot.
    Name(String),
    Address(IpAddr),
}

impl RequestTarget {
    pub(super) fn from_url(url: &Url) -> Result<Self, ConnectorError> {
        let refused = ConnectorError::Refused;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refused(Refusal::Scheme)),
        };
        let host = match url.host().ok_or(refused(Refusal::Host))? {
            Host::Ipv4(address) => TargetHost::Address(address.into()),
            Host::Ipv6(address) => TargetHost::Address(address.into()),
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if name.is_empty() || name.len() > 253 || name.split('.').any(str::is_empty) {
                    return Err(refused(Refusal::Host));
                }
                TargetHost::Name(name.to_ascii_lowercase())
            }
        };
        let port = url.port_or_known_default().ok_or(refused(Refusal::Port))?;
        if is_refused_port(port) {
            return Err(refused(Refusal::Port));
        }
        Ok(Self { https, host, port })
    }

    pub(super) fn server_name(&self) -> Result<ServerName<'static>, ConnectorError> {
        match &self.host {
            TargetHost::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| ConnectorError::Refused(Refusal::Host)),
            TargetHost::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        }
    }
}
