//! The database: whether it answers, tells the same time, is up to date, and holds what our keyring opens.

use std::sync::Arc;

use anyhow::Result;
use platform::bus::{BusConfig, Kind};
use platform::clock::{self, Clock};
use platform::db::{self, Schema};
use platform::sealed::{Keyring, WrappedKey};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{ConnectOptions as _, PgConnection};
use time::Duration;
use uuid::Uuid;

use super::{Finding, kafka, logs};
use crate::system::SERVICES;

/// The machine's clock decides how long a credential holds, the database's everything else.
const SKEW: Duration = Duration::seconds(2);

pub(super) async fn look(
    url: &SecretString,
    bus: &BusConfig,
    keyring: Option<&Arc<Keyring>>,
) -> Vec<Finding> {
    let Ok(mut conn) = connect(url).await else {
        return vec![Finding::wrong(
            "database",
            "does not answer",
            "start it, or `takedown up` where it is the private one; look at its log and at DATABASE_URL",
        )];
    };
    let mut findings = vec![version(&mut conn).await, skew(&mut conn).await];
    let mut current = true;
    for schema in &SERVICES {
        let (finding, migrated) = migrations(&mut conn, schema).await;
        findings.push(finding);
        current &= migrated;
    }
    if !current {
        findings.push(Finding::unseen(
            "event logs",
            "the database is not up to date",
        ));
        return findings;
    }
    findings.push(opens(&mut conn, keyring.map(|keyring| &**keyring)).await);
    findings.extend(logs::look(&mut conn).await);
    match (bus.kind, keyring) {
        (Kind::Local, _) => {}
        (Kind::Kafka, Some(keyring)) => findings.extend(kafka::look(&mut conn, bus, keyring).await),
        (Kind::Kafka, None) => findings.push(Finding::unseen(
            "Kafka",
            "there is no keyring to know true records by",
        )),
    }
    findings
}

async fn connect(url: &SecretString) -> sqlx::Result<PgConnection> {
    db::connect_options(url.expose_secret(), "public")?
        .connect()
        .await
}

/// A check that the database refused to answer.
pub(super) fn refused(check: impl Into<String>) -> Finding {
    Finding::wrong(
        check,
        "the database refused to say",
        "give DATABASE_URL with the user that `takedown up` uses",
    )
}

async fn version(conn: &mut PgConnection) -> Finding {
    let found: sqlx::Result<String> =
        sqlx::query_scalar("-- server_version\nselect current_setting('server_version')")
            .fetch_one(conn)
            .await;
    match found {
        Ok(version) => Finding::right("database", format!("answers; PostgreSQL {version}")),
        Err(_) => refused("database"),
    }
}

async fn skew(conn: &mut PgConnection) -> Finding {
    let before = clock::wall();
    let Ok(theirs) = Clock::Database.now(conn).await else {
        return refused("clocks");
    };
    let after = clock::wall();
    // The database read its clock somewhere between our two readings.
    let off = if theirs < before {
        before - theirs
    } else if theirs > after {
        theirs - after
    } else {
        Duration::ZERO
    };
    if off <= SKEW {
        Finding::right("clocks", "this machine and the database agree")
    } else {
        Finding::wrong(
            "clocks",
            format!(
                "this machine and the database differ by {:.1} s",
                off.as_seconds_f64()
            ),
            "let both follow the same time server",
        )
    }
}

/// Whether every migration that this program knows was applied as it is.
async fn migrations(conn: &mut PgConnection, schema: &Schema) -> (Finding, bool) {
    let check = format!("migrations of {}", schema.name);
    match db::missing(conn, schema).await {
        Ok(0) => (Finding::right(check, "up to date"), true),
        Ok(count) => (
            Finding::wrong(
                check,
                format!("{count} not applied, or applied in another form"),
                "run `takedown migrate`; where that refuses, this program is older than the database",
            ),
            false,
        ),
        Err(_) => (refused(check), false),
    }
}

/// Whether the newest case's key opens with our keyring.
async fn opens(conn: &mut PgConnection, keyring: Option<&Keyring>) -> Finding {
    const CHECK: &str = "keyring and data";
    let newest: sqlx::Result<Option<(Uuid, Vec<u8>)>> = sqlx::query_as(
        "-- newest_case_key
        select id, wrapped_key from intake.case_identity order by id desc limit 1",
    )
    .fetch_optional(conn)
    .await;
    match (newest, keyring) {
        (Err(_), _) => refused(CHECK),
        (_, None) => Finding::unseen(CHECK, "there is no keyring to open them with"),
        (Ok(None), _) => Finding::right(CHECK, "there is no case yet"),
        (Ok(Some((case, wrapped))), Some(keyring)) => match open(keyring, case, wrapped) {
            Ok(()) => Finding::right(CHECK, "the newest case opens"),
            Err(error) => Finding::wrong(
                CHECK,
                error.to_string(),
                "put the keyring of this database in its place; this one belongs to another",
            ),
        },
    }
}

fn open(keyring: &Keyring, case: Uuid, wrapped: Vec<u8>) -> Result<()> {
    keyring.unwrap(case, &WrappedKey::parse(wrapped)?)?;
    Ok(())
}
