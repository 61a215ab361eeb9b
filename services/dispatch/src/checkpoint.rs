//! The newest checkpoint of the ledger at hand, fetched in the background: whoever gets a notice gets it too, so that
//! every host is a witness. A ledger that is down delays no notice.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use proto::v1::LatestCheckpointRequest;
use proto::v1::ledger_service_client::LedgerServiceClient;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

const EVERY: Duration = Duration::from_secs(1);
/// A note is a few hundred bytes; it goes into every notice.
const LONGEST: usize = 2048;

/// The newest signed note; clones see the same.
#[derive(Clone, Default)]
pub struct Latest(Arc<RwLock<Option<Arc<str>>>>);

impl Latest {
    pub fn note(&self) -> Option<Arc<str>> {
        // Only a pointer is behind the lock: nothing can be half-written.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, note: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(note.into());
    }

    /// Asks the ledger once; tells whether it had one.
    pub async fn run_once(&self, ledger: &Channel) -> Result<bool, tonic::Status> {
        let answer = LedgerServiceClient::new(ledger.clone())
            .latest_checkpoint(LatestCheckpointRequest {})
            .await?
            .into_inner();
        match answer.checkpoint {
            Some(checkpoint) if (1..=LONGEST).contains(&checkpoint.note.len()) => {
                self.set(&checkpoint.note);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Asks each second until the shutdown. Says once when the ledger falls silent, and once when it is back.
    pub async fn run(self, ledger: Channel, shutdown: CancellationToken) {
        let mut silent = false;
        while !shutdown.is_cancelled() {
            let asked = tokio::time::timeout(EVERY, self.run_once(&ledger)).await;
            let answered = matches!(asked, Ok(Ok(_)));
            if answered == silent {
                silent = !answered;
                tracing::info!(ledger.answers = answered, "the ledger's checkpoints");
            }
            shutdown
                .run_until_cancelled(tokio::time::sleep(EVERY))
                .await;
        }
    }
}
