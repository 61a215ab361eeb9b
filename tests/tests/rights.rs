//! The rights of each service's database role on a real Postgres: for every role, table and action, exactly what the
//! service's grants list is allowed.

use std::collections::BTreeSet;

use platform::bus::BusKind;
use platform::db::{self, Grants, Privilege};
use platform::log;
use roles::system::{self, SHARED_LOGS};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use testkit::TestDatabase;

const SERVICE_GRANTS: [(&str, Grants); 4] = [
    ("intake", intake::GRANTS),
    ("verification", verification::GRANTS),
    ("dispatch", dispatch::GRANTS),
    ("ledger", ledger::GRANTS),
];

const ACTIONS: [&str; 5] = ["select", "insert", "update", "delete", "truncate"];

/// A table and one of its writable columns.
struct Table {
    schema: String,
    name: String,
    column: String,
}

/// Every table of the four schemas, including partitions.
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

/// The (schema, table, action) triples that are granted to a service's role.
fn granted(service: &str, bus: BusKind) -> BTreeSet<(String, String, &'static str)> {
    let mut all = BTreeSet::new();
    let own = SERVICE_GRANTS
        .iter()
        .find(|(name, _)| *name == service)
        .unwrap()
        .1;
    for (table, privileges) in [log::GRANTS, own].iter().flat_map(|grants| grants.tables) {
        for privilege in *privileges {
            let action = match privilege {
                Privilege::Select => "select",
                Privilege::Insert => "insert",
                Privilege::Update => "update",
                Privilege::Delete => "delete",
                // Rights on single columns are tested separately.
                Privilege::UpdateOf(_) => continue,
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
    // On Kafka no role has rights in another schema.
    let shared = SHARED_LOGS.iter().filter(|_| bus == BusKind::Local);
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

/// True if the role may run the statement, which changes nothing. Other errors than missing rights are ignored.
async fn is_allowed(pool: &PgPool, statement: String) -> bool {
    let mut tx = pool.begin().await.unwrap();
    let result = sqlx::query(AssertSqlSafe(statement))
        .execute(&mut *tx)
        .await;
    tx.rollback().await.unwrap();
    let Err(error) = result else { return true };
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
async fn a_role_has_exactly_the_granted_rights() {
    let database = TestDatabase::new(&[]).await;
    // In this order, because the change to Kafka revokes the rights that only the Local bus needs.
    for bus in [BusKind::Local, BusKind::Kafka] {
        system::migrate(&database.url(), bus).await.unwrap();
        assert_granted_rights(&database, bus).await;
    }
}

/// Tests every role, table and action.
async fn assert_granted_rights(database: &TestDatabase, bus: BusKind) {
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    let tables = tables(&mut admin).await;
    assert!(tables.len() > 60, "the schemas were not read");
    let mut wrong = Vec::new();
    let mut count = 0;
    for (service, _) in SERVICE_GRANTS {
        let pool = db::pool_as_role(&database.url(), service, 2).await.unwrap();
        let granted = granted(service, bus);
        let mut tested = BTreeSet::new();
        for table in &tables {
            for action in ACTIONS {
                let key = (table.schema.clone(), table.name.clone(), action);
                let expected = granted.contains(&key);
                let actual = is_allowed(&pool, statement(action, table)).await;
                if actual != expected {
                    wrong.push(format!(
                        "{service} {action} {}.{}: is {actual}, must be {expected}",
                        table.schema, table.name
                    ));
                }
                count += 1;
                tested.insert(key);
            }
        }
        let unknown: Vec<_> = granted.difference(&tested).collect();
        assert!(
            unknown.is_empty(),
            "granted on a missing table: {unknown:?}"
        );

        // Only an event's position may be updated, and a runtime role may not create, drop or alter tables.
        for (statement, expected) in [
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
            if is_allowed(&pool, statement.clone()).await != expected {
                wrong.push(format!("{service}: {statement}, must be {expected}"));
            }
        }
        for (other, _) in SERVICE_GRANTS {
            let statement = format!("select {other}.make_event_partitions('2031-01-01')");
            if is_allowed(&pool, statement.clone()).await != (other == service) {
                wrong.push(format!("{service}: {statement}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{bus:?}");
    assert!(count > 4 * 60 * 5);
}

#[tokio::test]
async fn an_owner_cannot_sign_in_and_a_runtime_role_owns_nothing() {
    let database = TestDatabase::new(&[]).await;
    system::migrate(&database.url(), BusKind::Local)
        .await
        .unwrap();
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    for (service, _) in SERVICE_GRANTS {
        let can_sign_in: bool =
            sqlx::query_scalar("select rolcanlogin from pg_roles where rolname = $1")
                .bind(db::owner_role(service))
                .fetch_one(&mut admin)
                .await
                .unwrap();
        assert!(!can_sign_in, "{service}");
        let owned: i64 = sqlx::query_scalar(
            "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = $1",
        )
        .bind(db::runtime_role(service))
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert_eq!(owned, 0, "{service}");
        let is_member: bool = sqlx::query_scalar("select pg_has_role($1, $2, 'member')")
            .bind(db::runtime_role(service))
            .bind(db::owner_role(service))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(!is_member, "{service} can become its owner");
    }
}
