//! An analyst for tests of the whole system: submits reports, waits until their cases are queued, and decides one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::enums::Category;
use proto::v1::{
    ClaimCasesRequest, DecideCasesRequest, DecisionItem, GetVerificationCountsRequest, NewReport,
    ReportChannel, SubmitReportsRequest, Verdict, verdict,
};
use roles::client::Client;

/// Reports one URL, decides that its case is actionable in category B, and returns the case id. No other case may be
/// waiting in the queue.
pub async fn report_and_decide(client: &Client, url: &str) -> Result<String> {
    let known = count_cases(client).await?;
    submit(client, vec![url.to_owned()]).await?;
    wait_for_case_count(client, known + 1).await?;
    let request = ClaimCasesRequest {
        limit: 1,
        case_id: String::new(),
    };
    let response = client.verification().claim_cases(request).await?;
    let claimed = response.into_inner().claimed.pop().context("no claim")?;
    let case = claimed.assessment.context("the claim has no case")?;
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
        decisions: vec![decision],
    };
    client.verification().decide_cases(request).await?;
    Ok(case.case_id)
}

/// Reports these URLs as the public.
pub async fn submit(client: &Client, urls: Vec<String>) -> Result<()> {
    let reports = urls.into_iter().map(|url| NewReport {
        url,
        ..NewReport::default()
    });
    let request = SubmitReportsRequest {
        channel: ReportChannel::Public.into(),
        reports: reports.collect(),
        ..SubmitReportsRequest::default()
    };
    client.intake().submit_reports(request).await?;
    Ok(())
}

/// Waits until verification has this many cases.
pub async fn wait_for_case_count(client: &Client, cases: u64) -> Result<()> {
    let has_cases = async || Ok(count_cases(client).await? == cases);
    wait_until("verification has the cases", has_cases).await
}

async fn count_cases(client: &Client) -> Result<u64> {
    let request = GetVerificationCountsRequest {};
    let counts = client
        .verification()
        .get_verification_counts(request)
        .await?;
    Ok(counts.get_ref().cases)
}

/// Polls a condition until it is met, for at most 30 seconds.
pub async fn wait_until(what: &str, is_met: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_met().await? {
        ensure!(Instant::now() < deadline, "not met in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
