//! Accepts submissions: idempotency keys, quotas, attaching to cases, storing, and events. A single
//! submission is a batch of one.

mod repeat;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::Invalid;
use domain::enums::{AgeBand, Media, ReportChannel};
use domain::event::Body;
use domain::id::{CaseId, PartnerId, Reference, ReportId};
use domain::wire::timestamp;
use platform::batch;
use platform::clock::Clock;
use platform::error::{Kind, Problem};
use platform::log;
use platform::sealed::{Keyring, Purpose};
use prost::Message;
use proto::v1;
use sqlx::PgConnection;
use time::{Date, OffsetDateTime, Time, UtcOffset};
use uuid::Uuid;

use super::attach::{self, AttachedCase};
use super::new_event;
use crate::error::{Error, item_problem};
use crate::store::report::{self, NewReportRow};
use crate::store::{partner, submission};
use crate::submission::{SealedReport, Submission, ValidReport};

use repeat::{PendingReply, resolve_replies};

/// The command that accepts submissions, with its dependencies.
#[derive(Clone)]
pub struct Accept {
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
}

/// The reply to one submission.
pub type Accepted = Result<v1::SubmitReportsResponse, Problem>;

/// A report that was stored.
struct AcceptedReport {
    id: ReportId,
    reference: Reference,
    case: CaseId,
    opened_case: bool,
}

/// The position of a report in a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ReportIndex {
    submission: usize,
    report: usize,
}

impl batch::Command<Submission> for Accept {
    type Reply = Accepted;
    type Error = Error;

    async fn run(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
    ) -> Result<Vec<Accepted>, Error> {
        let now = self.clock.now(conn).await?;
        let mut replies = self.find_repeats(conn, batch, now).await?;
        let over_quota = reserve_quotas(conn, batch, &replies, now).await?;
        let to_store: Vec<ReportIndex> = batch
            .iter()
            .enumerate()
            .filter(|(index, _)| replies[*index].is_none())
            .flat_map(|(index, submission)| report_indexes(index, submission))
            .filter(|index| {
                !over_quota.contains_key(index) && valid_report(batch, *index).is_some()
            })
            .collect();
        let accepted = self.store(conn, batch, &to_store, now).await?;

        let mut responses = Vec::new();
        let mut released_keys = Vec::new();
        for (index, submission) in batch.iter().enumerate() {
            if replies[index].is_some() {
                continue;
            }
            if let Some(problem) = quota_refusal(index, submission, &accepted, &over_quota) {
                let key = submission.idempotency.as_ref().map(|i| i.key.as_str());
                released_keys.extend(key.map(|key| (submission.principal.as_str(), key)));
                replies[index] = Some(PendingReply::Done(Err(problem)));
                continue;
            }
            let response = build_response(index, submission, &accepted, &over_quota, now);
            if let Some(idempotency) = &submission.idempotency {
                let sealed = self.keyring.seal_provider(
                    Purpose::Document,
                    &submission.principal,
                    submission.id,
                    &response.encode_to_vec(),
                );
                responses.push((
                    submission.id,
                    submission.principal.as_str(),
                    idempotency.key.as_str(),
                    sealed.into_bytes(),
                ));
            }
            replies[index] = Some(PendingReply::Done(Ok(response)));
        }
        if !responses.is_empty() {
            submission::store_responses(conn, &responses).await?;
        }
        if !released_keys.is_empty() {
            submission::release_keys(conn, &released_keys).await?;
        }
        Ok(resolve_replies(replies))
    }
}

impl Accept {
    /// Attaches reports to cases, seals and inserts them, and appends their events.
    async fn store(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
        indexes: &[ReportIndex],
        now: OffsetDateTime,
    ) -> Result<HashMap<ReportIndex, AcceptedReport>, Error> {
        if indexes.is_empty() {
            return Ok(HashMap::new());
        }
        let reports: Vec<&ValidReport> = indexes
            .iter()
            .filter_map(|index| valid_report(batch, *index))
            .collect();
        let attached = attach::attach(conn, &self.keyring, &reports, now).await?;
        let resealed: Vec<Option<SealedReport>> = reports
            .iter()
            .zip(&attached)
            .map(|(report, to)| to.key.as_ref().map(|key| report.seal(key, to.case)))
            .collect();
        let mut rows = Vec::with_capacity(reports.len());
        let mut events = Vec::with_capacity(reports.len());
        let mut accepted = HashMap::with_capacity(reports.len());
        for (((index, report), to), resealed) in
            indexes.iter().zip(&reports).zip(&attached).zip(&resealed)
        {
            let submission = &batch[index.submission];
            let sealed = resealed.as_ref().unwrap_or(&report.provisional.sealed);
            rows.push(report_row(submission, report, to.case, sealed, now));
            events.push(new_event(
                to.case,
                now,
                submission.traceparent.clone(),
                received_event(submission, report, to, sealed, now),
            ));
            accepted.insert(
                *index,
                AcceptedReport {
                    id: report.id,
                    reference: report.reference.clone(),
                    case: to.case,
                    opened_case: to.key.is_none(),
                },
            );
        }
        report::insert(conn, &rows, now).await?;
        log::append(conn, &events).await?;
        Ok(accepted)
    }
}

fn report_indexes(
    submission: usize,
    parsed: &Submission,
) -> impl Iterator<Item = ReportIndex> + Clone + use<> {
    (0..parsed.reports.len()).map(move |report| ReportIndex { submission, report })
}

fn valid_report(batch: &[Submission], index: ReportIndex) -> Option<&ValidReport> {
    let parsed = &batch[index.submission].reports[index.report];
    parsed.report.as_ref().ok()
}

fn report_row<'a>(
    submission: &'a Submission,
    report: &'a ValidReport,
    case: CaseId,
    sealed: &'a SealedReport,
    now: OffsetDateTime,
) -> NewReportRow<'a> {
    NewReportRow {
        id: report.id,
        case,
        reference_tag: &report.reference_tag,
        channel: submission.channel,
        partner: submission.partner,
        external_ref_tag: report.external_ref.as_ref().map(|external| &external.tag),
        sealed_external_ref: sealed.external_ref.as_deref(),
        sealed_reported_url: &sealed.reported_url,
        sealed_content: &sealed.content,
        media: report.media,
        age_band: submission.age_band,
        country: submission.country.as_deref(),
        received_at: report.received_at.unwrap_or(now),
    }
}

fn received_event(
    submission: &Submission,
    report: &ValidReport,
    to: &AttachedCase,
    sealed: &SealedReport,
    now: OffsetDateTime,
) -> Body {
    Body::ReportReceived(v1::ReportReceived {
        report_id: report.id.to_string(),
        channel: submission.channel.wire(),
        media: report.media.map_or(0, Media::wire),
        age_band: submission.age_band.map_or(0, AgeBand::wire),
        reporter_country: submission.country.clone().unwrap_or_default(),
        received_at: Some(timestamp(report.received_at.unwrap_or(now))),
        wrapped_key: to.wrapped.as_bytes().to_vec().into(),
        sealed_content: sealed.content.clone().into(),
        opened_case: to.key.is_none(),
        partner_id: submission
            .partner
            .map(|id| id.to_string())
            .unwrap_or_default(),
        // Only a member of staff who found the content themselves must not decide the case; one who forwards
        // another person's report may.
        submitted_by: submission
            .staff
            .filter(|_| submission.channel == ReportChannel::Proactive)
            .map(|subject| subject.to_string())
            .unwrap_or_default(),
    })
}

/// Counts the valid reports against the partners' daily quotas. Returns the reports over quota, the last ones
/// of each partner. Locks the quota rows in ascending order of partners, before any case is locked.
async fn reserve_quotas(
    conn: &mut PgConnection,
    batch: &[Submission],
    replies: &[Option<PendingReply>],
    now: OffsetDateTime,
) -> Result<HashMap<ReportIndex, Problem>, Error> {
    let day: Date = now.to_offset(UtcOffset::UTC).date();
    let mut by_partner: BTreeMap<Uuid, Vec<ReportIndex>> = BTreeMap::new();
    for (index, submission) in batch.iter().enumerate() {
        let (Some(partner), None) = (submission.partner, &replies[index]) else {
            continue;
        };
        if submission.daily_quota > 0 {
            let valid = report_indexes(index, submission)
                .filter(|index| valid_report(batch, *index).is_some());
            by_partner.entry(partner.uuid()).or_default().extend(valid);
        }
    }
    let mut over_quota = HashMap::new();
    for (partner, indexes) in by_partner {
        let Some(first) = indexes.first() else {
            continue;
        };
        let partner = PartnerId::new(partner);
        let quota = batch[first.submission].daily_quota;
        let used = partner::lock_usage(conn, partner, day).await?;
        let granted = indexes.len().min(quota.saturating_sub(used) as usize);
        partner::add_usage(conn, partner, day, granted as u32).await?;
        for index in &indexes[granted..] {
            over_quota.insert(*index, quota_exceeded(quota, now));
        }
    }
    Ok(over_quota)
}

/// The refusal of a submission of which the quota allowed no report. It is not stored under the idempotency
/// key, so that the same submission can be sent again.
fn quota_refusal(
    index: usize,
    submission: &Submission,
    accepted: &HashMap<ReportIndex, AcceptedReport>,
    over_quota: &HashMap<ReportIndex, Problem>,
) -> Option<Problem> {
    let mut indexes = report_indexes(index, submission);
    if indexes.clone().any(|index| accepted.contains_key(&index)) {
        return None;
    }
    let mut problem = indexes.find_map(|index| over_quota.get(&index))?.clone();
    problem.detail = format!(
        "your quota of {} reports a day (UTC) is used; send this again tomorrow, or ask the hotline for more",
        submission.daily_quota
    );
    Some(problem)
}

/// The problem of a report over quota in a submission of which other reports were accepted.
fn quota_exceeded(quota: u32, now: OffsetDateTime) -> Problem {
    let midnight = now.to_offset(UtcOffset::UTC).replace_time(Time::MIDNIGHT) + time::Duration::DAY;
    Problem::new(
        Kind::Exhausted,
        "quota_exceeded",
        format!(
            "your quota of {quota} reports a day (UTC) is used; send this report again tomorrow, with a new idempotency key, or ask the hotline for more"
        ),
    )
    .retry_after((midnight - now).unsigned_abs())
}

/// The response to a submission, with one result per report, in order.
fn build_response(
    index: usize,
    submission: &Submission,
    accepted: &HashMap<ReportIndex, AcceptedReport>,
    over_quota: &HashMap<ReportIndex, Problem>,
    now: OffsetDateTime,
) -> v1::SubmitReportsResponse {
    use v1::report_result::Result as ResultProto;
    let result = |index: ReportIndex, parsed: &Result<ValidReport, Invalid>| {
        let field = format!("reports[{}]", index.report);
        match (accepted.get(&index), over_quota.get(&index), parsed) {
            (Some(report), ..) => ResultProto::Receipt(v1::Receipt {
                report_id: report.id.to_string(),
                reference: report.reference.to_string(),
                case_id: if submission.sees_cases {
                    report.case.to_string()
                } else {
                    String::new()
                },
                // The public must not learn whether a URL was reported before.
                opened_case: submission.sees_cases && report.opened_case,
                accepted_at: Some(timestamp(now)),
            }),
            (None, Some(problem), _) => ResultProto::Problem(item_problem(problem.clone(), &field)),
            (None, None, Err(invalid)) => ResultProto::Problem(invalid.clone().into()),
            // Every valid report within the quota has been stored.
            (None, None, Ok(_)) => {
                ResultProto::Problem(item_problem(Problem::from_kind(Kind::Internal), &field))
            }
        }
    };
    v1::SubmitReportsResponse {
        results: report_indexes(index, submission)
            .zip(&submission.reports)
            .map(|(index, parsed)| v1::ReportResult {
                external_id: parsed.external_id.clone(),
                result: Some(result(index, &parsed.report)),
            })
            .collect(),
        repeated: false,
    }
}
