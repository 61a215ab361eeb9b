//! The console in a real browser, over the whole system. The browser's part is `tests/browser/console.test.mjs`; `./dev test`
//! brings the browser and its packages.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::word::{Category, DeliveryChannel, ProviderRole};
use proto::v1::{
    ClaimCasesRequest, DecideCasesRequest, DecisionItem, GetVerificationCountsRequest,
    ListOverdueRequest, Provider, PutProvidersRequest, ReportChannel, ReportItem,
    SubmitReportsRequest, Verdict, verdict,
};
use secrecy::ExposeSecret as _;
use takedown::client::Client;
use takedown::system::{DEMO_POLICY, LOCAL_OPERATOR, Options, System, policy};
use tokio::process::Command;

const CASES: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn browser_walks_every_page_and_decides_by_keyboard() -> Result<()> {
    let browser = platform::config::variable("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "there is no TAKEDOWN_BROWSER; run `./dev test`, or pass `--skip browser`"
    );
    let database = platform::testing::TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let mut options = Options::new(folder.path().join("data"));
    options.database_url = Some(database.url().into());
    // Its clocks run out in seconds, and its rungs come long after the test.
    options.policy = policy(&DEMO_POLICY.replace("s, rung:", "h, rung:"))?;
    options.settings.dispatch.resolve_names = false;
    let system = System::start(options, &|line| eprintln!("{line}")).await?;
    let overdue = overdue_case(system.client()).await?;
    wait_for_cases(system.client()).await?;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/console.test.mjs");
    let password = system
        .new_password()
        .context("the first start makes an account")?;
    let output = Command::new("node")
        .arg("--test")
        .arg(script)
        .env("CONSOLE_URL", &system.addresses().console)
        .env("CONSOLE_USER", LOCAL_OPERATOR)
        .env("CONSOLE_CASE", overdue)
        .env("CONSOLE_PASSWORD", password.expose_secret())
        .output()
        .await
        .context("starting node")?;
    let said = String::from_utf8_lossy(&output.stdout);
    system.stop().await?;
    ensure!(
        output.status.success(),
        "the browser's tests failed:\n{said}"
    );
    Ok(())
}

/// A case whose host was told and has let its clock run out; its id.
async fn overdue_case(client: &Client) -> Result<String> {
    let host = Provider {
        provider_id: "host-one".to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        domains: vec!["host-one.example".to_owned()],
        ..Provider::default()
    };
    let providers = PutProvidersRequest {
        providers: vec![host],
    };
    client.dispatch().put_providers(providers).await?;
    submit(client, vec!["https://host-one.example/picture".to_owned()]).await?;
    wait_until_queued(client, 1).await?;
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
    until(async || {
        let request = ListOverdueRequest { page: None };
        let overdue = client.dispatch().list_overdue(request).await?;
        Ok(overdue.get_ref().total > 0)
    })
    .await?;
    Ok(case.case_id)
}

/// Reports that nothing decides by itself, until they wait in the queue.
async fn wait_for_cases(client: &Client) -> Result<()> {
    let urls = (0..CASES).map(|n| format!("https://album{n}.example/picture/{n}"));
    submit(client, urls.collect()).await?;
    wait_until_queued(client, CASES as u64 + 1).await
}

async fn submit(client: &Client, urls: Vec<String>) -> Result<()> {
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

async fn wait_until_queued(client: &Client, cases: u64) -> Result<()> {
    until(async || {
        let request = GetVerificationCountsRequest {};
        let counts = client
            .verification()
            .get_verification_counts(request)
            .await?;
        Ok(counts.get_ref().cases == cases)
    })
    .await
}

async fn until(holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await? {
        ensure!(Instant::now() < deadline, "it does not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
