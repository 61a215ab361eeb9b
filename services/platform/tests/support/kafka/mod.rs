//! A producer with its log, a consumer, and a real Kafka broker between them.
//!
//! The consumer's role has no privileges in the producer's schema, so everything reaches it over Kafka or
//! `ReadLog`. One broker serves a whole test binary; each fixture has topics and groups of its own.

pub(crate) mod raw;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::bus::{Bus, BusConfig, BusKind, Consumer, Error, KafkaBus, ensure_topics};
use platform::db::{self, Schema};
use platform::log::{self, LogServer, NewEvent, Relay};
use platform::sealed::Keyring;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool};
use testkit::Broker;
use testkit::TestDatabase;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::recording_handler::{self, RecordingHandler};

/// A service that has a bus key.
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
    BROKER
        .get_or_init(|| start(broker_folder()))
        .await
        .bootstrap()
}

pub(crate) async fn start(dir: PathBuf) -> Broker {
    Broker::start(&dir, &|line| eprintln!("{line}"))
        .await
        .unwrap_or_else(|e| {
            panic!(
                "no Kafka broker for the tests: {}",
                platform::error::chain(&e)
            )
        })
}

/// The folder of this process's broker. Folders of ended processes are removed.
fn broker_folder() -> PathBuf {
    let all = platform::config::cache_dir().join("test-kafka");
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let pid = entry.file_name();
        if !Path::new("/proc").join(&pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    all.join(std::process::id().to_string())
}

pub(crate) struct KafkaFixture {
    pub(crate) producer_pool: PgPool,
    /// Has the privileges of the consumer's role.
    pub(crate) consumer_pool: PgPool,
    pub(crate) handler: RecordingHandler,
    pub(crate) bus: Bus,
    pub(crate) config: BusConfig,
    pub(crate) keyring: Arc<Keyring>,
    relay: Running<()>,
    end: CancellationToken,
    _database: TestDatabase,
}

/// A task that runs until it is stopped.
pub(crate) struct Running<T> {
    stop: CancellationToken,
    task: JoinHandle<T>,
}

impl<T> Running<T> {
    pub(crate) async fn stop(self) -> T {
        self.stop.cancel();
        self.wait().await
    }

    /// Aborts the task as if its process were killed, so that it releases nothing.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// Waits until the task ends by itself.
    pub(crate) async fn wait(self) -> T {
        let timeout = std::time::Duration::from_mins(2);
        tokio::time::timeout(timeout, self.task)
            .await
            .expect("the task ends")
            .unwrap()
    }
}

impl Drop for KafkaFixture {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl KafkaFixture {
    pub(crate) async fn new() -> Self {
        Self::with_config(bootstrap().await, |_| {}).await
    }

    pub(crate) async fn with_config(
        bootstrap: String,
        change: impl FnOnce(&mut BusConfig),
    ) -> Self {
        let mut config = config(bootstrap);
        change(&mut config);
        ensure_topics(&config, &[PRODUCER]).await.unwrap();
        Self::with_topics_of(config).await
    }

    /// Uses topics that exist already.
    pub(crate) async fn with_topics_of(config: BusConfig) -> Self {
        Self::with_two_configs(config.clone(), config).await
    }

    /// With separate configurations for the producer and the consumer.
    pub(crate) async fn with_two_configs(producer_config: BusConfig, config: BusConfig) -> Self {
        let database = TestDatabase::new(&SCHEMAS).await;
        let producer_pool = database.pool_with_size(PRODUCER, 16).await;
        let consumer_pool = self::consumer_pool(&database).await;
        let keys = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&keys.path().join("keyring.json")).unwrap());
        let end = CancellationToken::new();
        let address = serve(&producer_pool, &end).await;
        let channel = platform::grpc::channel(&address).unwrap();
        let bus = Bus::open(&config, &keyring)
            .unwrap()
            .with_log(PRODUCER, channel);
        let producer_bus = Bus::open(&producer_config, &keyring).unwrap();
        let relay = spawn_relay(&producer_pool, &producer_bus, &end);
        Self {
            producer_pool,
            consumer_pool,
            handler: RecordingHandler::default(),
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

    /// Starts another relay, as another process would.
    pub(crate) fn start_relay(&self) -> Running<()> {
        spawn_relay(&self.producer_pool, &self.bus, &self.end)
    }

    pub(crate) fn replace_relay(&mut self) -> Running<()> {
        let next = self.start_relay();
        std::mem::replace(&mut self.relay, next)
    }

    pub(crate) fn start_consumer(&self) -> Running<Result<(), Error>> {
        let consumer = Consumer::new(
            self.consumer_pool.clone(),
            CONSUMER,
            PRODUCER,
            self.handler.clone(),
        )
        .with_bus(&self.bus);
        let stop = self.end.child_token();
        Running {
            task: tokio::spawn(consumer.run(stop.clone())),
            stop,
        }
    }

    /// Appends events; the running relay positions and publishes them.
    pub(crate) async fn append(&self, events: &[NewEvent]) {
        for events in events.chunks(5_000) {
            let mut tx = self.producer_pool.begin().await.unwrap();
            log::append(&mut tx, events).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Appends events and waits until Kafka has acknowledged them.
    pub(crate) async fn emit(&self, events: &[NewEvent]) {
        self.append(events).await;
        super::until("all events are published", async || {
            self.unpublished().await == 0
        })
        .await;
    }

    pub(crate) async fn unpublished(&self) -> i64 {
        self.count(
            &self.producer_pool,
            "select (select count(*) from event where position is null)
                + (select coalesce(sum(position - published_to), 0)::bigint from log_shard)",
        )
        .await
    }

    pub(crate) async fn count(&self, pool: &PgPool, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
    }

    pub(crate) async fn received_of(&self, case: Uuid) -> Vec<i64> {
        sqlx::query_scalar("select number from received where case_id = $1 order by n")
            .bind(case)
            .fetch_all(&self.consumer_pool)
            .await
            .unwrap()
    }

    pub(crate) async fn received(&self) -> i64 {
        self.count(&self.consumer_pool, "select count(*) from received")
            .await
    }

    pub(crate) async fn until_received(&self, events: i64) {
        super::until("all events are received", async || {
            self.received().await >= events
        })
        .await;
        assert_eq!(self.received().await, events);
    }

    pub(crate) async fn parked(&self) -> Vec<(i64, String)> {
        let mut conn = self.consumer_pool.acquire().await.unwrap();
        let parked = platform::bus::list_parked(&mut conn, 1000).await.unwrap();
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
        kind: BusKind::Kafka,
        bootstrap,
        topic_prefix: format!("t{}", Uuid::new_v4().simple()),
        instance: Some("0".into()),
        compare_millis: 1_000,
        session_timeout_millis: 3_000,
        ..BusConfig::default()
    }
}

fn spawn_relay(pool: &PgPool, bus: &Bus, end: &CancellationToken) -> Running<()> {
    let stop = end.child_token();
    let relay = Relay::new(pool.clone(), PRODUCER, Uuid::new_v4()).with_bus(bus);
    Running {
        task: tokio::spawn(relay.run(stop.clone())),
        stop,
    }
}

/// Serves the producer's log to the consumer only.
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

/// A pool with the privileges of the consumer's role: its own schema, and nothing of the producer's.
async fn consumer_pool(database: &TestDatabase) -> PgPool {
    let own = database.pool_with_size(CONSUMER, 1).await;
    recording_handler::create_tables(&own).await;
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
