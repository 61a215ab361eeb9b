//! Sends submissions over several streams. Responses arrive in any order; results are returned in the order
//! of the file.
//!
//! After a transient failure (connection lost, queue full) a row is sent again under the same key. The
//! server's refusal of a row is its result. Any other failure ends the import; the next run sends every row again.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream, SelectAll};
use platform::error::{Kind, Problem};
use proto::v1::{
    ItemProblem, StreamReportsRequest, StreamReportsResponse, report_result,
    stream_reports_response,
};
use roles::client::Client;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::result_file::{ResultLine, RowResult};
use super::rows::RowSubmission;

/// Number of streams; the server handles a few submissions of each at a time.
const STREAMS: usize = 8;

/// How long the import retries without any success.
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Codes of transient failures.
const TRANSIENT_CODES: [&str; 4] = [
    "database_exhausted",
    "database_unavailable",
    "exhausted",
    "unavailable",
];

/// Codes of failures that concern every row and end the import.
const FATAL_CODES: [&str; 5] = [
    "internal",
    "database",
    "quota_exceeded",
    "role_required",
    "unauthenticated",
];

enum RowSlot {
    Waiting(Box<RowSubmission>),
    Settled(ResultLine),
}

pub(super) struct SubmissionStream {
    client: Client,
    /// In the file's order; the first has the number `first`.
    slots: VecDeque<RowSlot>,
    first: u64,
    open: Option<OpenStreams>,
    /// Time of the first failure since the last success.
    failing_since: Option<Instant>,
    /// Submissions to send again, and when.
    deferred: Vec<u64>,
    retry_at: Option<Instant>,
}

/// Open streams, used in turn.
struct OpenStreams {
    senders: Vec<mpsc::Sender<StreamReportsRequest>>,
    responses: SelectAll<BoxStream<'static, Result<StreamReportsResponse, Status>>>,
}

impl SubmissionStream {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            slots: VecDeque::new(),
            first: 0,
            open: None,
            failing_since: None,
            deferred: Vec::new(),
            retry_at: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a row that is not sent, with its result.
    pub(super) fn push_settled(&mut self, line: ResultLine) {
        self.slots.push_back(RowSlot::Settled(line));
    }

    pub(super) async fn submit(&mut self, row: RowSubmission) -> Result<()> {
        let number = self.first + self.slots.len() as u64;
        self.slots.push_back(RowSlot::Waiting(Box::new(row)));
        if self.open.is_some() {
            self.send(number).await
        } else {
            // Sends all waiting submissions, including this one.
            self.reopen().await
        }
    }

    /// The lines that can be written next. Waits until there is at least one.
    pub(super) async fn next_lines(&mut self) -> Result<Vec<ResultLine>> {
        let mut lines = self.settled_front();
        while lines.is_empty() && !self.slots.is_empty() {
            self.receive().await?;
            lines = self.settled_front();
        }
        Ok(lines)
    }

    fn settled_front(&mut self) -> Vec<ResultLine> {
        let mut lines = Vec::new();
        while let Some(RowSlot::Settled(_)) = self.slots.front() {
            if let Some(RowSlot::Settled(line)) = self.slots.pop_front() {
                lines.push(line);
                self.first += 1;
            }
        }
        lines
    }

    /// Handles one response.
    async fn receive(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else {
            return self.reopen().await;
        };
        let retry_at = self.retry_at;
        tokio::select! {
            response = open.responses.next() => match response {
                Some(Ok(response)) => self.apply_response(response),
                // The server checks the credential each minute, and a token is valid for no longer: reopen
                // the stream with a new one. If the session has ended, opening fails.
                Some(Err(status)) if status.code() == Code::Unauthenticated => {
                    self.open = None;
                    self.reopen().await
                }
                Some(Err(status)) => self.reconnect_later(&status).await,
                None => self.reconnect_later(&Status::unavailable("the streams ended")).await,
            },
            () = sleep_until(retry_at) => self.send_again().await,
        }
    }

    fn apply_response(&mut self, response: StreamReportsResponse) -> Result<()> {
        let number = response.submission;
        let index = number
            .checked_sub(self.first)
            .and_then(|offset| usize::try_from(offset).ok());
        let Some(RowSlot::Waiting(row)) = index.and_then(|index| self.slots.get(index)) else {
            // A duplicate response, from a stream that has been replaced.
            return Ok(());
        };
        let external_id = row.external_id.clone();
        let result = match report_result_of(response)? {
            report_result::Result::Receipt(receipt) => RowResult::Accepted {
                report: receipt.report_id,
                case: receipt.case_id,
            },
            report_result::Result::Problem(problem)
                if TRANSIENT_CODES.contains(&problem.code.as_str()) =>
            {
                // All deferred submissions are sent at the same time.
                self.retry_at
                    .get_or_insert_with(|| Instant::now() + RETRY_DELAY);
                self.deferred.push(number);
                return self.check_give_up(|| as_problem(problem).into());
            }
            report_result::Result::Problem(problem)
                if FATAL_CODES.contains(&problem.code.as_str()) =>
            {
                return Err(as_problem(problem).into());
            }
            report_result::Result::Problem(problem) => RowResult::Refused {
                reason: problem.code,
            },
        };
        self.failing_since = None;
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            *slot = RowSlot::Settled(ResultLine {
                external_id,
                result,
            });
        }
        Ok(())
    }

    /// Closes the streams, whose outstanding responses are lost. They are reopened after a delay, unless the
    /// failure is permanent.
    async fn reconnect_later(&mut self, status: &Status) -> Result<()> {
        self.open = None;
        // All waiting submissions are sent again when the streams are reopened.
        self.deferred.clear();
        self.retry_at = None;
        let problem = Problem::from(status);
        if !problem.is_transient() {
            return Err(problem.into());
        }
        self.check_give_up(|| problem.into())?;
        tokio::time::sleep(RETRY_DELAY).await;
        Ok(())
    }

    /// Returns the error if nothing has succeeded for `GIVE_UP_AFTER`.
    fn check_give_up(&mut self, error: impl FnOnce() -> anyhow::Error) -> Result<()> {
        let failing_since = *self.failing_since.get_or_insert_with(Instant::now);
        if failing_since.elapsed() > GIVE_UP_AFTER {
            return Err(error());
        }
        Ok(())
    }

    async fn send_again(&mut self) -> Result<()> {
        self.retry_at = None;
        for number in std::mem::take(&mut self.deferred) {
            self.send(number).await?;
        }
        Ok(())
    }

    /// Opens new streams and sends every submission without a response.
    async fn reopen(&mut self) -> Result<()> {
        loop {
            match self.connect().await {
                Ok(open) => {
                    self.open = Some(open);
                    break;
                }
                Err(status) => self.reconnect_later(&status).await?,
            }
        }
        let waiting: Vec<u64> = (self.first..)
            .zip(&self.slots)
            .filter(|(_, slot)| matches!(slot, RowSlot::Waiting(_)))
            .map(|(number, _)| number)
            .collect();
        for number in waiting {
            self.send(number).await?;
        }
        Ok(())
    }

    async fn connect(&self) -> Result<OpenStreams, Status> {
        let mut open = OpenStreams {
            senders: Vec::with_capacity(STREAMS),
            responses: SelectAll::new(),
        };
        for _ in 0..STREAMS {
            // Room for everything in flight: sending never waits for a response to be read.
            let (sender, requests) = mpsc::channel(super::IN_FLIGHT);
            let responses = self
                .client
                .intake()
                .stream_reports(ReceiverStream::new(requests))
                .await?
                .into_inner();
            // Otherwise the end of one stream would go unnoticed while the others continue.
            let end = stream::once(async { Err(Status::unavailable("a stream ended")) });
            open.senders.push(sender);
            open.responses.push(responses.chain(end).boxed());
        }
        Ok(open)
    }

    /// Sends a submission. If its stream has ended, the streams are reopened and everything is sent again.
    async fn send(&mut self, number: u64) -> Result<()> {
        let index = number
            .checked_sub(self.first)
            .and_then(|offset| usize::try_from(offset).ok())
            .context("a submission's number is below the first waiting one")?;
        let (Some(open), Some(RowSlot::Waiting(row))) = (&self.open, self.slots.get(index)) else {
            return Ok(());
        };
        let request = StreamReportsRequest {
            submission: number,
            request: Some(row.request.clone()),
        };
        let stream = usize::try_from(number)? % open.senders.len();
        if open.senders[stream].send(request).await.is_err() {
            return self
                .reconnect_later(&Status::unavailable("a stream ended"))
                .await;
        }
        Ok(())
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The result of the submission's only report.
fn report_result_of(response: StreamReportsResponse) -> Result<report_result::Result> {
    match response.result {
        Some(stream_reports_response::Result::Response(response)) => response
            .results
            .into_iter()
            .next()
            .and_then(|report| report.result)
            .context("a response has no result"),
        Some(stream_reports_response::Result::Problem(problem)) => {
            Ok(report_result::Result::Problem(problem))
        }
        None => bail!("a response has no result"),
    }
}

fn as_problem(problem: ItemProblem) -> Problem {
    Problem::new(Kind::Internal, problem.code, problem.detail).field(problem.field)
}

#[cfg(test)]
mod tests;
