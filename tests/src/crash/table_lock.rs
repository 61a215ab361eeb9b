//! Locks a table, as a slow migration would, to block the writes of a role.

use std::time::Duration;

use anyhow::{Result, bail};
use roles::role::Role;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// An open transaction that holds the lock.
pub struct TableLock {
    conn: PgConnection,
    table: &'static str,
}

impl TableLock {
    /// Blocks a role's writes for the events that it consumes, but not its cursors.
    ///
    /// # Errors
    /// The role has no such table.
    pub async fn block_writes(url: &SecretString, role: Role) -> Result<Self> {
        let (table, lock) = match role {
            Role::Verification => (
                "verification.assessment",
                "lock table verification.assessment in share mode",
            ),
            Role::Dispatch => (
                "dispatch.dispatch_case",
                "lock table dispatch.dispatch_case in share mode",
            ),
            Role::Ledger => ("ledger.leaf", "lock table ledger.leaf in share mode"),
            Role::Intake | Role::Gateway | Role::Console => bail!("{role} has no table to lock"),
        };
        Self::acquire(url, table, lock).await
    }

    /// Blocks the hosts' answers between the append of their events and the commit.
    pub async fn block_answers(url: &SecretString) -> Result<Self> {
        let lock = "lock table dispatch.idempotency_receipt in share mode";
        Self::acquire(url, "dispatch.idempotency_receipt", lock).await
    }

    async fn acquire(url: &SecretString, table: &'static str, lock: &'static str) -> Result<Self> {
        let mut conn = PgConnection::connect(url.expose_secret()).await?;
        sqlx::raw_sql("begin").execute(&mut conn).await?;
        sqlx::raw_sql(lock).execute(&mut conn).await?;
        Ok(Self { conn, table })
    }

    /// Waits until a session is blocked by the lock; false if none is in time.
    pub async fn wait_for_blocked_session(&mut self, within: Duration) -> Result<bool> {
        let deadline = tokio::time::Instant::now() + within;
        while tokio::time::Instant::now() < deadline {
            let is_blocked: bool = sqlx::query_scalar(
                "select exists (select from pg_locks where relation = $1::regclass and not granted)",
            )
            .bind(self.table)
            .fetch_one(&mut self.conn)
            .await?;
            if is_blocked {
                return Ok(true);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(false)
    }

    pub async fn release(mut self) -> Result<()> {
        sqlx::raw_sql("rollback").execute(&mut self.conn).await?;
        Ok(self.conn.close().await?)
    }
}
