//! What a runtime role may do in its schema: what is listed, and nothing else. Each service lists the rights that its
//! statements need; a right that no list names is refused by the database.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{identifier, owner, runtime};

/// One thing that may be done to a table. Nobody may truncate one, or change its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Select,
    Insert,
    Update,
    /// Of these columns alone.
    UpdateOf(&'static [&'static str]),
    Delete,
}

/// The rights of one set of migrations, listed beside it.
#[derive(Debug, Clone, Copy)]
pub struct Grants {
    pub tables: &'static [(&'static str, &'static [Act])],
    /// Functions that run with the owner's rights, as `name(types)`: upkeep that a runtime role may ask for.
    pub functions: &'static [&'static str],
}

impl Act {
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

/// Gives the runtime role of a migrated schema exactly these rights, whatever it had before, in one transaction: roles
/// that are at work never miss one that they keep. The history of the migrations may be read by it.
pub async fn grant(
    admin: &mut PgConnection,
    schema: &super::Schema,
    grants: &[Grants],
) -> sqlx::Result<()> {
    let (name, role) = (identifier(schema.name)?, runtime(schema.name));
    let mut text = format!(
        "-- grant
        revoke all on schema {name} from public;
        revoke all on all tables in schema {name} from public, {role};
        revoke all on all functions in schema {name} from public, {role};
        grant usage on schema {name} to {role};\n"
    );
    for set in schema.sets {
        let set = identifier(set.name)?;
        push(
            &mut text,
            format_args!("grant select on {name}.{set}_migration to {role};"),
        );
    }
    for (table, acts) in grants.iter().flat_map(|grants| grants.tables) {
        let acts: Vec<String> = acts.iter().map(|act| act.sql()).collect();
        let (table, acts) = (identifier(table)?, acts.join(", "));
        push(
            &mut text,
            format_args!("grant {acts} on {name}.{table} to {role};"),
        );
    }
    for function in grants.iter().flat_map(|grants| grants.functions) {
        push(
            &mut text,
            format_args!("grant execute on function {name}.{function} to {role};"),
        );
    }
    let mut tx = admin.begin().await?;
    // As the owner: what it grants may be granted again by whoever administers the server next.
    sqlx::raw_sql(AssertSqlSafe(format!("set local role {}", owner(name))))
        .execute(&mut *tx)
        .await?;
    // Two set-ups at the same time would write the same rows of the catalogue.
    sqlx::query("-- lock_grants\nselect pg_advisory_xact_lock(hashtext('takedown_grants'))")
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *tx).await?;
    tx.commit().await
}

/// Lets the runtime role of `reader` follow the event log of `schema` (and say how far it is), nothing else: for the
/// Local bus alone. To be given after [`grant`], which takes back what it does not list.
pub async fn share_log(admin: &mut PgConnection, schema: &str, reader: &str) -> sqlx::Result<()> {
    let (schema, reader) = (identifier(schema)?, runtime(identifier(reader)?));
    let owner = owner(schema);
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

/// Takes back what [`share_log`] gave: where Kafka carries events nobody has a right in another's schema.
pub async fn unshare_log(admin: &mut PgConnection, schema: &str, reader: &str) -> sqlx::Result<()> {
    let (schema, reader) = (identifier(schema)?, runtime(identifier(reader)?));
    let owner = owner(schema);
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

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{line}");
}
