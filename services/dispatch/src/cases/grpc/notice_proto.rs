//! Conversion of notices and figures to protobuf.

use std::collections::HashMap;

use domain::enums::Media;
use domain::id::{CaseId, NoticeId};
use domain::wire::{duration, timestamp};
use platform::sealed::{DataKey, Purpose, WrappedKey};
use proto::v1;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::Error;
use crate::cases::attribution::verify_notice_proof;
use crate::cases::store::{self, ClockStats, NoticeContent, NoticeOverview, StateCount};
use crate::delivery;
use crate::delivery::document::{self, IssueDetails};
use crate::grpc::Handlers;

impl Handlers {
    /// The contents of those notices that their addressee may see, in the given order. Others are omitted: a
    /// notice under a police hold is listed again after it, and one without a valid approval proof raises an
    /// alarm.
    pub(crate) async fn showable_notices(
        &self,
        conn: &mut PgConnection,
        ids: &[NoticeId],
    ) -> Result<Vec<NoticeContent>, Error> {
        let (contents, sealed) = store::readable_contents(conn, &self.deps.keyring, ids).await?;
        for id in sealed {
            tracing::error!(alarm = "sealed_refused", notice.id = %id, "a notice cannot be opened, so it is not shown");
        }
        let mut by_id: HashMap<NoticeId, NoticeContent> = contents
            .into_iter()
            .filter(|content| content.may_be_shown() && self.has_valid_proof(content))
            .map(|content| (content.notice_id, content))
            .collect();
        Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
    }

    fn has_valid_proof(&self, content: &NoticeContent) -> bool {
        let result = verify_notice_proof(content, &self.proofs);
        if let Err(error) = &result {
            tracing::error!(alarm = "proof_refused", notice.id = %content.notice_id, reason = error.reason(), "a notice is not shown: its approval proof is not valid");
        }
        result.is_ok()
    }

    pub(super) fn notice_to_proto(
        &self,
        content: &NoticeContent,
        now: OffsetDateTime,
    ) -> v1::Notice {
        let checkpoint = self.checkpoint.note();
        let signed = document::sign_notice(
            content,
            &IssueDetails {
                at: now,
                legal_basis: &self.deps.policy.regime(&content.regime).legal_basis,
                hotline: &self.hotline,
                checkpoint: checkpoint.as_deref(),
                signer: &self.signer,
            },
        );
        v1::Notice {
            notice_id: content.notice_id.to_string(),
            case_id: content.case_id.to_string(),
            provider_id: content.provider_id.to_string(),
            episode: content.episode.cast_unsigned(),
            step: content.step.cast_unsigned(),
            sequence: content.sequence.cast_unsigned(),
            state: content.state.wire(),
            rung: content.rung.wire(),
            category: content.category.wire(),
            media: content.media.map(Media::wire).unwrap_or_default(),
            url: content.url.reveal().to_owned(),
            salt: content.salt.to_vec().into(),
            signed: signed.bytes.into(),
            signature: signed.signature.to_vec().into(),
            key_id: signed.key_id.to_string(),
            issued_at: Some(timestamp(signed.issued_at)),
            due_at: Some(timestamp(content.due_at)),
            legal_basis: signed.legal_basis,
            message: content.message.wire(),
            text: content.text.clone().unwrap_or_default(),
        }
    }

    /// Summaries for staff, with pending delivery attempts and the provider's question.
    pub(crate) async fn summaries(
        &self,
        conn: &mut PgConnection,
        rows: Vec<NoticeOverview>,
    ) -> Result<Vec<v1::NoticeSummary>, Error> {
        let ids: Vec<NoticeId> = rows.iter().map(|row| row.notice_id).collect();
        let pending: HashMap<NoticeId, delivery::PendingDelivery> = delivery::pending(conn, &ids)
            .await?
            .into_iter()
            .map(|pending| (pending.notice_id, pending))
            .collect();
        let cases_with_note: Vec<Uuid> = rows
            .iter()
            .filter(|row| row.note.is_some())
            .map(|row| row.case_id.uuid())
            .collect();
        let keys = self.data_keys(conn, &cases_with_note).await?;
        rows.into_iter()
            .map(|row| {
                let text = match (&row.note, keys.get(&row.case_id)) {
                    (Some(note), Some(key)) => key
                        .open(
                            Purpose::Note,
                            row.case_id.uuid(),
                            row.notice_id.uuid(),
                            note,
                        )?
                        .text()?
                        .to_owned(),
                    (_, _) => String::new(),
                };
                let pending = pending.get(&row.notice_id);
                Ok(summary(&row, pending, text))
            })
            .collect()
    }

    pub(crate) async fn data_keys(
        &self,
        conn: &mut PgConnection,
        cases: &[Uuid],
    ) -> Result<HashMap<CaseId, DataKey>, Error> {
        if cases.is_empty() {
            return Ok(HashMap::new());
        }
        let seals = store::seals(conn, cases).await?;
        seals
            .into_iter()
            .map(|seal| {
                let wrapped = WrappedKey::parse(seal.wrapped_key)?;
                let key = self.deps.keyring.unwrap(seal.case_id.uuid(), &wrapped)?;
                Ok((seal.case_id, key))
            })
            .collect()
    }
}

fn summary(
    row: &NoticeOverview,
    pending: Option<&delivery::PendingDelivery>,
    text: String,
) -> v1::NoticeSummary {
    let pending_attempts = pending.map_or(0, |p| p.attempts);
    let failure = pending
        .and_then(|p| p.last_failure.clone())
        .or_else(|| row.last_failure.clone());
    v1::NoticeSummary {
        notice_id: row.notice_id.to_string(),
        case_id: row.case_id.to_string(),
        provider_id: row.provider_id.to_string(),
        episode: row.episode.cast_unsigned(),
        step: row.step.cast_unsigned(),
        sequence: row.sequence.cast_unsigned(),
        rung: row.rung.wire(),
        state: row.state.wire(),
        channel: row.channel.wire(),
        category: row.category.wire(),
        attempts: (row.attempts + pending_attempts).cast_unsigned(),
        dispatched_at: Some(timestamp(row.opened_at)),
        delivered_at: row.delivered_at.map(timestamp),
        acknowledged_at: row.acknowledged_at.map(timestamp),
        removal_claimed_at: row.removal_claimed_at.map(timestamp),
        confirmed_removed_at: row.confirmed_at.map(timestamp),
        due_at: Some(timestamp(row.due_at)),
        last_failure: failure
            .filter(|_| row.delivered_at.is_none())
            .unwrap_or_default(),
        text,
        message: row.message.wire(),
    }
}

pub(crate) fn stage_count(stage: StateCount) -> v1::StageCount {
    v1::StageCount {
        stage: stage.stage,
        count: stage.count.cast_unsigned(),
        oldest: stage.oldest.map(timestamp),
    }
}

pub(crate) fn clock_figure(stats: &ClockStats) -> v1::ClockFigure {
    let measured = |seconds| (stats.count > 0).then(|| length(seconds));
    v1::ClockFigure {
        clock: stats.clock.to_owned(),
        p50: measured(stats.p50),
        p99: measured(stats.p99),
        count: stats.count.cast_unsigned(),
    }
}

/// A length that the database computed, in seconds.
pub(crate) fn length(seconds: f64) -> prost_types::Duration {
    duration(Duration::saturating_seconds_f64(seconds))
}
