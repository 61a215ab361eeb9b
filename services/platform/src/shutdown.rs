//! Graceful shutdown: one token, cancelled by a signal or by the first task that fails, ends all tasks.
//!
//! Loops check the token between two pieces of work, never within one.

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

/// The tasks of a role. When one ends, by an error or a panic, all are ended.
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

    /// Waits until the token is cancelled or a task ends before that; then gives the others `limit` to
    /// finish.
    ///
    /// # Errors
    /// Names the first task that failed.
    pub async fn finish(mut self, limit: Duration) -> Result<(), TaskFailed> {
        let mut outcome = Ok(());
        tokio::select! {
            () = self.token.cancelled() => {}
            Some(ended) = self.running.join_next() => outcome = task_result(ended, self.token.is_cancelled()),
        }
        self.token.cancel();
        let remaining = async {
            while let Some(ended) = self.running.join_next().await {
                let result = task_result(ended, true);
                if outcome.is_ok() {
                    outcome = result;
                }
            }
        };
        if tokio::time::timeout(limit, remaining).await.is_err() {
            tracing::warn!(left = self.running.len(), "some tasks did not end in time");
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
    #[error("a task panicked; the log has its location")]
    Panic,
}

fn task_result(
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

    async fn until_cancelled(token: CancellationToken) -> Result<(), String> {
        token.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_failing_task_ends_the_others() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("steady", until_cancelled(tasks.token()));
        tasks.spawn("broken", async { Err("no database") });
        assert_eq!(
            tasks.finish(LIMIT).await,
            Err(TaskFailed::Error("broken", "no database".into()))
        );
    }

    #[tokio::test]
    async fn cancelling_the_token_ends_the_tasks_without_an_error() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("steady", until_cancelled(tasks.token()));
        tasks.token().cancel();
        assert_eq!(tasks.finish(LIMIT).await, Ok(()));
    }
}
