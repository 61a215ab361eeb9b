//! A producer with its log, a consumer, and a real broker between them.
//!
//! The consumer's role has no right in the producer's schema: whatever it learns comes by Kafka or by `ReadLog`. One
//! broker serves a whole test binary; each world has topics and groups of its own.

pub(crate) mod raw;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::broker::Broker;
use platform::bus::{Bus, BusConfig, Consumer, Error, KafkaBus, Kind, ensure_topics};
use platform::db::{self, Schema};
use platform::log::{self, LogServer, NewEvent, Relay};
use platform::sealed::Keyring;
use platform::testing::TestDatabase;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::clerk::{self, Clerk};

/// One that has a bus key.
pub(crate) const PRODUCER: &str = "intake";
pub(crate) const CONSUMER: &str = "ledger";

const SCHEMAS: [Schema; 2] = [
    Schema {
        name: PRODUCER,
        sets: &[log::MIGRATIONS],
    },
    Schema {
        name: CONSUMER,
        sets: &[log::MIGRATIONS],
    },
];

/// The broker of this test binary. It ends with the process.
pub(crate) async fn bootstrap() -> String {
    static BROKER: OnceCell<Broker> = OnceCell::const_new();
    BROKER.get_or_init(|| start(folder())).await.bootstrap()
}

pub(crate) async fn start(dir: PathBuf) -> Broker {
    Broker::start(&dir, &|line| eprintln!("{line}"))
        .await
        .unwrap_or_else(|e| panic!("no broker for the tests: {}", platform::error::chain(&e)))
}

/// A folder for this process's broker; those of processes that are gone are removed.
fn folder() -> PathBuf {
    let all = platform::config::cache_dir().join("test-kafka");
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let pid = entry.file_name();
        if !Path::new("/proc").join(&pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    all.join(std::process::id().to_string())
}

pub(crate) struct World {
    pub(crate) origin: PgPool,
    /// With the rights of the consumer's role.
    pub(crate) hearer: PgPool,
    pub(crate) clerk: Clerk,
    pub(crate) bus: Bus,
    pub(crate) config: BusConfig,
    pub(crate) keyring: Arc<Keyring>,
    relay: Running<()>,
    end: CancellationToken,
    _database: TestDatabase,
}

/// A part that runs until it is stopped.
pub(crate) struct Running<T> {
    stop: CancellationToken,
    task: JoinHandle<T>,
}

impl<T> Running<T> {
    pub(crate) async fn stop(self) -> T {
        self.stop.cancel();
        self.ended().await
    }

    /// As if its process were killed: it gives nothing back.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> T {
        let patience = std::time::Duration::from_mins(2);
        tokio::time::timeout(patience, self.task)
            .await
            .expect("it ends")
            .unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(bootstrap().await, |_| {}).await
    }

    pub(crate) async fn with(bootstrap: String, change: impl FnOnce(&mut BusConfig)) -> Self {
        let mut config = config(bootstrap);
        change(&mut config);
        ensure_topics(&config, &[PRODUCER]).await.unwrap();
        Self::on(config).await
    }

    /// On a bus whose topics are there.
    pub(crate) async fn on(config: BusConfig) -> Self {
        Self::on_two(config.clone(), config).await
    }

    /// With settings of its own for each end.
    pub(crate) async fn on_two(producing: BusConfig, config: BusConfig) -> Self {
        let database = TestDatabase::new(&SCHEMAS).await;
        let origin = database.pool_of(PRODUCER, 16).await;
        let hearer = hearing(&database).await;
        let keys = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&keys.path().join("keyring.json")).unwrap());
        let end = CancellationToken::new();
        let address = serve(&origin, &end).await;
        let channel = platform::grpc::channel(&address).unwrap();
        let bus = Bus::open(&config, &keyring)
            .unwrap()
            .with_log(PRODUCER, channel);
        let producing = Bus::open(&producing, &keyring).unwrap();
        let relay = publishing(&origin, &producing, &end);
        Self {
            origin,
            hearer,
            clerk: Clerk::default(),
            bus,
            config,
            keyring,
            relay,
            end,
            _database: database,
        }
    }

    pub(crate) fn kafka(&self) -> &KafkaBus {
        self.bus.kafka().unwrap()
    }

    pub(crate) fn topic(&self) -> String {
        self.kafka().topic(PRODUCER)
    }

    /// Another relay, as of another process.
    pub(crate) fn relay(&self) -> Running<()> {
        publishing(&self.origin, &self.bus, &self.end)
    }

    pub(crate) fn replace_relay(&mut self) -> Running<()> {
        let next = self.relay();
        std::mem::replace(&mut self.relay, next)
    }

    pub(crate) fn consumer(&self) -> Running<Result<(), Error>> {
        let consumer = Consumer::new(self.hearer.clone(), CONSUMER, PRODUCER, self.clerk.clone())
            .on(&self.bus);
        let stop = self.end.child_token();
        Running {
            task: tokio::spawn(consumer.run(stop.clone())),
            stop,
        }
    }

    /// Appends events; the relay does the rest.
    pub(crate) async fn append(&self, events: &[NewEvent]) {
        for events in events.chunks(5_000) {
            let mut tx = self.origin.begin().await.unwrap();
            log::append(&mut tx, events).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Appends events and waits until Kafka has acknowledged them.
    pub(crate) async fn say(&self, events: &[NewEvent]) {
        self.append(events).await;
        super::until("everything is published", async || {
            self.unpublished().await == 0
        })
        .await;
    }

    pub(crate) async fn unpublished(&self) -> i64 {
        self.count(
            &self.origin,
            "select (select count(*) from event where position is null)
                + (select coalesce(sum(position - published_to), 0)::bigint from log_shard)",
        )
        .await
    }

    pub(crate) async fn count(&self, pool: &PgPool, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
    }

    pub(crate) async fn heard_of(&self, case: Uuid) -> Vec<i64> {
        sqlx::query_scalar("select number from heard where case_id = $1 order by n")
            .bind(case)
            .fetch_all(&self.hearer)
            .await
            .unwrap()
    }

    pub(crate) async fn heard(&self) -> i64 {
        self.count(&self.hearer, "select count(*) from heard").await
    }

    pub(crate) async fn until_heard(&self, events: i64) {
        super::until("everything is heard", async || self.heard().await >= events).await;
        assert_eq!(self.heard().await, events);
    }

    pub(crate) async fn parked(&self) -> Vec<(i64, String)> {
        let mut conn = self.hearer.acquire().await.unwrap();
        let parked = platform::bus::list(&mut conn, 1000).await.unwrap();
        let mut parked: Vec<_> = parked
            .iter()
            .map(|p| (super::number(&p.event.payload), p.reason.clone()))
            .collect();
        parked.sort();
        parked
    }
}

pub(crate) fn config(bootstrap: String) -> BusConfig {
    BusConfig {
        kind: Kind::Kafka,
        bootstrap,
        topic_prefix: format!("t{}", Uuid::new_v4().simple()),
        instance: Some("0".into()),
        compare_millis: 1_000,
        session_timeout_millis: 3_000,
        ..BusConfig::default()
    }
}

fn publishing(pool: &PgPool, bus: &Bus, end: &CancellationToken) -> Running<()> {
    let stop = end.child_token();
    let relay = Relay::new(pool.clone(), PRODUCER, Uuid::new_v4()).on(bus);
    Running {
        task: tokio::spawn(relay.run(stop.clone())),
        stop,
    }
}

/// Serves the producer's log to the consumer alone.
async fn serve(pool: &PgPool, end: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = platform::grpc::Server::new(proto::DESCRIPTORS).add_service(LogServer::new(
        pool.clone(),
        PRODUCER,
        &[CONSUMER],
    ));
    tokio::spawn(server.serve(listener, end.clone()));
    address
}

/// A pool with the rights of the consumer's role: its own schema, and nothing of the producer's.
async fn hearing(database: &TestDatabase) -> PgPool {
    let own = database.pool_of(CONSUMER, 1).await;
    clerk::make_room(&own).await;
    own.close().await;
    let options = db::connect_options(&database.url(), "public").unwrap();
    let mut admin = options.connect().await.unwrap();
    db::provision(&mut admin, CONSUMER).await.unwrap();
    for right in [
        format!("grant usage on schema {CONSUMER} to takedown_{CONSUMER}"),
        format!("grant all on all tables in schema {CONSUMER} to takedown_{CONSUMER}"),
    ] {
        sqlx::query(AssertSqlSafe(right))
            .execute(&mut admin)
            .await
            .unwrap();
    }
    admin.close().await.unwrap();
    db::pool_as_role(&database.url(), CONSUMER, 8)
        .await
        .unwrap()
}
