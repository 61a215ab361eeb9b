//! Signs a checkpoint within a second of each new leaf. A size is signed at most once, and checkpoints never
//! change.

use std::time::Duration;

use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Wakeup;
use platform::sealed::Signer;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;
use crate::note::{self, CheckpointBody};
use crate::store;

/// Signs checkpoints in a loop. Several processes may run it.
pub struct CheckpointSigner {
    pool: PgPool,
    signer: Signer,
    clock: Clock,
    origin: String,
    /// Half the configured time.
    interval: Duration,
}

impl CheckpointSigner {
    pub fn new(pool: PgPool, signer: Signer, clock: Clock, config: &Config) -> Self {
        Self {
            pool,
            signer,
            clock,
            origin: config.origin.clone(),
            interval: Duration::from_millis(u64::from(config.checkpoint_within_ms) / 2),
        }
    }

    /// Signs until the shutdown, and once more then. The consumers of this process notify `appended`; leaves
    /// that other processes append are found at the next poll.
    pub(crate) async fn run(self, appended: Wakeup, shutdown: CancellationToken) {
        let mut listener = appended.listen();
        loop {
            let is_last = shutdown.is_cancelled();
            if let Err(error) = self.run_once().await {
                let problem = Problem::from(error);
                tracing::warn!(problem.code = %problem.code, "could not sign a checkpoint; retrying");
            }
            if is_last {
                break;
            }
            let next = async {
                // The pause limits how often a tree that grows continuously is signed.
                tokio::time::sleep(self.interval).await;
                listener.within(self.interval).await;
            };
            shutdown.run_until_cancelled(next).await;
        }
    }

    /// Signs the tree if it has grown since the newest checkpoint; returns the signed size.
    ///
    /// # Errors
    /// If the database or the signing fails.
    pub async fn run_once(&self) -> Result<Option<u64>, Error> {
        let mut tx = self.pool.begin().await?;
        let tree = store::tree::read(&mut tx).await?;
        if tree.size() <= store::checkpoint::newest_size(&mut tx).await? {
            return Ok(None);
        }
        let body = CheckpointBody {
            origin: self.origin.clone(),
            size: tree.size(),
            root: tree.root(),
        };
        let note = note::sign(&body, &self.signer).map_err(|_| Error::Unsignable)?;
        let now = self.clock.now(&mut tx).await?;
        let inserted = store::checkpoint::insert(&mut tx, &body, &note, now).await?;
        tx.commit().await?;
        Ok(inserted.then_some(body.size))
    }
}
