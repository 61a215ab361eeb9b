//! Sends the scenario's reports over the bulk stream, at the rate of a busy hotline.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use domain::enums::{AgeBand, HashKind, Media, ReportChannel};
use proto::v1::report_result::Result as ReportOutcome;
use proto::v1::stream_reports_response::Result as SubmissionOutcome;
use proto::v1::{
    Hash, NewReport, ReportRemoveFacts, StreamReportsRequest, StreamReportsResponse,
    SubmitReportsRequest,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;

use super::case_truths::CaseTruths;
use super::progress::DemoProgress;
use crate::scenario::{ReportRow, Scenario};
use roles::client::Client;

/// Rate for a short scenario.
const REPORTS_PER_SECOND: usize = 90;
/// A longer scenario is sent at a higher rate, so that its last report is sent after this many seconds.
const MAX_SECONDS: usize = 110;
const TICK: Duration = Duration::from_millis(50);
const TICKS_PER_SECOND: usize = 20;
/// A stream is replaced after this time: intake checks a stream's credential again after a minute, and a session token
/// is valid for no longer.
const STREAM_LIFETIME: Duration = Duration::from_secs(45);
/// Capacity of the queue of unsent reports.
const IN_FLIGHT: usize = 256;

/// Sends every report and records every receipt.
pub async fn run(
    client: &Client,
    scenario: &Scenario,
    truths: &CaseTruths,
    progress: &DemoProgress,
) -> Result<()> {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    while sent < scenario.reports.len() {
        sent = send_over_one_stream(client, scenario, truths, progress, &mut tick, sent).await?;
    }
    Ok(())
}

/// Sends reports over one stream, from index `first` on, and returns the index of the first unsent report.
async fn send_over_one_stream(
    client: &Client,
    scenario: &Scenario,
    truths: &CaseTruths,
    progress: &DemoProgress,
    tick: &mut Interval,
    first: usize,
) -> Result<usize> {
    let (sender, requests) = mpsc::channel(IN_FLIGHT);
    let send = async {
        let started = Instant::now();
        let rate = REPORTS_PER_SECOND.max(scenario.reports.len() / MAX_SECONDS);
        let mut next = first;
        for (number, entry) in scenario.reports.iter().enumerate().skip(first) {
            if started.elapsed() >= STREAM_LIFETIME {
                break;
            }
            if number * TICKS_PER_SECOND / rate != (number + 1) * TICKS_PER_SECOND / rate {
                tick.tick().await;
            }
            let request = StreamReportsRequest {
                submission: number as u64,
                request: Some(submission(&entry.report)),
            };
            sender
                .send(request)
                .await
                .context("intake has closed the stream")?;
            next = number + 1;
        }
        drop(sender);
        anyhow::Ok(next)
    };
    let receive = async {
        let mut intake = client.intake();
        let mut responses = intake
            .stream_reports(ReceiverStream::new(requests))
            .await?
            .into_inner();
        let mut answered = 0;
        while let Some(response) = responses.message().await? {
            record_result(response, scenario, truths)?;
            answered += 1;
            progress.count_report();
        }
        Ok(answered)
    };
    let (next, answered) = tokio::try_join!(send, receive)?;
    if first + answered < next {
        bail!("{} reports have no result", next - first - answered);
    }
    Ok(next)
}

fn record_result(
    response: StreamReportsResponse,
    scenario: &Scenario,
    truths: &CaseTruths,
) -> Result<()> {
    let entry = scenario.reports.get(response.submission as usize);
    let entry = entry.context("intake responded to an unknown submission")?;
    let external_id = &entry.report.external_id;
    match response.result {
        Some(SubmissionOutcome::Response(mut response)) => {
            let result = response.results.pop().and_then(|report| report.result);
            match result.context("intake sent a response without a result")? {
                ReportOutcome::Receipt(receipt) => truths.record_receipt(external_id, &receipt),
                ReportOutcome::Problem(_) => truths.record_refusal(external_id),
            }
            Ok(())
        }
        // A refusal of the whole submission is not caused by the report.
        Some(SubmissionOutcome::Problem(problem)) => {
            bail!("report {external_id}: {}", problem.detail)
        }
        None => bail!("intake sent a response without a result"),
    }
}

/// One row as a submission. The receiving time is left to intake, so that the clocks measure this run.
fn submission(row: &ReportRow) -> SubmitReportsRequest {
    let channel = row.channel.parse().unwrap_or(ReportChannel::Public);
    let is_report_remove = channel == ReportChannel::ReportRemove;
    let hashes = (!row.sha256.is_empty()).then(|| Hash {
        kind: HashKind::Sha256.wire(),
        value: row.sha256.clone(),
    });
    SubmitReportsRequest {
        idempotency_key: format!("demo-{}", row.external_id),
        channel: channel.wire(),
        reporter_country: row.reporter_country.clone(),
        report_remove: is_report_remove.then(|| ReportRemoveFacts {
            under_18: true,
            age_band: row.age_band.parse().map_or(0, AgeBand::wire),
            unique_number: row.external_id.clone(),
        }),
        reports: vec![NewReport {
            external_id: row.external_id.clone(),
            url: row.url.clone(),
            hashes: hashes.into_iter().collect(),
            media: row.media.parse().map_or(0, Media::wire),
            received_at: None,
        }],
        ..SubmitReportsRequest::default()
    }
}
