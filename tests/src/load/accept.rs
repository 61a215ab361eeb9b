//! Durable accepts a second: a bulk stream, and 64 connections with a call in flight each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use futures::future::try_join_all;
use proto::v1::{
    GetConservationRequest, ReportChannel, ReportItem, StreamReportsRequest, SubmitReportsRequest,
    stream_reports_response::Result as Answer,
};
use takedown::client::Client;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::system::Running;

/// Reports in one submission of the bulk stream.
const BULK: u64 = 500;
const CONNECTIONS: usize = 64;

fn submission(name: &str, first: u64, reports: u64) -> SubmitReportsRequest {
    let items = (first..first + reports).map(|n| ReportItem {
        url: format!("https://accept.example/{name}/{n}"),
        ..ReportItem::default()
    });
    SubmitReportsRequest {
        idempotency_key: format!("{name}-{first}"),
        channel: ReportChannel::Proactive.into(),
        items: items.collect(),
        ..SubmitReportsRequest::default()
    }
}

/// Accepts a second over one bulk stream. A report counts when its receipt is here.
pub async fn bulk(client: &Client, time: Duration) -> Result<f64> {
    let (sender, requests) = mpsc::channel(16);
    let begin = Instant::now();
    let send = async move {
        let mut number = 0;
        while begin.elapsed() < time {
            let request = submission("bulk", number * BULK, BULK);
            let message = StreamReportsRequest {
                submission: number,
                request: Some(request),
            };
            if sender.send(message).await.is_err() {
                break;
            }
            number += 1;
        }
    };
    let receive = async {
        let mut intake = client.intake();
        let mut answers = intake
            .stream_reports(ReceiverStream::new(requests))
            .await?
            .into_inner();
        let mut accepted = 0;
        while let Some(answer) = answers.next().await {
            match answer?.result {
                Some(Answer::Response(response)) => accepted += response.results.len(),
                other => anyhow::bail!("a bulk submission was refused: {other:?}"),
            }
        }
        Ok(accepted)
    };
    let ((), accepted) = tokio::join!(send, receive);
    Ok(accepted? as f64 / begin.elapsed().as_secs_f64())
}

/// Accepts a second over 64 connections, one report a call, 16 calls in flight on each.
pub async fn single(running: &Running, time: Duration) -> Result<f64> {
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let workers = (0..CONNECTIONS).map(|_| {
        let next = Arc::clone(&next);
        async move {
            // A client of its own is a connection of its own.
            let client = Client::new(&running.addresses, running.client.session().clone())?;
            let call = || async {
                let mut intake = client.intake();
                while begin.elapsed() < time {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    intake
                        .submit_reports(submission("single", number, 1))
                        .await?;
                }
                anyhow::Ok(())
            };
            try_join_all((0..16).map(|_| call())).await
        }
    });
    try_join_all(workers).await?;
    Ok(next.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64())
}

/// Waits until the ledger has heard of all that was accepted, so that what follows is measured alone.
pub async fn heard(client: &Client) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(5);
    let mut last = u64::MAX;
    loop {
        let heard = client
            .ledger()
            .get_conservation(GetConservationRequest {})
            .await?
            .into_inner();
        if heard.events == last {
            return Ok(());
        }
        last = heard.events;
        ensure!(
            Instant::now() < deadline,
            "the ledger does not come to an end"
        );
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}
