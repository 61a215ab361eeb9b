//! A database that keeps somebody waiting: a table is locked, as by a slow migration, until somebody waits for it.

use std::time::Duration;

use anyhow::{Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection};
use takedown::role::Role;

const LOOK: Duration = Duration::from_millis(20);

/// A session that holds a table.
pub struct Held {
    conn: PgConnection,
    table: &'static str,
}

impl Held {
    /// Holds up what a role does about the events it hears, and not its cursors.
    pub async fn effects_of(url: &SecretString, role: Role) -> Result<Self> {
        let (table, lock) = match role {
            Role::Verification => (
                "verification.assessment",
                "lock table verification.assessment in share mode",
            ),
            Role::Dispatch => (
                "dispatch.case_file",
                "lock table dispatch.case_file in share mode",
            ),
            Role::Ledger => ("ledger.leaf", "lock table ledger.leaf in share mode"),
            Role::Intake | Role::Gateway | Role::Console => bail!("{role} is not held up"),
        };
        Self::hold(url, table, lock).await
    }

    /// Holds up answers of hosts when they have appended their events, just before their end.
    pub async fn answers(url: &SecretString) -> Result<Self> {
        let lock = "lock table dispatch.answer_receipt in share mode";
        Self::hold(url, "dispatch.answer_receipt", lock).await
    }

    async fn hold(url: &SecretString, table: &'static str, lock: &'static str) -> Result<Self> {
        let mut conn = PgConnection::connect(url.expose_secret()).await?;
        sqlx::raw_sql("begin").execute(&mut conn).await?;
        sqlx::raw_sql(lock).execute(&mut conn).await?;
        Ok(Self { conn, table })
    }

    /// Whether somebody comes to wait for it in time.
    pub async fn somebody_waits(&mut self, within: Duration) -> Result<bool> {
        let until = tokio::time::Instant::now() + within;
        while tokio::time::Instant::now() < until {
            let waits: bool = sqlx::query_scalar(
                "select exists (select from pg_locks where relation = $1::regclass and not granted)",
            )
            .bind(self.table)
            .fetch_one(&mut self.conn)
            .await?;
            if waits {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }

    pub async fn let_go(mut self) -> Result<()> {
        sqlx::raw_sql("rollback").execute(&mut self.conn).await?;
        Ok(self.conn.close().await?)
    }
}
