//! One function for each thing that can be asked: lock, apply, store, append events. Never begins or commits.
//! Must not speak gRPC or read a clock.

pub(crate) mod claims;
pub(crate) mod decide;
pub(crate) mod hold;
pub(crate) mod lists;
mod looks;
pub(crate) mod renew;
pub(crate) mod reports;
pub(crate) mod reveal;
pub(crate) mod review;
pub(crate) mod rules;
pub(crate) mod sweep;
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
use crate::error::{Error, Refusal};
use crate::means::Means;
use crate::store;
use crate::store::acts::Judgement;
use crate::store::looks::SecondLook;

/// Who acts when no person does.
const SYSTEM: &str = "system:verification";

/// What a command says and records, written at its end. Ids are drawn here: a try that was rolled back leaves none.
struct Outbox {
    now: OffsetDateTime,
    events: Vec<NewEvent>,
    acts: Vec<Judgement>,
    looks: Vec<SecondLook>,
}

impl Outbox {
    fn new(now: OffsetDateTime) -> Self {
        Self {
            now,
            events: Vec::new(),
            acts: Vec::new(),
            looks: Vec::new(),
        }
    }

    fn say(&mut self, case: &Case, body: Body) {
        // A decision goes on in the trace of the report, whoever makes it and when; what comes later has its own.
        let of_report = match &body {
            Body::CaseActionable(_) | Body::CaseNotActionable(_) => case.item.traceparent.clone(),
            _ => None,
        };
        self.events.push(NewEvent {
            id: Uuid::now_v7(),
            case_id: case.id.uuid(),
            kind: event::name(&body),
            caused_by: Some(case.cause),
            occurred_at: self.now,
            traceparent: of_report.or_else(|| trace::of(Some(case.cause))),
            payload: event::encode(body),
        });
    }

    /// Records an act; the answer may be filled in further.
    fn act(&mut self, case: CaseId, act: &'static str, actor: &str) -> &mut Judgement {
        self.acts.push(Judgement {
            id: Uuid::now_v7(),
            case,
            act,
            actor: actor.to_owned(),
            basis: None,
            finding: None,
            decision: None::<DecisionId>,
            sealed_note: None,
            at: self.now,
        });
        let last = self.acts.len() - 1;
        &mut self.acts[last]
    }

    /// Notes what the act that was recorded last says of the verdict before it.
    fn look(&mut self, look: impl FnOnce(Uuid, OffsetDateTime) -> SecondLook) {
        if let Some(act) = self.acts.last() {
            self.looks.push(look(act.id, self.now));
        }
    }

    async fn write(self, conn: &mut PgConnection) -> sqlx::Result<()> {
        store::acts::record(conn, &self.acts).await?;
        store::looks::record(conn, &self.looks).await?;
        log::append(conn, &self.events).await
    }
}

/// Keeps a person's reason with an act, sealed: what they write may hold anything.
fn note(means: &Means, case: &Case, act: &mut Judgement, reason: &str) -> Result<(), Error> {
    let sealed = means.seal_note(case, act.id, reason)?;
    act.sealed_note = Some(sealed);
    Ok(())
}

/// Locks one case.
async fn lock_one(conn: &mut PgConnection, id: CaseId) -> Result<Case, Error> {
    store::cases::lock(conn, &[id.uuid()])
        .await?
        .pop()
        .ok_or(Refusal::CASE_UNKNOWN.into())
}

/// Ids without repeats, ascending: the order in which rows are locked.
fn ascending(ids: impl IntoIterator<Item = CaseId>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.into_iter().map(CaseId::uuid).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
