//! Claims due messages in one short transaction, and checks again which of them may be sent.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::enums::DeliveryChannel;
use domain::id::NoticeId;
use fail::fail_point;
use platform::clock::Clock;
use platform::sealed::{Keyring, Purpose, SealedError, UnsealedValue, Verifier};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::DeliverySettings;
use super::store::{self, ClaimLimits, DueDelivery, EndpointRow};
use crate::cases::{NoticeContent, readable_contents, verify_notice_proof};
use crate::delivery::channels::webhook;
use crate::{Error, directory};

/// Short, so that the messages of a killed process are soon sent by another; renewed while the attempt runs.
const LEASE: Duration = Duration::from_secs(4);

/// Length of a lease from now on.
pub(super) fn lease_duration() -> Duration {
    // A bug that `./dev crash` must detect: the messages of a killed process are not taken over.
    fail_point!("forget-lease", |_| Duration::from_hours(24));
    LEASE
}

/// How long a message that failed verification is set aside before it is checked again.
const PARKED: Duration = Duration::from_mins(10);

/// A claimed message.
pub(super) struct DeliveryJob {
    pub(super) content: NoticeContent,
    pub(super) channel: DeliveryChannel,
    /// None when the directory has no such endpoint any more.
    pub(super) destination: Option<Destination>,
    /// Sequence in the delivery row; the content may be newer.
    pub(super) sequence: i32,
    /// Counts from 1.
    pub(super) attempt: i32,
    pub(super) token: Uuid,
    /// Whether an earlier attempt may have arrived.
    pub(super) in_doubt: bool,
    pub(super) claimed_at: OffsetDateTime,
}

/// Where a message is sent.
pub(super) enum Destination {
    /// Endpoint id, and its URL with secrets.
    Webhook(Uuid, webhook::WebhookTarget),
    Mailbox(UnsealedValue),
}

pub(super) struct Claimer {
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    pub(super) keyring: std::sync::Arc<Keyring>,
    /// Verifies approval proofs.
    pub(super) proofs: Verifier,
}

/// What happens to a due row.
enum ClaimDecision {
    Send(Option<Destination>),
    /// The message is no longer needed.
    Drop,
    /// The row or its case was tampered with; the code of the alarm.
    Park(&'static str),
}

impl Claimer {
    /// Claims at most `limit` messages. Each is leased; none stays locked.
    pub(super) async fn claim(
        &self,
        settings: &DeliverySettings,
        in_flight: &[(super::endpoint_slots::EndpointKey, u32)],
        limit: u32,
    ) -> Result<Vec<DeliveryJob>, Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let limits = ClaimLimits {
            in_flight,
            each: settings.each,
            breaker_failures: settings.breaker.failures,
            limit,
        };
        let due = store::due(&mut tx, now, &limits).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let (notices, cases): (Vec<Uuid>, Vec<Uuid>) = due.into_iter().unzip();
        let cases = store::share_cases(&mut tx, &cases).await?;
        let rows = store::lock_due(&mut tx, now, &notices, &cases).await?;
        let jobs = self.decide_all(&mut tx, rows, now).await?;
        tx.commit().await?;
        Ok(jobs)
    }

    /// Leases the messages that may be sent, and drops or parks the others.
    async fn decide_all(
        &self,
        conn: &mut PgConnection,
        rows: Vec<DueDelivery>,
        now: OffsetDateTime,
    ) -> Result<Vec<DeliveryJob>, Error> {
        let ids: Vec<NoticeId> = rows.iter().map(|r| NoticeId::new(r.notice_id)).collect();
        let (contents, sealed) = readable_contents(conn, &self.keyring, &ids).await?;
        let mut contents: HashMap<NoticeId, NoticeContent> =
            contents.into_iter().map(|c| (c.notice_id, c)).collect();
        let providers: HashSet<&str> = rows.iter().map(|r| r.provider_id.as_str()).collect();
        let providers: Vec<&str> = providers.into_iter().collect();
        let endpoints = store::load_endpoints(conn, &providers).await?;
        let token = Uuid::new_v4();
        let (mut jobs, mut dropped) = (Vec::new(), Vec::new());
        let mut parked: HashMap<&'static str, Vec<Uuid>> = HashMap::new();
        for row in rows {
            let id = NoticeId::new(row.notice_id);
            let content = contents.remove(&id);
            let decision = if sealed.contains(&id) {
                ClaimDecision::Park("sealed_refused")
            } else {
                self.decide(
                    &row,
                    content.as_ref(),
                    endpoints.get(row.provider_id.as_str()),
                    now,
                )
            };
            match (decision, content) {
                (ClaimDecision::Send(destination), Some(content)) => jobs.push(DeliveryJob {
                    content,
                    channel: row.channel,
                    destination,
                    sequence: row.sequence,
                    attempt: row.attempts + 1,
                    token,
                    in_doubt: row.in_doubt,
                    claimed_at: now,
                }),
                (ClaimDecision::Park(code), _) => {
                    tracing::error!(alarm = code, notice.id = %row.notice_id, "a message was not sent: its proof, content or endpoint failed verification");
                    parked.entry(code).or_default().push(row.notice_id);
                }
                (ClaimDecision::Drop | ClaimDecision::Send(_), _) => dropped.push(row.notice_id),
            }
        }
        let leased: Vec<Uuid> = jobs
            .iter()
            .map(|job| job.content.notice_id.uuid())
            .collect();
        store::lease(conn, &leased, token, now + lease_duration()).await?;
        store::remove(conn, &dropped).await?;
        for (code, notices) in parked {
            store::park(conn, &notices, code, now + PARKED).await?;
        }
        Ok(jobs)
    }

    fn decide(
        &self,
        row: &DueDelivery,
        content: Option<&NoticeContent>,
        endpoint: Option<&EndpointRow>,
        now: OffsetDateTime,
    ) -> ClaimDecision {
        let Some(content) = content else {
            return ClaimDecision::Drop;
        };
        let may_be_sent =
            content.may_be_sent() || (row.redelivery_requested && content.may_be_shown());
        if row.cancelled || !may_be_sent {
            return ClaimDecision::Drop;
        }
        if let Err(error) = verify_notice_proof(content, &self.proofs) {
            tracing::warn!(case.id = %content.case_id, reason = error.reason(), "an approval proof is not valid");
            return ClaimDecision::Park("proof_refused");
        }
        match self.open_destination(row, endpoint, now) {
            Ok(destination) => ClaimDecision::Send(destination),
            Err(_) => ClaimDecision::Park("endpoint_refused"),
        }
    }

    fn open_destination(
        &self,
        row: &DueDelivery,
        endpoint: Option<&EndpointRow>,
        now: OffsetDateTime,
    ) -> Result<Option<Destination>, SealedError> {
        let Some(endpoint) = endpoint else {
            return Ok(None);
        };
        let (keyring, provider) = (&self.keyring, &row.provider_id);
        match row.channel {
            DeliveryChannel::Webhook => endpoint
                .webhook
                .as_ref()
                .map(|endpoint| {
                    let target = directory::webhook_target(keyring, provider, endpoint, now)?;
                    Ok(Destination::Webhook(endpoint.id, target))
                })
                .transpose(),
            DeliveryChannel::Email => endpoint
                .contact
                .as_ref()
                .map(|sealed| {
                    let (provider, row_id) = (provider.as_str(), endpoint.row_id);
                    let opened =
                        keyring.open_provider(Purpose::Contact, provider, row_id, sealed)?;
                    Ok(Destination::Mailbox(opened))
                })
                .transpose(),
            // Providers on the pull API receive no deliveries; the table has no such row.
            DeliveryChannel::Api => Ok(None),
        }
    }
}
