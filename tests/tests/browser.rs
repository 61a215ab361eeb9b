//! The console in a real browser, over the whole system. The browser's part is `tests/browser/console.test.mjs`;
//! `./dev test` installs the browser and its packages.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use domain::enums::{DeliveryChannel, ProviderRole};
use proto::v1::{ListOverdueRequest, Provider, UpsertProvidersRequest};
use roles::client::Client;
use roles::system::{DEMO_POLICY, LOCAL_OPERATOR, Options, System, policy};
use secrecy::ExposeSecret as _;
use tests::analyst;
use tokio::process::Command;

/// Undecided cases in the queue.
const CASES: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn browser_visits_every_page_and_decides_by_keyboard() -> Result<()> {
    let browser = platform::config::env_var("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "there is no TAKEDOWN_BROWSER; run `./dev test`, or pass `--skip browser`"
    );
    let database = testkit::TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let mut options = Options::new(folder.path().join("data"));
    options.database_url = Some(database.url().into());
    // Deadlines pass within seconds, and the rungs of the ladder are due long after the test.
    options.policy = policy(&DEMO_POLICY.replace("s, rung:", "h, rung:"))?;
    options.settings.dispatch.resolve_names = false;
    let system = System::start(options, &|line| eprintln!("{line}")).await?;
    let overdue = create_overdue_case(system.client()).await?;
    fill_queue(system.client()).await?;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/console.test.mjs");
    let password = system
        .new_password()
        .context("the first start creates an account")?;
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
    let report = String::from_utf8_lossy(&output.stdout);
    system.stop().await?;
    ensure!(
        output.status.success(),
        "the browser tests failed:\n{report}"
    );
    Ok(())
}

/// Creates a case whose host was notified and has missed its deadline, and returns its id.
async fn create_overdue_case(client: &Client) -> Result<String> {
    let host = Provider {
        provider_id: "host-one".to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        domains: vec!["host-one.example".to_owned()],
        ..Provider::default()
    };
    let providers = UpsertProvidersRequest {
        providers: vec![host],
    };
    client.dispatch().upsert_providers(providers).await?;
    let case = analyst::report_and_decide(client, "https://host-one.example/picture").await?;
    analyst::wait_until("a deadline passes", async || {
        let request = ListOverdueRequest::default();
        let overdue = client.dispatch().list_overdue(request).await?;
        Ok(overdue.get_ref().total > 0)
    })
    .await?;
    Ok(case)
}

/// Reports URLs that no list or rule decides, and waits until their cases are queued.
async fn fill_queue(client: &Client) -> Result<()> {
    let urls = (0..CASES).map(|n| format!("https://album{n}.example/picture/{n}"));
    analyst::submit(client, urls.collect()).await?;
    analyst::wait_for_case_count(client, CASES as u64 + 1).await
}
