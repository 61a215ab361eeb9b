//! One function per command: lock, apply, store, append events. The caller begins and commits, and passes the
//! time in. No gRPC.

pub(crate) mod claims;
pub(crate) mod decide;
pub(crate) mod hash_lists;
pub(crate) mod police_hold;
pub(crate) mod rematch;
pub(crate) mod renew_proofs;
pub(crate) mod reports;
pub(crate) mod reveal;
pub(crate) mod review;
pub(crate) mod rules;
mod second_opinions;
mod verdict;
pub(crate) mod withdraw;

use domain::event::{self, Body};
use domain::id::{CaseId, DecisionId};
use platform::log::{self, NewEvent};
use platform::trace;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::case::Case;
use crate::context::CommandContext;
use crate::error::{CommandRefusal, Error};
use crate::store;
use crate::store::case_acts::CaseAct;
use crate::store::second_opinions::SecondOpinion;

/// Actor of acts without a person.
const SYSTEM: &str = "system:verification";

/// The events and records of a command, written at its end. Their ids are drawn when they are added, so a
/// retried transaction has new ones.
struct Outbox {
    now: OffsetDateTime,
    events: Vec<NewEvent>,
    acts: Vec<CaseAct>,
    second_opinions: Vec<SecondOpinion>,
}

impl Outbox {
    fn new(now: OffsetDateTime) -> Self {
        Self {
            now,
            events: Vec::new(),
            acts: Vec::new(),
            second_opinions: Vec::new(),
        }
    }

    fn emit(&mut self, case: &Case, body: Body) {
        // A decision continues the trace of the report; later events have traces of their own.
        let report_trace = match &body {
            Body::CaseActionable(_) | Body::CaseNotActionable(_) => {
                case.first_report.traceparent.clone()
            }
            _ => None,
        };
        self.events.push(NewEvent {
            id: Uuid::now_v7(),
            case_id: case.id.uuid(),
            kind: event::name(&body),
            caused_by: Some(case.cause),
            occurred_at: self.now,
            traceparent: report_trace.or_else(|| trace::traceparent_of(Some(case.cause))),
            payload: event::encode(body),
        });
    }

    /// Records an act. The caller may fill in the optional fields.
    fn record_act(&mut self, case: CaseId, act: &'static str, actor: &str) -> &mut CaseAct {
        self.acts.push(CaseAct {
            id: Uuid::now_v7(),
            case,
            act,
            actor: actor.to_owned(),
            basis: None,
            verdict: None,
            decision: None::<DecisionId>,
            sealed_note: None,
            at: self.now,
        });
        let last = self.acts.len() - 1;
        &mut self.acts[last]
    }

    /// Records that the last recorded act confirmed or contradicted the verdict before it.
    fn record_second_opinion(
        &mut self,
        opinion: impl FnOnce(Uuid, OffsetDateTime) -> SecondOpinion,
    ) {
        if let Some(act) = self.acts.last() {
            self.second_opinions.push(opinion(act.id, self.now));
        }
    }

    async fn store(self, conn: &mut PgConnection) -> sqlx::Result<()> {
        store::case_acts::insert(conn, &self.acts).await?;
        store::second_opinions::insert(conn, &self.second_opinions).await?;
        log::append(conn, &self.events).await
    }
}

/// Stores a person's reason with an act. It is sealed, because free text may contain anything.
fn seal_reason(
    context: &CommandContext,
    case: &Case,
    act: &mut CaseAct,
    reason: &str,
) -> Result<(), Error> {
    let sealed = context.seal_note(case, act.id, reason)?;
    act.sealed_note = Some(sealed);
    Ok(())
}

/// Locks one case.
async fn lock_one(conn: &mut PgConnection, id: CaseId) -> Result<Case, Error> {
    store::cases::lock(conn, &[id.uuid()])
        .await?
        .pop()
        .ok_or(CommandRefusal::CASE_UNKNOWN.into())
}

/// Unique ids in ascending order, the order in which rows are locked.
fn ascending(ids: impl IntoIterator<Item = CaseId>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.into_iter().map(CaseId::uuid).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
