//! `parked`: events that a consumer could not apply, and what two people decide about them.
//!
//! The one who asks is the one whose session `client.toml` holds; the second signs in with name and password, here and
//! now. Both are recorded with the act. A replay is done by the consumer itself, which alone knows what an event means.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::id::{CaseId, EventId};
use platform::bus::{self, Approval, Asked};
use platform::config::SecretRef;
use platform::db;
use platform::error::{Kind, Problem};
use platform::principal::Role;
use proto::v1::{SignOutRequest, Staff};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{At, words};
use crate::output::{Format, table};
use crate::system::SERVICES;

/// Parked events of one service that are shown.
const SHOWN: i64 = 1000;

/// How long a running consumer may take for a replay.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Everything that is parked, in the order in which it was said.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Applies a case's parked events in order and lets the case flow again. Takes two people.
    Replay {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        second: Second,
    },
    /// Discards one parked event. Takes two people. What waits behind it is for a replay.
    Drop {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        which: Which,
        /// The event to discard.
        #[arg(long, value_name = "ID")]
        event: EventId,
        #[command(flatten)]
        second: Second,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The service that could not apply it.
    #[arg(long, value_name = "SERVICE")]
    consumer: String,
    /// The service that said it.
    #[arg(long, value_name = "SERVICE")]
    producer: String,
    /// The case it is about.
    #[arg(long, value_name = "ID")]
    case: CaseId,
}

#[derive(Debug, clap::Args)]
pub(super) struct Second {
    /// Name of the second person: a supervisor, and not the one who asks.
    #[arg(long, value_name = "NAME")]
    confirmed_by: String,
    /// Where their password is: env:NAME or file:/path.
    #[arg(long, value_name = "SECRET")]
    password: SecretRef,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::List { at } | Self::Replay { at, .. } | Self::Drop { at, .. } => at.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::List { at } => list(&at).await,
        Command::Replay { at, which, second } => {
            let approval = approval(&at, &second).await?;
            replay(&at, &which, approval).await
        }
        Command::Drop {
            at,
            which,
            event,
            second,
        } => {
            let approval = approval(&at, &second).await?;
            discard(&at, &which, event, approval).await
        }
    }
}

async fn list(at: &At) -> Result<()> {
    let mut all = Vec::new();
    for schema in &SERVICES {
        let mut conn = connect(at, schema.name).await?;
        all.extend(bus::list(&mut conn, SHOWN).await?);
        conn.close().await?;
    }
    let values: Vec<Value> = all
        .iter()
        .map(|p| {
            json!({
                "consumer": p.consumer,
                "producer": p.event.producer,
                "shard": p.event.shard,
                "position": p.event.position,
                "case_id": p.event.case_id,
                "event_id": p.event.id,
                "type": p.event.kind,
                "reason": p.reason,
                "parked_at": p.parked_at.format(&Rfc3339).unwrap_or_default(),
            })
        })
        .collect();
    at.format.print(&values.into(), || {
        if all.is_empty() {
            return "nothing is parked".to_owned();
        }
        table(
            [
                "consumer", "producer", "case", "event", "what", "why", "since",
            ],
            all.iter().map(|p| {
                [
                    p.consumer.clone(),
                    p.event.producer.clone(),
                    p.event.case_id.to_string(),
                    p.event.id.to_string(),
                    p.event.kind.clone(),
                    p.reason.clone(),
                    p.parked_at.format(&Rfc3339).unwrap_or_default(),
                ]
            }),
        )
    });
    Ok(())
}

/// Two people, both known to verification at this moment, both with a role for it.
async fn approval(at: &At, second: &Second) -> Result<Approval> {
    let client = at.client()?;
    let asks = client.staff().await?;
    let password = second.password.resolve()?;
    let other = client.sign_in(&second.confirmed_by, &password).await?;
    let agrees = other.staff().await;
    // The second person's session was for this question alone.
    let request = SignOutRequest {
        session: other.session().expose_secret().to_owned(),
    };
    other.verification().sign_out(request).await?;
    let agrees = agrees?;
    needs(&asks, &[Role::Operator, Role::Supervisor])?;
    needs(&agrees, &[Role::Supervisor])?;
    Ok(Approval::new(
        Uuid::new_v4(),
        asks.subject.parse().context("a subject is no id")?,
        agrees.subject.parse().context("a subject is no id")?,
    )?)
}

fn needs(staff: &Staff, roles: &[Role]) -> Result<(), Problem> {
    let has = |role: &Role| {
        staff
            .roles
            .iter()
            .any(|number| words::staff_role(*number) == role.as_str())
    };
    if roles.iter().any(has) {
        return Ok(());
    }
    let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    Err(Problem::new(
        Kind::Forbidden,
        "role_required",
        format!(
            "{} needs the role {} for this.",
            staff.name,
            names.join(" or ")
        ),
    ))
}

async fn replay(at: &At, which: &Which, approval: Approval) -> Result<()> {
    let mut conn = connect(at, consumer(&which.consumer)?).await?;
    let (consumer, producer) = (which.consumer.as_str(), which.producer.as_str());
    let id = bus::ask_replay(&mut conn, consumer, producer, which.case.uuid(), approval)
        .await?
        .ok_or_else(|| nothing_parked(which))?;
    let answered = async {
        loop {
            match bus::asked(&mut conn, id).await? {
                Asked::Waits => tokio::time::sleep(Duration::from_millis(100)).await,
                answer => return Ok::<_, sqlx::Error>(answer),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(Asked::Done)) => {
            let value = json!({ "case_id": which.case.to_string(), "replayed": true });
            at.format.print(&value, || {
                format!("replayed; case {} flows again", which.case)
            });
            Ok(())
        }
        Ok(Ok(Asked::Refused(reason))) => Err(Problem::new(
            Kind::FailedPrecondition,
            "replay_refused",
            format!("{consumer} still cannot apply it ({reason}); everything stays parked. Mend the cause, or drop the event."),
        )
        .into()),
        Ok(Ok(Asked::Waits)) | Err(_) => Err(Problem::new(
            Kind::Unavailable,
            "replay_waits",
            format!("{consumer} has not done it yet; it will as soon as it runs. See `takedown doctor`."),
        )
        .into()),
        Ok(Err(error)) => Err(error.into()),
    }
}

async fn discard(at: &At, which: &Which, event: EventId, approval: Approval) -> Result<()> {
    let mut conn = connect(at, consumer(&which.consumer)?).await?;
    let mut tx = conn.begin().await?;
    let dropped = bus::discard(
        &mut tx,
        &which.consumer,
        &which.producer,
        which.case.uuid(),
        event.uuid(),
        approval,
    )
    .await?;
    if !dropped {
        return Err(nothing_parked(which).into());
    }
    tx.commit().await?;
    let value = json!({ "event_id": event.to_string(), "dropped": true });
    at.format.print(&value, || format!("dropped {event}"));
    Ok(())
}

fn nothing_parked(which: &Which) -> Problem {
    Problem::new(
        Kind::NotFound,
        "not_parked",
        format!(
            "Nothing of case {} from {} is parked by {}; see `takedown parked list`.",
            which.case, which.producer, which.consumer
        ),
    )
}

/// The schema of a consumer, from our own list.
fn consumer(name: &str) -> Result<&'static str, Problem> {
    SERVICES
        .iter()
        .map(|schema| schema.name)
        .find(|known| *known == name)
        .ok_or_else(|| {
            let known: Vec<&str> = SERVICES.iter().map(|schema| schema.name).collect();
            Problem::new(
                Kind::Invalid,
                "service_unknown",
                format!(
                    "There is no service `{name}`; give one of {}.",
                    known.join(", ")
                ),
            )
        })
}

async fn connect(at: &At, schema: &str) -> Result<PgConnection> {
    let url = at.database_url()?;
    Ok(db::connect_options(url.expose_secret(), schema)?
        .connect()
        .await?)
}
