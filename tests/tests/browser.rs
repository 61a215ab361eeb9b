//! The console in a real browser, over the whole system. The browser's part is `tests/browser/console.test.mjs`; `./dev test`
//! brings the browser and its packages.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proto::v1::{
    CreateStaffRequest, GetVerificationCountsRequest, ReportChannel, ReportItem, StaffRole,
    SubmitReportsRequest,
};
use secrecy::{ExposeSecret as _, SecretString};
use takedown::client::Client;
use takedown::system::{LOCAL_OPERATOR, Options, System};
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
    let system = System::start(options, &|line| eprintln!("{line}")).await?;
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

/// Reports that nothing decides by itself, until they wait in the queue.
async fn wait_for_cases(client: &Client) -> Result<()> {
    let items = (0..CASES).map(|n| ReportItem {
        url: format!("https://album{n}.example/picture/{n}"),
        ..ReportItem::default()
    });
    let request = SubmitReportsRequest {
        channel: ReportChannel::Proactive.into(),
        items: items.collect(),
        ..SubmitReportsRequest::default()
    };
    // By somebody else than who decides in the browser: nobody decides what they reported.
    let password = SecretString::from("a-password-of-the-submitter");
    let account = CreateStaffRequest {
        name: "submitter".into(),
        password: password.expose_secret().to_owned(),
        roles: vec![StaffRole::Operator.into()],
    };
    client.verification().create_staff(account).await?;
    let submitter = client.sign_in("submitter", &password).await?;
    submitter.intake().submit_reports(request).await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let counts = client
            .verification()
            .get_verification_counts(GetVerificationCountsRequest {})
            .await?;
        if counts.get_ref().cases == CASES as u64 {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the cases never came to the queue"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
