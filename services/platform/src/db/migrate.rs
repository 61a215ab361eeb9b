//! Migrates schemas, and checks whether a schema is up to date. Run explicitly by `takedown migrate` and
//! `up`, never by a role.

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::{Schema, identifier};
use crate::error::{Kind, Problem};

/// Creates the schema and runs all migrations. Several processes may run it at the same time.
pub async fn migrate(pool: &PgPool, schema: &Schema) -> sqlx::Result<()> {
    migrate_selected(pool, schema, &|_, _| true).await
}

/// Like [`migrate`], but runs only the migrations that `selected` accepts, by the name of their set and their
/// version. Used to restore a schema as an earlier program had it.
pub async fn migrate_selected(
    pool: &PgPool,
    schema: &Schema,
    selected: &(dyn Fn(&str, i64) -> bool + Sync),
) -> sqlx::Result<()> {
    identifier(schema.name)?;
    for set in schema.sets {
        identifier(set.name)?;
        let mut conn = pool.acquire().await?;
        // Checked first, because `create schema if not exists` needs its privilege even when the schema
        // exists.
        let schema_exists: bool =
            sqlx::query_scalar("-- schema_exists\nselect to_regnamespace($1) is not null")
                .bind(schema.name)
                .fetch_one(&mut *conn)
                .await?;
        let some = set
            .migrator
            .iter()
            .filter(|m| selected(set.name, m.version));
        let mut migrator = Migrator::with_migrations(some.cloned().collect());
        if !schema_exists {
            migrator.create_schema(schema.name);
        }
        migrator.dangerous_set_table_name(format!("{}.{}_migration", schema.name, set.name));
        // An older binary may find a newer schema: migrations expand first and contract later.
        migrator.set_ignore_missing(true);
        sqlx::query("-- migrate\nselect set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)")
            .execute(&mut *conn)
            .await?;
        let run = migrator.run(&mut *conn).await;
        // The session's limits were lifted, and after a failure it holds the migration lock, so it is not
        // reused.
        conn.close_on_drop();
        run?;
    }
    Ok(())
}

/// Number of migrations that this program has and the database lacks, or has with another checksum. A schema
/// that is newer than the program lacks none.
pub async fn missing_migrations(conn: &mut PgConnection, schema: &Schema) -> sqlx::Result<usize> {
    let mut missing = 0;
    for set in schema.sets {
        let table = format!(
            "{}.{}_migration",
            identifier(schema.name)?,
            identifier(set.name)?
        );
        let has_history: bool =
            sqlx::query_scalar("-- is_migrated\nselect to_regclass($1) is not null")
                .bind(&table)
                .fetch_one(&mut *conn)
                .await?;
        let applied: Vec<(i64, Vec<u8>)> = if has_history {
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
            .filter(|known| {
                !applied.iter().any(|(version, checksum)| {
                    *version == known.version && checksum[..] == *known.checksum
                })
            })
            .count();
    }
    Ok(missing)
}

/// The problem of a role that cannot start because its schema lacks `missing` migrations.
pub fn schema_outdated(schema: &Schema, missing: usize) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "schema_behind",
        format!(
            "The schema `{}` lacks {missing} migrations that this program needs; run `takedown migrate` of this version, then start it again.",
            schema.name
        ),
    )
}
