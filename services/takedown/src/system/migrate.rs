//! Schemas, the database roles that own them, and those that work in them: each service reaches what its grants list in
//! its own schema, and the logs that it hears.

use anyhow::Result;
use platform::bus::{BusConfig, Kind, ensure_topics};
use platform::db::{self, Grants, Schema};
use platform::error::{self, Problem};
use platform::log;
use secrecy::SecretString;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

/// The core services' schemas, in the order in which they are migrated.
pub const SERVICES: [Schema; 4] = [
    intake::SCHEMA,
    verification::SCHEMA,
    dispatch::SCHEMA,
    ledger::SCHEMA,
];

/// Who hears whose log on the Local bus: (producer, consumer).
pub const SHARED_LOGS: [(&str, &str); 8] = [
    ("intake", "verification"),
    ("intake", "ledger"),
    ("verification", "intake"),
    ("verification", "dispatch"),
    ("verification", "ledger"),
    ("dispatch", "intake"),
    ("dispatch", "verification"),
    ("dispatch", "ledger"),
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
    /// For an administrator's address: each connection takes its service's runtime role.
    pub async fn open(url: &str) -> sqlx::Result<Self> {
        let open = |schema: Schema| db::pool_as_role(url, schema.name, CONNECTIONS);
        Ok(Self {
            intake: open(intake::SCHEMA).await?,
            verification: open(verification::SCHEMA).await?,
            dispatch: open(dispatch::SCHEMA).await?,
            ledger: open(ledger::SCHEMA).await?,
        })
    }

    /// Gives the connections back, so that the database ends without breaking any off.
    pub(crate) async fn close(&self) {
        tokio::join!(
            self.intake.close(),
            self.verification.close(),
            self.dispatch.close(),
            self.ledger.close(),
        );
    }
}

/// Brings every schema up to date and gives each runtime role its rights, for an administrator's address: on the Local
/// bus also to the logs that it hears. Safe to repeat, and at the same time.
pub async fn migrate(url: &str, bus: Kind) -> Result<()> {
    migrate_some(url, &|_, _, _| true).await?;
    let mut admin = db::connect_options(url, "public")?.connect().await?;
    for (schema, grants) in SERVICES.iter().zip(GRANTS) {
        db::grant(&mut admin, schema, &[log::GRANTS, grants])
            .await
            .map_err(rights)?;
    }
    for (producer, consumer) in SHARED_LOGS {
        let done = match bus {
            Kind::Local => db::share_log(&mut admin, producer, consumer).await,
            Kind::Kafka => db::unshare_log(&mut admin, producer, consumer).await,
        };
        done.map_err(rights)?;
    }
    admin.close().await?;
    Ok(())
}

/// Makes every schema with those migrations only that are `wanted`, by schema, set and version. Nobody is given a right.
pub(crate) async fn migrate_some(
    url: &str,
    wanted: &(dyn Fn(&str, &str, i64) -> bool + Sync),
) -> Result<()> {
    let mut admin = db::connect_options(url, "public")?.connect().await?;
    for schema in &SERVICES {
        db::provision(&mut admin, schema.name)
            .await
            .map_err(rights)?;
        let owner = db::pool_as_owner(url, schema.name, 1).await?;
        let wanted = |set: &str, version| wanted(schema.name, set, version);
        db::migrate_some(&owner, schema, &wanted).await?;
        owner.close().await;
    }
    admin.close().await?;
    Ok(())
}

/// Makes the topics of whoever says events, where Kafka carries them; their names.
pub async fn make_topics(bus: &BusConfig) -> Result<Vec<String>> {
    if bus.kind == Kind::Local {
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

/// Lets each runtime role sign in with its password, for a process of its own. Schemas must have been migrated.
pub async fn set_passwords(url: &str, passwords: &[(&str, SecretString)]) -> Result<()> {
    let mut admin = db::connect_options(url, "public")?.connect().await?;
    for (schema, password) in passwords {
        db::set_password(&mut admin, schema, password).await?;
    }
    admin.close().await?;
    Ok(())
}

fn rights(error: sqlx::Error) -> anyhow::Error {
    let refused = error
        .as_database_error()
        .is_some_and(|e| e.code().as_deref() == Some("42501"));
    if refused {
        Problem::new(
            error::Kind::FailedPrecondition,
            "database_rights",
            "The database user may not make roles and schemas; give it CREATEROLE, and CREATE on the database.",
        )
        .into()
    } else {
        error.into()
    }
}
