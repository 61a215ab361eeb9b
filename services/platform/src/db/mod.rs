//! Pools, schemas, migrations, and who may do what in a schema.
//!
//! One database, a schema for each core service; the pool's `search_path` decides which, so that no
//! statement names a schema. Each schema has two database roles: its owner, who migrates and never serves, and its
//! runtime role, who has what its grants list and nothing else. Nothing here knows a table of a service.

mod grants;
mod migrate;
mod password;
mod provision;

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgPool, Postgres, Transaction};

pub use grants::{Act, Grants, grant, share_log, unshare_log};
pub use migrate::{behind, migrate, migrate_some, missing};
pub use password::set_password;
pub use provision::{owner, provision, runtime};

/// A service's part of the database: its schema, and the sets of migrations run into it in order.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// A lower-case identifier.
    pub name: &'static str,
    pub sets: &'static [MigrationSet],
}

/// Numbered migrations with a history of their own, so that two sets may share a schema.
#[derive(Debug, Clone, Copy)]
pub struct MigrationSet {
    /// A lower-case identifier, never changed: the history's table is named by it.
    pub name: &'static str,
    pub migrator: &'static Migrator,
}

/// How a session of a service behaves, whoever wrote the statement.
const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "15s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("timezone", "UTC"),
    // The plans of short statements over small batches gain nothing from compilation.
    ("jit", "off"),
];

/// A pool whose connections see `schema` and nothing else, at most `max` of them, with the rights of the address's own
/// user: a role in a process of its own signs in as its runtime role.
pub async fn pool(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    pool_options(max)
        .connect_with(connect_options(url, schema)?)
        .await
}

/// The same without a connection yet: for a role that starts while its database is down.
pub fn lazy_pool(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    Ok(pool_options(max).connect_lazy_with(connect_options(url, schema)?))
}

/// With the rights of the schema's runtime role and no others (see [`grant`]), whoever signs in.
pub async fn pool_as_role(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    pool_as(url, schema, runtime(schema), max).await
}

/// With the rights of the role that owns the schema: for migrations.
pub async fn pool_as_owner(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    pool_as(url, schema, owner(schema), max).await
}

async fn pool_as(url: &str, schema: &str, role: String, max: u32) -> sqlx::Result<PgPool> {
    let options = connect_options(url, schema)?.options([("role", role)]);
    pool_options(max).connect_with(options).await
}

/// A second pool beside `pool`, for what must not wait behind its calls.
pub fn pool_beside(pool: &PgPool, max: u32) -> PgPool {
    pool_options(max).connect_lazy_with((*pool.connect_options()).clone())
}

fn pool_options(max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(Duration::from_secs(10))
        // A batch of a thousand rows grows a connection's buffers to megabytes, and connections take turns: without
        // this each of them keeps the largest batch it ever carried.
        .after_release(|conn, _| {
            conn.shrink_buffers();
            Box::pin(async { Ok(true) })
        })
}

/// What [`pool`] connects with, for a connection of one's own (a listener, a lock).
pub fn connect_options(url: &str, schema: &str) -> sqlx::Result<PgConnectOptions> {
    identifier(schema)?;
    Ok(url
        .parse::<PgConnectOptions>()?
        .application_name(&format!("takedown-{schema}"))
        .options([("search_path", schema)])
        .options(SESSION)
        // Statements are counted and timed by their callers; the driver's own lines add only noise.
        .disable_statement_logging())
}

/// A transaction for one batch. Nothing leaves the process before it is committed.
pub async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    pool.begin().await
}

/// Names that are put into SQL text are ours and plain, or refused.
pub fn identifier(name: &str) -> sqlx::Result<&str> {
    let plain = !name.is_empty()
        && name.len() <= 48
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        Ok(name)
    } else {
        Err(sqlx::Error::Configuration(
            "a schema is named by lower-case letters, digits and underscores".into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn only_plain_names_reach_sql() {
        assert!(identifier("intake").is_ok());
        for bad in ["", "Intake", "1a", "a;b", "a\"b", "a.b", "pg catalog"] {
            assert!(identifier(bad).is_err(), "{bad}");
        }
    }
}
