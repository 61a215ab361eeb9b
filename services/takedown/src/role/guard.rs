//! Before a role touches its database: whether it signs in as itself, and whether its schema has what it needs.
//!
//! A database that is down stops no role from starting: it lives, is not ready, and is held to this as soon as the
//! database answers.

use std::time::Duration;

use anyhow::Result;
use platform::db::{self, Schema};
use platform::error::{Kind, Problem};
use platform::shutdown::CancellationToken;
use sqlx::PgPool;

/// For the first look, before the role is started without it.
const PATIENCE: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_secs(1);

/// What a look at the database found.
enum Seen {
    Fit,
    /// Nobody answered, or not in a way that says anything about the schema.
    Nothing,
}

/// Refuses a database that is not fit for the role. `false` when nothing is known yet: then [`watch`] goes on.
pub(super) async fn check(pool: &PgPool, schema: &Schema) -> Result<bool, Problem> {
    match tokio::time::timeout(PATIENCE, look(pool, schema)).await {
        Ok(seen) => Ok(matches!(seen?, Seen::Fit)),
        Err(_) => Ok(false),
    }
}

/// Looks until the database is known to be fit, then waits for the shutdown. An error ends the role.
pub(super) async fn watch(
    pool: PgPool,
    schema: Schema,
    shutdown: CancellationToken,
) -> Result<(), Problem> {
    tracing::warn!(
        db.schema = schema.name,
        "the database does not answer; the role lives, and is ready once it does"
    );
    while !shutdown.is_cancelled() {
        if check(&pool, &schema).await? {
            tracing::info!(db.schema = schema.name, "the database answers");
            shutdown.cancelled().await;
            break;
        }
        shutdown
            .run_until_cancelled(tokio::time::sleep(AGAIN))
            .await;
    }
    Ok(())
}

async fn look(pool: &PgPool, schema: &Schema) -> Result<Seen, Problem> {
    let found = async {
        let mut conn = pool.acquire().await?;
        let user: String = sqlx::query_scalar("-- who_am_i\nselect current_user::text")
            .fetch_one(&mut *conn)
            .await?;
        let missing = db::missing(&mut conn, schema).await?;
        Ok::<_, sqlx::Error>((user, missing))
    };
    match found.await {
        Ok((user, _)) if user != db::runtime(schema.name) => Err(not_itself(schema, &user)),
        Ok((_, 0)) => Ok(Seen::Fit),
        Ok((_, missing)) => Err(db::behind(schema, missing)),
        Err(error) => match sqlstate(&error).as_deref() {
            // invalid_authorization_specification and its kin.
            Some(code) if code.starts_with("28") => Err(no_entry(schema)),
            // insufficient_privilege: the role was made, and was given nothing in the schema yet.
            Some("42501") => Err(db::behind(schema, all(schema))),
            _ => Ok(Seen::Nothing),
        },
    }
}

fn all(schema: &Schema) -> usize {
    let sets = schema.sets.iter();
    sets.map(|set| set.migrator.iter().count()).sum()
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    Some(error.code()?.into_owned())
}

fn not_itself(schema: &Schema, user: &str) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "database_user",
        format!(
            "This role must sign in to the database as `{}`, which has the rights that it needs and no others; its address names `{user}`.",
            db::runtime(schema.name)
        ),
    )
}

fn no_entry(schema: &Schema) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "database_password",
        format!(
            "The database does not let `{}` in; run `takedown migrate` with the password's reference under `passwords`, and name the same password in the role's address.",
            db::runtime(schema.name)
        ),
    )
}
