//! One token ends everything: cancelled by a signal, or by the first part that fails.
//!
//! Loops look at the token between two pieces of work, never within one.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
pub use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGTERM or SIGINT.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

/// The loops of a role. The end of one, by an error or a panic, ends all.
#[derive(Debug)]
pub struct Tasks {
    token: CancellationToken,
    running: JoinSet<(&'static str, Result<(), String>)>,
}

impl Tasks {
    pub fn new(token: CancellationToken) -> Self {
        Self {
            token,
            running: JoinSet::new(),
        }
    }

    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Runs a loop that returns once the token is cancelled.
    pub fn spawn<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.running
            .spawn(async move { (name, task.await.map_err(|e| e.to_string())) });
    }

    /// Waits until the token is cancelled or a task ends before it; then gives the rest `limit` to
    /// finish. The error names the first task that failed.
    pub async fn finish(mut self, limit: Duration) -> Result<(), TaskFailed> {
        let mut outcome = Ok(());
        tokio::select! {
            () = self.token.cancelled() => {}
            Some(ended) = self.running.join_next() => outcome = judge(ended, self.token.is_cancelled()),
        }
        self.token.cancel();
        let rest = async {
            while let Some(ended) = self.running.join_next().await {
                let judged = judge(ended, true);
                if outcome.is_ok() {
                    outcome = judged;
                }
            }
        };
        if tokio::time::timeout(limit, rest).await.is_err() {
            tracing::warn!(left = self.running.len(), "not everything ended in time");
            self.running.shutdown().await;
        }
        outcome
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskFailed {
    #[error("{0} failed: {1}")]
    Error(&'static str, String),
    #[error("{0} ended too early")]
    Early(&'static str),
    #[error("a task panicked; its place is in the log")]
    Panic,
}

fn judge(
    ended: Result<(&'static str, Result<(), String>), tokio::task::JoinError>,
    expected: bool,
) -> Result<(), TaskFailed> {
    match ended {
        Ok((_, Ok(()))) if expected => Ok(()),
        Ok((name, Ok(()))) => Err(TaskFailed::Early(name)),
        Ok((name, Err(error))) => Err(TaskFailed::Error(name, error)),
        Err(_) => Err(TaskFailed::Panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    async fn until(token: CancellationToken) -> Result<(), String> {
        token.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_failing_task_ends_the_others() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("steady", until(tasks.token()));
        tasks.spawn("broken", async { Err("no database") });
        assert_eq!(
            tasks.finish(LIMIT).await,
            Err(TaskFailed::Error("broken", "no database".into()))
        );
    }

    #[tokio::test]
    async fn a_cancelled_token_is_a_good_end() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("steady", until(tasks.token()));
        tasks.token().cancel();
        assert_eq!(tasks.finish(LIMIT).await, Ok(()));
    }
}
