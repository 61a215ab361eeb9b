//! Schemas, roles and sessions on a real Postgres.

use platform::clock::Clock;
use platform::db::{self, Schema};
use platform::error::{Kind, Problem};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use testkit::TestDatabase;

const ONE: Schema = Schema {
    name: "one",
    sets: &[platform::log::MIGRATIONS],
};
const TWO: Schema = Schema {
    name: "two",
    sets: &[platform::log::MIGRATIONS],
};

#[tokio::test]
async fn concurrent_migrations_run_each_migration_once() {
    let database = TestDatabase::new(&[]).await;
    let pool = database.pool("one").await;
    let (a, b) = tokio::join!(db::migrate(&pool, &ONE), db::migrate(&pool, &ONE));
    a.unwrap();
    b.unwrap();
    db::migrate(&pool, &ONE).await.unwrap();
    db::migrate(&database.pool("two").await, &TWO)
        .await
        .unwrap();
    let shards: i64 = sqlx::query_scalar("select count(*) from log_shard")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(shards, 16);
}

/// Two provisioned schemas, migrated by their owners, with the grants of the log only.
async fn two_schemas() -> (TestDatabase, PgConnection, [sqlx::PgPool; 2]) {
    let database = TestDatabase::new(&[]).await;
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    let mut pools = Vec::new();
    for schema in [ONE, TWO] {
        db::provision(&mut admin, schema.name).await.unwrap();
        db::provision(&mut admin, schema.name).await.unwrap();
        let owner = db::pool_as_owner(&database.url(), schema.name, 1)
            .await
            .unwrap();
        db::migrate(&owner, &schema).await.unwrap();
        for _ in 0..2 {
            db::grant(&mut admin, &schema, &[platform::log::GRANTS])
                .await
                .unwrap();
        }
        let pool = db::pool_as_role(&database.url(), schema.name, 2).await;
        pools.push(pool.unwrap());
    }
    let pools = pools.try_into().expect("one for each schema");
    (database, admin, pools)
}

#[tokio::test]
async fn a_runtime_role_has_only_its_listed_privileges_and_shared_logs() {
    let (_database, mut admin, pools) = two_schemas().await;
    let allowed =
        async |statement: &'static str| sqlx::query(statement).fetch_all(&pools[0]).await.is_ok();
    assert!(allowed("select shard from log_shard").await);
    assert!(allowed("update event set position = position where false").await);
    assert!(!allowed("update event set payload = payload where false").await);
    assert!(!allowed("delete from event where false").await);
    assert!(!allowed("truncate cursor").await);
    assert!(!allowed("drop table cursor").await);
    assert!(!allowed("create table own (id int)").await);
    assert!(!allowed("select shard from two.log_shard").await);
    assert!(!allowed("select two.make_event_partitions('2026-01-01')").await);

    db::share_log(&mut admin, "two", "one").await.unwrap();
    assert!(allowed("select id from two.event").await);
    assert!(
        allowed("insert into two.log_consumer (consumer, shard, position) values ('one', 0, 0)")
            .await
    );
    assert!(!allowed("select id from two.parked_event").await);
    assert!(!allowed("update two.log_shard set floor = 9").await);
    assert!(!allowed("delete from two.event").await);
}

#[tokio::test]
async fn a_runtime_role_can_sign_in_with_its_password_and_with_no_other() {
    let database = TestDatabase::new(&[]).await;
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    db::provision(&mut admin, "sign_in").await.unwrap();
    let refused = db::set_password(&mut admin, "sign_in", &"too short".into()).await;
    assert_eq!(refused.unwrap_err().code, "database_password");
    let password = "a-password'of{printable}ASCII$";
    db::set_password(&mut admin, "sign_in", &password.into())
        .await
        .unwrap();
    let stored: String =
        sqlx::query_scalar("select rolpassword from pg_authid where rolname = 'takedown_sign_in'")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert!(stored.starts_with("SCRAM-SHA-256$4096:"), "{stored}");
    let sign_in = async |password: &str| {
        let options: PgConnectOptions = database.url().parse().unwrap();
        let options = options.username("takedown_sign_in").password(password);
        PgConnection::connect_with(&options).await
    };
    assert!(sign_in(password).await.is_ok());
    assert!(sign_in("a-password'of{printable}ASCII%").await.is_err());
}

#[tokio::test]
async fn partition_functions_use_the_owners_rights_and_their_own_search_path() {
    let (_database, _admin, pools) = two_schemas().await;
    let mut conn = pools[0].acquire().await.unwrap();
    sqlx::query("create temp table event (id int)")
        .execute(&mut *conn)
        .await
        .unwrap();
    let made: i32 = sqlx::query_scalar("select one.make_event_partitions('2031-01-01')")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(made, 8);
    let exists: bool = sqlx::query_scalar("select to_regclass('one.event_20310101') is not null")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert!(exists, "created in the function's own schema");
    let report = platform::log::maintain_partitions(&pools[0]).await.unwrap();
    assert_eq!(report.in_default, 0);
}

#[tokio::test]
async fn provisioning_transfers_a_schema_from_its_runtime_role_to_its_owner() {
    let database = TestDatabase::new(&[]).await;
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    db::provision(&mut admin, "one").await.unwrap();
    // The runtime role owns the schema and a table in it.
    for statement in [
        "alter schema one owner to takedown_one",
        "set role takedown_one",
        "create table one.early (id int)",
        "reset role",
    ] {
        sqlx::query(statement).execute(&mut admin).await.unwrap();
    }
    db::provision(&mut admin, "one").await.unwrap();
    let owner: String =
        sqlx::query_scalar("select tableowner::text from pg_tables where tablename = 'early'")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert_eq!(owner, db::owner_role("one"));
}

#[tokio::test]
async fn missing_migrations_are_counted_and_a_newer_schema_lacks_none() {
    let database = TestDatabase::new(&[]).await;
    let pool = database.pool("one").await;
    let mut conn = pool.acquire().await.unwrap();
    let all = ONE.sets[0].migrator.iter().count();
    assert_eq!(db::missing_migrations(&mut conn, &ONE).await.unwrap(), all);
    let problem = db::schema_outdated(&ONE, all);
    assert!(problem.detail.contains("takedown migrate"), "{problem}");

    db::migrate(&pool, &ONE).await.unwrap();
    assert_eq!(db::missing_migrations(&mut conn, &ONE).await.unwrap(), 0);
    // A schema that is newer than this program lacks nothing.
    sqlx::query("insert into platform_migration (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)")
        .execute(&mut *conn)
        .await
        .unwrap();
    assert_eq!(db::missing_migrations(&mut conn, &ONE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_statement_timeout_is_a_transient_problem() {
    let database = TestDatabase::new(&[]).await;
    let pool = database.pool("public").await;
    let mut tx = db::begin(&pool).await.unwrap();
    sqlx::query("set local statement_timeout = '20ms'")
        .execute(&mut *tx)
        .await
        .unwrap();
    let late = sqlx::query("select pg_sleep(30)")
        .execute(&mut *tx)
        .await
        .unwrap_err();
    let problem = Problem::from(late);
    assert_eq!(problem.kind, Kind::Unavailable);
    assert!(problem.is_transient() && problem.retry_after.is_some());
}

#[tokio::test]
async fn a_problem_never_quotes_the_rejected_value() {
    let database = TestDatabase::new(&[]).await;
    let pool = database.pool("public").await;
    let refused = sqlx::query("select $1::text::uuid")
        .bind("https://host.example/secret")
        .execute(&pool)
        .await
        .unwrap_err();
    let problem = Problem::from(refused);
    assert_eq!((problem.kind, &*problem.code), (Kind::Internal, "database"));
    assert!(!format!("{problem:?}").contains("secret"));
}

#[tokio::test]
async fn the_database_clock_advances_within_a_transaction() {
    let database = TestDatabase::new(&[]).await;
    let pool = database.pool("public").await;
    let mut tx = db::begin(&pool).await.unwrap();
    let first = Clock::Database.now(&mut tx).await.unwrap();
    let second = Clock::Database.now(&mut tx).await.unwrap();
    assert!(second > first);
    assert!(first.offset().is_utc());
}
