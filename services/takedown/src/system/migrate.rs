//! Schemas and the database roles that own them: each service reaches its own schema, and the logs that it hears.

use anyhow::Result;
use platform::db::{self, Schema};
use platform::error::{Kind, Problem};
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

/// Connections of each service.
const CONNECTIONS: u32 = 16;

/// A pool for each service, with the rights of its role.
#[derive(Clone)]
pub struct Pools {
    pub intake: PgPool,
    pub verification: PgPool,
    pub dispatch: PgPool,
    pub ledger: PgPool,
}

impl Pools {
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

/// Brings every schema up to date, and connects to each as its own role. Safe to repeat, and at the same time.
pub async fn migrate(url: &str) -> Result<Pools> {
    migrate_some(url, &|_, _, _| true).await
}

/// The same for those migrations only that are `wanted`, by schema, set and version.
pub(crate) async fn migrate_some(
    url: &str,
    wanted: &(dyn Fn(&str, &str, i64) -> bool + Sync),
) -> Result<Pools> {
    let mut admin = db::connect_options(url, "public")?.connect().await?;
    let mut pools = Vec::with_capacity(SERVICES.len());
    for schema in &SERVICES {
        db::provision(&mut admin, schema.name)
            .await
            .map_err(rights)?;
        let pool = db::pool_as_role(url, schema.name, CONNECTIONS).await?;
        db::migrate_some(&pool, schema, &|set, version| {
            wanted(schema.name, set, version)
        })
        .await?;
        pools.push(pool);
    }
    for (producer, consumer) in SHARED_LOGS {
        db::share_log(&mut admin, producer, consumer)
            .await
            .map_err(rights)?;
    }
    admin.close().await?;
    let [intake, verification, dispatch, ledger] =
        <[PgPool; 4]>::try_from(pools).expect("one pool was made for each of the four schemas");
    Ok(Pools {
        intake,
        verification,
        dispatch,
        ledger,
    })
}

fn rights(error: sqlx::Error) -> anyhow::Error {
    let refused = error
        .as_database_error()
        .is_some_and(|e| e.code().as_deref() == Some("42501"));
    if refused {
        Problem::new(
            Kind::FailedPrecondition,
            "database_rights",
            "The database user may not make roles and schemas; give it CREATEROLE, and CREATE on the database.",
        )
        .into()
    } else {
        error.into()
    }
}
