//! Schemas and the database roles of each service: an owner, and a runtime role with the rights that its
//! grants list in its own schema and, on the Local bus, in the logs that it consumes.

use anyhow::Result;
use platform::bus::{BusConfig, BusKind, ensure_topics};
use platform::db::{self, Grants, Schema};
use platform::error::{self, Problem};
use platform::log;
use secrecy::SecretString;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use crate::role::SHARED_LOGS;

/// The core services' schemas, in the order in which they are migrated.
pub const SERVICES: [Schema; 4] = [
    intake::SCHEMA,
    verification::SCHEMA,
    dispatch::SCHEMA,
    ledger::SCHEMA,
];

/// What each service's runtime role may do in its own schema.
const GRANTS: [Grants; 4] = [
    intake::GRANTS,
    verification::GRANTS,
    dispatch::GRANTS,
    ledger::GRANTS,
];

/// Connections of each service.
const CONNECTIONS: u32 = 16;

/// A pool for each service, with the rights of its runtime role.
#[derive(Clone)]
pub struct Pools {
    pub intake: PgPool,
    pub verification: PgPool,
    pub dispatch: PgPool,
    pub ledger: PgPool,
}

impl Pools {
    /// Opens the pools with an administrator's address; each connection sets its service's runtime role.
    pub async fn open(url: &str) -> sqlx::Result<Self> {
        let open = |schema: Schema| db::pool_as_role(url, schema.name, CONNECTIONS);
        Ok(Self {
            intake: open(intake::SCHEMA).await?,
            verification: open(verification::SCHEMA).await?,
            dispatch: open(dispatch::SCHEMA).await?,
            ledger: open(ledger::SCHEMA).await?,
        })
    }

    /// Closes the connections, so that the database can stop without aborting any.
    pub async fn close(&self) {
        tokio::join!(
            self.intake.close(),
            self.verification.close(),
            self.dispatch.close(),
            self.ledger.close(),
        );
    }
}

/// Migrates every schema and grants each runtime role its rights, with an administrator's address; on the
/// Local bus also on the logs that it consumes. May be repeated and run concurrently.
pub async fn migrate(url: &str, bus: BusKind) -> Result<()> {
    migrate_some(url, &|_, _, _| true).await?;
    let mut admin = db::connect_options(url, "public")?.connect().await?;
    for (schema, grants) in SERVICES.iter().zip(GRANTS) {
        db::grant(&mut admin, schema, &[log::GRANTS, grants])
            .await
            .map_err(missing_rights)?;
    }
    for (producer, consumer) in SHARED_LOGS {
        let shared = match bus {
            BusKind::Local => db::share_log(&mut admin, producer, consumer).await,
            BusKind::Kafka => db::unshare_log(&mut admin, producer, consumer).await,
        };
        shared.map_err(missing_rights)?;
    }
    admin.close().await?;
    Ok(())
}

/// Creates every schema with the selected migrations, by schema, set and version. Grants no rights.
pub async fn migrate_some(
    url: &str,
    is_selected: &(dyn Fn(&str, &str, i64) -> bool + Sync),
) -> Result<()> {
    let mut admin = db::connect_options(url, "public")?.connect().await?;
    for schema in &SERVICES {
        db::provision(&mut admin, schema.name)
            .await
            .map_err(missing_rights)?;
        let owner = db::pool_as_owner(url, schema.name, 1).await?;
        let is_selected = |set: &str, version| is_selected(schema.name, set, version);
        db::migrate_selected(&owner, schema, &is_selected).await?;
        owner.close().await;
    }
    admin.close().await?;
    Ok(())
}

/// Creates the topics of all producers, with Kafka; returns their names.
pub async fn create_topics(bus: &BusConfig) -> Result<Vec<String>> {
    if bus.kind == BusKind::Local {
        return Ok(Vec::new());
    }
    let mut producers: Vec<&str> = SHARED_LOGS.iter().map(|(producer, _)| *producer).collect();
    producers.dedup();
    ensure_topics(bus, &producers).await?;
    Ok(producers
        .iter()
        .map(|producer| bus.topic(producer))
        .collect())
}

/// Lets each runtime role log in with its password, for a process of its own. Needs migrated schemas.
pub async fn set_passwords(url: &str, passwords: &[(&str, SecretString)]) -> Result<()> {
    let mut admin = db::connect_options(url, "public")?.connect().await?;
    for (schema, password) in passwords {
        db::set_password(&mut admin, schema, password).await?;
    }
    admin.close().await?;
    Ok(())
}

fn missing_rights(error: sqlx::Error) -> anyhow::Error {
    let is_refused = error
        .as_database_error()
        .is_some_and(|e| e.code().as_deref() == Some("42501"));
    if is_refused {
        Problem::new(
            error::Kind::FailedPrecondition,
            "database_rights",
            "The database user may not create roles and schemas; grant it CREATEROLE, and CREATE on the database.",
        )
        .into()
    } else {
        error.into()
    }
}
