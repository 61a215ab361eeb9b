//! Schemas, roles and sessions on a real Postgres.

use platform::clock::Clock;
use platform::db::{self, Schema};
use platform::error::{Kind, Problem};
use platform::testing::TestDatabase;
use sqlx::{Connection, PgConnection};

const ONE: Schema = Schema {
    name: "one",
    sets: &[platform::log::MIGRATIONS],
};
const TWO: Schema = Schema {
    name: "two",
    sets: &[platform::log::MIGRATIONS],
};

#[tokio::test]
async fn a_schema_is_migrated_once_whoever_comes_first() {
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

/// Two provisioned schemas, migrated by their owners; the grants of the log alone.
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
async fn a_role_has_what_is_listed_and_reads_only_the_log_of_another() {
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
async fn partitions_are_kept_with_the_owners_rights_whatever_the_callers_search_path() {
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
    let there: bool = sqlx::query_scalar("select to_regclass('one.event_20310101') is not null")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert!(there, "made in the function's own schema");
    let kept = platform::log::keep(&pools[0]).await.unwrap();
    assert_eq!(kept.strays, 0);
}

#[tokio::test]
async fn a_schema_that_its_runtime_role_owned_goes_to_its_owner() {
    let database = TestDatabase::new(&[]).await;
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    db::provision(&mut admin, "one").await.unwrap();
    // As it was before owners were apart.
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
    assert_eq!(owner, db::owner("one"));
}

#[tokio::test]
async fn what_a_schema_lacks_is_known_before_a_role_starts() {
    let database = TestDatabase::new(&[]).await;
    let pool = database.pool("one").await;
    let mut conn = pool.acquire().await.unwrap();
    let all = ONE.sets[0].migrator.iter().count();
    assert_eq!(db::missing(&mut conn, &ONE).await.unwrap(), all);
    let problem = db::behind(&ONE, all);
    assert!(problem.detail.contains("takedown migrate"), "{problem}");

    db::migrate(&pool, &ONE).await.unwrap();
    assert_eq!(db::missing(&mut conn, &ONE).await.unwrap(), 0);
    // A schema that is ahead of this program lacks nothing.
    sqlx::query("insert into platform_migration (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)")
        .execute(&mut *conn)
        .await
        .unwrap();
    assert_eq!(db::missing(&mut conn, &ONE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_nobodys_fault() {
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
async fn a_refused_value_is_not_repeated_to_the_outside() {
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
async fn the_clock_of_the_database_goes_on_within_a_transaction() {
    let database = TestDatabase::new(&[]).await;
    let pool = database.pool("public").await;
    let mut tx = db::begin(&pool).await.unwrap();
    let first = Clock::Database.now(&mut tx).await.unwrap();
    let second = Clock::Database.now(&mut tx).await.unwrap();
    assert!(second > first);
    assert!(first.offset().is_utc());
}
