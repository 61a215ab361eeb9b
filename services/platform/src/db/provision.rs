//! The database roles of a schema: an owner who cannot sign in, and the runtime role of the service.
//! Must not grant the runtime role anything on a table: see [`super::grant`].

use sqlx::{AssertSqlSafe, PgConnection};

use super::identifier;

/// The role that owns the schema and all in it, and runs its migrations. Nobody signs in as it.
pub fn owner(schema: &str) -> String {
    format!("takedown_{schema}_owner")
}

/// The role that the service works as.
pub fn runtime(schema: &str) -> String {
    format!("takedown_{schema}")
}

/// Makes the schema and its two roles, for an administrator's connection; then migrate by
/// [`super::pool_as_owner`] and give the rights by [`super::grant`]. Safe to repeat, and at the same time.
pub async fn provision(admin: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    let (owner, runtime) = (owner(identifier(schema)?), runtime(schema));
    for role in [&owner, &runtime] {
        run(admin, create(role)).await?;
        run(admin, join(role)).await?;
    }
    let statements = [
        format!("-- provision_schema\ncreate schema if not exists {schema} authorization {owner}"),
        hand_over(schema, &owner, &runtime),
    ];
    for statement in statements {
        run(admin, statement).await?;
    }
    Ok(())
}

/// Roles belong to the whole server: another database's set-up may be making the same one.
fn create(role: &str) -> String {
    format!(
        "-- provision_role
        do $$ begin
            if to_regrole('{role}') is null then
                create role {role} nologin;
            end if;
        exception when duplicate_object or unique_violation then null;
        end $$"
    )
}

/// So that an administrator who is no superuser can act for the role. Another set-up may be doing the same (its row of
/// the catalogue is then written twice, which the server reports as an internal error).
fn join(role: &str) -> String {
    format!(
        "-- provision_member
        do $$ begin
            if not (select rolsuper from pg_roles where rolname = current_user) then
                grant {role} to current_user;
            end if;
        exception when unique_violation or internal_error then null;
        end $$"
    )
}

/// A schema of the time when its runtime role owned it goes to its owner, with everything in it.
fn hand_over(schema: &str, owner: &str, runtime: &str) -> String {
    format!(
        "-- provision_hand_over
        do $$ begin
            if exists (
                select from pg_namespace n join pg_roles r on r.oid = n.nspowner
                where n.nspname = '{schema}' and r.rolname = '{runtime}'
            ) then
                reassign owned by {runtime} to {owner};
            end if;
        end $$"
    )
}

async fn run(admin: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    // Made above from names that are plain identifiers.
    sqlx::query(AssertSqlSafe(statement))
        .execute(admin)
        .await
        .map(drop)
}
