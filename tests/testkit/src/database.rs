//! Test databases: each test gets its own, copied from a migrated template within milliseconds.
//!
//! All test processes share one server: that of `TAKEDOWN_TEST_DATABASE_URL`, or a private one in the cache
//! folder, started by the first process and left running for the next (its process id is in
//! `test-postgres/pid`). The private server does not sync to disk; otherwise it is a normal Postgres. For
//! tests only.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

use platform::config::{cache_dir, env_var};
use platform::db::{self, Schema};
use platform::embedded;
use platform::error::chain;

/// Maximum number of templates kept. Older ones belong to migrations that have since changed.
const MAX_TEMPLATES: i64 = 24;

/// How long a test waits at its end for its database to be dropped.
const DROP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// Advisory lock that serializes the creation of templates across processes.
const TEMPLATE_LOCK: i64 = 0x7461_6b65_646f_776e;

/// The URL of a server, for connecting to any of its databases.
#[derive(Debug, Clone)]
struct ServerUrl(url::Url);

impl ServerUrl {
    fn database(&self, database: &str) -> String {
        let mut url = self.0.clone();
        url.set_path(database);
        url.into()
    }
}

/// A migrated database, dropped together with this value.
#[derive(Debug)]
pub struct TestDatabase {
    server: ServerUrl,
    name: String,
}

impl TestDatabase {
    /// Creates a database with these schemas, migrated.
    ///
    /// # Panics
    /// When no server is available or a migration fails, because the test cannot continue.
    pub async fn new(schemas: &[Schema]) -> Self {
        let server = shared_server().await.clone();
        let mut admin = admin_connection(&server).await;
        let template = template_database(&server, &mut admin, schemas).await;
        let name = next_name();
        execute(
            &mut admin,
            format!("-- test_database_create\ncreate database {name} template {template}"),
        )
        .await;
        Self { server, name }
    }

    pub fn url(&self) -> String {
        self.server.database(&self.name)
    }

    /// A pool of up to eight connections whose search path is this schema.
    pub async fn pool(&self, schema: &str) -> PgPool {
        self.pool_with_size(schema, 8).await
    }

    pub async fn pool_with_size(&self, schema: &str, max: u32) -> PgPool {
        db::pool(&self.url(), schema, max)
            .await
            .expect("the test database answers")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let (dropped, outcome) = std::sync::mpsc::channel();
        // Blocking on the test's runtime is not possible here. The next run removes databases that could not
        // be dropped.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let result = runtime.block_on(async {
                let mut conn = PgConnection::connect(&server.database("postgres"))
                    .await
                    .map_err(std::io::Error::other)?;
                let statement =
                    format!("-- test_database_drop\ndrop database if exists {name} with (force)");
                sqlx::query(AssertSqlSafe(statement))
                    .execute(&mut conn)
                    .await
                    .map_err(std::io::Error::other)
            });
            // The receiver is gone once the timeout has passed.
            let _ = dropped.send(result.is_ok());
            std::io::Result::Ok(())
        });
        // A connection that this thread's runtime was opening keeps the database busy for as long as we
        // block.
        if outcome.recv_timeout(DROP_TIMEOUT) != Ok(true) {
            tracing::debug!("a test database was not dropped; the next run removes it");
        }
    }
}

async fn shared_server() -> &'static ServerUrl {
    static SERVER: OnceCell<ServerUrl> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let url = match env_var("TAKEDOWN_TEST_DATABASE_URL") {
                Some(url) => url,
                None => private_server(&cache_dir().join("test-postgres")).await,
            };
            let server = ServerUrl(url.parse().expect("the test server's address is a URL"));
            remove_leftovers(&mut admin_connection(&server).await).await;
            server
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

async fn admin_connection(server: &ServerUrl) -> PgConnection {
    PgConnection::connect(&server.database("postgres"))
        .await
        .expect("the test server answers")
}

/// Returns the migrated template database for these schemas, creating it if necessary.
async fn template_database(
    server: &ServerUrl,
    admin: &mut PgConnection,
    schemas: &[Schema],
) -> String {
    let name = format!("template_{}", migrations_hash(schemas));
    set_template_lock(admin, true).await;
    if !database_exists(admin, &name).await {
        let unfinished = format!("{name}_making");
        execute(
            admin,
            format!("-- template_clear\ndrop database if exists {unfinished} with (force)"),
        )
        .await;
        execute(
            admin,
            format!("-- template_create\ncreate database {unfinished}"),
        )
        .await;
        for schema in schemas {
            let pool = db::pool(&server.database(&unfinished), schema.name, 1)
                .await
                .expect("the template's database answers");
            db::migrate(&pool, schema)
                .await
                .unwrap_or_else(|e| panic!("migrating {} failed: {e}", schema.name));
            pool.close().await;
        }
        execute(
            admin,
            format!("-- template_name\nalter database {unfinished} rename to {name}"),
        )
        .await;
    }
    set_template_lock(admin, false).await;
    name
}

fn migrations_hash(schemas: &[Schema]) -> String {
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

/// The name contains the process id, so that databases of ended processes can be recognized.
fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "test_{}_{number}_{:08x}",
        std::process::id(),
        rand::random::<u32>()
    )
}

/// Drops the databases of ended processes and outdated templates.
async fn remove_leftovers(admin: &mut PgConnection) {
    let tests: Vec<String> = sqlx::query_scalar(
        "-- test_databases\nselect datname::text from pg_database where datname like 'test\\_%'",
    )
    .fetch_all(&mut *admin)
    .await
    .expect("the test server lists its databases");
    let old: Vec<String> = sqlx::query_scalar(
        "-- old_templates\nselect datname::text from pg_database where datname ~ '^template_[0-9a-f]{24}$' order by oid desc offset $1",
    )
    .bind(MAX_TEMPLATES)
    .fetch_all(&mut *admin)
    .await
    .expect("the test server lists its templates");
    let orphans = tests.into_iter().filter(|name| !owner_is_running(name));
    for name in orphans.chain(old) {
        let statement = format!("-- remove_leftovers\ndrop database if exists {name} with (force)");
        // Another process may be dropping the same database.
        let _ = sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *admin)
            .await;
    }
}

fn owner_is_running(name: &str) -> bool {
    name.split('_')
        .nth(1)
        .is_some_and(|pid| Path::new("/proc").join(pid).exists())
}

async fn set_template_lock(admin: &mut PgConnection, acquire: bool) {
    let statement = if acquire {
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

async fn database_exists(admin: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar(
        "-- template_exists\nselect exists (select 1 from pg_database where datname = $1)",
    )
    .bind(name)
    .fetch_one(admin)
    .await
    .expect("the test server lists its databases")
}

async fn execute(admin: &mut PgConnection, statement: String) {
    // The names are built above from digits and letters only.
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
    fn only_databases_of_ended_processes_are_removed() {
        assert!(owner_is_running(&next_name()));
        assert!(!owner_is_running("test_4194305_0_00000000"));
    }
}
