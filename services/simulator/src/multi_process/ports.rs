//! A port for each process, reserved while the system exists: bound without listening, so that the role can listen on it,
//! also after a restart, and no other program is given it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::net::TcpSocket;

use super::Instance;
use roles::client::Addresses;
use roles::role::Role;

pub(super) struct Ports(BTreeMap<Instance, (SocketAddr, TcpSocket)>);

impl Ports {
    pub(super) fn reserve(instances: impl Iterator<Item = Instance>) -> Result<Self> {
        let reserve = |instance| {
            let socket = TcpSocket::new_v4()?;
            // Linux lets two sockets bind one port with SO_REUSEADDR as long as only one of them listens.
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            Ok((instance, (socket.local_addr()?, socket)))
        };
        Ok(Self(instances.map(reserve).collect::<Result<_>>()?))
    }

    pub(super) fn address(&self, instance: impl Into<Instance>) -> SocketAddr {
        // `reserve` binds a socket for every instance.
        self.0[&instance.into()].0
    }

    /// Edge roles serve plain HTTP; core roles serve TLS.
    pub(super) fn addresses(&self) -> Addresses {
        let at = |scheme: &str, role| format!("{scheme}://{}", self.address(role));
        Addresses {
            intake: at("https", Role::Intake),
            verification: at("https", Role::Verification),
            dispatch: at("https", Role::Dispatch),
            ledger: at("https", Role::Ledger),
            gateway: at("http", Role::Gateway),
            console: at("http", Role::Console),
        }
    }
}
