//! Converts domain types into messages. A URL is masked; only a reveal returns it.

use domain::enums::{Category, HashKind, Media, NotActionableReason, ReviewReason, StaffRole};
use domain::wire::timestamp;
use platform::error::Problem;
use platform::principal::Role;
use proto::v1;

use crate::case::{Case, CaseVerdict};
use crate::commands::rules::RuleView;
use crate::commands::withdraw;
use crate::context::CommandContext;
use crate::eligible_staff::EligibleStaff;
use crate::error::Error;
use crate::lifecycle::State;
use crate::store::staff::StaffMember;

pub(super) fn assessment(
    context: &CommandContext,
    eligible_staff: &EligibleStaff,
    case: &Case,
) -> v1::Assessment {
    let decision = case.decision.as_ref();
    let verdict = decision.map(|decision| decision.verdict);
    let wire = |number: Option<i32>| number.unwrap_or(0);
    v1::Assessment {
        case_id: case.id.to_string(),
        state: case.state.assessment_state().wire(),
        priority: case.priority(),
        reports: case.reports as u32,
        self_reported: case.self_reported,
        media: wire(case.first_report.media.map(Media::wire)),
        received_at: Some(timestamp(case.first_report.received_at)),
        masked_url: masked_url(context, case),
        claimed_by: case
            .claim
            .map(|claim| claim.by.to_string())
            .unwrap_or_default(),
        claimed_until: case.claim.map(|claim| timestamp(claim.until)),
        category: wire(verdict.and_then(CaseVerdict::category).map(Category::wire)),
        reason: wire(
            verdict
                .and_then(CaseVerdict::reason)
                .map(NotActionableReason::wire),
        ),
        basis: decision
            .map(|decision| decision.basis.clone())
            .unwrap_or_default(),
        decided_at: decision.map(|decision| timestamp(decision.at)),
        review: wire(case.review.map(ReviewReason::wire)),
        version: case.version as u64,
        hash_kinds: case.hash_kinds.iter().map(HashKind::wire).collect(),
        waits_for: if case.state.awaits_claim() {
            eligible_staff.awaited_role(case).wire()
        } else {
            0
        },
        approvers: withdraw::approving_staff(case)
            .iter()
            .map(ToString::to_string)
            .collect(),
        undo_until: withdraw::undo_until(&context.config, case).map(timestamp),
        held_until: case
            .police_hold
            .filter(|_| matches!(case.state, State::OnPoliceHold(_)))
            .and_then(|police_hold| police_hold.until)
            .map(timestamp),
    }
}

/// Empty, with an alarm, for a case that cannot be opened: the other cases of the page are shown.
fn masked_url(context: &CommandContext, case: &Case) -> String {
    match context.open(case) {
        Ok(content) => content.url.masked(),
        Err(error) => {
            tracing::error!(alarm = "sealed_content", case.id = %case.id, error.code = error.code(), "a case cannot be opened");
            String::new()
        }
    }
}

/// The problem of one element of a request, with the path of that element before the field.
pub(super) fn problem(error: Error, element: &str) -> v1::ItemProblem {
    let problem = Problem::from(error);
    v1::ItemProblem {
        code: problem.code.into_owned(),
        detail: problem.detail,
        field: match problem.field {
            Some(field) => format!("{element}.{field}"),
            None => element.to_owned(),
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

pub(super) fn staff(member: &StaffMember) -> v1::Staff {
    v1::Staff {
        subject: member.subject.to_string(),
        name: member.name.clone(),
        roles: member.roles.iter().map(role).collect(),
        created_at: Some(timestamp(member.created_at)),
        revoked_at: member.revoked_at.map(timestamp),
    }
}

pub(super) fn rule(rule: &RuleView) -> v1::Rule {
    use v1::rule::Verdict as Wire;
    v1::Rule {
        rule_id: rule.row.rule_id.to_string(),
        version: rule.row.version as u32,
        host: rule.pattern.host.reveal().to_owned(),
        path_prefix: rule.pattern.path_prefix.clone(),
        verdict: Some(match rule.verdict {
            CaseVerdict::Actionable(category) => Wire::Actionable(category.wire()),
            CaseVerdict::NotActionable(reason) => Wire::NotActionable(reason.wire()),
        }),
        reason: rule.reason.clone(),
        proposed_by: rule.row.proposed_by.to_string(),
        approved_by: rule
            .row
            .approved_by
            .map(|by| by.to_string())
            .unwrap_or_default(),
        retired_at: rule.row.retired_at.map(timestamp),
    }
}
