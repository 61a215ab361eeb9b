//! Consumes verification's log: which command each event becomes.

use std::collections::BTreeMap;

use domain::enums::{Category, Media};
use domain::event::{self, Body};
use domain::id::{CaseId, DecisionId, ReportId, ReviewId};
use domain::wire::required_time;
use platform::bus::{EventHandler, HandlerError};
use platform::clock::Clock;
use platform::log::Envelope;
use platform::sealed::{Verifier, WrappedKey};
use platform::trace;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::cases::{
    self, ActionableDecision, CaseInstruction, CaseSeal, CommandDeps, ExpectedProof, ProofError,
    UpheldVerdict, verify_decision_proof,
};

/// Applies the events of verification's log.
pub struct VerificationHandler {
    pub deps: CommandDeps,
    pub clock: Clock,
    /// Verifies approval proofs.
    pub proofs: Verifier,
}

/// The command that an event becomes.
enum EventCommand {
    Open(Box<ActionableDecision>),
    PoliceHold(CaseInstruction),
    Release(CaseInstruction),
    Withdraw(CaseInstruction),
    Uphold(UpheldVerdict),
}

impl EventCommand {
    /// Number of the command: those of one kind are applied in one call.
    fn kind(&self) -> u8 {
        match self {
            Self::Open(_) => 0,
            Self::PoliceHold(_) => 1,
            Self::Release(_) => 2,
            Self::Withdraw(_) => 3,
            Self::Uphold(_) => 4,
        }
    }
}

impl EventHandler for VerificationHandler {
    async fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> Result<(), HandlerError> {
        let now = self.clock.now(conn).await?;
        let ids: Vec<Uuid> = batch.iter().map(|e| e.case_id).collect();
        // Locks the rows of the whole batch in one order; the commands below then lock parts of it.
        let opened: Vec<CaseId> = cases::lock_opened(conn, &ids)
            .await
            .map_err(|error| handler_error(batch, error))?;
        let mut commands: Vec<(usize, EventCommand)> = Vec::new();
        for (n, envelope) in batch.iter().enumerate() {
            if let Some(command) = self.parse(envelope, &opened, now)? {
                commands.push((n, command));
            }
        }
        for round in rounds(commands, batch) {
            self.apply(conn, now, round)
                .await
                .map_err(|error| handler_error(batch, error))?;
        }
        Ok(())
    }
}

/// Splits commands into rounds of one kind each. Those of one case stay in order; those of different cases
/// may change places.
fn rounds(commands: Vec<(usize, EventCommand)>, batch: &[Envelope]) -> Vec<Vec<EventCommand>> {
    let mut depth: BTreeMap<Uuid, usize> = BTreeMap::new();
    let mut rounds: BTreeMap<(usize, u8), Vec<EventCommand>> = BTreeMap::new();
    for (n, command) in commands {
        let nth = depth.entry(batch[n].case_id).or_default();
        rounds
            .entry((*nth, command.kind()))
            .or_default()
            .push(command);
        *nth += 1;
    }
    rounds.into_values().collect()
}

impl VerificationHandler {
    fn parse(
        &self,
        envelope: &Envelope,
        opened: &[CaseId],
        now: OffsetDateTime,
    ) -> Result<Option<EventCommand>, HandlerError> {
        let unreadable = |reason| HandlerError::Unprocessable {
            event: envelope.id,
            reason,
        };
        let body = event::decode(&envelope.payload).map_err(|error| match error {
            event::EventDecodeError::Malformed => unreadable("the payload cannot be read"),
            event::EventDecodeError::UnknownKind => {
                unreadable("the event's type is unknown; it may come from a newer version")
            }
        })?;
        let case_id = CaseId::new(envelope.case_id);
        let instruction = CaseInstruction {
            case_id,
            cause: Some(envelope.id),
        };
        Ok(match body {
            Body::CaseActionable(body) => {
                let decision = self.decision(envelope, &body).map_err(unreadable)?;
                match self.check(&body, &decision, opened.contains(&case_id), now) {
                    Ok(()) => Some(EventCommand::Open(Box::new(decision))),
                    // Only its age is wrong: verification repeats the event with a new proof, which must not
                    // wait behind a parked event.
                    Err(ProofError::Expired) => {
                        tracing::warn!(alarm = "proof_expired", case.id = %case_id, event.id = %envelope.id, "the approval proof has expired; no notice is sent until verification sends a new one");
                        None
                    }
                    Err(refused) => {
                        let reason = refused.reason();
                        tracing::error!(alarm = "proof_refused", case.id = %case_id, event.id = %envelope.id, reason, "the approval proof was refused; no notice is sent");
                        return Err(unreadable(reason));
                    }
                }
            }
            Body::CaseHeld(_) => Some(EventCommand::PoliceHold(instruction)),
            Body::CaseReleased(_) => Some(EventCommand::Release(instruction)),
            Body::VerdictWithdrawn(_) => Some(EventCommand::Withdraw(instruction)),
            Body::VerdictUpheld(body) => Some(EventCommand::Uphold(UpheldVerdict {
                case_id,
                review_id: body
                    .review_id
                    .parse::<ReviewId>()
                    .map_err(|_| unreadable("the review's id cannot be read"))?,
                offline: body.offline,
                cause: Some(envelope.id),
            })),
            // Not consumed by dispatch.
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

    fn decision(
        &self,
        envelope: &Envelope,
        body: &v1::CaseActionable,
    ) -> Result<ActionableDecision, &'static str> {
        let case_id = CaseId::new(envelope.case_id);
        let proof = body.proof.as_ref().ok_or("it has no proof")?;
        let report: ReportId = body
            .sealed_content_report_id
            .parse()
            .map_err(|_| "the report's id cannot be read")?;
        let wrapped = WrappedKey::parse(body.wrapped_key.to_vec())
            .map_err(|_| "the data key cannot be read")?;
        let key = self
            .deps
            .keyring
            .unwrap(case_id.uuid(), &wrapped)
            .map_err(|_| "the data key cannot be unwrapped")?;
        let url = cases::open_url(&key, case_id, report, &body.sealed_content)
            .map_err(|_| "the sealed content cannot be opened")?;
        Ok(ActionableDecision {
            case_id,
            decision_id: body
                .decision_id
                .parse::<DecisionId>()
                .map_err(|_| "the decision's id cannot be read")?,
            category: Category::from_wire(body.category).map_err(|_| "the category is unknown")?,
            media: Media::from_wire_optional(body.media).map_err(|_| "the media is unknown")?,
            received_at: required_time("received_at", body.received_at.as_ref())
                .map_err(|_| "the time of receipt cannot be read")?,
            verified_at: required_time("decided_at", body.decided_at.as_ref())
                .map_err(|_| "the time of the decision cannot be read")?,
            seal: CaseSeal {
                case_id,
                proof_body: proof.body.to_vec(),
                proof_signature: proof.signature.to_vec(),
                proof_key: proof.key_id.clone(),
                wrapped_key: body.wrapped_key.to_vec(),
                sealed_content: body.sealed_content.to_vec(),
                content_report_id: report,
                traceparent: trace::traceparent_of(Some(envelope.id)),
            },
            url,
            cause: Some(envelope.id),
        })
    }

    /// Checks the approval proof. A case that is already open stays valid until its decision is withdrawn, so
    /// for it the proof's expiry is ignored.
    fn check(
        &self,
        body: &v1::CaseActionable,
        decision: &ActionableDecision,
        opened: bool,
        now: OffsetDateTime,
    ) -> Result<(), ProofError> {
        let proof = body.proof.as_ref().ok_or(ProofError::Malformed)?;
        let wrapped =
            WrappedKey::parse(body.wrapped_key.to_vec()).map_err(|_| ProofError::Malformed)?;
        let key = self
            .deps
            .keyring
            .unwrap(decision.case_id.uuid(), &wrapped)
            .map_err(|_| ProofError::Malformed)?;
        let about = ExpectedProof {
            case_id: decision.case_id,
            decision_id: decision.decision_id,
            category: decision.category,
            url: &decision.url,
            key: &key,
        };
        match verify_decision_proof(proof, &self.proofs, &about, now) {
            Err(ProofError::Expired) if opened => Ok(()),
            other => other,
        }
    }

    async fn apply(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        round: Vec<EventCommand>,
    ) -> Result<(), Error> {
        let (mut decisions, mut police_holds, mut releases) = (Vec::new(), Vec::new(), Vec::new());
        let (mut withdrawals, mut upheld) = (Vec::new(), Vec::new());
        for command in round {
            match command {
                EventCommand::Open(decision) => decisions.push(*decision),
                EventCommand::PoliceHold(instruction) => police_holds.push(instruction),
                EventCommand::Release(instruction) => releases.push(instruction),
                EventCommand::Withdraw(instruction) => withdrawals.push(instruction),
                EventCommand::Uphold(verdict) => upheld.push(verdict),
            }
        }
        let deps = &self.deps;
        if !decisions.is_empty() {
            cases::open_cases(conn, deps, now, &decisions).await?;
        }
        if !police_holds.is_empty() {
            cases::place_police_holds(conn, deps, now, &police_holds).await?;
        }
        if !releases.is_empty() {
            cases::release_cases(conn, deps, now, &releases).await?;
        }
        if !withdrawals.is_empty() {
            cases::withdraw_verdicts(conn, deps, now, &withdrawals).await?;
        }
        if !upheld.is_empty() {
            cases::uphold_verdicts(conn, deps, now, &upheld).await?;
        }
        Ok(())
    }
}

/// A database error is classified by its SQLSTATE; any other error is an invalid stored value of a case, and
/// its event is parked.
fn handler_error(batch: &[Envelope], error: Error) -> HandlerError {
    match error {
        Error::Db(error) => HandlerError::Db(error),
        other => {
            let code = platform::error::Problem::from(other).code;
            tracing::warn!(problem.code = %code, "an event could not be applied");
            HandlerError::Unprocessable {
                event: batch.first().map_or(Uuid::nil(), |e| e.id),
                reason: "a stored value of its case is invalid",
            }
        }
    }
}
