//! The pull API as a host uses it: fetches new and changed notices from its cursor on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::scenario::Behaviour;
use super::simulated_host::{DeliveredBy, SimulatedHost};

/// Pause after a request that found nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Polls until shutdown.
pub async fn run(host: Arc<SimulatedHost>, shutdown: CancellationToken) {
    if host.behaviour() == Behaviour::Bounces {
        // Such a host never polls, but it runs as long as the others.
        return shutdown.cancelled().await;
    }
    let mut cursor = String::new();
    let mut is_failing = false;
    while !shutdown.is_cancelled() {
        if !host.is_down() {
            match run_once(&host, &mut cursor).await {
                Ok(found) => {
                    is_failing = false;
                    if found > 0 {
                        continue;
                    }
                }
                // Logged once per outage, not at every poll.
                Err(error) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(provider.id = host.id(), %error, "cannot list notices");
                }
                Err(_) => {}
            }
        }
        // The loop's condition detects a shutdown.
        let _ = tokio::time::timeout(POLL_INTERVAL, shutdown.cancelled()).await;
    }
}

/// Fetches one page, handles its notices and advances the cursor. After an error the same page is fetched again.
async fn run_once(host: &Arc<SimulatedHost>, cursor: &mut String) -> Result<usize> {
    let page = host.gateway().list_notices(cursor).await?;
    for notice in &page.notices {
        // A notice that fails verification is recorded in the host's log and does not stop the page.
        let _ = host.receive(notice, DeliveredBy::PullApi).await;
    }
    if let Some(next) = page.next_cursor {
        *cursor = next;
    }
    Ok(page.notices.len())
}
