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

#[tokio::test]
async fn a_role_owns_its_schema_and_reads_only_the_log_of_another() {
    let database = TestDatabase::new(&[]).await;
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    let mut pools = Vec::new();
    for schema in [ONE, TWO] {
        db::provision(&mut admin, schema.name).await.unwrap();
        db::provision(&mut admin, schema.name).await.unwrap();
        let pool = db::pool_as_role(&database.url(), schema.name, 2)
            .await
            .unwrap();
        db::migrate(&pool, &schema).await.unwrap();
        pools.push(pool);
    }
    let allowed =
        async |statement: &'static str| sqlx::query(statement).fetch_all(&pools[0]).await.is_ok();
    assert!(allowed("select shard from log_shard").await);
    assert!(!allowed("select shard from two.log_shard").await);

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
