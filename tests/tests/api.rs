//! The providers' API as strangers use it: its document in a browser, and every operation under a fuzzer that knows nothing
//! but the document. `./dev test` brings the browser, `./dev test --all` the fuzzer.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use domain::word::{DeliveryChannel, ProviderRole};
use platform::config::variable;
use platform::testing::TestDatabase;
use proto::v1::{CreateProviderKeyRequest, Provider, PutProvidersRequest};
use takedown::client::Client;
use takedown::system::{Options, System};
use tokio::process::Command;

/// Examples for each operation and phase.
const EXAMPLES: &str = "40";

async fn system(database: &TestDatabase, folder: &Path) -> Result<System> {
    let mut options = Options::new(folder.join("data"));
    options.database_url = Some(database.url().into());
    options.settings.dispatch.resolve_names = false;
    // Whoever is named by an example is nobody.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    options.connector.map.insert("*.example", nobody)?;
    System::start(options, &|line| eprintln!("{line}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_the_document_and_asks_nobody_else() -> Result<()> {
    let browser = variable("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "there is no TAKEDOWN_BROWSER; run `./dev test`, or pass `--skip browser`"
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
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    system.stop().await?;
    ensure!(
        output.status.success(),
        "the browser's test failed:\n{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and its program comes from a public registry: `./dev test --all`"]
async fn schemathesis_passes_over_the_whole_document() -> Result<()> {
    let program = variable("TAKEDOWN_SCHEMATHESIS").context(
        "there is no TAKEDOWN_SCHEMATHESIS; run `./dev test --all`, or pass `--skip schemathesis`",
    )?;
    let database = TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let system = system(&database, folder.path()).await?;
    let key = key(system.client()).await?;
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
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    system.stop().await?;
    ensure!(output.status.success(), "schemathesis found:\n{said}");
    Ok(())
}

/// A provider's key with every right.
async fn key(client: &Client) -> Result<String> {
    let provider = Provider {
        provider_id: "amber-host".to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        domains: vec!["amber-host.example".to_owned()],
        ..Provider::default()
    };
    let request = PutProvidersRequest {
        providers: vec![provider],
    };
    client.dispatch().put_providers(request).await?;
    let request = CreateProviderKeyRequest {
        provider_id: "amber-host".to_owned(),
        ..CreateProviderKeyRequest::default()
    };
    let made = client.dispatch().create_provider_key(request).await?;
    Ok(made.into_inner().key)
}
