//! The roles through a gRPC client that knows none of our code, only reflection and the standard services: grpcurl, which
//! `./dev test` installs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use platform::config::env_var;

use roles::system::{Options, System};
use serde_json::{Value, json};
use testkit::TestDatabase;
use tokio::process::Command;

/// grpcurl exits with this number plus the status code.
const STATUS_EXIT: i32 = 64;

const INVALID_ARGUMENT: i32 = 3;

/// grpcurl, towards one role.
struct Grpcurl {
    program: PathBuf,
    address: String,
}

impl Grpcurl {
    fn new(base: &str) -> Result<Self> {
        let program = env_var("TAKEDOWN_GRPCURL")
            .context("TAKEDOWN_GRPCURL is not set; run `./dev test`, or pass `--skip grpcurl`")?;
        let address = base.strip_prefix("http://").context("a plain address")?;
        Ok(Self {
            program: program.into(),
            address: address.to_owned(),
        })
    }

    /// The exit code, and what it printed to both outputs.
    async fn run(&self, options: &[&str], operation: &[&str]) -> Result<(i32, String)> {
        let output = Command::new(&self.program)
            .arg("-plaintext")
            .args(options)
            .arg(&self.address)
            .args(operation)
            .output()
            .await
            .context("starting grpcurl")?;
        let printed = [output.stdout, output.stderr].concat();
        let code = output.status.code().context("grpcurl was killed")?;
        Ok((code, String::from_utf8(printed)?))
    }

    async fn health(&self, service: &str) -> Result<Value> {
        let request = json!({ "service": service }).to_string();
        let check = ["grpc.health.v1.Health/Check"];
        let (code, printed) = self.run(&["-d", &request], &check).await?;
        ensure!(code == 0, "{service}: {printed}");
        Ok(serde_json::from_str::<Value>(&printed)?["status"].clone())
    }
}

async fn start(database: &TestDatabase, folder: &Path) -> Result<System> {
    let mut options = Options::new(folder.join("data"));
    options.database_url = Some(database.url().into());
    options.settings.dispatch.resolve_names = false;
    System::start(options, &|line| eprintln!("{line}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_reads_services_health_and_the_field_of_a_violation() -> Result<()> {
    let database = TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let system = start(&database, folder.path()).await?;
    let addresses = system.addresses();

    let roles = [
        (&addresses.intake, "takedown.v1.IntakeService"),
        (&addresses.verification, "takedown.v1.VerificationService"),
        (&addresses.dispatch, "takedown.v1.DispatchService"),
        (&addresses.ledger, "takedown.v1.LedgerService"),
    ];
    for (base, service) in roles {
        let role = Grpcurl::new(base)?;
        let (code, printed) = role.run(&[], &["list"]).await?;
        ensure!(code == 0, "{printed}");
        let listed: Vec<&str> = printed.lines().collect();
        for (_, name) in roles {
            assert_eq!(listed.contains(&name), name == service, "{printed}");
        }
        for name in ["", service] {
            assert_eq!(role.health(name).await?, "SERVING", "{name}");
        }
    }

    let submission = json!({
        "channel": "REPORT_CHANNEL_PUBLIC",
        "reporter_country": "England",
        "reports": [{ "url": "https://host.example/page" }],
    });
    let options = ["-format-error", "-d", &submission.to_string()];
    let intake = Grpcurl::new(&addresses.intake)?;
    let method = ["takedown.v1.IntakeService/SubmitReports"];
    let (code, printed) = intake.run(&options, &method).await?;
    assert_eq!(code, STATUS_EXIT + INVALID_ARGUMENT, "{printed}");
    let status: Value = serde_json::from_str(&printed).with_context(|| printed.clone())?;
    let sentence =
        "send the country as two capital letters of ISO 3166-1, such as GB, or leave it out";
    assert_eq!(
        status["details"],
        json!([
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "COUNTRY_MALFORMED",
                "domain": "takedown.v1",
            },
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{
                    "field": "reporter_country",
                    "description": sentence,
                    "reason": "COUNTRY_MALFORMED",
                }],
            },
        ]),
    );
    assert_eq!(status["message"], sentence);
    system.stop().await
}
