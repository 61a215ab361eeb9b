//! Checks the roles' readiness and consumers, the operator's session, and that checkpoints cover the ledger's events.

use std::time::Duration;

use platform::grpc;
use proto::v1::{GetConservationRequest, LatestCheckpointRequest};
use roles::client::{Client, Profile};
use roles::system::SHARED_LOGS;
use tonic::transport::Channel;

use super::CheckResult;

/// Limit for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a checkpoint, which is signed within a second of an event.
const CHECKPOINT_DELAY: Duration = Duration::from_secs(2);

const START: &str = "start `takedown up` on this folder, or check its log";

pub(super) async fn check(profile: &Profile) -> Vec<CheckResult> {
    let addresses = &profile.addresses;
    let client = match Client::from_profile(profile) {
        Ok(client) => client,
        Err(error) => return vec![CheckResult::problem("roles", format!("{error:#}"), START)],
    };
    let mut results = Vec::new();
    for (name, channel) in client.channels() {
        results.push(check_core_role(name, channel.clone()).await);
        results.extend(check_consumers(name, channel).await);
    }
    results.push(check_edge("gateway", &addresses.gateway, "/readyz").await);
    results.push(check_edge("console", &addresses.console, "/readyz").await);
    results.push(check_session(&client).await);
    results.push(check_checkpoint(&client).await);
    results
}

async fn check_core_role(name: &str, channel: Channel) -> CheckResult {
    match grpc::health(channel, grpc::READY).await {
        Some(true) => CheckResult::ok(name, "ready"),
        Some(false) => CheckResult::problem(
            name,
            "running, but not ready",
            "see the results for the database above",
        ),
        None => CheckResult::problem(name, "does not respond", START),
    }
}

/// The consumers of a role that have stopped for good.
async fn check_consumers(role: &str, channel: Channel) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for (producer, consumer) in SHARED_LOGS {
        if consumer == role
            && grpc::health(channel.clone(), &grpc::consumer_health(producer)).await == Some(false)
        {
            results.push(CheckResult::problem(
                role,
                format!("no longer consumes the events of {producer}"),
                "see the alarm in its log and \"A restored backup\" in docs/OPERATIONS.md; restart the role when the cause is mended",
            ));
        }
    }
    results
}

async fn check_edge(name: &str, base: &str, path: &str) -> CheckResult {
    let response = async {
        reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .build()?
            .get(format!("{base}{path}"))
            .send()
            .await
    };
    match response.await {
        Ok(response) if response.status().is_success() => CheckResult::ok(name, "ready"),
        Ok(_) => CheckResult::problem(name, "running, but not ready", "see the roles above"),
        Err(_) => CheckResult::problem(name, "does not respond", START),
    }
}

async fn check_session(client: &Client) -> CheckResult {
    const CHECK: &str = "local operator";
    match tokio::time::timeout(TIMEOUT, client.staff()).await {
        Ok(Ok(staff)) => CheckResult::ok(CHECK, format!("signed in as {}", staff.name)),
        _ => CheckResult::problem(
            CHECK,
            "the session in client.toml is not valid",
            "restart `takedown up`: each start opens a new session",
        ),
    }
}

async fn check_checkpoint(client: &Client) -> CheckResult {
    const CHECK: &str = "checkpoint";
    let figures = || tokio::time::timeout(TIMEOUT, covered_events(client));
    let Ok(Ok((events, mut size))) = figures().await else {
        return CheckResult::not_checked(CHECK, "the ledger does not respond");
    };
    if size < events {
        // The newest events may be about to be signed.
        tokio::time::sleep(CHECKPOINT_DELAY).await;
        if let Ok(Ok((_, newer))) = figures().await {
            size = newer;
        }
    }
    if size < events {
        CheckResult::problem(
            CHECK,
            format!("no checkpoint covers the newest {} events", events - size),
            "check the ledger's log: a checkpoint is signed each second while events arrive",
        )
    } else {
        CheckResult::ok(CHECK, format!("covers {size} of {events} events"))
    }
}

/// The number of events in the ledger, and how many of them the newest checkpoint covers.
async fn covered_events(client: &Client) -> Result<(u64, u64), tonic::Status> {
    let mut ledger = client.ledger();
    let conservation = ledger.get_conservation(GetConservationRequest {}).await?;
    let latest = ledger.latest_checkpoint(LatestCheckpointRequest {}).await?;
    let size = latest.into_inner().checkpoint.map_or(0, |c| c.size);
    Ok((conservation.into_inner().events, size))
}
