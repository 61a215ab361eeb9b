//! A consumer that does not match the producer's log stops alone: every role goes on serving and working, the monitoring
//! endpoint names the consumer, and intake accepts reports until the last one.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::enums::{DeliveryChannel, ProviderRole};
use platform::clock::{Clock, ManualClock, wall};
use platform::grpc;

use proto::v1::{ListOverdueRequest, ListQueueRequest, Provider, UpsertProvidersRequest};
use roles::client::Client;
use roles::system::{DEMO_POLICY, Options, SHARED_LOGS, System, policy};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::TestDatabase;
use tests::analyst::{report_and_decide, submit, wait_until};
use tokio::net::TcpListener;
use tonic::transport::Channel;

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_consumer_leaves_everything_else_at_work() -> Result<()> {
    let database = TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let monitor = free_address().await?;
    let clock = ManualClock::new(wall());
    let mut options = Options::new(folder.path().join("data"));
    options.database_url = Some(database.url().into());
    options.clock = Clock::Manual(clock.clone());
    options.policy = policy(DEMO_POLICY)?;
    options.settings.dispatch.resolve_names = false;
    options.settings.monitor.listen = Some(monitor);
    let system = System::start(options, &|line| eprintln!("{line}")).await?;
    let client = system.client();
    let admin = PgPoolOptions::new().connect(&database.url()).await?;
    create_host(client).await?;
    report_and_decide(client, "https://host-one.example/picture").await?;
    wait_until("the case is with its host", async || {
        Ok(consumed(&admin, "dispatch", "verification").await? > 0)
    })
    .await?;

    for (stopped_so_far, (producer, consumer)) in SHARED_LOGS.into_iter().enumerate() {
        let role = channel(client, consumer)?;
        let name = grpc::consumer_health(producer);
        ensure!(
            grpc::health(role.clone(), &name).await == Some(true),
            "the {consumer} consumes the {producer}'s events before its cursor is damaged"
        );
        damage_cursor(&admin, consumer, producer).await?;
        wait_until("the consumer has stopped", async || {
            Ok(grpc::health(role.clone(), &name).await == Some(false))
        })
        .await?;

        for (role, channel) in client.channels() {
            ensure!(grpc::is_ready(channel).await, "the {role} is ready");
        }
        let url = format!("https://host-one.example/after-{stopped_so_far}");
        submit(client, vec![url]).await?;
        client
            .verification()
            .list_queue(ListQueueRequest::default())
            .await?;
        let detail = readiness(monitor).await?;
        ensure!(
            detail.matches("stopped:").count() == stopped_so_far + 1
                && detail.contains(&format!(
                    "{consumer} no longer consumes the events of {producer}"
                )),
            "{detail}"
        );
    }

    // Dispatch's timers go on as well, with every consumer stopped.
    clock.advance(time::Duration::days(1));
    wait_until("a deadline passes", async || {
        let request = ListOverdueRequest::default();
        Ok(client
            .dispatch()
            .list_overdue(request)
            .await?
            .get_ref()
            .total
            > 0)
    })
    .await?;
    system.stop().await
}

async fn create_host(client: &Client) -> Result<()> {
    let host = Provider {
        provider_id: "host-one".to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        domains: vec!["host-one.example".to_owned()],
        ..Provider::default()
    };
    let request = UpsertProvidersRequest {
        providers: vec![host],
    };
    client.dispatch().upsert_providers(request).await?;
    Ok(())
}

/// The events that a consumer has processed.
async fn consumed(admin: &PgPool, consumer: &str, producer: &str) -> Result<i64> {
    let sql = format!("select sum(position)::bigint from {consumer}.cursor where producer = $1");
    let count: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(producer)
        .fetch_one(admin)
        .await?;
    Ok(count.unwrap_or_default())
}

/// Puts the cursors beyond the head, as if the producer had been restored from an older backup.
async fn damage_cursor(admin: &PgPool, consumer: &str, producer: &str) -> Result<()> {
    let sql = format!(
        "update {consumer}.cursor set position = position + 1000, event_id = gen_random_uuid() where producer = $1"
    );
    let updated = sqlx::query(AssertSqlSafe(sql))
        .bind(producer)
        .execute(admin)
        .await?;
    ensure!(updated.rows_affected() > 0, "the {consumer} has cursors");
    Ok(())
}

fn channel(client: &Client, role: &str) -> Result<Channel> {
    let mut channels = client.channels().into_iter();
    let (_, channel) = channels
        .find(|(name, _)| *name == role)
        .context(role.to_owned())?;
    Ok(channel)
}

/// The text of the monitoring endpoint, which says that all roles are ready.
async fn readiness(monitor: SocketAddr) -> Result<String> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()?;
    let response = http.get(format!("http://{monitor}/readyz")).send().await?;
    Ok(response.error_for_status()?.text().await?)
}

async fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}
