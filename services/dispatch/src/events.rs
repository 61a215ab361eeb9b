//! What dispatch hears of verification, and the command that each event becomes.

use std::collections::BTreeMap;

use domain::event::{self, Body};
use domain::id::{CaseId, DecisionId, ReportId, ReviewId};
use domain::wire::required_time;
use domain::word::{Category, Media};
use platform::bus::{Heed, HeedError};
use platform::clock::Clock;
use platform::log::Envelope;
use platform::sealed::{Verifier, WrappedKey};
use platform::trace;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::attribution::{About, ProofError, check_proof};
use crate::commands::{self, Actionable, Held, Rules, Upheld};
use crate::store::{self, CaseSeal};

/// Heeds verification's log.
pub struct FromVerification {
    pub rules: Rules,
    pub clock: Clock,
    /// Of approval proofs.
    pub proofs: Verifier,
}

/// What an event asks for.
enum Asked {
    Act(Box<Actionable>),
    Hold(Held),
    Release(Held),
    Withdraw(Held),
    Uphold(Upheld),
}

impl Asked {
    /// Which command; neighbours of one kind go into it together.
    fn kind(&self) -> u8 {
        match self {
            Self::Act(_) => 0,
            Self::Hold(_) => 1,
            Self::Release(_) => 2,
            Self::Withdraw(_) => 3,
            Self::Uphold(_) => 4,
        }
    }
}

impl Heed for FromVerification {
    async fn heed(&self, conn: &mut PgConnection, batch: &[Envelope]) -> Result<(), HeedError> {
        let now = self.clock.now(conn).await?;
        let ids: Vec<Uuid> = batch.iter().map(|e| e.case_id).collect();
        // Rows in the order of locking, for the whole batch: the commands below lock parts of it.
        let opened: Vec<CaseId> = store::lock_cases(conn, &ids)
            .await
            .map_err(|error| later(batch, error))?
            .into_iter()
            .filter(|case| case.episode > 0)
            .map(|case| case.case_id)
            .collect();
        let mut asked: Vec<(usize, Asked)> = Vec::new();
        for (n, envelope) in batch.iter().enumerate() {
            if let Some(item) = self.read(envelope, &opened, now)? {
                asked.push((n, item));
            }
        }
        for run in rounds(asked, batch) {
            self.apply(conn, now, run)
                .await
                .map_err(|error| later(batch, error))?;
        }
        Ok(())
    }
}

/// Events of one case stay in order; those of different cases may pass each other. Each round is of one kind.
fn rounds(asked: Vec<(usize, Asked)>, batch: &[Envelope]) -> Vec<Vec<Asked>> {
    let mut depth: BTreeMap<Uuid, usize> = BTreeMap::new();
    let mut rounds: BTreeMap<(usize, u8), Vec<Asked>> = BTreeMap::new();
    for (n, item) in asked {
        let nth = depth.entry(batch[n].case_id).or_default();
        rounds.entry((*nth, item.kind())).or_default().push(item);
        *nth += 1;
    }
    rounds.into_values().collect()
}

impl FromVerification {
    fn read(
        &self,
        envelope: &Envelope,
        opened: &[CaseId],
        now: OffsetDateTime,
    ) -> Result<Option<Asked>, HeedError> {
        let rotten = |reason| HeedError::Rotten {
            event: envelope.id,
            reason,
        };
        let body = event::decode(&envelope.payload).map_err(|error| match error {
            event::Unreadable::Malformed => rotten("the payload cannot be read"),
            event::Unreadable::UnknownKind => rotten("a newer version wrote it"),
        })?;
        let case_id = CaseId::new(envelope.case_id);
        let held = Held {
            case_id,
            cause: Some(envelope.id),
        };
        Ok(match body {
            Body::CaseActionable(said) => {
                let act = self.actionable(envelope, &said).map_err(rotten)?;
                match self.check(&said, &act, opened.contains(&case_id), now) {
                    Ok(()) => Some(Asked::Act(Box::new(act))),
                    // Nothing is wrong with it but its age: verification says it again with a fresh proof, which must
                    // not wait behind this one.
                    Err(ProofError::Expired) => {
                        tracing::warn!(alarm = "proof_expired", case.id = %case_id, event.id = %envelope.id, "nothing is sent until a fresh proof comes");
                        None
                    }
                    Err(refused) => {
                        let reason = refused.reason();
                        tracing::error!(alarm = "proof_refused", case.id = %case_id, event.id = %envelope.id, reason, "nothing is sent");
                        return Err(rotten(reason));
                    }
                }
            }
            Body::CaseHeld(_) => Some(Asked::Hold(held)),
            Body::CaseReleased(_) => Some(Asked::Release(held)),
            Body::VerdictWithdrawn(_) => Some(Asked::Withdraw(held)),
            Body::VerdictUpheld(said) => Some(Asked::Uphold(Upheld {
                case_id,
                review_id: said
                    .review_id
                    .parse::<ReviewId>()
                    .map_err(|_| rotten("the review's id cannot be read"))?,
                gone: said.gone,
                cause: Some(envelope.id),
            })),
            // Told to others.
            Body::CaseNotActionable(_)
            | Body::ReportReceived(_)
            | Body::ReportWithdrawn(_)
            | Body::UrlRevealed(_)
            | Body::ReviewRequested(_)
            | Body::NoticeSent(_)
            | Body::NoticeDelivered(_)
            | Body::NoticeBounced(_)
            | Body::NoticeAnswered(_)
            | Body::NoticeEscalated(_)
            | Body::NoticeWithdrawn(_)
            | Body::HostMoved(_)
            | Body::RemovalConfirmed(_)
            | Body::Reappeared(_)
            | Body::CaseClosed(_)
            | Body::CaseReopened(_)
            | Body::MailReceived(_) => None,
        })
    }

    fn actionable(
        &self,
        envelope: &Envelope,
        said: &v1::CaseActionable,
    ) -> Result<Actionable, &'static str> {
        let case_id = CaseId::new(envelope.case_id);
        let proof = said.proof.as_ref().ok_or("it has no proof")?;
        let report: ReportId = said
            .sealed_item_report_id
            .parse()
            .map_err(|_| "the report's id cannot be read")?;
        let wrapped = WrappedKey::parse(said.wrapped_key.to_vec())
            .map_err(|_| "the data key cannot be read")?;
        let key = self
            .rules
            .keyring
            .unwrap(case_id.uuid(), &wrapped)
            .map_err(|_| "the data key does not open")?;
        let url = store::open_url(&key, case_id, report, &said.sealed_item)
            .map_err(|_| "the sealed item does not open")?;
        Ok(Actionable {
            case_id,
            decision_id: said
                .decision_id
                .parse::<DecisionId>()
                .map_err(|_| "the decision's id cannot be read")?,
            category: Category::from_wire(said.category).map_err(|_| "the category is unknown")?,
            media: Media::from_wire_optional(said.media).map_err(|_| "the media is unknown")?,
            received_at: required_time("received_at", said.received_at.as_ref())
                .map_err(|_| "the time of receipt cannot be read")?,
            verified_at: required_time("decided_at", said.decided_at.as_ref())
                .map_err(|_| "the time of the decision cannot be read")?,
            seal: CaseSeal {
                case_id,
                proof_body: proof.body.to_vec(),
                proof_signature: proof.signature.to_vec(),
                proof_key: proof.key_id.clone(),
                wrapped_key: said.wrapped_key.to_vec(),
                sealed_item: said.sealed_item.to_vec(),
                item_report_id: report,
                traceparent: trace::of(Some(envelope.id)),
            },
            url,
            cause: Some(envelope.id),
        })
    }

    /// A case whose first notice is open stands on its decision until that is withdrawn: only the end of the proof
    /// no longer counts for it.
    fn check(
        &self,
        said: &v1::CaseActionable,
        act: &Actionable,
        opened: bool,
        now: OffsetDateTime,
    ) -> Result<(), ProofError> {
        let proof = said.proof.as_ref().ok_or(ProofError::Malformed)?;
        let wrapped =
            WrappedKey::parse(said.wrapped_key.to_vec()).map_err(|_| ProofError::Malformed)?;
        let key = self
            .rules
            .keyring
            .unwrap(act.case_id.uuid(), &wrapped)
            .map_err(|_| ProofError::Malformed)?;
        let about = About {
            case_id: act.case_id,
            decision_id: act.decision_id,
            category: act.category,
            url: &act.url,
            key: &key,
        };
        match check_proof(proof, &self.proofs, &about, now) {
            Err(ProofError::Expired) if opened => Ok(()),
            other => other,
        }
    }

    async fn apply(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        round: Vec<Asked>,
    ) -> Result<(), Error> {
        let (mut acts, mut holds, mut releases) = (Vec::new(), Vec::new(), Vec::new());
        let (mut withdrawals, mut upheld) = (Vec::new(), Vec::new());
        for item in round {
            match item {
                Asked::Act(act) => acts.push(*act),
                Asked::Hold(held) => holds.push(held),
                Asked::Release(held) => releases.push(held),
                Asked::Withdraw(held) => withdrawals.push(held),
                Asked::Uphold(item) => upheld.push(item),
            }
        }
        let rules = &self.rules;
        if !acts.is_empty() {
            commands::actionable(conn, rules, now, &acts).await?;
        }
        if !holds.is_empty() {
            commands::hold(conn, rules, now, &holds).await?;
        }
        if !releases.is_empty() {
            commands::release(conn, rules, now, &releases).await?;
        }
        if !withdrawals.is_empty() {
            commands::withdraw(conn, rules, now, &withdrawals).await?;
        }
        if !upheld.is_empty() {
            commands::uphold(conn, rules, now, &upheld).await?;
        }
        Ok(())
    }
}

/// The database's word goes by its SQLSTATE; what else fails is a stored value of the case, and that event's.
fn later(batch: &[Envelope], error: Error) -> HeedError {
    match error {
        Error::Db(error) => HeedError::Db(error),
        other => {
            let code = platform::error::Problem::from(other).code;
            tracing::warn!(problem.code = %code, "an event could not be applied");
            HeedError::Rotten {
                event: batch.first().map_or(Uuid::nil(), |e| e.id),
                reason: "a stored value of its case cannot be read",
            }
        }
    }
}
