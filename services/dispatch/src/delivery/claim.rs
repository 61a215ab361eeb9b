//! Claiming what is due, in one short transaction, and judging once more what may leave.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::id::NoticeId;
use domain::word::DeliveryChannel;
use platform::clock::Clock;
use platform::plant::{self, Plant};
use platform::sealed::{Keyring, Opened, Purpose, SealedError, Verifier};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::DeliverySettings;
use super::store::{self, Due, Endpoint, Room};
use crate::attribution::stands;
use crate::channels::webhook;
use crate::store::{Content, readable_documents};
use crate::{Error, commands};

/// Short, so that what a killed process had under way is soon sent by another; renewed while the attempt runs.
const LEASE: Duration = Duration::from_secs(4);

/// For how long a claim holds from now on.
pub(super) fn term() -> Duration {
    if plant::is(Plant::ForgetLease) {
        return Duration::from_hours(24);
    }
    LEASE
}

/// How long a message that must not leave as it stands is set aside, before it is looked at again.
const PARKED: Duration = Duration::from_mins(10);

/// One message, claimed.
pub(super) struct Job {
    pub(super) content: Content,
    pub(super) channel: DeliveryChannel,
    /// None when the directory has none any more.
    pub(super) target: Option<Target>,
    /// Of the row; the content may be newer.
    pub(super) sequence: i32,
    /// Counts from 1.
    pub(super) attempt: i32,
    pub(super) token: Uuid,
    /// Before this attempt.
    pub(super) in_doubt: bool,
    pub(super) claimed_at: OffsetDateTime,
}

/// Where a message goes.
pub(super) enum Target {
    Webhook(Uuid, webhook::Target),
    Mailbox(Opened),
}

pub(super) struct Claimer {
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    pub(super) keyring: std::sync::Arc<Keyring>,
    /// Of approval proofs.
    pub(super) proofs: Verifier,
}

/// Why a claimed row is not sent.
enum Verdict {
    Send(Option<Target>),
    /// Nobody wants it any more.
    Drop,
    /// Somebody has been at it.
    Park(&'static str),
}

impl Claimer {
    /// At most `limit` jobs, each leased; none of them stays locked.
    pub(super) async fn claim(
        &self,
        settings: &DeliverySettings,
        busy: &[(super::lanes::Lane, u32)],
        limit: u32,
    ) -> Result<Vec<Job>, Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let room = Room {
            busy,
            each: settings.each,
            tripped: settings.breaker.failures,
            limit,
        };
        let due = store::due(&mut tx, now, &room).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let (notices, cases): (Vec<Uuid>, Vec<Uuid>) = due.into_iter().unzip();
        let cases = store::share_cases(&mut tx, &cases).await?;
        let rows = store::lock_due(&mut tx, now, &notices, &cases).await?;
        let jobs = self.sort(&mut tx, rows, now).await?;
        tx.commit().await?;
        Ok(jobs)
    }

    /// Leases what may leave and puts the rest where it belongs.
    async fn sort(
        &self,
        conn: &mut PgConnection,
        rows: Vec<Due>,
        now: OffsetDateTime,
    ) -> Result<Vec<Job>, Error> {
        let ids: Vec<NoticeId> = rows.iter().map(|r| NoticeId::new(r.notice_id)).collect();
        let (contents, sealed) = readable_documents(conn, &self.keyring, &ids).await?;
        let mut contents: HashMap<NoticeId, Content> =
            contents.into_iter().map(|c| (c.notice_id, c)).collect();
        let providers: HashSet<&str> = rows.iter().map(|r| r.provider_id.as_str()).collect();
        let providers: Vec<&str> = providers.into_iter().collect();
        let endpoints = store::endpoints(conn, &providers).await?;
        let token = Uuid::new_v4();
        let (mut jobs, mut dropped) = (Vec::new(), Vec::new());
        let mut parked: HashMap<&'static str, Vec<Uuid>> = HashMap::new();
        for row in rows {
            let id = NoticeId::new(row.notice_id);
            let content = contents.remove(&id);
            let verdict = if sealed.contains(&id) {
                Verdict::Park("sealed_refused")
            } else {
                self.judge(
                    &row,
                    content.as_ref(),
                    endpoints.get(row.provider_id.as_str()),
                    now,
                )
            };
            match (verdict, content) {
                (Verdict::Send(target), Some(content)) => jobs.push(Job {
                    content,
                    channel: row.channel,
                    target,
                    sequence: row.sequence,
                    attempt: row.attempts + 1,
                    token,
                    in_doubt: row.in_doubt,
                    claimed_at: now,
                }),
                (Verdict::Park(code), _) => {
                    tracing::error!(alarm = code, notice.id = %row.notice_id, "a message was held back: what it stands on is not true");
                    parked.entry(code).or_default().push(row.notice_id);
                }
                (Verdict::Drop | Verdict::Send(_), _) => dropped.push(row.notice_id),
            }
        }
        let leased: Vec<Uuid> = jobs
            .iter()
            .map(|job| job.content.notice_id.uuid())
            .collect();
        store::lease(conn, &leased, token, now + term()).await?;
        store::remove(conn, &dropped).await?;
        for (code, notices) in parked {
            store::park(conn, &notices, code, now + PARKED).await?;
        }
        Ok(jobs)
    }

    fn judge(
        &self,
        row: &Due,
        content: Option<&Content>,
        endpoint: Option<&Endpoint>,
        now: OffsetDateTime,
    ) -> Verdict {
        let Some(content) = content else {
            return Verdict::Drop;
        };
        let may_leave = content.may_leave() || (row.asked && content.may_be_shown());
        if row.cancelled || !may_leave {
            return Verdict::Drop;
        }
        if let Err(error) = stands(content, &self.proofs) {
            tracing::warn!(case.id = %content.case_id, reason = error.reason(), "an approval proof does not hold");
            return Verdict::Park("proof_refused");
        }
        match self.open(row, endpoint, now) {
            Ok(target) => Verdict::Send(target),
            Err(_) => Verdict::Park("endpoint_refused"),
        }
    }

    fn open(
        &self,
        row: &Due,
        endpoint: Option<&Endpoint>,
        now: OffsetDateTime,
    ) -> Result<Option<Target>, SealedError> {
        let Some(endpoint) = endpoint else {
            return Ok(None);
        };
        let (keyring, provider) = (&self.keyring, &row.provider_id);
        match row.channel {
            DeliveryChannel::Webhook => endpoint
                .webhook
                .as_ref()
                .map(|endpoint| {
                    let target = commands::webhook::target(keyring, provider, endpoint, now)?;
                    Ok(Target::Webhook(endpoint.id, target))
                })
                .transpose(),
            DeliveryChannel::Email => endpoint
                .contact
                .as_ref()
                .map(|sealed| {
                    let (provider, row_id) = (provider.as_str(), endpoint.row_id);
                    let opened =
                        keyring.open_provider(Purpose::Contact, provider, row_id, sealed)?;
                    Ok(Target::Mailbox(opened))
                })
                .transpose(),
            // Who pulls is not delivered to; the table has no such row.
            DeliveryChannel::Api => Ok(None),
        }
    }
}
