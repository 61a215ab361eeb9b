//! A port for each role, held as long as the system is there: bound and not listened on, so that a role can listen on it
//! (also again, after it died) and nobody else is given it meanwhile.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::net::TcpSocket;

use super::Instance;
use crate::client::Addresses;
use crate::role::Role;

pub(super) struct Ports(BTreeMap<Instance, (SocketAddr, TcpSocket)>);

impl Ports {
    pub(super) fn hold(instances: impl Iterator<Item = Instance>) -> Result<Self> {
        let hold = |instance| {
            let socket = TcpSocket::new_v4()?;
            // The role's own listener has it too; on Linux both may be bound while one alone listens.
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            Ok((instance, (socket.local_addr()?, socket)))
        };
        Ok(Self(instances.map(hold).collect::<Result<_>>()?))
    }

    pub(super) fn of(&self, instance: impl Into<Instance>) -> SocketAddr {
        // Held from the start, one for each.
        self.0[&instance.into()].0
    }

    /// The edges speak plain HTTP; between roles there is TLS.
    pub(super) fn addresses(&self) -> Addresses {
        let at = |scheme: &str, role| format!("{scheme}://{}", self.of(role));
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
