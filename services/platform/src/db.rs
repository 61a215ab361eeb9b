//! Pools, schemas and migrations.
//!
//! One database, a schema for each core service; the pool's `search_path` decides which, so that no
//! statement names a schema. Nothing here knows a table of a service.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, PgConnection, PgPool, Postgres, Transaction,
};

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

/// A pool whose connections see `schema` and nothing else, at most `max` of them.
pub async fn pool(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    pool_options(max)
        .connect_with(connect_options(url, schema)?)
        .await
}

/// The same, with the rights of the schema's own role and no others (see [`provision`]).
pub async fn pool_as_role(url: &str, schema: &str, max: u32) -> sqlx::Result<PgPool> {
    let options = connect_options(url, schema)?.options([("role", role(schema))]);
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

/// Creates the schema and brings it up to date; safe to run from several processes at once.
pub async fn migrate(pool: &PgPool, schema: &Schema) -> sqlx::Result<()> {
    migrate_some(pool, schema, &|_, _| true).await
}

/// The same for those migrations only that are `wanted`, by the name of their set and their version: a schema as an
/// earlier program had it.
pub async fn migrate_some(
    pool: &PgPool,
    schema: &Schema,
    wanted: &(dyn Fn(&str, i64) -> bool + Sync),
) -> sqlx::Result<()> {
    identifier(schema.name)?;
    for set in schema.sets {
        identifier(set.name)?;
        let mut conn = pool.acquire().await?;
        // Asked first: `create schema if not exists` needs its right even where the schema exists.
        let schema_exists: bool =
            sqlx::query_scalar("-- schema_exists\nselect to_regnamespace($1) is not null")
                .bind(schema.name)
                .fetch_one(&mut *conn)
                .await?;
        let some = set.migrator.iter().filter(|m| wanted(set.name, m.version));
        let mut migrator = Migrator::with_migrations(some.cloned().collect());
        if !schema_exists {
            migrator.create_schema(schema.name);
        }
        migrator.dangerous_set_table_name(format!("{}.{}_migration", schema.name, set.name));
        // An older binary may meet a newer schema: migrations expand first and contract later.
        migrator.set_ignore_missing(true);
        sqlx::query("-- migrate\nselect set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)")
            .execute(&mut *conn)
            .await?;
        let run = migrator.run(&mut *conn).await;
        // The session had its limits lifted, and after a failure holds the migration lock: not for reuse.
        conn.close_on_drop();
        run?;
    }
    Ok(())
}

/// Makes the schema and the role that owns it, for an administrator's connection; then migrate by
/// [`pool_as_role`], so that the role owns what it makes and reaches nothing else.
pub async fn provision(admin: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    let (schema, role) = (identifier(schema)?, role(schema));
    let statements = [
        // Roles belong to the whole server: another database's set-up may be making the same one.
        format!(
            "-- provision_role
            do $$ begin
                create role {role} nologin;
            exception when duplicate_object or unique_violation then null;
            end $$"
        ),
        format!("-- provision_member\ngrant {role} to current_user"),
        format!("-- provision_schema\ncreate schema if not exists {schema} authorization {role}"),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *admin)
            .await?;
    }
    Ok(())
}

/// Lets the role of `reader` follow the event log of `schema` (and say how far it is), nothing else.
pub async fn share_log(admin: &mut PgConnection, schema: &str, reader: &str) -> sqlx::Result<()> {
    identifier(reader)?;
    let (schema, reader) = (identifier(schema)?, role(reader));
    let statements = [
        format!("-- share_log_schema\ngrant usage on schema {schema} to {reader}"),
        format!(
            "-- share_log_read
            grant select on {schema}.event, {schema}.log_shard, {schema}.log_consumer to {reader}"
        ),
        format!("-- share_log_report\ngrant insert, update on {schema}.log_consumer to {reader}"),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *admin)
            .await?;
    }
    Ok(())
}

fn role(schema: &str) -> String {
    format!("takedown_{schema}")
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
