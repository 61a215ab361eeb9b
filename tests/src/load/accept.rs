//! Durably accepted reports per second: over a bulk stream, and over 64 connections with single calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use futures::future::try_join_all;
use proto::v1::{
    GetConservationRequest, NewReport, ReportChannel, StreamReportsRequest, SubmitReportsRequest,
    stream_reports_response::Result as SubmissionOutcome,
};
use roles::client::Client;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::system::MeasuredSystem;

/// Reports per submission of the bulk stream.
const BULK_SIZE: u64 = 500;
const CONNECTIONS: usize = 64;

fn submission(name: &str, first: u64, reports: u64) -> SubmitReportsRequest {
    let reports = (first..first + reports).map(|n| NewReport {
        url: format!("https://accept.example/{name}/{n}"),
        ..NewReport::default()
    });
    SubmitReportsRequest {
        idempotency_key: format!("{name}-{first}"),
        channel: ReportChannel::Proactive.into(),
        reports: reports.collect(),
        ..SubmitReportsRequest::default()
    }
}

/// Accepted reports per second over one bulk stream. A report counts when its receipt has arrived.
pub async fn bulk(client: &Client, time: Duration) -> Result<f64> {
    let (sender, requests) = mpsc::channel(16);
    let started = Instant::now();
    let send = async move {
        let mut number = 0;
        while started.elapsed() < time {
            let request = submission("bulk", number * BULK_SIZE, BULK_SIZE);
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
        let mut responses = intake
            .stream_reports(ReceiverStream::new(requests))
            .await?
            .into_inner();
        let mut accepted = 0;
        while let Some(response) = responses.next().await {
            match response?.result {
                Some(SubmissionOutcome::Response(response)) => accepted += response.results.len(),
                other => anyhow::bail!("a bulk submission was refused: {other:?}"),
            }
        }
        Ok(accepted)
    };
    let ((), accepted) = tokio::join!(send, receive);
    Ok(accepted? as f64 / started.elapsed().as_secs_f64())
}

/// Accepted reports per second over 64 connections, with one report per call and 16 concurrent calls on each.
pub async fn single(running: &MeasuredSystem, time: Duration) -> Result<f64> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let workers = (0..CONNECTIONS).map(|_| {
        let next = Arc::clone(&next);
        async move {
            // Each client has its own connection.
            let client = Client::new(&running.addresses, running.client.session().clone())?;
            let call = || async {
                let mut intake = client.intake();
                while started.elapsed() < time {
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
    Ok(next.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Waits until the ledger has recorded every accepted report, so that the next measurement is not disturbed.
pub async fn wait_for_ledger(client: &Client) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(5);
    let mut last = u64::MAX;
    loop {
        let conservation = client
            .ledger()
            .get_conservation(GetConservationRequest {})
            .await?
            .into_inner();
        if conservation.events == last {
            return Ok(());
        }
        last = conservation.events;
        ensure!(
            Instant::now() < deadline,
            "the ledger still receives events after five minutes"
        );
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}
