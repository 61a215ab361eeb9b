//! `takedown provider serve`: a simulated host on the real delivery channels. Receives notices by pull API, webhook or mail,
//! verifies each with the reference client, and answers by the chosen behaviour.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use host_client::gateway_client::{self, GatewayClient};
use secrecy::SecretString;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hosts::{OUTAGE, fetch_webhook_key};
use super::log::HostLog;
use super::network_fault::NetworkProfile;
use super::scenario::Behaviour;
use super::simulated_host::{self, HostSetup, SimulatedHost};
use super::{http, poll, smtp};

/// Command line of `takedown provider serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    /// This provider's id at the hotline
    #[arg(long)]
    pub id: String,
    /// Its key (tdh_…)
    #[arg(long, env = "TAKEDOWN_PROVIDER_KEY", hide_env_values = true)]
    pub key: SecretString,
    /// The hotline's address, such as https://portal.hotline.example
    #[arg(long)]
    pub gateway: String,
    /// How to answer notices: prompt, slow, silent, not_ours, disputes, needs_information, reappears, bounces,
    /// claims_falsely or down
    #[arg(long, default_value = "prompt", value_parser = simulated_host::parse_behaviour)]
    pub behaviour: Behaviour,
    /// The provider to name with not_ours
    #[arg(long)]
    pub upstream: Option<String>,
    /// Fetch notices from the pull API; the default without a listening address
    #[arg(long)]
    pub poll: bool,
    /// Receive webhooks on this address, without TLS; a proxy in front terminates TLS
    #[arg(long)]
    pub webhook_listen: Option<SocketAddr>,
    /// Set this webhook URL in the preferences at the hotline
    #[arg(long, requires = "webhook_listen")]
    pub webhook_url: Option<String>,
    /// Receive mail on this loopback address, without TLS
    #[arg(long)]
    pub smtp_listen: Option<SocketAddr>,
}

/// Bound addresses of the client.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ListenAddresses {
    pub webhook: Option<SocketAddr>,
    pub smtp: Option<SocketAddr>,
    pub polls: bool,
}

/// Serves until shutdown. `on_listening` is called once, with the bound addresses.
pub async fn serve(
    options: ServeOptions,
    shutdown: CancellationToken,
    on_listening: impl FnOnce(&ListenAddresses),
) -> Result<Arc<HostLog>> {
    let log = Arc::new(HostLog::default());
    let client = gateway_client::http_client()?;
    let gateway = GatewayClient::new(&options.gateway, Some(options.key), client)?;
    let setup = HostSetup {
        id: options.id,
        behaviour: options.behaviour,
        upstream: options.upstream,
        gateway,
        log: Arc::clone(&log),
        pages: None,
        network: NetworkProfile::Reliable,
    };
    let tasks = TaskTracker::new();
    let host = SimulatedHost::new(setup, tasks.clone()).await?;
    let mut bound = ListenAddresses::default();
    let serving = TaskTracker::new();
    if let Some(at) = options.webhook_listen {
        let listener = bind(at).await?;
        bound.webhook = Some(listener.local_addr()?);
        if let Some(url) = &options.webhook_url {
            host.gateway()
                .set_webhook_url(url)
                .await
                .context("setting the webhook URL")?;
        }
        fetch_webhook_key(&host).await?;
        serving.spawn(http::serve_webhook(
            listener,
            Arc::clone(&host),
            shutdown.clone(),
        ));
    }
    if let Some(at) = options.smtp_listen {
        ensure!(
            at.ip().is_loopback(),
            "mail without TLS is received on a loopback address only"
        );
        let listener = bind(at).await?;
        bound.smtp = Some(listener.local_addr()?);
        let host = Arc::clone(&host);
        let any_mailbox: smtp::MailboxLookup = Arc::new(move |_| Some(Arc::clone(&host)));
        serving.spawn(smtp::serve(listener, any_mailbox, shutdown.clone()));
    }
    bound.polls = options.poll || (bound.webhook.is_none() && bound.smtp.is_none());
    if bound.polls {
        serving.spawn(poll::run(Arc::clone(&host), shutdown.clone()));
    }
    if host.is_down() {
        let shutdown = shutdown.clone();
        serving.spawn(async move {
            // Ending the outage at shutdown too is harmless.
            let _ = tokio::time::timeout(OUTAGE, shutdown.cancelled()).await;
            host.end_outage();
        });
    }
    on_listening(&bound);
    serving.close();
    serving.wait().await;
    Ok(log)
}

async fn bind(at: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(at)
        .await
        .with_context(|| format!("listening on {at}"))
}
