//! One case from every side: what intake, verification, dispatch and the ledger know of it.

use anyhow::Result;
use platform::error::{Kind, Problem};
use proto::v1::{
    Assessment, GetAssessmentRequest, GetCaseDispatchRequest, GetCaseDispatchResponse,
    GetTimelineRequest, GetTimelineResponse, ReportSummary, TimelineEntry,
    find_reports_request::By,
};
use serde_json::{Value, json};
use tonic::{Code, Response, Status};

use crate::cli::notice::{notice_json, notices_table};
use crate::cli::report::{find, report_json};
use crate::cli::{At, words};
use crate::output::{at, at_json, facts, table};

pub(super) async fn show(given: &At, named: &str) -> Result<()> {
    let client = given.client()?;
    let case_id = super::case_id(&client, named).await?;
    let (mut verification, mut dispatch, mut ledger) =
        (client.verification(), client.dispatch(), client.ledger());
    let by_id = || case_id.clone();
    let (reports, assessment, live, timeline) = tokio::join!(
        find(&client, By::CaseId(by_id())),
        verification.get_assessment(GetAssessmentRequest { case_id: by_id() }),
        dispatch.get_case_dispatch(GetCaseDispatchRequest { case_id: by_id() }),
        ledger.get_timeline(GetTimelineRequest { case_id: by_id() }),
    );
    let reports = reports?;
    if reports.is_empty() {
        return Err(Problem::new(
            Kind::NotFound,
            "case_not_found",
            "There is no such case; check the id, or give a reference from a receipt.",
        )
        .into());
    }
    // A service that has not heard of the case yet knows nothing of it, which is an answer.
    let assessment = known(assessment)?.and_then(|answer| answer.assessment);
    let live = known(live)?;
    let timeline = known(timeline)?.unwrap_or_default();

    let value = json!({
        "case_id": case_id,
        "reports": reports.iter().map(report_json).collect::<Vec<_>>(),
        "assessment": assessment.as_ref().map(assessment_json),
        "dispatch": live.as_ref().map(live_json),
        "timeline": timeline.entries.iter().map(entry_json).collect::<Vec<_>>(),
        "timeline_truncated": timeline.truncated,
    });
    given.format.print(&value, || {
        people(
            &case_id,
            &reports,
            assessment.as_ref(),
            live.as_ref(),
            &timeline,
        )
    });
    Ok(())
}

fn known<T>(answer: Result<Response<T>, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

fn people(
    case_id: &str,
    reports: &[ReportSummary],
    assessment: Option<&Assessment>,
    live: Option<&GetCaseDispatchResponse>,
    timeline: &GetTimelineResponse,
) -> String {
    let mut parts = vec![facts([("case", case_id.to_owned())])];
    if let Some(a) = assessment {
        parts.push(facts([
            ("address", a.masked_url.clone()),
            ("assessment", words::assessment(a.state)),
            ("verdict", verdict(a)),
            ("basis", a.basis.clone()),
            ("decided", at(a.decided_at.as_ref())),
            ("second look", a.review.clone()),
            ("priority", a.priority.to_string()),
        ]));
    }
    if let Some(d) = live {
        parts.push(facts([
            ("live", words::live(d.live)),
            ("episode", d.episode.to_string()),
            ("received", at(d.received_at.as_ref())),
            ("verified", at(d.verified_at.as_ref())),
            ("dispatched", at(d.dispatched_at.as_ref())),
            ("confirmed removed", at(d.confirmed_removed_at.as_ref())),
            ("last rung", words::rung(d.last_rung)),
        ]));
    }
    parts.push(table(
        ["report", "channel", "their id", "outcome", "accepted"],
        reports.iter().map(|r| {
            [
                r.report_id.clone(),
                words::report_channel(r.channel),
                r.external_id.clone(),
                words::outcome(r.outcome),
                at(r.accepted_at.as_ref()),
            ]
        }),
    ));
    if let Some(d) = live {
        parts.push(notices_table(&d.notices));
    }
    if timeline.truncated {
        parts.push(format!(
            "The timeline has the newest {} events; earlier ones did not fit, and no command lists them. The ledger keeps them all: `takedown ledger verify` reads every one.",
            timeline.entries.len()
        ));
    }
    if !timeline.entries.is_empty() {
        parts.push(table(
            ["time", "who", "what", "more"],
            timeline.entries.iter().map(|e| {
                [
                    at(e.occurred_at.as_ref()),
                    e.producer.clone(),
                    e.r#type.clone(),
                    e.summary.clone(),
                ]
            }),
        ));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn verdict(a: &Assessment) -> String {
    [words::category(a.category), words::reason(a.reason)].concat()
}

pub(super) fn assessment_json(a: &Assessment) -> Value {
    json!({
        "case_id": a.case_id,
        "state": words::assessment(a.state),
        "priority": a.priority,
        "reports": a.reports,
        "self_reported": a.self_reported,
        "masked_url": a.masked_url,
        "category": words::category(a.category),
        "reason": words::reason(a.reason),
        "basis": a.basis,
        "received_at": at_json(a.received_at.as_ref()),
        "decided_at": at_json(a.decided_at.as_ref()),
        "review": a.review,
        "version": a.version,
    })
}

fn live_json(d: &GetCaseDispatchResponse) -> Value {
    json!({
        "live": words::live(d.live),
        "episode": d.episode,
        "category": words::category(d.category),
        "received_at": at_json(d.received_at.as_ref()),
        "verified_at": at_json(d.verified_at.as_ref()),
        "dispatched_at": at_json(d.dispatched_at.as_ref()),
        "confirmed_removed_at": at_json(d.confirmed_removed_at.as_ref()),
        "last_rung": words::rung(d.last_rung),
        "notices": d.notices.iter().map(notice_json).collect::<Vec<_>>(),
    })
}

fn entry_json(e: &TimelineEntry) -> Value {
    json!({
        "event_id": e.event_id,
        "producer": e.producer,
        "type": e.r#type,
        "caused_by": e.caused_by,
        "occurred_at": at_json(e.occurred_at.as_ref()),
        "heard_at": at_json(e.heard_at.as_ref()),
        "leaf_index": e.leaf_index,
        "summary": e.summary,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_that_lacks_its_beginning_says_so() {
        let shown = |truncated| {
            let timeline = GetTimelineResponse {
                entries: vec![TimelineEntry::default(); 3],
                truncated,
            };
            people("c1", &[], None, None, &timeline)
        };
        assert!(shown(true).contains("the newest 3 events; earlier ones did not fit"));
        assert!(!shown(false).contains("earlier"));
    }
}
