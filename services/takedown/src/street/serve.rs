//! `takedown provider serve`: the reference client for a host's engineer. Receives notices by pull API, webhook or
//! mail, verifies each, and answers by a chosen behaviour.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use secrecy::SecretString;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::files::Behaviour;
use super::gateway::{self, Gateway};
use super::log::HostLog;
use super::mishap::Transport;
use super::player::{self, Player, Setting};
use super::residents::{DOWN_FOR, learn_webhook_key};
use super::{http, poll, smtp};
use crate::output::Format;

/// What a host's engineer says on the command line.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// This provider's id with the hotline
    #[arg(long)]
    pub id: String,
    /// Its key (tdh_…)
    #[arg(long, env = "TAKEDOWN_PROVIDER_KEY", hide_env_values = true)]
    pub key: SecretString,
    /// The hotline's address, such as https://portal.hotline.example
    #[arg(long)]
    pub gateway: String,
    /// What to do about notices: prompt, slow, silent, not_ours, disputes, needs_information, reappears, bounces,
    /// claims_falsely or down
    #[arg(long, default_value = "prompt", value_parser = player::behaviour)]
    pub behaviour: Behaviour,
    /// Whom to name with not_ours
    #[arg(long)]
    pub upstream: Option<String>,
    /// Ask the pull API for notices; the default where nothing is listened on
    #[arg(long)]
    pub poll: bool,
    /// Take webhooks on this address, without TLS; a proxy stands in front
    #[arg(long)]
    pub webhook_listen: Option<SocketAddr>,
    /// Tell the hotline to send webhooks to this address
    #[arg(long, requires = "webhook_listen")]
    pub webhook_url: Option<String>,
    /// Take mail on this loopback address, without TLS
    #[arg(long)]
    pub smtp_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub format: Format,
}

/// Where the client listens, as bound.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Listening {
    pub webhook: Option<SocketAddr>,
    pub smtp: Option<SocketAddr>,
    pub polls: bool,
}

/// Serves until shutdown; `listening` hears the bound addresses once.
pub async fn serve(
    options: Options,
    shutdown: CancellationToken,
    listening: impl FnOnce(&Listening),
) -> Result<Arc<HostLog>> {
    let log = Arc::new(HostLog::default());
    let gateway = Gateway::new(&options.gateway, Some(options.key), gateway::client()?)?;
    let setting = Setting {
        id: options.id,
        behaviour: options.behaviour,
        upstream: options.upstream,
        gateway,
        log: Arc::clone(&log),
        pages: None,
        transport: Transport::Good,
    };
    let tasks = TaskTracker::new();
    let player = Player::new(setting, tasks.clone()).await?;
    let mut bound = Listening::default();
    let serving = TaskTracker::new();
    if let Some(at) = options.webhook_listen {
        let listener = bind(at).await?;
        bound.webhook = Some(listener.local_addr()?);
        if let Some(url) = &options.webhook_url {
            player
                .gateway()
                .take_webhooks(url)
                .await
                .context("setting the webhook's address")?;
        }
        learn_webhook_key(&player).await?;
        serving.spawn(http::serve_one(
            listener,
            Arc::clone(&player),
            shutdown.clone(),
        ));
    }
    if let Some(at) = options.smtp_listen {
        ensure!(
            at.ip().is_loopback(),
            "mail without TLS is taken on a loopback address only"
        );
        let listener = bind(at).await?;
        bound.smtp = Some(listener.local_addr()?);
        let player = Arc::clone(&player);
        let everybody: smtp::Mailboxes = Arc::new(move |_| Some(Arc::clone(&player)));
        serving.spawn(smtp::serve(listener, everybody, shutdown.clone()));
    }
    bound.polls = options.poll || (bound.webhook.is_none() && bound.smtp.is_none());
    if bound.polls {
        serving.spawn(poll::run(Arc::clone(&player), shutdown.clone()));
    }
    if player.is_down() {
        let shutdown = shutdown.clone();
        serving.spawn(async move {
            // Whether the time is over or the shutdown has come: nobody is hurt by a host that is up at its end.
            let _ = tokio::time::timeout(DOWN_FOR, shutdown.cancelled()).await;
            player.come_up();
        });
    }
    listening(&bound);
    serving.close();
    serving.wait().await;
    Ok(log)
}

async fn bind(at: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(at)
        .await
        .with_context(|| format!("listening on {at}"))
}
