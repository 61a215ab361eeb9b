//! The roles: whether each says that it can do its work, and whether the ledger keeps up.

use std::time::Duration;

use platform::grpc;
use proto::v1::{GetConservationRequest, LatestCheckpointRequest};
use tonic::transport::Channel;

use super::Finding;
use crate::client::{Client, Profile};

/// For one role to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A checkpoint follows within a second of an event's receipt.
const SIGNED: Duration = Duration::from_secs(2);

const START: &str = "start `takedown up` on this folder, or look at its log";

pub(super) async fn look(profile: &Profile) -> Vec<Finding> {
    let addresses = &profile.addresses;
    let client = match Client::of(profile) {
        Ok(client) => client,
        Err(error) => return vec![Finding::wrong("roles", format!("{error:#}"), START)],
    };
    let mut findings = Vec::new();
    for (name, channel) in client.channels() {
        findings.push(core(name, channel).await);
    }
    findings.push(edge("gateway", &addresses.gateway, "/readyz").await);
    findings.push(edge("console", &addresses.console, "/readyz").await);
    findings.push(credential(&client).await);
    findings.push(checkpoint(&client).await);
    findings
}

async fn core(name: &str, channel: Channel) -> Finding {
    match grpc::health(channel, grpc::READY).await {
        Some(true) => Finding::right(name, "ready"),
        Some(false) => Finding::wrong(
            name,
            "runs, and something that it needs does not",
            "see the checks of the database above",
        ),
        None => Finding::wrong(name, "does not answer", START),
    }
}

async fn edge(name: &str, base: &str, path: &str) -> Finding {
    let answer = async {
        reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()?
            .get(format!("{base}{path}"))
            .send()
            .await
    };
    match answer.await {
        Ok(answer) if answer.status().is_success() => Finding::right(name, "ready"),
        Ok(_) => Finding::wrong(
            name,
            "runs, and something that it needs does not",
            "see the roles above",
        ),
        Err(_) => Finding::wrong(name, "does not answer", START),
    }
}

async fn credential(client: &Client) -> Finding {
    const CHECK: &str = "local operator";
    match tokio::time::timeout(PATIENCE, client.staff()).await {
        Ok(Ok(staff)) => Finding::right(CHECK, format!("signed in as {}", staff.name)),
        _ => Finding::wrong(
            CHECK,
            "the session in client.toml does not hold",
            "start `takedown up` again: each start opens a new one",
        ),
    }
}

async fn checkpoint(client: &Client) -> Finding {
    const CHECK: &str = "checkpoint";
    let look = || tokio::time::timeout(PATIENCE, signed(client));
    let Ok(Ok((events, mut size))) = look().await else {
        return Finding::unseen(CHECK, "the ledger does not answer");
    };
    if size < events {
        // What was just heard is just being signed.
        tokio::time::sleep(SIGNED).await;
        if let Ok(Ok((_, since))) = look().await {
            size = since;
        }
    }
    if size < events {
        Finding::wrong(
            CHECK,
            format!("{} events are under no checkpoint", events - size),
            "look at the ledger's log: it signs one each second while there is news",
        )
    } else {
        Finding::right(CHECK, format!("over {size} of {events} events"))
    }
}

/// How many events the ledger has heard, and over how many its newest checkpoint is.
async fn signed(client: &Client) -> Result<(u64, u64), tonic::Status> {
    let mut ledger = client.ledger();
    let heard = ledger.get_conservation(GetConservationRequest {}).await?;
    let latest = ledger.latest_checkpoint(LatestCheckpointRequest {}).await?;
    let size = latest.into_inner().checkpoint.map_or(0, |c| c.size);
    Ok((heard.into_inner().events, size))
}
