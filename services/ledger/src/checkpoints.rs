//! Signs the tree within a second of what it heard. Must not sign a size twice, or change what was signed.

use std::time::Duration;

use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Hint;
use platform::sealed::Signer;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;
use crate::note::{self, Statement};
use crate::store;

/// The loop that signs; several processes may run it.
pub struct Checkpoints {
    pool: PgPool,
    signer: Signer,
    clock: Clock,
    origin: String,
    half: Duration,
}

impl Checkpoints {
    pub fn new(pool: PgPool, signer: Signer, clock: Clock, config: &Config) -> Self {
        Self {
            pool,
            signer,
            clock,
            origin: config.origin.clone(),
            half: Duration::from_millis(u64::from(config.checkpoint_within_ms) / 2),
        }
    }

    /// Signs until the shutdown, and once more then. `grown` is rung by this process' consumers; what others appended
    /// is seen at the next look.
    pub(crate) async fn run(self, grown: Hint, shutdown: CancellationToken) {
        let mut ear = grown.listen();
        loop {
            let last = shutdown.is_cancelled();
            if let Err(error) = self.run_once().await {
                let problem = Problem::from(error);
                tracing::warn!(problem.code = %problem.code, "could not sign a checkpoint; trying again");
            }
            if last {
                break;
            }
            let next = async {
                // A pause, so that a tree that always grows is not signed all the time; then the next growth.
                tokio::time::sleep(self.half).await;
                ear.within(self.half).await;
            };
            shutdown.run_until_cancelled(next).await;
        }
    }

    /// Signs the tree if it has grown; returns its size then.
    pub async fn run_once(&self) -> Result<Option<u64>, Error> {
        let mut tx = self.pool.begin().await?;
        let tree = store::tree::read(&mut tx).await?;
        if tree.size() <= store::checkpoint::newest_size(&mut tx).await? {
            return Ok(None);
        }
        let statement = Statement {
            origin: self.origin.clone(),
            size: tree.size(),
            root: tree.root(),
        };
        let note = note::sign(&statement, &self.signer)
            .map_err(|_| Error::Running("the origin cannot be signed".into()))?;
        let now = self.clock.now(&mut tx).await?;
        let made = store::checkpoint::insert(&mut tx, &statement, &note, now).await?;
        tx.commit().await?;
        Ok(made.then_some(statement.size))
    }
}
