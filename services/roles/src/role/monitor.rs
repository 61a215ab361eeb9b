//! The monitoring endpoint of a process: readiness as the role itself reports it, and metrics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use platform::grpc::{self, ConsumerStates, ReadinessCheck, Transport};
use platform::monitor;
use platform::shutdown::Tasks;
use platform::telemetry::Telemetry;
use serde::Deserialize;
use tokio::net::TcpListener;
use tonic::transport::Channel;

use super::Role;

/// Limit of a readiness request; a slower one counts as not ready.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The table `monitor`: HTTP without TLS, with `/livez`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitor {
    /// Address to listen on. [default: none]
    pub listen: Option<SocketAddr>,
}

impl Monitor {
    /// Serves the endpoint if an address is configured.
    pub async fn serve(
        &self,
        tasks: &mut Tasks,
        ready: ReadinessCheck,
        consumers: ConsumerStates,
        telemetry: Telemetry,
    ) -> Result<()> {
        let Some(address) = self.listen else {
            return Ok(());
        };
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("the monitor cannot listen on {address}"))?;
        let serving = monitor::serve(listener, ready, consumers, telemetry, tasks.token());
        tasks.spawn("monitor", serving);
        Ok(())
    }
}

/// Ready when all core roles behind these channels are.
pub fn all_are_ready(channels: Vec<Channel>) -> ReadinessCheck {
    Arc::new(move || {
        let requests = channels.clone().into_iter().map(grpc::is_ready);
        let all = futures::future::join_all(requests);
        Box::pin(async { all.await.into_iter().all(|ready| ready) })
    })
}

/// Ready when the edge at this address reports so.
pub fn edge_is_ready(address: SocketAddr) -> ReadinessCheck {
    let url = format!("http://{}/readyz", reachable(address));
    Arc::new(move || {
        let request = tokio::time::timeout(TIMEOUT, reqwest::get(url.clone()));
        Box::pin(async {
            matches!(request.await, Ok(Ok(response)) if response.status().is_success())
        })
    })
}

/// A channel from a core role to its own server, which is checked like any other.
pub fn own_channel(transport: &Transport, role: Role, address: SocketAddr) -> Result<Channel> {
    let scheme = match transport {
        Transport::Plaintext => "http",
        Transport::MutualTls(_) => "https",
    };
    let url = format!("{scheme}://{}", reachable(address));
    Ok(transport.channel(role.name(), &url)?)
}

/// A server that listens on every address is reachable on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
