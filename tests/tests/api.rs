//! The provider API without prior knowledge: its OpenAPI document in a browser, and every operation under a fuzzer that
//! knows only the document. `./dev test` installs the browser, `./dev test --all` the fuzzer.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use domain::enums::{DeliveryChannel, ProviderRole};
use platform::config::env_var;
use proto::v1::{CreateProviderKeyRequest, Provider, UpsertProvidersRequest};
use roles::client::Client;
use roles::system::{Options, System};
use testkit::TestDatabase;
use tokio::process::Command;

/// Examples per operation and phase.
const EXAMPLES: &str = "40";

async fn system(database: &TestDatabase, folder: &Path) -> Result<System> {
    let mut options = Options::new(folder.join("data"));
    options.database_url = Some(database.url().into());
    options.settings.dispatch.resolve_names = false;
    // No host of an example exists.
    let closed_port = SocketAddr::from(([127, 0, 0, 1], 9));
    options.connector.map.insert("*.example", closed_port)?;
    System::start(options, &|line| eprintln!("{line}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_the_document_without_external_requests() -> Result<()> {
    let browser = env_var("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "TAKEDOWN_BROWSER is not set; run `./dev test`, or pass `--skip browser`"
    );
    let database = TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let system = system(&database, folder.path()).await?;
    let output = Command::new("node")
        .arg("--test")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/docs.test.mjs"))
        .env("GATEWAY_URL", &system.addresses().gateway)
        .output()
        .await
        .context("starting node")?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    system.stop().await?;
    ensure!(
        output.status.success(),
        "the browser's test failed:\n{stdout}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs a program from a public registry: `./dev test --all`"]
async fn schemathesis_finds_no_fault_in_any_operation() -> Result<()> {
    let program = env_var("TAKEDOWN_SCHEMATHESIS").context(
        "TAKEDOWN_SCHEMATHESIS is not set; run `./dev test --all`, or pass `--skip schemathesis`",
    )?;
    let database = TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let system = system(&database, folder.path()).await?;
    let key = create_provider_key(system.client()).await?;
    let output = Command::new(program)
        .arg("run")
        .arg(format!("{}/openapi.json", system.addresses().gateway))
        .args(["--url", &system.addresses().gateway])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        .args(["--checks", "all", "--max-examples", EXAMPLES])
        .args(["--workers", "2", "--continue-on-failure", "--no-color"])
        .current_dir(folder.path())
        .output()
        .await
        .context("starting schemathesis")?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    system.stop().await?;
    ensure!(output.status.success(), "schemathesis found:\n{stdout}");
    Ok(())
}

/// Creates a provider and an API key with every right.
async fn create_provider_key(client: &Client) -> Result<String> {
    let provider = Provider {
        provider_id: "amber-host".to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        domains: vec!["amber-host.example".to_owned()],
        ..Provider::default()
    };
    let request = UpsertProvidersRequest {
        providers: vec![provider],
    };
    client.dispatch().upsert_providers(request).await?;
    let request = CreateProviderKeyRequest {
        provider_id: "amber-host".to_owned(),
        ..CreateProviderKeyRequest::default()
    };
    let created = client.dispatch().create_provider_key(request).await?;
    Ok(created.into_inner().key)
}
