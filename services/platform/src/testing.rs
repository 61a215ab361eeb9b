//! A database of its own for every test, copied from a migrated template in a blink.
//!
//! All test processes share one server: that of `TAKEDOWN_TEST_DATABASE_URL`, else a private one under
//! the cache folder, started by whoever comes first and left running for the next (its process id is in
//! `test-postgres/pid`). It does not sync to disk; nothing else about it differs. Not for use outside
//! tests.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::config::{cache_dir, variable};
use crate::db::{self, Schema};
use crate::embedded;
use crate::error::chain;

/// Templates beyond this many, the oldest first, belong to migrations that have since been edited.
const TEMPLATES_KEPT: i64 = 24;

/// How long the end of a test waits for its database to go.
const DROP_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// Guards the making of templates, in whichever process.
const TEMPLATE_LOCK: i64 = 0x7461_6b65_646f_776e;

/// Addresses of databases of one server: everything before the name, and everything after it.
#[derive(Debug, Clone)]
struct Addresses(url::Url);

impl Addresses {
    fn of(&self, database: &str) -> String {
        let mut url = self.0.clone();
        url.set_path(database);
        url.into()
    }
}

/// A migrated database that lives as long as this value.
#[derive(Debug)]
pub struct TestDatabase {
    addresses: Addresses,
    name: String,
}

impl TestDatabase {
    /// A fresh database with these schemas, migrated.
    ///
    /// # Panics
    /// Where there is no server to be had or a migration fails: a test cannot go on.
    pub async fn new(schemas: &[Schema]) -> Self {
        let addresses = server().await.clone();
        let mut admin = admin(&addresses).await;
        let template = template(&addresses, &mut admin, schemas).await;
        let name = next_name();
        run(
            &mut admin,
            format!("-- test_database_create\ncreate database {name} template {template}"),
        )
        .await;
        Self { addresses, name }
    }

    pub fn url(&self) -> String {
        self.addresses.of(&self.name)
    }

    /// A pool of up to eight connections that sees this schema.
    pub async fn pool(&self, schema: &str) -> PgPool {
        self.pool_of(schema, 8).await
    }

    pub async fn pool_of(&self, schema: &str, max: u32) -> PgPool {
        db::pool(&self.url(), schema, max)
            .await
            .expect("the test's own database answers")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (addresses, name) = (self.addresses.clone(), self.name.clone());
        let (dropped, outcome) = std::sync::mpsc::channel();
        // The test's runtime cannot be waited on from here. What fails to go is swept by the next run.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let result = runtime.block_on(async {
                let mut conn = PgConnection::connect(&addresses.of("postgres"))
                    .await
                    .map_err(std::io::Error::other)?;
                let statement =
                    format!("-- test_database_drop\ndrop database if exists {name} with (force)");
                sqlx::query(AssertSqlSafe(statement))
                    .execute(&mut conn)
                    .await
                    .map_err(std::io::Error::other)
            });
            // Nobody waits for it any more when the time is up.
            let _ = dropped.send(result.is_ok());
            std::io::Result::Ok(())
        });
        // A connection that this thread's runtime was just opening keeps the database busy for as long as we block.
        if outcome.recv_timeout(DROP_WITHIN) != Ok(true) {
            tracing::debug!("a test's database is left to the next run");
        }
    }
}

async fn server() -> &'static Addresses {
    static SERVER: OnceCell<Addresses> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let url = match variable("TAKEDOWN_TEST_DATABASE_URL") {
                Some(url) => url,
                None => private_server(&cache_dir().join("test-postgres")).await,
            };
            let addresses = Addresses(url.parse().expect("the test server's address is a URL"));
            sweep(&mut admin(&addresses).await).await;
            addresses
        })
        .await
}

async fn private_server(dir: &Path) -> String {
    let server = embedded::shared(dir, &|line| eprintln!("{line}"))
        .await
        .unwrap_or_else(|e| panic!("no database server for the tests: {}", chain(&e)));
    std::fs::write(dir.join("pid"), format!("{}\n", server.pid()))
        .expect("the cache folder is writable");
    server.url("postgres")
}

async fn admin(addresses: &Addresses) -> PgConnection {
    PgConnection::connect(&addresses.of("postgres"))
        .await
        .expect("the test server answers")
}

/// The migrated database that these schemas' tests are copied from; made by the first who needs it.
async fn template(addresses: &Addresses, admin: &mut PgConnection, schemas: &[Schema]) -> String {
    let name = format!("template_{}", fingerprint(schemas));
    lock(admin, true).await;
    if !exists(admin, &name).await {
        let making = format!("{name}_making");
        run(
            admin,
            format!("-- template_clear\ndrop database if exists {making} with (force)"),
        )
        .await;
        run(
            admin,
            format!("-- template_create\ncreate database {making}"),
        )
        .await;
        for schema in schemas {
            let pool = db::pool(&addresses.of(&making), schema.name, 1)
                .await
                .expect("the template's database answers");
            db::migrate(&pool, schema)
                .await
                .unwrap_or_else(|e| panic!("migrating {} failed: {e}", schema.name));
            pool.close().await;
        }
        run(
            admin,
            format!("-- template_name\nalter database {making} rename to {name}"),
        )
        .await;
    }
    lock(admin, false).await;
    name
}

fn fingerprint(schemas: &[Schema]) -> String {
    let mut hash = Sha256::new();
    for schema in schemas {
        for set in schema.sets {
            for migration in set.migrator.iter() {
                hash.update(format!(
                    "{}/{}/{}/",
                    schema.name, set.name, migration.version
                ));
                hash.update(&*migration.checksum);
            }
        }
        hash.update(schema.name);
    }
    hash.finalize()[..12]
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Names say whose they are, so that the leftovers of a killed run can be told from live ones.
fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "test_{}_{number}_{:08x}",
        std::process::id(),
        rand::random::<u32>()
    )
}

/// Drops the databases of processes that are gone, and templates of migrations long edited.
async fn sweep(admin: &mut PgConnection) {
    let tests: Vec<String> = sqlx::query_scalar(
        "-- test_databases\nselect datname::text from pg_database where datname like 'test\\_%'",
    )
    .fetch_all(&mut *admin)
    .await
    .expect("the test server lists its databases");
    let old: Vec<String> = sqlx::query_scalar(
        "-- old_templates\nselect datname::text from pg_database where datname ~ '^template_[0-9a-f]{24}$' order by oid desc offset $1",
    )
    .bind(TEMPLATES_KEPT)
    .fetch_all(&mut *admin)
    .await
    .expect("the test server lists its templates");
    let orphans = tests.into_iter().filter(|name| !owner_lives(name));
    for name in orphans.chain(old) {
        let statement = format!("-- sweep\ndrop database if exists {name} with (force)");
        // Another process may be sweeping the same one.
        let _ = sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *admin)
            .await;
    }
}

fn owner_lives(name: &str) -> bool {
    name.split('_')
        .nth(1)
        .is_some_and(|pid| Path::new("/proc").join(pid).exists())
}

async fn lock(admin: &mut PgConnection, take: bool) {
    let statement = if take {
        "-- template_lock\nselect pg_advisory_lock($1)"
    } else {
        "-- template_unlock\nselect pg_advisory_unlock($1)"
    };
    sqlx::query(statement)
        .bind(TEMPLATE_LOCK)
        .execute(admin)
        .await
        .expect("the test server locks");
}

async fn exists(admin: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar(
        "-- template_exists\nselect exists (select 1 from pg_database where datname = $1)",
    )
    .bind(name)
    .fetch_one(admin)
    .await
    .expect("the test server lists its databases")
}

async fn run(admin: &mut PgConnection, statement: String) {
    // Names are made above from digits and letters only.
    sqlx::query(AssertSqlSafe(statement))
        .execute(admin)
        .await
        .unwrap_or_else(|e| panic!("the test server refused: {e}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_tests_never_share_a_database() {
        let (one, two) = tokio::join!(TestDatabase::new(&[]), TestDatabase::new(&[]));
        assert_ne!(one.url(), two.url());
        let pool = one.pool("public").await;
        let answer: i32 = sqlx::query_scalar("select 1")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(answer, 1);
        let url = one.url();
        drop(one);
        assert!(PgConnection::connect(&url).await.is_err());
    }

    #[test]
    fn only_the_dead_are_swept() {
        assert!(owner_lives(&next_name()));
        assert!(!owner_lives("test_4194305_0_00000000"));
    }
}
