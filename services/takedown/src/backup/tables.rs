//! The tables to copy, from the database's catalogue.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use roles::system::SERVICES;
use sqlx::{AssertSqlSafe, PgConnection};

use super::manifest::{Identity, Table};

/// The tables of all services with their columns, in insertion order: each follows those that it references.
/// Migration histories are left out.
pub(super) async fn list(conn: &mut PgConnection) -> Result<Vec<Table>> {
    let schemas = schemas();
    let columns: Vec<(String, String, Vec<String>)> = sqlx::query_as(
        "-- backup_tables
        select n.nspname::text, c.relname::text,
            array_agg(a.attname::text order by a.attnum) filter (where a.attgenerated = '')
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname = any($1) and c.relkind in ('r', 'p') and not c.relispartition
            and c.relname not like '%\\_migration'
        group by 1, 2 order by 1, 2",
    )
    .bind(&schemas)
    .fetch_all(&mut *conn)
    .await?;
    let references: Vec<(String, String, String, String)> = sqlx::query_as(
        "-- backup_references
        select n.nspname::text, c.relname::text, fn.nspname::text, f.relname::text
        from pg_constraint k
        join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_class f on f.oid = k.confrelid join pg_namespace fn on fn.oid = f.relnamespace
        where k.contype = 'f' and n.nspname = any($1) and c.oid <> f.oid",
    )
    .bind(&schemas)
    .fetch_all(conn)
    .await?;
    let mut dependencies: BTreeMap<(String, String), BTreeSet<(String, String)>> = BTreeMap::new();
    for (schema, table, to_schema, to_table) in references {
        dependencies
            .entry((schema, table))
            .or_default()
            .insert((to_schema, to_table));
    }
    in_order(columns, &dependencies)
}

fn in_order(
    mut remaining: Vec<(String, String, Vec<String>)>,
    dependencies: &BTreeMap<(String, String), BTreeSet<(String, String)>>,
) -> Result<Vec<Table>> {
    let mut done: BTreeSet<(String, String)> = BTreeSet::new();
    let mut tables = Vec::with_capacity(remaining.len());
    while !remaining.is_empty() {
        let (ready, later): (Vec<_>, Vec<_>) =
            remaining.into_iter().partition(|(schema, name, _)| {
                dependencies
                    .get(&(schema.clone(), name.clone()))
                    .is_none_or(|dependencies| dependencies.is_subset(&done))
            });
        ensure!(!ready.is_empty(), "tables reference each other in a cycle");
        for (schema, name, columns) in ready {
            done.insert((schema.clone(), name.clone()));
            tables.push(Table {
                schema,
                name,
                columns,
                rows: 0,
                sha256: String::new(),
            });
        }
        remaining = later;
    }
    Ok(tables)
}

/// Identity columns with their last values.
pub(super) async fn identities(conn: &mut PgConnection) -> Result<Vec<Identity>> {
    let columns: Vec<(String, String, String, String)> = sqlx::query_as(
        "-- backup_identities
        select n.nspname::text, c.relname::text, a.attname::text,
            pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname)
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any($1) and a.attidentity <> '' and not c.relispartition
        order by 1, 2, 3",
    )
    .bind(schemas())
    .fetch_all(&mut *conn)
    .await?;
    let mut identities = Vec::with_capacity(columns.len());
    for (schema, table, column, sequence) in columns {
        // The catalogue returns the name quoted.
        let (last_value, is_called): (i64, bool) = sqlx::query_as(AssertSqlSafe(format!(
            "-- backup_identity\nselect last_value, is_called from {sequence}"
        )))
        .fetch_one(&mut *conn)
        .await?;
        identities.push(Identity {
            schema,
            table,
            column,
            last_value,
            is_called,
        });
    }
    Ok(identities)
}

/// Applied migrations, by schema and set.
pub(super) async fn migrations(
    conn: &mut PgConnection,
) -> Result<BTreeMap<String, BTreeMap<String, Vec<i64>>>> {
    let mut all = BTreeMap::new();
    for schema in &SERVICES {
        let mut sets = BTreeMap::new();
        for set in schema.sets {
            let sql = format!(
                "-- backup_migrations\nselect version from {}.{}_migration where success order by version",
                schema.name, set.name
            );
            let versions: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut *conn)
                .await?;
            sets.insert(set.name.to_owned(), versions);
        }
        all.insert(schema.name.to_owned(), sets);
    }
    Ok(all)
}

/// The table's name and columns for a `copy`, quoted.
pub(super) fn quoted(table: &Table) -> (String, String) {
    let name = format!("{}.{}", identifier(&table.schema), identifier(&table.name));
    let columns: Vec<String> = table.columns.iter().map(|c| identifier(c)).collect();
    (name, columns.join(", "))
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn schemas() -> Vec<String> {
    SERVICES.iter().map(|s| s.name.to_owned()).collect()
}
