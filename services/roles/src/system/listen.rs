//! Listeners, bound before anything starts, so that every role can be given the addresses of the others.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use platform::Progress;
use tokio::net::TcpListener;

use super::Options;
use crate::client::Addresses;

/// The address on which an edge listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// This address only. Port 0 is any free one.
    Exactly(SocketAddr),
    /// This port of loopback, or a free one if it is taken.
    Prefer(u16),
}

impl Listen {
    /// Any free port of loopback.
    pub const fn free() -> Self {
        Self::Exactly(loopback(0))
    }

    async fn bind(self, name: &str, progress: Progress<'_>) -> Result<TcpListener> {
        match self {
            Self::Exactly(address) => TcpListener::bind(address)
                .await
                .with_context(|| format!("the {name} cannot listen on {address}")),
            Self::Prefer(port) => match TcpListener::bind(loopback(port)).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    progress(&format!(
                        "port {port} is taken; the {name} takes a free one"
                    ));
                    Ok(TcpListener::bind(loopback(0)).await?)
                }
                bound => bound.with_context(|| format!("the {name} cannot listen on {port}")),
            },
        }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

pub(super) struct RoleListeners {
    pub(super) intake: TcpListener,
    pub(super) verification: TcpListener,
    pub(super) dispatch: TcpListener,
    pub(super) ledger: TcpListener,
    pub(super) gateway: TcpListener,
    /// The gateway's, for inbound mail.
    pub(super) mail: TcpListener,
    pub(super) console: TcpListener,
}

impl RoleListeners {
    pub(super) async fn bind(options: &Options, progress: Progress<'_>) -> Result<Self> {
        let free = Listen::free();
        Ok(Self {
            intake: free.bind("intake", progress).await?,
            verification: free.bind("verification", progress).await?,
            dispatch: free.bind("dispatch", progress).await?,
            ledger: free.bind("ledger", progress).await?,
            gateway: options.gateway.bind("gateway", progress).await?,
            mail: options.mail.bind("inbound mail server", progress).await?,
            console: options.console.bind("console", progress).await?,
        })
    }

    pub(super) fn addresses(&self) -> Result<Addresses> {
        let base = |listener: &TcpListener| -> Result<String> {
            let mut address = listener.local_addr()?;
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            Ok(format!("http://{address}"))
        };
        Ok(Addresses {
            intake: base(&self.intake)?,
            verification: base(&self.verification)?,
            dispatch: base(&self.dispatch)?,
            ledger: base(&self.ledger)?,
            gateway: base(&self.gateway)?,
            console: base(&self.console)?,
        })
    }
}
