//! `parked`: lists, replays and drops events that a consumer could not apply. Replay and drop take two
//! people.
//!
//! The requester is the person whose session is in `client.toml`; the second person signs in with name and
//! password. Both are recorded. The consumer itself performs a replay, because only it can apply the events.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::id::{CaseId, EventId};
use platform::bus::{self, Approval, ReplayStatus};
use platform::config::SecretRef;
use platform::db;
use platform::error::{Kind, Problem};
use platform::principal::Role;
use proto::v1::{SignOutRequest, Staff};
use roles::system::SERVICES;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{CommonArgs, labels};
use crate::output::{Format, table};

/// Maximum number of parked events listed per service.
const LIST_LIMIT: i64 = 1000;

/// How long to wait for the consumer's replay.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists all parked events, in the order of the log.
    List {
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Applies a case's parked events in order and unblocks the case. Takes two people.
    Replay {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        selection: ParkedCase,
        #[command(flatten)]
        second: SecondPerson,
    },
    /// Discards one parked event. Takes two people. Events behind it stay parked until a replay.
    Drop {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        selection: ParkedCase,
        /// The event to discard.
        #[arg(long, value_name = "ID")]
        event: EventId,
        #[command(flatten)]
        second: SecondPerson,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ParkedCase {
    /// The service that could not apply it.
    #[arg(long, value_name = "SERVICE")]
    consumer: String,
    /// The service that emitted it.
    #[arg(long, value_name = "SERVICE")]
    producer: String,
    /// The event's case.
    #[arg(long, value_name = "ID")]
    case: CaseId,
}

#[derive(Debug, clap::Args)]
pub(super) struct SecondPerson {
    /// Name of the second person: a supervisor other than the requester.
    #[arg(long, value_name = "NAME")]
    confirmed_by: String,
    /// Reference to their password: env:NAME or file:/path.
    #[arg(long, value_name = "SECRET")]
    password: SecretRef,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::List { common } | Self::Replay { common, .. } | Self::Drop { common, .. } => {
                common.format
            }
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::List { common } => list(&common).await,
        Command::Replay {
            common,
            selection,
            second,
        } => {
            let approval = approval(&common, &second).await?;
            replay(&common, &selection, approval).await
        }
        Command::Drop {
            common,
            selection,
            event,
            second,
        } => {
            let approval = approval(&common, &second).await?;
            discard(&common, &selection, event, approval).await
        }
    }
}

async fn list(common: &CommonArgs) -> Result<()> {
    let mut all = Vec::new();
    for schema in &SERVICES {
        let mut conn = connect(common, schema.name).await?;
        all.extend(bus::list_parked(&mut conn, LIST_LIMIT).await?);
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
    common.format.print(&values.into(), || {
        if all.is_empty() {
            return "nothing is parked".to_owned();
        }
        table(
            [
                "consumer", "producer", "case", "event", "type", "reason", "since",
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

/// Checks that both people have current accounts with the required roles.
async fn approval(common: &CommonArgs, second: &SecondPerson) -> Result<Approval> {
    let client = common.client()?;
    let requester = client.staff().await?;
    let password = second.password.resolve()?;
    let second_client = client.sign_in(&second.confirmed_by, &password).await?;
    let approver = second_client.staff().await;
    // The second person's session is only for this approval.
    let request = SignOutRequest {
        session: second_client.session().expose_secret().to_owned(),
    };
    second_client.verification().sign_out(request).await?;
    let approver = approver?;
    require_role(&requester, &[Role::Operator, Role::Supervisor])?;
    require_role(&approver, &[Role::Supervisor])?;
    Ok(Approval::new(
        Uuid::new_v4(),
        requester
            .subject
            .parse()
            .context("a subject is not a UUID")?,
        approver
            .subject
            .parse()
            .context("a subject is not a UUID")?,
    )?)
}

fn require_role(staff: &Staff, roles: &[Role]) -> Result<(), Problem> {
    let has = |role: &Role| {
        staff
            .roles
            .iter()
            .any(|number| labels::staff_role(*number) == role.as_str())
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

async fn replay(common: &CommonArgs, selection: &ParkedCase, approval: Approval) -> Result<()> {
    let mut conn = connect(common, consumer(&selection.consumer)?).await?;
    let (consumer, producer) = (selection.consumer.as_str(), selection.producer.as_str());
    let id = bus::request_replay(
        &mut conn,
        consumer,
        producer,
        selection.case.uuid(),
        approval,
    )
    .await?
    .ok_or_else(|| nothing_parked(selection))?;
    let status = async {
        loop {
            match bus::replay_status(&mut conn, id).await? {
                ReplayStatus::Pending => tokio::time::sleep(Duration::from_millis(100)).await,
                status => return Ok::<_, sqlx::Error>(status),
            }
        }
    };
    match tokio::time::timeout(REPLAY_TIMEOUT, status).await {
        Ok(Ok(ReplayStatus::Done)) => {
            let value = json!({ "case_id": selection.case.to_string(), "replayed": true });
            common.format.print(&value, || {
                format!("replayed; case {} is unblocked", selection.case)
            });
            Ok(())
        }
        Ok(Ok(ReplayStatus::Refused(reason))) => Err(Problem::new(
            Kind::FailedPrecondition,
            "replay_refused",
            format!("{consumer} still cannot apply it ({reason}); everything stays parked. Fix the cause, or drop the event."),
        )
        .into()),
        Ok(Ok(ReplayStatus::Pending)) | Err(_) => Err(Problem::new(
            Kind::Unavailable,
            "replay_waits",
            format!("{consumer} has not replayed it yet; it will as soon as it runs. Run `takedown doctor`."),
        )
        .into()),
        Ok(Err(error)) => Err(error.into()),
    }
}

async fn discard(
    common: &CommonArgs,
    selection: &ParkedCase,
    event: EventId,
    approval: Approval,
) -> Result<()> {
    let mut conn = connect(common, consumer(&selection.consumer)?).await?;
    let mut tx = conn.begin().await?;
    let dropped = bus::discard(
        &mut tx,
        &selection.consumer,
        &selection.producer,
        selection.case.uuid(),
        event.uuid(),
        approval,
    )
    .await?;
    if !dropped {
        return Err(nothing_parked(selection).into());
    }
    tx.commit().await?;
    let value = json!({ "event_id": event.to_string(), "dropped": true });
    common.format.print(&value, || format!("dropped {event}"));
    Ok(())
}

fn nothing_parked(selection: &ParkedCase) -> Problem {
    Problem::new(
        Kind::NotFound,
        "not_parked",
        format!(
            "No event of case {} from {} is parked by {}; run `takedown parked list`.",
            selection.case, selection.producer, selection.consumer
        ),
    )
}

/// The schema of a consumer.
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

async fn connect(common: &CommonArgs, schema: &str) -> Result<PgConnection> {
    let url = common.database_url()?;
    Ok(db::connect_options(url.expose_secret(), schema)?
        .connect()
        .await?)
}
