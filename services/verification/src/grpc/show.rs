//! From our own types onto the wire. A URL goes out masked; only a reveal shows it.

use domain::wire::timestamp;
use domain::word::{Category, HashKind, Media, NotActionableReason, StaffRole};
use platform::error::Problem;
use platform::principal::Role;
use proto::v1;

use crate::case::{Case, Finding};
use crate::commands::rules::Shown;
use crate::commands::withdraw;
use crate::error::Error;
use crate::lifecycle::State;
use crate::means::Means;
use crate::roster::Roster;
use crate::store::staff::Member;

pub(super) fn assessment(means: &Means, roster: &Roster, case: &Case) -> v1::Assessment {
    let decision = case.decision.as_ref();
    let finding = decision.map(|decision| decision.finding);
    let wire = |number: Option<i32>| number.unwrap_or(0);
    v1::Assessment {
        case_id: case.id.to_string(),
        state: case.state.word().wire(),
        priority: case.priority(),
        reports: case.reports as u32,
        self_reported: case.self_reported,
        media: wire(case.item.media.map(Media::wire)),
        received_at: Some(timestamp(case.item.received_at)),
        masked_url: masked(means, case),
        claimed_by: case
            .claim
            .map(|claim| claim.by.to_string())
            .unwrap_or_default(),
        claimed_until: case.claim.map(|claim| timestamp(claim.until)),
        category: wire(finding.and_then(Finding::category).map(Category::wire)),
        reason: wire(
            finding
                .and_then(Finding::reason)
                .map(NotActionableReason::wire),
        ),
        basis: decision
            .map(|decision| decision.basis.clone())
            .unwrap_or_default(),
        decided_at: decision.map(|decision| timestamp(decision.at)),
        review: case
            .review
            .map(|review| review.as_str().to_owned())
            .unwrap_or_default(),
        version: case.version as u64,
        hash_kinds: case.hash_kinds.iter().map(HashKind::wire).collect(),
        waits_for: if case.state.waits_for_a_person() {
            roster.awaits(case).as_str().to_owned()
        } else {
            String::new()
        },
        approvers: withdraw::people_behind(case)
            .iter()
            .map(ToString::to_string)
            .collect(),
        undo_until: withdraw::undo_until(&means.config, case).map(timestamp),
        held_until: case
            .hold
            .filter(|_| matches!(case.state, State::Held(_)))
            .and_then(|hold| hold.until)
            .map(timestamp),
    }
}

/// A row that does not open is alarmed and shown without its host: the rest of the page must not suffer for it.
fn masked(means: &Means, case: &Case) -> String {
    match means.open(case) {
        Ok(item) => item.url.masked(),
        Err(error) => {
            tracing::error!(alarm = "sealed_item", case.id = %case.id, error.code = error.code(), "a case does not open");
            String::new()
        }
    }
}

pub(super) fn problem(error: Error, outer: &str) -> v1::ItemProblem {
    let problem = Problem::from(error);
    v1::ItemProblem {
        code: problem.code.into_owned(),
        detail: problem.detail,
        field: match problem.field {
            Some(field) => format!("{outer}.{field}"),
            None => outer.to_owned(),
        },
    }
}

pub(super) fn role(role: Role) -> i32 {
    match role {
        Role::Analyst => StaffRole::Analyst.wire(),
        Role::Supervisor => StaffRole::Supervisor.wire(),
        Role::Operator => StaffRole::Operator.wire(),
        Role::Auditor => StaffRole::Auditor.wire(),
    }
}

pub(super) fn staff(member: &Member) -> v1::Staff {
    v1::Staff {
        subject: member.subject.to_string(),
        name: member.name.clone(),
        roles: member.roles.iter().map(role).collect(),
        created_at: Some(timestamp(member.created_at)),
        revoked_at: member.revoked_at.map(timestamp),
    }
}

pub(super) fn rule(shown: &Shown) -> v1::Rule {
    use v1::rule::Verdict as Wire;
    v1::Rule {
        rule_id: shown.row.rule_id.to_string(),
        version: shown.row.version as u32,
        host: shown.pattern.host.reveal().to_owned(),
        path_prefix: shown.pattern.path_prefix.clone(),
        verdict: Some(match shown.finding {
            Finding::Actionable(category) => Wire::Actionable(category.wire()),
            Finding::NotActionable(reason) => Wire::NotActionable(reason.wire()),
        }),
        reason: shown.reason.clone(),
        proposed_by: shown.row.proposed_by.to_string(),
        approved_by: shown
            .row
            .approved_by
            .map(|by| by.to_string())
            .unwrap_or_default(),
        retired_at: shown.row.retired_at.map(timestamp),
    }
}
