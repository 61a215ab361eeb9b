//! What each service's database role may do, asked of a real Postgres: every role, every table, every action. What no list
//! names is refused, and rows that somebody wrote by SQL open nothing and send nothing.

use std::collections::BTreeSet;

use platform::bus::Kind;
use platform::db::{self, Act, Grants};
use platform::log;
use platform::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use takedown::system::{self, SHARED_LOGS};

const LISTS: [(&str, Grants); 4] = [
    ("intake", intake::GRANTS),
    ("verification", verification::GRANTS),
    ("dispatch", dispatch::GRANTS),
    ("ledger", ledger::GRANTS),
];

const ACTIONS: [&str; 5] = ["select", "insert", "update", "delete", "truncate"];

/// A table with a column that can be written.
struct Table {
    schema: String,
    name: String,
    column: String,
}

/// Every table of the four schemas, partitions too.
async fn tables(admin: &mut PgConnection) -> Vec<Table> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select n.nspname::text, c.relname::text,
            (select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
               and a.attgenerated = '' and a.attidentity = '' order by a.attnum limit 1)
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('intake', 'verification', 'dispatch', 'ledger') and c.relkind in ('r', 'p')
         order by 1, 2",
    )
    .fetch_all(admin)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(schema, name, column)| Table {
            schema,
            name,
            column,
        })
        .collect()
}

/// (schema of the table, table, action) that a service's role has, by the lists.
fn listed(service: &str, bus: Kind) -> BTreeSet<(String, String, &'static str)> {
    let mut all = BTreeSet::new();
    let own = LISTS.iter().find(|(name, _)| *name == service).unwrap().1;
    for (table, acts) in [log::GRANTS, own].iter().flat_map(|grants| grants.tables) {
        for act in *acts {
            let action = match act {
                Act::Select => "select",
                Act::Insert => "insert",
                Act::Update => "update",
                Act::Delete => "delete",
                // Not of the column that is tried; see below.
                Act::UpdateOf(_) => continue,
            };
            all.insert((service.to_owned(), (*table).to_owned(), action));
        }
    }
    for history in [
        "platform_migration".to_owned(),
        format!("{service}_migration"),
    ] {
        all.insert((service.to_owned(), history, "select"));
    }
    // On Kafka nobody reaches into another's schema.
    let shared = SHARED_LOGS.iter().filter(|_| bus == Kind::Local);
    for (producer, _) in shared.filter(|(_, reader)| *reader == service) {
        for (table, action) in [
            ("event", "select"),
            ("log_shard", "select"),
            ("log_consumer", "select"),
            ("log_consumer", "insert"),
            ("log_consumer", "update"),
        ] {
            all.insert(((*producer).to_owned(), table.to_owned(), action));
        }
    }
    all
}

/// Whether the role has the right: the statement changes nothing, and may fail for any other reason.
async fn may(pool: &PgPool, statement: String) -> bool {
    let mut tx = pool.begin().await.unwrap();
    let outcome = sqlx::query(AssertSqlSafe(statement))
        .execute(&mut *tx)
        .await;
    tx.rollback().await.unwrap();
    let Err(error) = outcome else { return true };
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() != Some("42501")
}

fn statement(action: &str, table: &Table) -> String {
    let Table {
        schema,
        name,
        column,
    } = table;
    match action {
        "select" => format!("select 1 from {schema}.{name} limit 0"),
        "insert" => format!("insert into {schema}.{name} default values"),
        "update" => format!("update {schema}.{name} set {column} = null where false"),
        "delete" => format!("delete from {schema}.{name} where false"),
        "truncate" => format!("truncate {schema}.{name}"),
        other => panic!("no action {other}"),
    }
}

#[tokio::test]
async fn a_role_may_do_what_is_listed_and_nothing_else() {
    let database = TestDatabase::new(&[]).await;
    // In this order: what the Local bus needs is taken back when Kafka comes.
    for bus in [Kind::Local, Kind::Kafka] {
        system::migrate(&database.url(), bus).await.unwrap();
        holds(&database, bus).await;
    }
}

/// Every role, every table, every action.
async fn holds(database: &TestDatabase, bus: Kind) {
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    let tables = tables(&mut admin).await;
    assert!(tables.len() > 60, "the schemas were not read");
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (service, _) in LISTS {
        let pool = db::pool_as_role(&database.url(), service, 2).await.unwrap();
        let listed = listed(service, bus);
        let mut seen = BTreeSet::new();
        for table in &tables {
            for action in ACTIONS {
                let key = (table.schema.clone(), table.name.clone(), action);
                let must = listed.contains(&key);
                let is = may(&pool, statement(action, table)).await;
                if is != must {
                    wrong.push(format!(
                        "{service} {action} {}.{}: is {is}, must be {must}",
                        table.schema, table.name
                    ));
                }
                tried += 1;
                seen.insert(key);
            }
        }
        let unknown: Vec<_> = listed.difference(&seen).collect();
        assert!(unknown.is_empty(), "listed and not there: {unknown:?}");

        // Of an event only its position may ever be written, and no table is a runtime role's to make or to drop.
        for (statement, must) in [
            (
                format!("update {service}.event set position = null where false"),
                true,
            ),
            (
                format!("update {service}.event set payload = null where false"),
                false,
            ),
            (format!("create table {service}.own (id int)"), false),
            (format!("drop table {service}.cursor"), false),
            (
                format!("alter table {service}.cursor add column x int"),
                false,
            ),
        ] {
            if may(&pool, statement.clone()).await != must {
                wrong.push(format!("{service}: {statement}, must be {must}"));
            }
        }
        for (other, _) in LISTS {
            let statement = format!("select {other}.make_event_partitions('2031-01-01')");
            if may(&pool, statement.clone()).await != (other == service) {
                wrong.push(format!("{service}: {statement}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{bus:?}");
    assert!(tried > 4 * 60 * 5);
}

#[tokio::test]
async fn nobody_signs_in_as_an_owner_and_a_runtime_role_owns_nothing() {
    let database = TestDatabase::new(&[]).await;
    system::migrate(&database.url(), Kind::Local).await.unwrap();
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    for (service, _) in LISTS {
        let can: bool = sqlx::query_scalar("select rolcanlogin from pg_roles where rolname = $1")
            .bind(db::owner(service))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(!can, "{service}");
        let owned: i64 = sqlx::query_scalar(
            "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = $1",
        )
        .bind(db::runtime(service))
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert_eq!(owned, 0, "{service}");
        let member: bool = sqlx::query_scalar("select pg_has_role($1, $2, 'member')")
            .bind(db::runtime(service))
            .bind(db::owner(service))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(!member, "{service} could become its owner");
    }
}
