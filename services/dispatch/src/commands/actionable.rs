//! What verification decided is opened: whose proof holds is the caller's to have checked.

use domain::id::{CaseId, DecisionId};
use domain::url::CanonicalUrl;
use domain::word::{Category, LiveState, Media};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rules;
use super::dossier::{Context, Dossier};
use super::work::Work;
use crate::Error;
use crate::lifecycle::case;
use crate::store::{CaseFile, CaseSeal};

/// A decision that something is to be removed, with a proof that holds.
#[derive(Clone)]
pub struct Actionable {
    pub case_id: CaseId,
    pub decision_id: DecisionId,
    pub category: Category,
    pub media: Option<Media>,
    pub received_at: OffsetDateTime,
    pub verified_at: OffsetDateTime,
    pub seal: CaseSeal,
    pub url: CanonicalUrl,
    pub cause: Option<Uuid>,
}

/// Opens cases: notices, their deliveries and their clocks in one transaction.
pub async fn actionable(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    decided: &[Actionable],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, decided.iter().map(|d| d.case_id)).await?;
    for decision in decided {
        if let Some(dossier) = work.dossiers.get_mut(&decision.case_id) {
            dossier.cause = decision.cause;
            dossier.decided_again(&work.cx, decision)?;
        } else {
            let mut dossier = Dossier::new(new_case(decision));
            dossier.cause = decision.cause;
            dossier.take_seal(decision);
            dossier.begin(&work.cx, &decision.url)?;
            work.dossiers.insert(decision.case_id, dossier);
        }
    }
    work.store(conn).await
}

impl Dossier {
    fn take_seal(&mut self, decision: &Actionable) {
        self.seal = Some(decision.seal.clone());
        self.seal_changed = true;
        self.touched = true;
    }

    fn decided_again(&mut self, cx: &Context<'_>, decision: &Actionable) -> Result<(), Error> {
        let new_decision = decision.decision_id != self.case.decision_id;
        self.take_seal(decision);
        let case = self.case_mut();
        case.decision_id = decision.decision_id;
        case.category = decision.category;
        case.media = case.media.or(decision.media);
        match self.put_case(case::Command::Act) {
            // Withdrawn by an earlier decision, and decided anew: as if it came for the first time.
            case::Outcome::To(_) if new_decision => {
                let case = self.case_mut();
                case.verified_at = decision.verified_at;
                self.begin(cx, &decision.url)?;
            }
            // The decision that was withdrawn does not come back by itself.
            case::Outcome::To(_) => self.case_mut().live = LiveState::Withdrawn,
            case::Outcome::Look => {
                self.forget_claim();
                self.case_mut().claim_since = Some(cx.now);
                self.look_at(cx.now);
            }
            case::Outcome::Back | case::Outcome::Repeat => {}
        }
        Ok(())
    }
}

fn new_case(decision: &Actionable) -> CaseFile {
    CaseFile {
        case_id: decision.case_id,
        decision_id: decision.decision_id,
        category: decision.category,
        media: decision.media,
        received_at: decision.received_at,
        verified_at: decision.verified_at,
        live: LiveState::Up,
        resumes: None,
        held_since: None,
        regime: String::new(),
        policy_version: String::new(),
        episode: 0,
        steps: 0,
        episode_at: None,
        ladder_from: None,
        rungs_fired: 0,
        fired: None,
        last_rung: None,
        pause: None,
        pauses: 0,
        paused_ms: 0,
        claim_since: None,
        claim_until: None,
        checks: 0,
        agreed: 0,
        changed: 0,
        watch_step: 0,
        seen: None,
        asked_print: None,
        gone_prints: Vec::new(),
        hurried_to: None,
        dispatched_at: None,
        delivered_at: None,
        acknowledged_at: None,
        removal_claimed_at: None,
        confirmed_at: None,
        closed_at: None,
        flagged_at: None,
        moves: 0,
        review: None,
        resolve_at: None,
        due_at: None,
        unsettled: true,
    }
}
