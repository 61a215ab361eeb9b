//! How a process is watched from outside: its readiness, as the role says it itself, and its metrics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use platform::grpc::{self, Check, Transport};
use platform::monitor;
use platform::shutdown::Tasks;
use platform::telemetry::Telemetry;
use serde::Deserialize;
use tokio::net::TcpListener;
use tonic::transport::Channel;

use super::Role;

/// A probe that waits longer has its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The table `monitor`: plain HTTP with `/livez`, `/readyz` and `/metrics`, for whoever watches the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitor {
    /// Where it listens. [default: nowhere]
    pub listen: Option<SocketAddr>,
}

impl Monitor {
    /// Listens, where the configuration says so.
    pub async fn serve(&self, tasks: &mut Tasks, ready: Check, telemetry: Telemetry) -> Result<()> {
        let Some(at) = self.listen else { return Ok(()) };
        let listener = TcpListener::bind(at)
            .await
            .with_context(|| format!("the monitor cannot listen on {at}"))?;
        let serving = monitor::serve(listener, ready, telemetry, tasks.token());
        tasks.spawn("monitor", serving);
        Ok(())
    }
}

/// Ready when the core roles behind these channels are.
pub fn answers(channels: Vec<Channel>) -> Check {
    Arc::new(move || {
        let asked = channels.clone().into_iter().map(grpc::is_ready);
        let all = futures::future::join_all(asked);
        Box::pin(async { all.await.into_iter().all(|ready| ready) })
    })
}

/// Ready when the edge that listens here says so.
pub fn edge_answers(listens: SocketAddr) -> Check {
    let url = format!("http://{}/readyz", reached(listens));
    Arc::new(move || {
        let asked = tokio::time::timeout(PATIENCE, reqwest::get(url.clone()));
        Box::pin(async { matches!(asked.await, Ok(Ok(answer)) if answer.status().is_success()) })
    })
}

/// A channel from a core role to itself: it is asked as others ask it.
pub fn to_itself(transport: &Transport, role: Role, listens: SocketAddr) -> Result<Channel> {
    let scheme = match transport {
        Transport::Plain => "http",
        Transport::Proven(_) => "https",
    };
    let address = format!("{scheme}://{}", reached(listens));
    Ok(transport.channel(role.name(), &address)?)
}

/// Who listens everywhere is reached on loopback.
fn reached(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}
