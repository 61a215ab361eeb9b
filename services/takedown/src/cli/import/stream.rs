//! Submissions on their way: over several streams, answered in any order, given out in the file's order.
//!
//! What is nobody's fault (a connection lost, a queue full) is sent again under the same key; what the server says of
//! a row stands. Anything else ends the import: the row has no line then, and the next run sends it again.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream, SelectAll};
use platform::error::{Kind, Problem};
use proto::v1::{
    ItemProblem, StreamReportsRequest, StreamReportsResponse, item_result, stream_reports_response,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::lines::{Became, Line};
use super::rows::Submission;
use crate::client::Client;

/// The server works on a few submissions of each stream at a time.
const STREAMS: usize = 8;

/// How long nothing may succeed before the import gives up.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);

/// Said of a submission when nothing is wrong with it.
const AGAIN: [&str; 4] = [
    "database_exhausted",
    "database_unavailable",
    "exhausted",
    "unavailable",
];

/// Said of a submission when something is wrong that no other submission will put right.
const NOBODYS_ROW: [&str; 5] = [
    "internal",
    "database",
    "quota_exceeded",
    "role_required",
    "unauthenticated",
];

enum Slot {
    Waiting(Box<Submission>),
    Settled(Line),
}

pub(super) struct Stream {
    client: Client,
    /// In the file's order; the first has the number `first`.
    slots: VecDeque<Slot>,
    first: u64,
    open: Option<Open>,
    /// Since when nothing has succeeded.
    failing: Option<Instant>,
    /// What was put off, and when it is sent again.
    put_off: Vec<u64>,
    again_at: Option<Instant>,
}

/// A few streams, used in turn.
struct Open {
    senders: Vec<mpsc::Sender<StreamReportsRequest>>,
    answers: SelectAll<BoxStream<'static, Result<StreamReportsResponse, Status>>>,
}

impl Stream {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            slots: VecDeque::new(),
            first: 0,
            open: None,
            failing: None,
            put_off: Vec::new(),
            again_at: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A row that never leaves: it keeps its place.
    pub(super) fn settled(&mut self, line: Line) {
        self.slots.push_back(Slot::Settled(line));
    }

    pub(super) async fn submit(&mut self, row: Submission) -> Result<()> {
        let number = self.first + self.slots.len() as u64;
        self.slots.push_back(Slot::Waiting(Box::new(row)));
        if self.open.is_some() {
            self.send(number).await
        } else {
            // Sends everything that waits, this one with it.
            self.reopen().await
        }
    }

    /// The lines that can be written now; waits for at least one answer where none can.
    pub(super) async fn next_lines(&mut self) -> Result<Vec<Line>> {
        let mut lines = self.settled_front();
        while lines.is_empty() && !self.slots.is_empty() {
            self.hear().await?;
            lines = self.settled_front();
        }
        Ok(lines)
    }

    fn settled_front(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(Slot::Settled(_)) = self.slots.front() {
            if let Some(Slot::Settled(line)) = self.slots.pop_front() {
                lines.push(line);
                self.first += 1;
            }
        }
        lines
    }

    /// Takes one answer.
    async fn hear(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else {
            return self.reopen().await;
        };
        let again_at = self.again_at;
        tokio::select! {
            answer = open.answers.next() => match answer {
                Some(Ok(answer)) => self.answered(answer),
                // The server looks at the credential again each minute, and a session's token lives no longer: a stream
                // that was let in goes on under a fresh one. Where there is none to be had, opening says so.
                Some(Err(status)) if status.code() == Code::Unauthenticated => {
                    self.open = None;
                    self.reopen().await
                }
                Some(Err(status)) => self.lost(&status).await,
                None => self.lost(&Status::unavailable("the streams ended")).await,
            },
            () = until(again_at) => self.send_again().await,
        }
    }

    fn answered(&mut self, answer: StreamReportsResponse) -> Result<()> {
        let number = answer.submission;
        let place = number
            .checked_sub(self.first)
            .and_then(|place| usize::try_from(place).ok());
        let Some(Slot::Waiting(row)) = place.and_then(|place| self.slots.get(place)) else {
            // Heard twice, over a stream that was given up meanwhile.
            return Ok(());
        };
        let (external_id, content) = (row.external_id.clone(), row.content);
        let became = match result(answer)? {
            item_result::Result::Receipt(receipt) => Became::Accepted {
                report: receipt.report_id,
                case: receipt.case_id,
            },
            item_result::Result::Problem(problem) if AGAIN.contains(&problem.code.as_str()) => {
                // Others of the same burst wait for the same moment.
                self.again_at.get_or_insert_with(|| Instant::now() + PAUSE);
                self.put_off.push(number);
                return self.bear(|| as_problem(problem).into());
            }
            item_result::Result::Problem(problem)
                if NOBODYS_ROW.contains(&problem.code.as_str()) =>
            {
                return Err(as_problem(problem).into());
            }
            item_result::Result::Problem(problem) => Became::Refused {
                reason: problem.code,
            },
        };
        self.failing = None;
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) {
            *slot = Slot::Settled(Line {
                external_id,
                content,
                became,
            });
        }
        Ok(())
    }

    /// The connection is gone, and with it the answers that were still to come.
    async fn lost(&mut self, status: &Status) -> Result<()> {
        self.open = None;
        // Everything that waits is sent anew over the next streams.
        self.put_off.clear();
        self.again_at = None;
        let problem = Problem::from(status);
        if !problem.is_transient() {
            return Err(problem.into());
        }
        self.bear(|| problem.into())?;
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Nobody's fault: it is borne as long as something has succeeded not too long ago.
    fn bear(&mut self, error: impl FnOnce() -> anyhow::Error) -> Result<()> {
        let failing = *self.failing.get_or_insert_with(Instant::now);
        if failing.elapsed() > PATIENCE {
            return Err(error());
        }
        Ok(())
    }

    async fn send_again(&mut self) -> Result<()> {
        self.again_at = None;
        for number in std::mem::take(&mut self.put_off) {
            self.send(number).await?;
        }
        Ok(())
    }

    /// Opens fresh streams and sends everything that has no answer yet.
    async fn reopen(&mut self) -> Result<()> {
        loop {
            match self.connect().await {
                Ok(open) => {
                    self.open = Some(open);
                    break;
                }
                Err(status) => self.lost(&status).await?,
            }
        }
        let waiting: Vec<u64> = (self.first..)
            .zip(&self.slots)
            .filter(|(_, slot)| matches!(slot, Slot::Waiting(_)))
            .map(|(number, _)| number)
            .collect();
        for number in waiting {
            self.send(number).await?;
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Open, Status> {
        let mut open = Open {
            senders: Vec::with_capacity(STREAMS),
            answers: SelectAll::new(),
        };
        for _ in 0..STREAMS {
            // Room for all that may be under way: sending never waits for an answer to be read.
            let (sender, requests) = mpsc::channel(super::IN_FLIGHT);
            let answers = self
                .client
                .intake()
                .stream_reports(ReceiverStream::new(requests))
                .await?
                .into_inner();
            // The end of one stream would else go unheard as long as the others live.
            let end = stream::once(async { Err(Status::unavailable("a stream ended")) });
            open.senders.push(sender);
            open.answers.push(answers.chain(end).boxed());
        }
        Ok(open)
    }

    /// A stream that is gone takes nothing; its end is heard among the answers, and everything is sent again.
    async fn send(&mut self, number: u64) -> Result<()> {
        let place = number
            .checked_sub(self.first)
            .and_then(|place| usize::try_from(place).ok())
            .context("a submission is numbered before the first that waits")?;
        let (Some(open), Some(Slot::Waiting(row))) = (&self.open, self.slots.get(place)) else {
            return Ok(());
        };
        let request = StreamReportsRequest {
            submission: number,
            request: Some(row.request.clone()),
        };
        let lane = usize::try_from(number)? % open.senders.len();
        if open.senders[lane].send(request).await.is_err() {
            return self.lost(&Status::unavailable("a stream ended")).await;
        }
        Ok(())
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What was said of the one item.
fn result(answer: StreamReportsResponse) -> Result<item_result::Result> {
    match answer.result {
        Some(stream_reports_response::Result::Response(response)) => response
            .results
            .into_iter()
            .next()
            .and_then(|item| item.result)
            .context("an answer has no result"),
        Some(stream_reports_response::Result::Problem(problem)) => {
            Ok(item_result::Result::Problem(problem))
        }
        None => bail!("an answer has no result"),
    }
}

fn as_problem(problem: ItemProblem) -> Problem {
    Problem::new(Kind::Internal, problem.code, problem.detail).field(problem.field)
}

#[cfg(test)]
mod tests;
