//! Ports: bound before anything is started, so that every role can be told where the others are.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

use super::Options;
use crate::client::Addresses;

/// Where an edge listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// There, or not at all. Port 0 is any free one.
    At(SocketAddr),
    /// There, or on a free port of loopback when that one is taken.
    Prefer(u16),
}

impl Listen {
    /// Any free port of loopback.
    pub const fn free() -> Self {
        Self::At(loopback(0))
    }

    async fn bind(self, what: &str, say: &(dyn Fn(&str) + Send + Sync)) -> Result<TcpListener> {
        match self {
            Self::At(address) => TcpListener::bind(address)
                .await
                .with_context(|| format!("the {what} cannot listen on {address}")),
            Self::Prefer(port) => match TcpListener::bind(loopback(port)).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    say(&format!(
                        "port {port} is taken; the {what} takes a free one"
                    ));
                    Ok(TcpListener::bind(loopback(0)).await?)
                }
                bound => bound.with_context(|| format!("the {what} cannot listen on {port}")),
            },
        }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

pub(super) struct Listeners {
    pub(super) intake: TcpListener,
    pub(super) verification: TcpListener,
    pub(super) dispatch: TcpListener,
    pub(super) ledger: TcpListener,
    pub(super) gateway: TcpListener,
    /// Of the gateway, for mail.
    pub(super) mail: TcpListener,
    pub(super) console: TcpListener,
}

impl Listeners {
    pub(super) async fn bind(
        options: &Options,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self> {
        let free = Listen::free();
        Ok(Self {
            intake: free.bind("intake", say).await?,
            verification: free.bind("verification", say).await?,
            dispatch: free.bind("dispatch", say).await?,
            ledger: free.bind("ledger", say).await?,
            gateway: options.gateway.bind("gateway", say).await?,
            mail: options.mail.bind("mail door", say).await?,
            console: options.console.bind("console", say).await?,
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
