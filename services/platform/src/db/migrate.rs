//! Bringing a schema up to date, and knowing whether it is. Must not run by itself: `takedown migrate` and `up` run it.

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::{Schema, identifier};
use crate::error::{Kind, Problem};

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

/// How many migrations of the schema this program knows and the database lacks, or has in another form. A schema that
/// is newer than the program lacks nothing: migrations expand first and contract later.
pub async fn missing(conn: &mut PgConnection, schema: &Schema) -> sqlx::Result<usize> {
    let mut missing = 0;
    for set in schema.sets {
        let table = format!(
            "{}.{}_migration",
            identifier(schema.name)?,
            identifier(set.name)?
        );
        let there: bool = sqlx::query_scalar("-- is_migrated\nselect to_regclass($1) is not null")
            .bind(&table)
            .fetch_one(&mut *conn)
            .await?;
        let applied: Vec<(i64, Vec<u8>)> = if there {
            sqlx::query_as(AssertSqlSafe(format!(
                "-- applied_migrations\nselect version, checksum from {table} where success"
            )))
            .fetch_all(&mut *conn)
            .await?
        } else {
            Vec::new()
        };
        missing += set
            .migrator
            .iter()
            .filter(|wanted| {
                !applied.iter().any(|(version, checksum)| {
                    *version == wanted.version && checksum[..] == *wanted.checksum
                })
            })
            .count();
    }
    Ok(missing)
}

/// What a role says that does not start because its schema lacks `missing` migrations.
pub fn behind(schema: &Schema, missing: usize) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "schema_behind",
        format!(
            "The schema `{}` lacks {missing} migrations that this program needs; run `takedown migrate` of this version, then start it again.",
            schema.name
        ),
    )
}
