//! Domain types onto the wire.

use std::collections::HashMap;

use domain::id::{CaseId, NoticeId};
use domain::wire::timestamp;
use domain::word::Media;
use platform::sealed::{DataKey, Purpose, WrappedKey};
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Inner;
use crate::attribution::stands;
use crate::document::{self, Issue};
use crate::store::{self, ClockStats, Content, Kept, Scorecard, Stage, Summary};
use crate::{Error, delivery};

impl Inner {
    /// What of these notices their addressee may see, in the order asked for. The rest is passed over: what a hold
    /// stops is listed anew after it, what does not stand on a true proof is an alarm.
    pub(super) async fn shown(
        &self,
        conn: &mut PgConnection,
        ids: &[NoticeId],
    ) -> Result<Vec<Content>, Error> {
        let (contents, sealed) = store::readable_documents(conn, &self.rules.keyring, ids).await?;
        for id in sealed {
            tracing::error!(alarm = "sealed_refused", notice.id = %id, "a notice cannot be opened, so it is not shown");
        }
        let mut by_id: HashMap<NoticeId, Content> = contents
            .into_iter()
            .filter(|content| content.may_be_shown() && self.is_proved(content))
            .map(|content| (content.notice_id, content))
            .collect();
        Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
    }

    fn is_proved(&self, content: &Content) -> bool {
        let stands = stands(content, &self.proofs);
        if let Err(error) = &stands {
            tracing::error!(alarm = "proof_refused", notice.id = %content.notice_id, reason = error.reason(), "a notice is not shown: its approval proof does not hold");
        }
        stands.is_ok()
    }

    pub(super) fn notice(&self, content: &Content, now: OffsetDateTime) -> v1::Notice {
        let checkpoint = self.checkpoint.note();
        let signed = document::build(
            content,
            &Issue {
                at: now,
                legal_basis: &self.rules.policy.regime(&content.regime).legal_basis,
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
            message: content.message.to_string(),
            text: content.text.clone().unwrap_or_default(),
        }
    }

    /// Lines for staff, with what deliveries still do and what the provider asks.
    pub(super) async fn summaries(
        &self,
        conn: &mut PgConnection,
        rows: Vec<Summary>,
    ) -> Result<Vec<v1::NoticeSummary>, Error> {
        let ids: Vec<NoticeId> = rows.iter().map(|row| row.notice_id).collect();
        let pending: HashMap<NoticeId, delivery::Pending> = delivery::pending(conn, &ids)
            .await?
            .into_iter()
            .map(|pending| (pending.notice_id, pending))
            .collect();
        let noted: Vec<Uuid> = rows
            .iter()
            .filter(|row| row.note.is_some())
            .map(|row| row.case_id.uuid())
            .collect();
        let keys = self.data_keys(conn, &noted).await?;
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

    pub(super) async fn data_keys(
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
                let key = self.rules.keyring.unwrap(seal.case_id.uuid(), &wrapped)?;
                Ok((seal.case_id, key))
            })
            .collect()
    }
}

fn summary(row: &Summary, pending: Option<&delivery::Pending>, text: String) -> v1::NoticeSummary {
    let tries = pending.map_or(0, |p| p.attempts);
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
        attempts: (row.attempts + tries).cast_unsigned(),
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
        message: row.message.to_string(),
    }
}

pub(super) fn stage(stage: Stage) -> v1::StageCount {
    v1::StageCount {
        stage: stage.stage,
        count: stage.count.cast_unsigned(),
        oldest: stage.oldest.map(timestamp),
    }
}

pub(super) fn clock(stats: &ClockStats) -> v1::ClockFigure {
    v1::ClockFigure {
        clock: stats.clock.to_owned(),
        p50_seconds: stats.p50,
        p99_seconds: stats.p99,
        count: stats.count.cast_unsigned(),
    }
}

pub(super) fn scorecard(card: &Scorecard) -> v1::Scorecard {
    let kept = |kept: &Kept| v1::Kept {
        in_time: kept.in_time.cast_unsigned(),
        late: kept.late.cast_unsigned(),
        allowed_seconds: kept.allowed,
    };
    v1::Scorecard {
        answered: Some(kept(&card.answered)),
        removed: Some(kept(&card.removed)),
        ours: card.ours.iter().map(clock).collect(),
        retracted: card.retracted.cast_unsigned(),
        retracted_disputed: card.retracted_disputed.cast_unsigned(),
        disputes_open: card.disputes_open.cast_unsigned(),
        disputes_refused: card.disputes_refused.cast_unsigned(),
    }
}
