//! Checks the database: connection, clock, migrations, and that the keyring opens its values.

use std::sync::Arc;

use anyhow::Result;
use platform::bus::{BusConfig, BusKind};
use platform::clock::{self, Clock};
use platform::db::{self, Schema};
use platform::sealed::{Keyring, WrappedKey};
use roles::system::SERVICES;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{ConnectOptions as _, PgConnection};
use time::Duration;
use uuid::Uuid;

use super::{CheckResult, kafka, logs, query_failed};

/// Tolerated difference between the clocks. The machine's clock dates credentials, the database's everything
/// else.
const MAX_CLOCK_SKEW: Duration = Duration::seconds(2);

pub(super) async fn check(
    url: &SecretString,
    bus: &BusConfig,
    keyring: Option<&Arc<Keyring>>,
) -> Vec<CheckResult> {
    let Ok(mut conn) = connect(url).await else {
        return vec![CheckResult::problem(
            "database",
            "does not respond",
            "start it, or run `takedown up` if it is the private one; check its log and DATABASE_URL",
        )];
    };
    let mut results = vec![check_version(&mut conn).await, check_clock(&mut conn).await];
    let mut is_up_to_date = true;
    for schema in &SERVICES {
        let (result, is_migrated) = check_migrations(&mut conn, schema).await;
        results.push(result);
        is_up_to_date &= is_migrated;
    }
    if !is_up_to_date {
        results.push(CheckResult::not_checked(
            "event logs",
            "migrations are missing",
        ));
        return results;
    }
    results.push(check_keyring(&mut conn, keyring.map(|keyring| &**keyring)).await);
    results.extend(logs::check(&mut conn).await);
    match (bus.kind, keyring) {
        (BusKind::Local, _) => {}
        (BusKind::Kafka, Some(keyring)) => {
            results.extend(kafka::check(&mut conn, bus, keyring).await);
        }
        (BusKind::Kafka, None) => results.push(CheckResult::not_checked(
            "Kafka",
            "there is no keyring to verify records with",
        )),
    }
    results
}

async fn connect(url: &SecretString) -> sqlx::Result<PgConnection> {
    db::connect_options(url.expose_secret(), "public")?
        .connect()
        .await
}

async fn check_version(conn: &mut PgConnection) -> CheckResult {
    let version: sqlx::Result<String> =
        sqlx::query_scalar("-- server_version\nselect current_setting('server_version')")
            .fetch_one(conn)
            .await;
    match version {
        Ok(version) => CheckResult::ok("database", format!("connected; PostgreSQL {version}")),
        Err(_) => query_failed("database"),
    }
}

async fn check_clock(conn: &mut PgConnection) -> CheckResult {
    let before = clock::wall();
    let Ok(database_time) = Clock::Database.now(conn).await else {
        return query_failed("clocks");
    };
    let after = clock::wall();
    // The database's time was read between the two readings of this machine's clock.
    let skew = if database_time < before {
        before - database_time
    } else if database_time > after {
        database_time - after
    } else {
        Duration::ZERO
    };
    if skew <= MAX_CLOCK_SKEW {
        CheckResult::ok("clocks", "this machine and the database agree")
    } else {
        CheckResult::problem(
            "clocks",
            format!(
                "this machine and the database differ by {:.1} s",
                skew.as_seconds_f64()
            ),
            "synchronise both with the same time server",
        )
    }
}

/// Checks that every migration of this program has been applied unchanged.
async fn check_migrations(conn: &mut PgConnection, schema: &Schema) -> (CheckResult, bool) {
    let check = format!("migrations of {}", schema.name);
    match db::missing_migrations(conn, schema).await {
        Ok(0) => (CheckResult::ok(check, "up to date"), true),
        Ok(count) => (
            CheckResult::problem(
                check,
                format!("{count} not applied, or applied with different contents"),
                "run `takedown migrate`; if it refuses, this program is older than the database",
            ),
            false,
        ),
        Err(_) => (query_failed(check), false),
    }
}

/// Checks that the keyring unwraps the newest case's key.
async fn check_keyring(conn: &mut PgConnection, keyring: Option<&Keyring>) -> CheckResult {
    const CHECK: &str = "keyring and data";
    let newest: sqlx::Result<Option<(Uuid, Vec<u8>)>> = sqlx::query_as(
        "-- newest_case_key
        select id, wrapped_key from intake.case_identity order by id desc limit 1",
    )
    .fetch_optional(conn)
    .await;
    match (newest, keyring) {
        (Err(_), _) => query_failed(CHECK),
        (_, None) => CheckResult::not_checked(CHECK, "there is no keyring"),
        (Ok(None), _) => CheckResult::ok(CHECK, "no case yet"),
        (Ok(Some((case, wrapped))), Some(keyring)) => match open(keyring, case, wrapped) {
            Ok(()) => CheckResult::ok(CHECK, "the newest case can be opened"),
            Err(error) => CheckResult::problem(
                CHECK,
                error.to_string(),
                "restore this database's keyring; this one belongs to another",
            ),
        },
    }
}

fn open(keyring: &Keyring, case: Uuid, wrapped: Vec<u8>) -> Result<()> {
    keyring.unwrap(case, &WrappedKey::parse(wrapped)?)?;
    Ok(())
}
