//! Privileges of a schema's runtime role. Each service lists what its statements need; the database refuses
//! everything else.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{identifier, owner_role, runtime_role};

/// A privilege on a table. Truncating and altering tables are never granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    Select,
    Insert,
    Update,
    /// Update of these columns only.
    UpdateOf(&'static [&'static str]),
    Delete,
}

/// The privileges for the tables of one set of migrations, listed beside it.
#[derive(Debug, Clone, Copy)]
pub struct Grants {
    pub tables: &'static [(&'static str, &'static [Privilege])],
    /// Functions that run with the owner's privileges, as `name(types)`: maintenance that a runtime role may
    /// call.
    pub functions: &'static [&'static str],
}

impl Privilege {
    fn sql(self) -> String {
        match self {
            Self::Select => "select".into(),
            Self::Insert => "insert".into(),
            Self::Update => "update".into(),
            Self::UpdateOf(columns) => format!("update ({})", columns.join(", ")),
            Self::Delete => "delete".into(),
        }
    }
}

/// Sets the privileges of a migrated schema's runtime role to exactly these, in one transaction, so that
/// running roles never lack one that they keep. The role may also read the migration history.
pub async fn grant(
    admin: &mut PgConnection,
    schema: &super::Schema,
    grants: &[Grants],
) -> sqlx::Result<()> {
    let (name, role) = (identifier(schema.name)?, runtime_role(schema.name));
    let mut text = format!(
        "-- grant
        revoke all on schema {name} from public;
        revoke all on all tables in schema {name} from public, {role};
        revoke all on all functions in schema {name} from public, {role};
        grant usage on schema {name} to {role};\n"
    );
    for set in schema.sets {
        let set = identifier(set.name)?;
        push_line(
            &mut text,
            format_args!("grant select on {name}.{set}_migration to {role};"),
        );
    }
    for (table, privileges) in grants.iter().flat_map(|grants| grants.tables) {
        let list: Vec<String> = privileges.iter().map(|p| p.sql()).collect();
        let (table, list) = (identifier(table)?, list.join(", "));
        push_line(
            &mut text,
            format_args!("grant {list} on {name}.{table} to {role};"),
        );
    }
    for function in grants.iter().flat_map(|grants| grants.functions) {
        push_line(
            &mut text,
            format_args!("grant execute on function {name}.{function} to {role};"),
        );
    }
    let mut tx = admin.begin().await?;
    // Granted as the owner, so that another administrator can grant or revoke them later.
    sqlx::raw_sql(AssertSqlSafe(format!(
        "set local role {}",
        owner_role(name)
    )))
    .execute(&mut *tx)
    .await?;
    // Two concurrent runs would update the same catalogue rows.
    sqlx::query("-- lock_grants\nselect pg_advisory_xact_lock(hashtext('takedown_grants'))")
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *tx).await?;
    tx.commit().await
}

/// Lets the runtime role of `reader` read the event log of `schema` and report its position, and nothing
/// else: for the Local bus only. Call it after [`grant`], which revokes what it does not list.
pub async fn share_log(admin: &mut PgConnection, schema: &str, reader: &str) -> sqlx::Result<()> {
    let (schema, reader) = (identifier(schema)?, runtime_role(identifier(reader)?));
    let owner = owner_role(schema);
    let mut tx = admin.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "-- share_log
        set local role {owner};
        select pg_advisory_xact_lock(hashtext('takedown_grants'));
        grant usage on schema {schema} to {reader};
        grant select on {schema}.event, {schema}.log_shard, {schema}.log_consumer to {reader};
        grant insert, update on {schema}.log_consumer to {reader};"
    )))
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Revokes what [`share_log`] granted: on Kafka no role has privileges in another's schema.
pub async fn unshare_log(admin: &mut PgConnection, schema: &str, reader: &str) -> sqlx::Result<()> {
    let (schema, reader) = (identifier(schema)?, runtime_role(identifier(reader)?));
    let owner = owner_role(schema);
    let mut tx = admin.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "-- unshare_log
        set local role {owner};
        select pg_advisory_xact_lock(hashtext('takedown_grants'));
        revoke all on all tables in schema {schema} from {reader};
        revoke all on schema {schema} from {reader};"
    )))
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{line}");
}
