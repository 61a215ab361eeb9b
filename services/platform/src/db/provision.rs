//! Creates a schema with its two database roles: an owner that cannot sign in, and the runtime role of the
//! service. The runtime role's privileges on tables are set by [`super::grant`].

use sqlx::{AssertSqlSafe, PgConnection};

use super::identifier;

/// Name of the role that owns the schema and everything in it, and runs its migrations. It cannot sign in.
pub fn owner_role(schema: &str) -> String {
    format!("takedown_{schema}_owner")
}

/// Name of the role that the service works as.
pub fn runtime_role(schema: &str) -> String {
    format!("takedown_{schema}")
}

/// Creates the schema and its two roles; needs an administrator's connection. Afterwards migrate with
/// [`super::pool_as_owner`] and set the privileges with [`super::grant`]. May be repeated, also concurrently.
pub async fn provision(admin: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    let (owner, runtime) = (owner_role(identifier(schema)?), runtime_role(schema));
    for role in [&owner, &runtime] {
        run(admin, create_role(role)).await?;
        run(admin, join_role(role)).await?;
    }
    let statements = [
        format!("-- provision_schema\ncreate schema if not exists {schema} authorization {owner}"),
        transfer_ownership(schema, &owner, &runtime),
    ];
    for statement in statements {
        run(admin, statement).await?;
    }
    Ok(())
}

/// Roles belong to the whole server, so provisioning another database may create the same one concurrently.
fn create_role(role: &str) -> String {
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

/// Lets an administrator who is not a superuser act as the role. A concurrent run may do the same (the
/// catalogue row is then written twice, which the server reports as an internal error).
fn join_role(role: &str) -> String {
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

/// Transfers a schema that is owned by its runtime role, with everything in it, to its owner role.
fn transfer_ownership(schema: &str, owner: &str, runtime: &str) -> String {
    format!(
        "-- provision_ownership
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
    // Built above from plain identifiers only.
    sqlx::query(AssertSqlSafe(statement))
        .execute(admin)
        .await
        .map(drop)
}
