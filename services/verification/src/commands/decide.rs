//! Decisions of analysts on the cases that they claimed. Each one is checked on its own; those that are
//! accepted commit together.

use std::collections::{HashMap, HashSet};

use domain::event::Body;
use domain::id::{CaseId, DecisionId, ReviewId, Subject};
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claims::claimant;
use super::second_opinions::PriorVerdict;
use super::{Outbox, ascending, verdict};
use crate::auth::Person;
use crate::case::{ANALYST, Case, CaseVerdict, SubmittedVerdict, VerdictWithBasis};
use crate::context::{CommandContext, OpenedContent};
use crate::eligible_staff::{Claimant, EligibleStaff};
use crate::error::{CommandRefusal, Error};
use crate::lifecycle::{Command, Decision};
use crate::store;

/// The decision on one claimed case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimDecision {
    pub(crate) case: CaseId,
    pub(crate) claim_token: Uuid,
    /// The version of the case that the analyst read.
    pub(crate) version: i64,
    pub(crate) verdict: SubmittedVerdict,
}

/// Returns one result per decision, in order.
pub(crate) async fn decide(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    decisions: &[ClaimDecision],
) -> Result<Vec<Result<Case, Error>>, Error> {
    let claimant = claimant(person)?;
    let eligible_staff = store::staff::eligible_staff(conn).await?;
    let ids = ascending(decisions.iter().map(|decision| decision.case));
    let mut cases: HashMap<Uuid, Case> = store::cases::lock(conn, &ids)
        .await?
        .into_iter()
        .map(|case| (case.id.uuid(), case))
        .collect();
    let offline: Vec<Uuid> = decisions
        .iter()
        .filter(|decision| decision.verdict == SubmittedVerdict::Offline)
        .map(|decision| decision.case.uuid())
        .collect();
    let deciding = DecidingAnalyst {
        context,
        person,
        claimant,
        eligible_staff,
        page_reviews: store::reviews::open_page_reviews(conn, &offline).await?,
    };
    let mut out = Outbox::new(now);
    let mut reviews = AnsweredReviews::default();
    let mut changed = HashSet::new();
    let mut results = Vec::with_capacity(decisions.len());
    for decision in decisions {
        let Some(case) = cases.get_mut(&decision.case.uuid()) else {
            results.push(Err(CommandRefusal::CASE_UNKNOWN.into()));
            continue;
        };
        match deciding.decide_one(case, *decision, &mut out, &mut reviews) {
            Ok(DecisionEffect::Changed) => {
                changed.insert(decision.case.uuid());
                results.push(Ok(case.clone()));
            }
            Ok(DecisionEffect::Repeated) => results.push(Ok(case.clone())),
            Err(error) => results.push(Err(error)),
        }
    }
    let changed: Vec<Case> = cases
        .into_values()
        .filter(|case| changed.contains(&case.id.uuid()))
        .collect();
    store::cases::save(conn, &changed).await?;
    reviews.close(conn, &changed, &mut out).await?;
    out.store(conn).await?;
    Ok(results)
}

/// The analyst, and what their decisions are checked against.
struct DecidingAnalyst<'a> {
    context: &'a CommandContext,
    person: &'a Person,
    claimant: Claimant,
    eligible_staff: EligibleStaff,
    /// Of the cases that were decided as offline, those with an open review of a changed page.
    page_reviews: HashSet<Uuid>,
}

enum DecisionEffect {
    Changed,
    /// The decision had ended this claim before.
    Repeated,
}

/// The cases whose reviews this batch has answered, by the answer.
#[derive(Default)]
struct AnsweredReviews {
    upheld: Vec<Uuid>,
    /// Closes the reviews of a changed page as offline, and all other reviews of these cases as upheld.
    offline: Vec<Uuid>,
    withdrawn: Vec<Uuid>,
}

impl DecidingAnalyst<'_> {
    fn decide_one(
        &self,
        case: &mut Case,
        item: ClaimDecision,
        out: &mut Outbox,
        reviews: &mut AnsweredReviews,
    ) -> Result<DecisionEffect, Error> {
        if let Some(ended) = &case.ended_claim
            && ended.token == item.claim_token
        {
            return if ended.result == item.verdict.text() {
                Ok(DecisionEffect::Repeated)
            } else {
                Err(CommandRefusal::CLAIM_SPENT.into())
            };
        }
        self.check_claim(case, item, out.now)?;
        let decision = lifecycle_decision(self.context, case, item.verdict);
        // Everything that can fail comes before the first change: this decision may be refused while others
        // commit.
        let opened = match decision {
            Decision::Actionable | Decision::NotActionable => Some(self.context.open(case)?),
            Decision::FirstOfTwo
            | Decision::SecondOpinion
            | Decision::NeedsInformation
            | Decision::Uphold
            | Decision::Offline
            | Decision::Withdraw => None,
        };
        if decision == Decision::Offline && !self.page_reviews.contains(&case.id.uuid()) {
            // A case that is not under review at all is refused for that reason.
            case.state.apply(Command::Decide(decision))?;
            return Err(CommandRefusal::NO_CHANGED_PAGE.into());
        }
        let prior = PriorVerdict::from_case(case);
        case.apply(Command::Decide(decision))?;
        case.end_claim(item.verdict.text());
        self.record(case, item.verdict, opened, out, reviews)?;
        prior.record_opinion(item.verdict, self.person.subject, out);
        Ok(DecisionEffect::Changed)
    }

    fn check_claim(
        &self,
        case: &Case,
        item: ClaimDecision,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let claim = case
            .claim
            .filter(|claim| claim.token == item.claim_token && claim.by == self.person.subject)
            .ok_or(CommandRefusal::CLAIM_LOST)?;
        if claim.until <= now {
            return Err(CommandRefusal::CLAIM_EXPIRED.into());
        }
        if case.version != item.version {
            return Err(CommandRefusal::STALE.into());
        }
        // Checked again: the analyst may have reported the URL since they claimed the case.
        self.eligible_staff.check_may_claim(case, self.claimant)?;
        Ok(())
    }

    /// Writes an accepted decision into the case, with its act and its events.
    fn record(
        &self,
        case: &mut Case,
        submitted: SubmittedVerdict,
        opened: Option<OpenedContent>,
        out: &mut Outbox,
        reviews: &mut AnsweredReviews,
    ) -> Result<(), Error> {
        let Self {
            context, person, ..
        } = *self;
        let me: Subject = person.subject;
        let actor = person.principal.actor();
        match (submitted, opened) {
            (SubmittedVerdict::Actionable(category), None) => {
                out.record_act(case.id, "first_of_two", &actor).verdict = Some(category.as_str());
                case.first_verdict = Some((me, category));
                // Staff who passed the case on may give the second verdict.
                case.excluded_staff = vec![me.uuid()];
            }
            (SubmittedVerdict::Actionable(category), Some(content)) => {
                let first = case.first_verdict.filter(|(_, first)| *first == category);
                let approvers = first.map(|(by, _)| by.uuid()).into_iter();
                let verdict = VerdictWithBasis {
                    verdict: CaseVerdict::Actionable(category),
                    basis: ANALYST.to_owned(),
                    approvers: approvers.chain([me.uuid()]).collect(),
                };
                verdict::record(context, case, &content, verdict, &actor, out);
            }
            (SubmittedVerdict::NotActionable(reason), Some(content)) => {
                let verdict = VerdictWithBasis {
                    verdict: CaseVerdict::NotActionable(reason),
                    basis: ANALYST.to_owned(),
                    approvers: vec![me.uuid()],
                };
                verdict::record(context, case, &content, verdict, &actor, out);
            }
            (SubmittedVerdict::SecondOpinion, _) => {
                out.record_act(case.id, "second_opinion", &actor);
                case.excluded_staff.retain(|subject| *subject != me.uuid());
                case.excluded_staff.push(me.uuid());
            }
            (SubmittedVerdict::NeedsInformation, _) => {
                out.record_act(case.id, "needs_information", &actor);
                case.first_verdict = None;
                case.excluded_staff.clear();
            }
            (SubmittedVerdict::Uphold, _) => {
                out.record_act(case.id, "uphold", &actor);
                close_review(case);
                verdict::emit_due_reannouncement(context, case, out)?;
                reviews.upheld.push(case.id.uuid());
            }
            (SubmittedVerdict::Offline, _) => {
                out.record_act(case.id, "offline", &actor);
                close_review(case);
                verdict::emit_due_reannouncement(context, case, out)?;
                reviews.offline.push(case.id.uuid());
            }
            (SubmittedVerdict::Withdraw, _) => {
                let decision = decision_id(case)?;
                out.record_act(case.id, "withdraw", &actor).decision = Some(decision);
                out.emit(case, verdict_withdrawn(decision));
                close_review(case);
                reviews.withdrawn.push(case.id.uuid());
            }
            (SubmittedVerdict::NotActionable(_), None) => {
                return Err(Error::bad_row("assessment", "sealed_content", case.id));
            }
        }
        Ok(())
    }
}

/// A category that needs two analysts is final only once a second one gives the same.
fn lifecycle_decision(
    context: &CommandContext,
    case: &Case,
    submitted: SubmittedVerdict,
) -> Decision {
    match submitted {
        SubmittedVerdict::Actionable(category) => {
            let confirmed = case
                .first_verdict
                .is_some_and(|(_, first)| first == category);
            if context.config.second_analyst.contains(&category) && !confirmed {
                Decision::FirstOfTwo
            } else {
                Decision::Actionable
            }
        }
        SubmittedVerdict::NotActionable(_) => Decision::NotActionable,
        SubmittedVerdict::SecondOpinion => Decision::SecondOpinion,
        SubmittedVerdict::NeedsInformation => Decision::NeedsInformation,
        SubmittedVerdict::Uphold => Decision::Uphold,
        SubmittedVerdict::Offline => Decision::Offline,
        SubmittedVerdict::Withdraw => Decision::Withdraw,
    }
}

pub(super) fn close_review(case: &mut Case) {
    case.review = None;
    case.needs_supervisor = false;
    case.excluded_staff.clear();
}

pub(super) fn decision_id(case: &Case) -> Result<DecisionId, Error> {
    case.decision
        .as_ref()
        .map(|decision| decision.id)
        .ok_or_else(|| Error::bad_row("assessment", "decision_id", case.id))
}

pub(super) fn verdict_withdrawn(decision: DecisionId) -> Body {
    Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: decision.to_string(),
    })
}

impl AnsweredReviews {
    async fn close(
        &self,
        conn: &mut PgConnection,
        cases: &[Case],
        out: &mut Outbox,
    ) -> Result<(), Error> {
        store::reviews::close(conn, &self.withdrawn, "withdrawn", out.now).await?;
        let offline = store::reviews::close_page_reviews(conn, &self.offline, out.now).await?;
        let stands = [self.upheld.as_slice(), &self.offline].concat();
        let upheld = store::reviews::close(conn, &stands, "upheld", out.now).await?;
        let offline = offline.into_iter().map(|closed| (closed, true));
        let upheld = upheld.into_iter().map(|closed| (closed, false));
        for ((case_id, review), offline) in offline.chain(upheld) {
            let Some(case) = cases.iter().find(|case| case.id.uuid() == case_id) else {
                continue;
            };
            let body = Body::VerdictUpheld(v1::VerdictUpheld {
                decision_id: decision_id(case)?.to_string(),
                review_id: ReviewId::new(review).to_string(),
                offline,
            });
            out.emit(case, body);
        }
        Ok(())
    }
}
