//! Fetches the ledger's newest checkpoint in the background. Each notice carries it, so that every provider
//! witnesses the ledger. A ledger that is down does not delay notices.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use proto::v1::LatestCheckpointRequest;
use proto::v1::ledger_service_client::LedgerServiceClient;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// In bytes. A checkpoint has a few hundred; it is part of every notice.
const MAX_LENGTH: usize = 2048;

/// The newest signed checkpoint (C2SP tlog-checkpoint). Clones share it.
#[derive(Clone, Default)]
pub struct LatestCheckpoint(Arc<RwLock<Option<Arc<str>>>>);

impl LatestCheckpoint {
    pub fn note(&self) -> Option<Arc<str>> {
        // The lock guards only a pointer, so a panicked thread cannot have left it half-written.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, note: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(note.into());
    }

    /// Fetches the checkpoint once. Returns whether the ledger had one.
    pub async fn run_once(&self, ledger: &Channel) -> Result<bool, tonic::Status> {
        let response = LedgerServiceClient::new(ledger.clone())
            .latest_checkpoint(LatestCheckpointRequest {})
            .await?
            .into_inner();
        match response.checkpoint {
            Some(checkpoint) if (1..=MAX_LENGTH).contains(&checkpoint.note.len()) => {
                self.set(&checkpoint.note);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Fetches the checkpoint every second until the shutdown. Logs once when the ledger stops responding,
    /// and once when it responds again.
    pub async fn run(self, ledger: Channel, shutdown: CancellationToken) {
        let mut silent = false;
        while !shutdown.is_cancelled() {
            let result = tokio::time::timeout(POLL_INTERVAL, self.run_once(&ledger)).await;
            let responds = matches!(result, Ok(Ok(_)));
            if responds == silent {
                silent = !responds;
                tracing::info!(
                    ledger.responds = responds,
                    "the ledger's response to checkpoint requests changed"
                );
            }
            shutdown
                .run_until_cancelled(tokio::time::sleep(POLL_INTERVAL))
                .await;
        }
    }
}
