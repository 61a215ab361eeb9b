//! `up`: every role in this process until a signal ends it.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use platform::config;
use platform::shutdown;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{At, database_url};
use crate::output::{facts, tell};
use crate::system::{self, LOCAL_OPERATOR, Listen, Options, Settings, System};

/// The console's, the gateway's and the mail door's ports, where they are free.
const CONSOLE: u16 = 7400;
const GATEWAY: u16 = 7401;
const MAIL: u16 = 7425;

/// Runs every role in this process, on a database that it finds or keeps itself.
///
/// Uses DATABASE_URL where it is set, else a private Postgres in the data folder. Writes addresses and the local
/// operator's session to client.toml there, where every other command finds them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) at: At,
    /// Where the console listens. [default: 127.0.0.1:7400, or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS")]
    console_listen: Option<SocketAddr>,
    /// Where the gateway listens. [default: 127.0.0.1:7401, or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS")]
    gateway_listen: Option<SocketAddr>,
    /// Where mails come back to, by SMTP. [default: 127.0.0.1:7425, or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS")]
    mail_listen: Option<SocketAddr>,
    /// The escalation policy (YAML). [default: the one of deploy/policies/production.yaml]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Settings of the roles (TOML, a table for each). Variables such as TAKEDOWN_SET_GATEWAY__PUBLIC_BASE go over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Webhooks to http addresses below .example go to this loopback address: for trying a client on this machine.
    #[arg(long, value_name = "ADDRESS")]
    hooks_at: Option<SocketAddr>,
}

/// What stands for the made-up hosts of whoever tries a client: plain HTTP, so that it is nobody's real address.
const TRIED: &str = "*.example:80";

pub(super) async fn run(args: Args) -> Result<()> {
    let settings: Settings = config::load(args.config.as_deref(), "TAKEDOWN_SET_")?;
    let mut options = Options {
        database_url: database_url(),
        console: args
            .console_listen
            .map_or(Listen::Prefer(CONSOLE), Listen::At),
        gateway: args
            .gateway_listen
            .map_or(Listen::Prefer(GATEWAY), Listen::At),
        mail: args.mail_listen.map_or(Listen::Prefer(MAIL), Listen::At),
        settings,
        ..Options::new(args.at.data.path()?)
    };
    if let Some(file) = &args.policy {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        options.policy = system::policy(&text)?;
    }
    if let Some(at) = args.hooks_at {
        let map = &mut options.connector.map;
        map.insert(TRIED, at).context("--hooks-at")?;
        options.settings.dispatch.plain_webhooks = true;
    }
    let data_dir = options.data_dir.clone();

    let signal = shutdown::on_signals()?;
    let say = |line: &str| tell(line);
    let system = tokio::select! {
        started = System::start(options, &say) => started?,
        // What was started so far ends as it is dropped.
        () = signal.cancelled() => return Ok(()),
    };
    announce(&args, &system, &data_dir);

    let token = system.token();
    tokio::spawn(async move {
        signal.cancelled().await;
        tell("ending");
        token.cancel();
    });
    system.ended().await
}

fn announce(args: &Args, system: &System, data_dir: &std::path::Path) {
    let addresses = system.addresses();
    let password = system.new_password().map(ExposeSecret::expose_secret);
    let value = json!({
        "console": addresses.console,
        "gateway": addresses.gateway,
        "mail_door": system.mail_door().to_string(),
        "intake": addresses.intake,
        "verification": addresses.verification,
        "dispatch": addresses.dispatch,
        "ledger": addresses.ledger,
        "data_dir": data_dir,
        "operator": LOCAL_OPERATOR,
        "password": password,
    });
    args.at.format.print(&value, || {
        let mut text = facts([
            ("console", addresses.console.clone()),
            ("gateway", addresses.gateway.clone()),
            ("mail door", system.mail_door().to_string()),
            ("data folder", data_dir.display().to_string()),
        ]);
        text.push_str("\n\nReady. Ctrl-C ends it.");
        text
    });
}
