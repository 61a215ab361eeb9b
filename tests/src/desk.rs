//! An analyst's desk, as a test works at it: reports come in, and one is found to be what it was reported for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::word::Category;
use proto::v1::{
    ClaimCasesRequest, DecideCasesRequest, DecisionItem, GetVerificationCountsRequest,
    ReportChannel, ReportItem, SubmitReportsRequest, Verdict, verdict,
};
use takedown::client::Client;

/// Reports one URL and decides that it is to be removed; the id of its case. Nothing else may wait in the queue.
pub async fn act(client: &Client, url: &str) -> Result<String> {
    let known = cases(client).await?;
    submit(client, vec![url.to_owned()]).await?;
    wait_until_queued(client, known + 1).await?;
    let request = ClaimCasesRequest {
        limit: 1,
        case_id: String::new(),
    };
    let claimed = client.verification().claim_cases(request).await?;
    let claimed = claimed.into_inner().claimed.pop().context("no claim")?;
    let case = claimed.assessment.context("a claim has no case")?;
    let actionable = verdict::Verdict::Actionable(Category::B.wire());
    let decision = DecisionItem {
        case_id: case.case_id.clone(),
        claim_token: claimed.claim_token,
        version: case.version,
        verdict: Some(Verdict {
            verdict: Some(actionable),
        }),
    };
    let request = DecideCasesRequest {
        items: vec![decision],
    };
    client.verification().decide_cases(request).await?;
    Ok(case.case_id)
}

pub async fn submit(client: &Client, urls: Vec<String>) -> Result<()> {
    let items = urls.into_iter().map(|url| ReportItem {
        url,
        ..ReportItem::default()
    });
    let request = SubmitReportsRequest {
        channel: ReportChannel::Public.into(),
        items: items.collect(),
        ..SubmitReportsRequest::default()
    };
    client.intake().submit_reports(request).await?;
    Ok(())
}

/// Waits until verification has heard of so many cases.
pub async fn wait_until_queued(client: &Client, wanted: u64) -> Result<()> {
    let heard = async || Ok(cases(client).await? == wanted);
    until("the cases are queued", heard).await
}

async fn cases(client: &Client) -> Result<u64> {
    let request = GetVerificationCountsRequest {};
    let counts = client
        .verification()
        .get_verification_counts(request)
        .await?;
    Ok(counts.get_ref().cases)
}

/// Waits for a condition, and not for long.
pub async fn until(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await? {
        ensure!(Instant::now() < deadline, "it does not come about: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
