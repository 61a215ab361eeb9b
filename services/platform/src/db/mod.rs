//! Connection pools, schemas, migrations and privileges.
//!
//! One database with one schema per core service. The pool's `search_path` selects the schema, so that no
//! statement names it. Each schema has two database roles: its owner, which runs migrations and never serves,
//! and its runtime role, which has exactly the listed privileges. Nothing here knows a service's tables.

mod grants;
mod migrate;
mod password;
mod provision;

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgPool, Postgres, Transaction};

pub use grants::{Grants, Privilege, grant, share_log, unshare_log};
pub use migrate::{migrate, migrate_selected, missing_migrations, schema_outdated};
pub use password::set_password;
pub use provision::{owner_role, provision, runtime_role};

/// A service's schema, and the sets of migrations to run into it, in order.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// A lower-case identifier.
    pub name: &'static str,
    pub sets: &'static [MigrationSet],
}

/// Numbered migrations with their own history table, so that two sets can share a schema.
#[derive(Debug, Clone, Copy)]
pub struct MigrationSet {
    /// A lower-case identifier. Never changes, because the history table is named after it.
    pub name: &'static str,
    pub migrator: &'static Migrator,
}

/// Session settings of every connection.
const SESSION_SETTINGS: [(&str, &str); 5] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "15s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("timezone", "UTC"),
    // JIT compilation gains nothing for short statements over small batches.
    ("jit", "off"),
];

/// Opens a pool of at most `max` connections whose search path is `schema`, with the privileges of the user
/// in `url`. A role in its own process signs in as its runtime role.
pub async fn pool(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    pool_options(max)
        .connect_with(connect_options(url, schema)?)
        .await
}

/// Like [`pool`], but connects on first use: for a role that starts while its database is down.
pub fn lazy_pool(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    Ok(pool_options(max).connect_lazy_with(connect_options(url, schema)?))
}

/// Like [`pool`], but limited to the privileges of the schema's runtime role (see [`grant`]), whichever user
/// signs in.
pub async fn pool_as_role(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    pool_as(url, schema, runtime_role(schema), max).await
}

/// Like [`pool`], with the privileges of the schema's owner: for migrations.
pub async fn pool_as_owner(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    pool_as(url, schema, owner_role(schema), max).await
}

async fn pool_as(url: &str, schema: &str, role: String, max: u32) -> sqlx::Result<PgPool> {
    let options = connect_options(url, schema)?.options([("role", role)]);
    pool_options(max).connect_with(options).await
}

/// A second pool to the same database, for work that must not wait behind the calls of `pool`.
pub fn pool_beside(pool: &PgPool, max: u32) -> PgPool {
    pool_options(max).connect_lazy_with((*pool.connect_options()).clone())
}

fn pool_options(max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(Duration::from_secs(10))
        // A batch of a thousand rows grows a connection's buffers to megabytes. Without this, each connection
        // would keep the largest batch it ever carried.
        .after_release(|conn, _| {
            conn.shrink_buffers();
            Box::pin(async { Ok(true) })
        })
}

/// The connect options of [`pool`], for a separate connection (a listener, a lock).
pub fn connect_options(url: &str, schema: &str) -> sqlx::Result<PgConnectOptions> {
    identifier(schema)?;
    Ok(url
        .parse::<PgConnectOptions>()?
        .application_name(&format!("takedown-{schema}"))
        .options([("search_path", schema)])
        .options(SESSION_SETTINGS)
        // Statements are counted and timed by their callers; the driver's log lines only add noise.
        .disable_statement_logging())
}

/// Begins the transaction of one batch. Nothing may leave the process before it is committed.
pub async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    pool.begin().await
}

/// Checks that a name is a plain identifier, safe to put into SQL text.
pub fn identifier(name: &str) -> sqlx::Result<&str> {
    let is_valid = !name.is_empty()
        && name.len() <= 48
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_valid {
        Ok(name)
    } else {
        Err(sqlx::Error::Configuration(
            "a schema name may contain only lower-case letters, digits and underscores".into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn only_simple_identifiers_are_accepted() {
        assert!(identifier("intake").is_ok());
        for bad in ["", "Intake", "1a", "a;b", "a\"b", "a.b", "pg catalog"] {
            assert!(identifier(bad).is_err(), "{bad}");
        }
    }
}
