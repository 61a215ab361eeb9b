//! Checks, before a role uses its database, that it logs in as its own user and that no migration is missing.
//!
//! A database that is down does not prevent a role from starting: the role is live but not ready, and the
//! check is made as soon as the database responds.

use std::time::Duration;

use anyhow::Result;
use platform::db::{self, Schema};
use platform::error::{Kind, Problem};
use platform::shutdown::CancellationToken;
use sqlx::PgPool;

/// Limit of one check; after the first one the role starts without a result.
const TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

enum SchemaState {
    UpToDate,
    /// No response, or an error that does not concern the schema.
    Unknown,
}

/// Returns `false` if the database did not respond; [`run`] then repeats the check.
///
/// # Errors
///
/// The role logs in as another user, is not let in, or its schema is out of date.
pub(super) async fn check(pool: &PgPool, schema: &Schema) -> Result<bool, Problem> {
    match tokio::time::timeout(TIMEOUT, schema_state(pool, schema)).await {
        Ok(state) => Ok(matches!(state?, SchemaState::UpToDate)),
        Err(_) => Ok(false),
    }
}

/// Repeats the check until the database responds, then waits for shutdown. An error ends the role.
pub(super) async fn run(
    pool: PgPool,
    schema: Schema,
    shutdown: CancellationToken,
) -> Result<(), Problem> {
    tracing::warn!(
        db.schema = schema.name,
        "the database does not respond; the role becomes ready when it does"
    );
    while !shutdown.is_cancelled() {
        if check(&pool, &schema).await? {
            tracing::info!(db.schema = schema.name, "the database responds");
            shutdown.cancelled().await;
            break;
        }
        shutdown
            .run_until_cancelled(tokio::time::sleep(RETRY_INTERVAL))
            .await;
    }
    Ok(())
}

async fn schema_state(pool: &PgPool, schema: &Schema) -> Result<SchemaState, Problem> {
    let query = async {
        let mut conn = pool.acquire().await?;
        let user: String = sqlx::query_scalar("-- current_user\nselect current_user::text")
            .fetch_one(&mut *conn)
            .await?;
        let missing = db::missing_migrations(&mut conn, schema).await?;
        Ok::<_, sqlx::Error>((user, missing))
    };
    match query.await {
        Ok((user, _)) if user != db::runtime_role(schema.name) => Err(wrong_user(schema, &user)),
        Ok((_, 0)) => Ok(SchemaState::UpToDate),
        Ok((_, missing)) => Err(db::schema_outdated(schema, missing)),
        Err(error) => match sqlstate(&error).as_deref() {
            // Class 28: invalid authorization specification.
            Some(code) if code.starts_with("28") => Err(login_refused(schema)),
            // insufficient_privilege: the database role exists and has no rights in the schema yet.
            Some("42501") => Err(db::schema_outdated(schema, migration_count(schema))),
            _ => Ok(SchemaState::Unknown),
        },
    }
}

fn migration_count(schema: &Schema) -> usize {
    let sets = schema.sets.iter();
    sets.map(|set| set.migrator.iter().count()).sum()
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    Some(error.code()?.into_owned())
}

fn wrong_user(schema: &Schema, user: &str) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "database_user",
        format!(
            "This role must log in to the database as `{}`, which has exactly the rights that it needs; its address names `{user}`.",
            db::runtime_role(schema.name)
        ),
    )
}

fn login_refused(schema: &Schema) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "database_password",
        format!(
            "The database refuses the login of `{}`; run `takedown migrate` with the password's reference under `passwords`, and use the same password in the role's address.",
            db::runtime_role(schema.name)
        ),
    )
}
