//! The console in a real browser, over the whole system. The browser's part is `tests/browser/console.test.mjs`; `./dev test`
//! brings the browser and its packages.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use domain::word::{DeliveryChannel, ProviderRole};
use proto::v1::{ListOverdueRequest, Provider, PutProvidersRequest};
use secrecy::ExposeSecret as _;
use takedown::client::Client;
use takedown::system::{DEMO_POLICY, LOCAL_OPERATOR, Options, System, policy};
use tests::desk;
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
    let case = desk::act(client, "https://host-one.example/picture").await?;
    desk::until("a clock runs out", async || {
        let request = ListOverdueRequest { page: None };
        let overdue = client.dispatch().list_overdue(request).await?;
        Ok(overdue.get_ref().total > 0)
    })
    .await?;
    Ok(case)
}

/// Reports that nothing decides by itself, until they wait in the queue.
async fn wait_for_cases(client: &Client) -> Result<()> {
    let urls = (0..CASES).map(|n| format!("https://album{n}.example/picture/{n}"));
    desk::submit(client, urls.collect()).await?;
    desk::wait_until_queued(client, CASES as u64 + 1).await
}
