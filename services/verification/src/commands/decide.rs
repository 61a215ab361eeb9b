//! What analysts say of the cases they claimed. Each verdict is judged on its own; the good ones commit together.

use std::collections::{HashMap, HashSet};

use domain::event::Body;
use domain::id::{CaseId, DecisionId, ReviewId};
use domain::word::{Category, NotActionableReason};
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claims::seeker;
use super::looks::Before;
use super::{Outbox, ascending, verdict};
use crate::auth::Person;
use crate::case::{ANALYST, Case, Finding};
use crate::error::{Error, Refusal};
use crate::lifecycle::{Command, Saying};
use crate::matching::Known;
use crate::means::Means;
use crate::roster::{Roster, Seeker};
use crate::store;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Actionable(Category),
    NotActionable(NotActionableReason),
    SecondLook,
    NeedsInformation,
    Uphold,
    Gone,
    Withdraw,
}

impl Verdict {
    /// As it is remembered with the claim that it ended.
    fn text(self) -> String {
        match self {
            Self::Actionable(category) => format!("actionable:{category}"),
            Self::NotActionable(reason) => format!("not_actionable:{reason}"),
            Self::SecondLook => "second_look".to_owned(),
            Self::NeedsInformation => "needs_information".to_owned(),
            Self::Uphold => "uphold".to_owned(),
            Self::Gone => "gone".to_owned(),
            Self::Withdraw => "withdraw".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) case: CaseId,
    pub(crate) token: Uuid,
    pub(crate) version: i64,
    pub(crate) verdict: Verdict,
}

pub(crate) async fn decide(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    items: &[Item],
) -> Result<Vec<Result<Case, Error>>, Error> {
    let seeker = seeker(person)?;
    let roster = store::staff::roster(conn).await?;
    let mut cases: HashMap<Uuid, Case> =
        store::cases::lock(conn, &ascending(items.iter().map(|item| item.case)))
            .await?
            .into_iter()
            .map(|case| (case.id.uuid(), case))
            .collect();
    let said_gone = items.iter().filter(|item| item.verdict == Verdict::Gone);
    let said_gone: Vec<Uuid> = said_gone.map(|item| item.case.uuid()).collect();
    let desk = Desk {
        means,
        person,
        seeker,
        roster,
        page_changed: store::acts::asked_about_page(conn, &said_gone).await?,
    };
    let mut out = Outbox::new(now);
    let mut reviews = Reviews::default();
    let mut changed = HashSet::new();
    let mut answers = Vec::with_capacity(items.len());
    for item in items {
        let Some(case) = cases.get_mut(&item.case.uuid()) else {
            answers.push(Err(Refusal::CASE_UNKNOWN.into()));
            continue;
        };
        match judge(&desk, case, *item, &mut out, &mut reviews) {
            Ok(Done::Now) => {
                changed.insert(item.case.uuid());
                answers.push(Ok(case.clone()));
            }
            Ok(Done::Before) => answers.push(Ok(case.clone())),
            Err(error) => answers.push(Err(error)),
        }
    }
    let changed: Vec<Case> = cases
        .into_values()
        .filter(|case| changed.contains(&case.id.uuid()))
        .collect();
    store::cases::save(conn, &changed).await?;
    reviews.close(conn, &changed, &mut out).await?;
    out.write(conn).await?;
    Ok(answers)
}

/// Who decides, and with what.
struct Desk<'a> {
    means: &'a Means,
    person: &'a Person,
    seeker: Seeker,
    roster: Roster,
    /// Cases that are said to be gone, and of which an open question asks about a changed page.
    page_changed: HashSet<Uuid>,
}

enum Done {
    Now,
    /// A repeat of the verdict that ended this claim.
    Before,
}

/// Cases whose questions this batch has answered.
#[derive(Default)]
struct Reviews {
    upheld: Vec<Uuid>,
    /// What is there now is something else: so far as a question is about that. Any other is upheld.
    gone: Vec<Uuid>,
    withdrawn: Vec<Uuid>,
}

fn judge(
    desk: &Desk<'_>,
    case: &mut Case,
    item: Item,
    out: &mut Outbox,
    reviews: &mut Reviews,
) -> Result<Done, Error> {
    let Desk { means, person, .. } = *desk;
    if let Some(spent) = &case.spent
        && spent.token == item.token
    {
        return if spent.verdict == item.verdict.text() {
            Ok(Done::Before)
        } else {
            Err(Refusal::CLAIM_SPENT.into())
        };
    }
    let claim = case
        .claim
        .filter(|claim| claim.token == item.token && claim.by == person.subject)
        .ok_or(Refusal::CLAIM_FOREIGN)?;
    if claim.until <= out.now {
        return Err(Refusal::CLAIM_OVER.into());
    }
    if case.version != item.version {
        return Err(Refusal::STALE.into());
    }
    // Looked at again: a report of their own may have come while they had it in hand.
    desk.roster.may_take(case, desk.seeker)?;
    let saying = saying(means, case, item.verdict);
    // What can fail comes before anything is changed: this item may be refused while its neighbours commit.
    let opened = match saying {
        Saying::Actionable | Saying::NotActionable => Some(means.open(case)?),
        Saying::FirstOfTwo
        | Saying::SecondLook
        | Saying::NeedsInformation
        | Saying::Uphold
        | Saying::Gone
        | Saying::Withdraw => None,
    };
    if saying == Saying::Gone && !desk.page_changed.contains(&case.id.uuid()) {
        // Where no verdict is in question at all, that is what is said.
        case.state.apply(Command::Say(saying))?;
        return Err(Refusal::NO_CHANGED_PAGE.into());
    }
    let before = Before::of(case);
    case.apply(Command::Say(saying))?;
    case.spend_claim(item.verdict.text());

    let me = person.subject;
    let actor = person.principal.actor();
    match (item.verdict, opened) {
        (Verdict::Actionable(category), None) => {
            out.act(case.id, "first_of_two", &actor).finding = Some(category.as_str());
            case.first = Some((me, category));
            // Whoever passed it on before is needed again: their word is about another question now.
            case.not_for = vec![me.uuid()];
        }
        (Verdict::Actionable(category), Some(open)) => {
            let first = case.first.filter(|(_, theirs)| *theirs == category);
            let approvers = first.map(|(by, _)| by.uuid()).into_iter();
            let known = Known {
                finding: Finding::Actionable(category),
                basis: ANALYST.to_owned(),
                approvers: approvers.chain([me.uuid()]).collect(),
            };
            verdict::settle(means, case, &open, known, &actor, out);
        }
        (Verdict::NotActionable(reason), Some(open)) => {
            let known = Known {
                finding: Finding::NotActionable(reason),
                basis: ANALYST.to_owned(),
                approvers: vec![me.uuid()],
            };
            verdict::settle(means, case, &open, known, &actor, out);
        }
        (Verdict::SecondLook, _) => {
            out.act(case.id, "second_look", &actor);
            case.not_for.retain(|one| *one != me.uuid());
            case.not_for.push(me.uuid());
        }
        (Verdict::NeedsInformation, _) => {
            out.act(case.id, "needs_information", &actor);
            case.first = None;
            case.not_for.clear();
        }
        (Verdict::Uphold, _) => {
            out.act(case.id, "uphold", &actor);
            close_review(case);
            verdict::announce_what_is_due(means, case, out)?;
            reviews.upheld.push(case.id.uuid());
        }
        (Verdict::Gone, _) => {
            out.act(case.id, "gone", &actor);
            close_review(case);
            verdict::announce_what_is_due(means, case, out)?;
            reviews.gone.push(case.id.uuid());
        }
        (Verdict::Withdraw, _) => {
            let decision = decision_of(case)?;
            out.act(case.id, "withdraw", &actor).decision = Some(decision);
            out.say(case, withdrawn(decision));
            close_review(case);
            reviews.withdrawn.push(case.id.uuid());
        }
        (Verdict::NotActionable(_), None) => {
            return Err(Error::bad_row("assessment", "sealed_item", case.id));
        }
    }
    before.compare(item.verdict, me, out);
    Ok(Done::Now)
}

/// A category that needs two analysts is confirmed only by a second one who says the same.
fn saying(means: &Means, case: &Case, verdict: Verdict) -> Saying {
    match verdict {
        Verdict::Actionable(category) => {
            let confirmed = case.first.is_some_and(|(_, theirs)| theirs == category);
            if means.config.second_analyst.contains(&category) && !confirmed {
                Saying::FirstOfTwo
            } else {
                Saying::Actionable
            }
        }
        Verdict::NotActionable(_) => Saying::NotActionable,
        Verdict::SecondLook => Saying::SecondLook,
        Verdict::NeedsInformation => Saying::NeedsInformation,
        Verdict::Uphold => Saying::Uphold,
        Verdict::Gone => Saying::Gone,
        Verdict::Withdraw => Saying::Withdraw,
    }
}

pub(super) fn close_review(case: &mut Case) {
    case.review = None;
    case.for_supervisor = false;
    case.not_for.clear();
}

pub(super) fn decision_of(case: &Case) -> Result<DecisionId, Error> {
    case.decision
        .as_ref()
        .map(|decision| decision.id)
        .ok_or_else(|| Error::bad_row("assessment", "decision_id", case.id))
}

pub(super) fn withdrawn(decision: DecisionId) -> Body {
    Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: decision.to_string(),
    })
}

impl Reviews {
    async fn close(
        &self,
        conn: &mut PgConnection,
        cases: &[Case],
        out: &mut Outbox,
    ) -> Result<(), Error> {
        store::acts::close_reviews(conn, &self.withdrawn, "withdrawn", out.now).await?;
        let gone = store::acts::close_gone(conn, &self.gone, out.now).await?;
        let stands = [self.upheld.as_slice(), &self.gone].concat();
        let upheld = store::acts::close_reviews(conn, &stands, "upheld", out.now).await?;
        let answered = gone.into_iter().map(|closed| (closed, true));
        for ((case_id, review), gone) in answered.chain(upheld.into_iter().map(|c| (c, false))) {
            let Some(case) = cases.iter().find(|case| case.id.uuid() == case_id) else {
                continue;
            };
            let body = Body::VerdictUpheld(v1::VerdictUpheld {
                decision_id: decision_of(case)?.to_string(),
                review_id: ReviewId::new(review).to_string(),
                gone,
            });
            out.say(case, body);
        }
        Ok(())
    }
}
