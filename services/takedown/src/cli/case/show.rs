//! `case show`: everything that intake, verification, dispatch and the ledger know about a case.

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
use crate::cli::{CommonArgs, labels};
use crate::output::{facts, format_timestamp, table, timestamp_json};

pub(super) async fn show(common: &CommonArgs, identifier: &str) -> Result<()> {
    let client = common.client()?;
    let case_id = super::case_id(&client, identifier).await?;
    let (mut verification, mut dispatch, mut ledger) =
        (client.verification(), client.dispatch(), client.ledger());
    let by_id = || case_id.clone();
    let (reports, assessment, dispatch_state, timeline) = tokio::join!(
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
            "The case does not exist; check the id, or give a reference from a receipt.",
        )
        .into());
    }
    // A service that has not received the case yet responds with NOT_FOUND.
    let assessment = none_if_not_found(assessment)?.and_then(|response| response.assessment);
    let dispatch_state = none_if_not_found(dispatch_state)?;
    let timeline = none_if_not_found(timeline)?.unwrap_or_default();

    let value = json!({
        "case_id": case_id,
        "reports": reports.iter().map(report_json).collect::<Vec<_>>(),
        "assessment": assessment.as_ref().map(assessment_json),
        "dispatch": dispatch_state.as_ref().map(dispatch_json),
        "timeline": timeline.entries.iter().map(entry_json).collect::<Vec<_>>(),
        "timeline_truncated": timeline.truncated,
    });
    common.format.print(&value, || {
        format_text(
            &case_id,
            &reports,
            assessment.as_ref(),
            dispatch_state.as_ref(),
            &timeline,
        )
    });
    Ok(())
}

fn none_if_not_found<T>(result: Result<Response<T>, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

fn format_text(
    case_id: &str,
    reports: &[ReportSummary],
    assessment: Option<&Assessment>,
    dispatch_state: Option<&GetCaseDispatchResponse>,
    timeline: &GetTimelineResponse,
) -> String {
    let mut parts = vec![facts([("case", case_id.to_owned())])];
    if let Some(a) = assessment {
        parts.push(facts([
            ("URL", a.masked_url.clone()),
            ("assessment", labels::assessment(a.state)),
            ("verdict", verdict(a)),
            ("basis", a.basis.clone()),
            ("decided", format_timestamp(a.decided_at.as_ref())),
            ("review", labels::review(a.review)),
            ("priority", a.priority.to_string()),
        ]));
    }
    if let Some(d) = dispatch_state {
        parts.push(facts([
            ("content status", labels::content_status(d.content_status)),
            ("episode", d.episode.to_string()),
            ("received", format_timestamp(d.received_at.as_ref())),
            ("verified", format_timestamp(d.verified_at.as_ref())),
            ("dispatched", format_timestamp(d.dispatched_at.as_ref())),
            (
                "confirmed removed",
                format_timestamp(d.confirmed_removed_at.as_ref()),
            ),
            ("last rung", labels::rung(d.last_rung)),
        ]));
    }
    parts.push(table(
        ["report", "channel", "external id", "outcome", "accepted"],
        reports.iter().map(|r| {
            [
                r.report_id.clone(),
                labels::report_channel(r.channel),
                r.external_id.clone(),
                labels::outcome(r.outcome),
                format_timestamp(r.accepted_at.as_ref()),
            ]
        }),
    ));
    if let Some(d) = dispatch_state {
        parts.push(notices_table(&d.notices));
    }
    if timeline.truncated {
        parts.push(format!(
            "The timeline shows the newest {} events; earlier ones did not fit. The ledger keeps all of them: `takedown ledger verify` reads every one.",
            timeline.entries.len()
        ));
    }
    if !timeline.entries.is_empty() {
        parts.push(table(
            ["time", "service", "event", "summary"],
            timeline.entries.iter().map(|e| {
                [
                    format_timestamp(e.occurred_at.as_ref()),
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
    [labels::category(a.category), labels::reason(a.reason)].concat()
}

pub(super) fn assessment_json(a: &Assessment) -> Value {
    json!({
        "case_id": a.case_id,
        "state": labels::assessment(a.state),
        "priority": a.priority,
        "reports": a.reports,
        "self_reported": a.self_reported,
        "masked_url": a.masked_url,
        "category": labels::category(a.category),
        "reason": labels::reason(a.reason),
        "basis": a.basis,
        "received_at": timestamp_json(a.received_at.as_ref()),
        "decided_at": timestamp_json(a.decided_at.as_ref()),
        "review": labels::review(a.review),
        "version": a.version,
    })
}

fn dispatch_json(d: &GetCaseDispatchResponse) -> Value {
    json!({
        "content_status": labels::content_status(d.content_status),
        "episode": d.episode,
        "category": labels::category(d.category),
        "received_at": timestamp_json(d.received_at.as_ref()),
        "verified_at": timestamp_json(d.verified_at.as_ref()),
        "dispatched_at": timestamp_json(d.dispatched_at.as_ref()),
        "confirmed_removed_at": timestamp_json(d.confirmed_removed_at.as_ref()),
        "last_rung": labels::rung(d.last_rung),
        "notices": d.notices.iter().map(notice_json).collect::<Vec<_>>(),
    })
}

fn entry_json(e: &TimelineEntry) -> Value {
    json!({
        "event_id": e.event_id,
        "producer": e.producer,
        "type": e.r#type,
        "caused_by": e.caused_by,
        "occurred_at": timestamp_json(e.occurred_at.as_ref()),
        "recorded_at": timestamp_json(e.recorded_at.as_ref()),
        "leaf_index": e.leaf_index,
        "summary": e.summary,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_timeline_is_labelled() {
        let shown = |truncated| {
            let timeline = GetTimelineResponse {
                entries: vec![TimelineEntry::default(); 3],
                truncated,
            };
            format_text("c1", &[], None, None, &timeline)
        };
        assert!(shown(true).contains("the newest 3 events; earlier ones did not fit"));
        assert!(!shown(false).contains("earlier"));
    }
}
