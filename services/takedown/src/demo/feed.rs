//! Reports, one after the other at the pace of a busy hotline, over the bulk stream.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use domain::word::{AgeBand, HashKind, Media, ReportChannel};
use proto::v1::item_result::Result as Outcome;
use proto::v1::stream_reports_response::Result as Answer;
use proto::v1::{
    Hash, ReportItem, ReportRemoveFacts, StreamReportsRequest, StreamReportsResponse,
    SubmitReportsRequest,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;

use super::follow::Progress;
use super::knowledge::Knowledge;
use crate::client::Client;
use crate::street::files::{ReportRow, Street};

/// Reports a second where the street is short.
const PACE: usize = 90;
/// A longer street is played faster, so that its last report comes after so many seconds.
const LONGEST: usize = 110;
const TICK: Duration = Duration::from_millis(50);
const TICKS: usize = 20;
/// How long a stream is used: intake looks at its credential again after a minute, and a session's token lives no longer.
const LAP: Duration = Duration::from_secs(45);
/// Reports on the way to intake.
const IN_FLIGHT: usize = 256;

/// Sends every report and takes every receipt.
pub async fn run(
    client: &Client,
    street: &Street,
    knowledge: &Knowledge,
    progress: &Progress,
) -> Result<()> {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    while sent < street.entries.len() {
        sent = lap(client, street, knowledge, progress, &mut tick, sent).await?;
    }
    Ok(())
}

/// Sends reports over one stream, from the one with this number on, and gives the number of the next one.
async fn lap(
    client: &Client,
    street: &Street,
    knowledge: &Knowledge,
    progress: &Progress,
    tick: &mut Interval,
    first: usize,
) -> Result<usize> {
    let (sender, requests) = mpsc::channel(IN_FLIGHT);
    let send = async {
        let begin = Instant::now();
        let pace = PACE.max(street.entries.len() / LONGEST);
        let mut next = first;
        for (number, entry) in street.entries.iter().enumerate().skip(first) {
            if begin.elapsed() >= LAP {
                break;
            }
            if number * TICKS / pace != (number + 1) * TICKS / pace {
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
        let mut answers = intake
            .stream_reports(ReceiverStream::new(requests))
            .await?
            .into_inner();
        let mut answered = 0;
        while let Some(answer) = answers.message().await? {
            take(answer, street, knowledge)?;
            answered += 1;
            progress.reported();
        }
        Ok(answered)
    };
    let (next, answered) = tokio::try_join!(send, receive)?;
    if first + answered < next {
        bail!("{} reports were not answered", next - first - answered);
    }
    Ok(next)
}

fn take(answer: StreamReportsResponse, street: &Street, knowledge: &Knowledge) -> Result<()> {
    let entry = street.entries.get(answer.submission as usize);
    let entry = entry.context("intake answered a submission that was not made")?;
    let external_id = &entry.report.external_id;
    match answer.result {
        Some(Answer::Response(mut response)) => {
            let result = response.results.pop().and_then(|item| item.result);
            match result.context("intake gave an answer without a result")? {
                Outcome::Receipt(receipt) => knowledge.accepted(external_id, &receipt),
                Outcome::Problem(_) => knowledge.refused(external_id),
            }
            Ok(())
        }
        // Whole submissions are refused for what is not the report's fault.
        Some(Answer::Problem(problem)) => bail!("report {external_id}: {}", problem.detail),
        None => bail!("intake gave an answer without a result"),
    }
}

/// One row as a submission of its own. The receiving time is intake's, so that clocks tell of this run.
fn submission(row: &ReportRow) -> SubmitReportsRequest {
    let channel = row.channel.parse().unwrap_or(ReportChannel::Public);
    let from_a_child = channel == ReportChannel::ReportRemove;
    let hashes = (!row.sha256.is_empty()).then(|| Hash {
        kind: HashKind::Sha256.wire(),
        value: row.sha256.clone(),
    });
    SubmitReportsRequest {
        idempotency_key: format!("demo-{}", row.external_id),
        channel: channel.wire(),
        reporter_country: row.reporter_country.clone(),
        report_remove: from_a_child.then(|| ReportRemoveFacts {
            under_18: true,
            age_band: row.age_band.parse().map_or(0, AgeBand::wire),
            unique_number: row.external_id.clone(),
        }),
        items: vec![ReportItem {
            external_id: row.external_id.clone(),
            url: row.url.clone(),
            hashes: hashes.into_iter().collect(),
            media: row.media.parse().map_or(0, Media::wire),
            received_at: None,
        }],
        ..SubmitReportsRequest::default()
    }
}
