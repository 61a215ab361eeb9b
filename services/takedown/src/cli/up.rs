//! `up`: runs every role in this process until a signal.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use platform::config;
use platform::shutdown;
use roles::system::{self, LOCAL_OPERATOR, Listen, Options, Settings, System};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{CommonArgs, database_url};
use crate::output::{facts, note};

// Preferred ports.
const CONSOLE_PORT: u16 = 7400;
const GATEWAY_PORT: u16 = 7401;
const MAIL_PORT: u16 = 7425;

/// Runs every role in this process, on a private or an external database.
///
/// Uses DATABASE_URL if it is set, otherwise a private Postgres in the data folder. Writes addresses and the
/// local operator's session to client.toml in the data folder, which the other commands read.
#[derive(Debug, clap::Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Address of the console. [default: 127.0.0.1:7400, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    console_listen: Option<SocketAddr>,
    /// Address of the gateway. [default: 127.0.0.1:7401, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    gateway_listen: Option<SocketAddr>,
    /// Address of the SMTP server for inbound mail. [default: 127.0.0.1:7425, or a free port if that is
    /// taken]
    #[arg(long, value_name = "ADDRESS")]
    mail_listen: Option<SocketAddr>,
    /// The escalation policy (YAML). [default: deploy/policies/production.yaml, which is built in]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Settings of the roles (TOML, one table for each). Environment variables such as
    /// TAKEDOWN_SET_GATEWAY__PUBLIC_BASE override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sends webhooks for http addresses under .example to this loopback address, to try a client on this
    /// machine.
    #[arg(long, value_name = "ADDRESS")]
    hooks_at: Option<SocketAddr>,
}

/// Hosts of `--hooks-at`. Reserved names over HTTP, so that no real host is contacted.
const TRIAL_HOSTS: &str = "*.example:80";

pub(super) async fn run(args: UpArgs) -> Result<()> {
    let settings: Settings = config::load(args.config.as_deref(), "TAKEDOWN_SET_")?;
    let mut options = Options {
        database_url: database_url(),
        console: args
            .console_listen
            .map_or(Listen::Prefer(CONSOLE_PORT), Listen::Exactly),
        gateway: args
            .gateway_listen
            .map_or(Listen::Prefer(GATEWAY_PORT), Listen::Exactly),
        mail: args
            .mail_listen
            .map_or(Listen::Prefer(MAIL_PORT), Listen::Exactly),
        settings,
        ..Options::new(args.common.data.path()?)
    };
    if let Some(file) = &args.policy {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        options.policy = system::policy(&text)?;
    }
    if let Some(address) = args.hooks_at {
        let map = &mut options.connector.map;
        map.insert(TRIAL_HOSTS, address).context("--hooks-at")?;
        options.settings.dispatch.http_webhooks = true;
    }
    let data_dir = options.data_dir.clone();

    let signal = shutdown::on_signals()?;
    let progress = |line: &str| note(line);
    let system = tokio::select! {
        started = System::start(options, &progress) => started?,
        // Dropping the future stops what has been started.
        () = signal.cancelled() => return Ok(()),
    };
    print_addresses(&args, &system, &data_dir);

    let token = system.token();
    tokio::spawn(async move {
        signal.cancelled().await;
        note("stopping");
        token.cancel();
    });
    system.ended().await
}

fn print_addresses(args: &UpArgs, system: &System, data_dir: &std::path::Path) {
    let addresses = system.addresses();
    let password = system.new_password().map(ExposeSecret::expose_secret);
    let value = json!({
        "console": addresses.console,
        "gateway": addresses.gateway,
        "mail": system.mail_address().to_string(),
        "intake": addresses.intake,
        "verification": addresses.verification,
        "dispatch": addresses.dispatch,
        "ledger": addresses.ledger,
        "data_dir": data_dir,
        "operator": LOCAL_OPERATOR,
        "password": password,
    });
    args.common.format.print(&value, || {
        let mut text = facts([
            ("console", addresses.console.clone()),
            ("gateway", addresses.gateway.clone()),
            ("inbound mail", system.mail_address().to_string()),
            ("data folder", data_dir.display().to_string()),
        ]);
        text.push_str("\n\nReady. Press Ctrl-C to stop.");
        text
    });
}
