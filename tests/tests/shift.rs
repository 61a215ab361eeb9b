//! A shift through the real door: `takedown up` as its own process, a browser, and the keyboard alone. The browser's part is
//! `tests/browser/shift.test.mjs`; `./dev test` brings the browser and its packages, and `./dev pictures` has this test make
//! the pictures of `docs/CONSOLE.md`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::word::{AgeBand, DeliveryChannel, Media, ProviderRole, StaffRole};
use platform::testing::TestDatabase;
use proto::v1::intake_service_client::IntakeServiceClient;
use proto::v1::{
    CreatePartnerRequest, CreateProviderKeyRequest, CreateStaffRequest,
    GetVerificationCountsRequest, Provider, PutProvidersRequest, Receipt, ReportChannel,
    ReportItem, ReportRemoveFacts, SubmitReportsRequest, SubmitReportsResponse, item_result,
};
use takedown::client::{Client, Profile};
use takedown::spread;
use takedown::system::DEMO_POLICY;

/// What the first case's URL is: masked on every page but one.
const URL: &str = "https://host-one.example/album/17?picture=3";
/// The number that the helpline gave them; it is their id of the report.
const YOUNG_PERSON: &str = "HL-00017";
const OTHERS: [&str; 5] = ["SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH"];
const PEOPLE: [(&str, &[StaffRole]); 3] = [
    ("ann", &[StaffRole::Analyst]),
    ("bea", &[StaffRole::Analyst]),
    ("cleo", &[StaffRole::Supervisor]),
];

struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // It may have been left frozen by a test that failed.
        for signal in ["-CONT", "-TERM"] {
            let _ = Command::new("kill")
                .args([signal, &self.0.id().to_string()])
                .status();
        }
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_works_a_shift_by_keyboard() -> Result<()> {
    let browser = platform::config::variable("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "there is no TAKEDOWN_BROWSER; run `./dev test`, or pass `--skip browser`"
    );
    let database = TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let up = start(folder.path(), &database)?;
    let profile = Profile::read(folder.path())?;
    let client = Client::of(&profile)?;
    let mut told: Vec<(String, String)> = Vec::new();
    for (name, roles) in PEOPLE {
        let password = format!("synthetic password of {name}");
        let request = CreateStaffRequest {
            name: name.to_owned(),
            password: password.clone(),
            roles: roles.iter().map(|role| role.wire()).collect(),
        };
        client.verification().create_staff(request).await?;
        told.push((name.to_uppercase(), password));
    }
    told.push(("HOST_KEY".to_owned(), host(&client).await?));
    told.extend(report(&client, &profile.addresses.intake).await?);
    park(&database).await?;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/shift.test.mjs");
    let output = tokio::process::Command::new("node")
        .arg("--test")
        .arg(script)
        .env("CONSOLE_URL", &profile.addresses.console)
        .env("GATEWAY", &profile.addresses.gateway)
        .env("URL", URL)
        .env("TAKEDOWN_PID", up.0.id().to_string())
        .envs(told)
        .output()
        .await
        .context("starting node")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the browser's tests failed:\n{said}"
    );
    Ok(())
}

/// The program, ready to be used: a provider's clocks of seconds, all else long after the test, and two analysts for the
/// worst.
fn start(folder: &Path, database: &TestDatabase) -> Result<Up> {
    let (policy, config) = (folder.join("policy.yaml"), folder.join("roles.toml"));
    let text = DEMO_POLICY
        .replace("s, rung:", "h, rung:")
        .replace("received: 60s", "received: 60h");
    std::fs::write(&policy, text)?;
    let settings =
        "[verification]\nsecond_analyst = [\"A\"]\n\n[dispatch]\nresolve_names = false\n";
    std::fs::write(&config, settings)?;
    let mut child = Command::new(spread::program()?)
        .args(["up", "--json", "--console-listen", "127.0.0.1:0"])
        .args(["--gateway-listen", "127.0.0.1:0"])
        .arg("--policy")
        .arg(&policy)
        .arg("--config")
        .arg(&config)
        .env("DATABASE_URL", database.url())
        .env("TAKEDOWN_DATA_DIR", folder)
        .env("TAKEDOWN_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting takedown")?;
    let out = child.stdout.take().context("it has no stdout")?;
    let up = Up(child);
    // Its announcement is one JSON object; the last line closes it.
    for line in BufReader::new(out).lines() {
        if line? == "}" {
            return Ok(up);
        }
    }
    anyhow::bail!("it ended before it was ready")
}

/// A host that is told by its API; its key.
async fn host(client: &Client) -> Result<String> {
    let provider = Provider {
        provider_id: "host-one".to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        country: "NL".to_owned(),
        asn: 64_500,
        domains: vec!["host-one.example".to_owned()],
        ..Provider::default()
    };
    let providers = PutProvidersRequest {
        providers: vec![provider],
    };
    client.dispatch().put_providers(providers).await?;
    let request = CreateProviderKeyRequest {
        provider_id: "host-one".to_owned(),
        ..CreateProviderKeyRequest::default()
    };
    let created = client.dispatch().create_provider_key(request).await?;
    Ok(created.into_inner().key)
}

/// Cases in the order of their urgency: one that a young person reported, and others by how many reported them.
async fn report(client: &Client, intake: &str) -> Result<Vec<(String, String)>> {
    young_person(client, intake).await?;
    let mut told = vec![("FIRST".to_owned(), YOUNG_PERSON.to_owned())];
    for (place, name) in OTHERS.into_iter().enumerate() {
        let external_id = format!("PU-7-{:06}", 40 + place);
        for copy in 0..OTHERS.len() - place {
            let item = ReportItem {
                url: format!("https://host-one.example/album/{place}"),
                external_id: if copy == 0 {
                    external_id.clone()
                } else {
                    String::new()
                },
                media: Media::Image.wire(),
                ..ReportItem::default()
            };
            let request = SubmitReportsRequest {
                channel: ReportChannel::Public.into(),
                items: vec![item],
                ..SubmitReportsRequest::default()
            };
            let answer = client.intake().submit_reports(request).await?;
            let receipt = receipt(answer.into_inner())?;
            if copy == 0 && name == "THIRD" {
                told.push(("REFERENCE".to_owned(), receipt.reference));
            }
        }
        told.push((name.to_owned(), external_id));
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let request = GetVerificationCountsRequest {};
        let counts = client
            .verification()
            .get_verification_counts(request)
            .await?;
        if counts.get_ref().cases == 1 + OTHERS.len() as u64 {
            return Ok(told);
        }
        ensure!(Instant::now() < deadline, "the cases are not queued");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Through the helpline that young people turn to, with its own key.
async fn young_person(client: &Client, intake: &str) -> Result<()> {
    let request = CreatePartnerRequest {
        name: "A helpline".to_owned(),
        channel: ReportChannel::ReportRemove.into(),
        daily_quota: 100,
    };
    let partner = client.intake().create_partner(request).await?.into_inner();
    let item = ReportItem {
        url: URL.to_owned(),
        external_id: YOUNG_PERSON.to_owned(),
        media: Media::Image.wire(),
        ..ReportItem::default()
    };
    let facts = ReportRemoveFacts {
        under_18: true,
        age_band: AgeBand::AgeBand1315.wire(),
        unique_number: YOUNG_PERSON.to_owned(),
    };
    let mut request = tonic::Request::new(SubmitReportsRequest {
        channel: ReportChannel::ReportRemove.into(),
        report_remove: Some(facts),
        items: vec![item],
        ..SubmitReportsRequest::default()
    });
    let bearer = format!("Bearer {}", partner.key).parse()?;
    request.metadata_mut().insert("authorization", bearer);
    let mut service = IntakeServiceClient::new(platform::grpc::channel(intake)?);
    receipt(service.submit_reports(request).await?.into_inner())?;
    Ok(())
}

fn receipt(answer: SubmitReportsResponse) -> Result<Receipt> {
    match answer.results.into_iter().next().and_then(|one| one.result) {
        Some(item_result::Result::Receipt(receipt)) => Ok(receipt),
        other => anyhow::bail!("a report was not taken: {other:?}"),
    }
}

/// Something that verification cannot apply.
async fn park(database: &TestDatabase) -> Result<()> {
    let intake = database.pool("intake").await;
    let rotten = platform::log::NewEvent {
        id: uuid::Uuid::new_v4(),
        case_id: uuid::Uuid::new_v4(),
        kind: "ReportReceived",
        caused_by: None,
        traceparent: None,
        occurred_at: time::OffsetDateTime::UNIX_EPOCH,
        payload: b"\xff no message".to_vec(),
    };
    let mut conn = intake.acquire().await?;
    platform::log::append(&mut conn, &[rotten]).await?;
    Ok(())
}
