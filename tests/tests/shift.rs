//! A shift in `takedown up` as a process of its own, worked in a browser by keyboard alone. The browser's part is
//! `tests/browser/shift.test.mjs`; `./dev test` installs the browser and its packages, and `./dev pictures` takes the
//! pictures of `docs/CONSOLE.md` with this test.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::enums::{AgeBand, DeliveryChannel, Media, ProviderRole, StaffRole};
use proto::v1::intake_service_client::IntakeServiceClient;
use proto::v1::{
    CreatePartnerRequest, CreateProviderKeyRequest, CreateStaffRequest,
    GetVerificationCountsRequest, NewReport, Provider, Receipt, ReportChannel, ReportRemoveFacts,
    SubmitReportsRequest, SubmitReportsResponse, UpsertProvidersRequest, report_result,
};
use roles::client::{Client, Profile};
use roles::system::DEMO_POLICY;
use simulator::multi_process;
use testkit::TestDatabase;

/// The URL of the first case, which every page masks except after a reveal.
const URL: &str = "https://host-one.example/album/17?picture=3";
/// The number that the helpline gave to the young person: its external id of the report.
const YOUNG_PERSON: &str = "HL-00017";
/// Names of the other cases' variables, by urgency.
const OTHERS: [&str; 5] = ["SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH"];
const PEOPLE: [(&str, &[StaffRole]); 3] = [
    ("ann", &[StaffRole::Analyst]),
    ("bea", &[StaffRole::Analyst]),
    ("cleo", &[StaffRole::Supervisor]),
];

/// The running program.
struct TakedownProcess(Child);

impl Drop for TakedownProcess {
    fn drop(&mut self) {
        // A failed test may have left it stopped.
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
    let browser = platform::config::env_var("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "there is no TAKEDOWN_BROWSER; run `./dev test`, or pass `--skip browser`"
    );
    let database = TestDatabase::new(&[]).await;
    let folder = tempfile::tempdir()?;
    let process = start(folder.path(), &database)?;
    let profile = Profile::read(folder.path())?;
    let client = Client::from_profile(&profile)?;
    let mut variables: Vec<(String, String)> = Vec::new();
    for (name, roles) in PEOPLE {
        let password = format!("synthetic password of {name}");
        let request = CreateStaffRequest {
            name: name.to_owned(),
            password: password.clone(),
            roles: roles.iter().map(|role| role.wire()).collect(),
        };
        client.verification().create_staff(request).await?;
        variables.push((name.to_uppercase(), password));
    }
    variables.push(("HOST_KEY".to_owned(), create_host(&client).await?));
    variables.extend(submit_reports(&client, &profile.addresses.intake).await?);
    append_invalid_event(&database).await?;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/shift.test.mjs");
    let output = tokio::process::Command::new("node")
        .arg("--test")
        .arg(script)
        .env("CONSOLE_URL", &profile.addresses.console)
        .env("GATEWAY", &profile.addresses.gateway)
        .env("URL", URL)
        .env("TAKEDOWN_PID", process.0.id().to_string())
        .envs(variables)
        .output()
        .await
        .context("starting node")?;
    let report = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the browser tests failed:\n{report}"
    );
    Ok(())
}

/// Starts the program: providers' deadlines pass within seconds, everything else is due long after the test, and
/// category A needs two analysts.
fn start(folder: &Path, database: &TestDatabase) -> Result<TakedownProcess> {
    let (policy, config) = (folder.join("policy.yaml"), folder.join("roles.toml"));
    let text = DEMO_POLICY
        .replace("s, rung:", "h, rung:")
        .replace("received: 60s", "received: 60h");
    std::fs::write(&policy, text)?;
    let settings =
        "[verification]\nsecond_analyst = [\"A\"]\n\n[dispatch]\nresolve_names = false\n";
    std::fs::write(&config, settings)?;
    let mut child = Command::new(multi_process::program()?)
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
    let out = child
        .stdout
        .take()
        .context("the program has no standard output")?;
    let process = TakedownProcess(child);
    // It prints one JSON object when it is ready; the last line closes it.
    for line in BufReader::new(out).lines() {
        if line? == "}" {
            return Ok(process);
        }
    }
    anyhow::bail!("the program ended before it was ready")
}

/// Creates a host that is notified by the API, and returns its key.
async fn create_host(client: &Client) -> Result<String> {
    let provider = Provider {
        provider_id: "host-one".to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        country: "NL".to_owned(),
        asn: 64_500,
        domains: vec!["host-one.example".to_owned()],
        ..Provider::default()
    };
    let providers = UpsertProvidersRequest {
        providers: vec![provider],
    };
    client.dispatch().upsert_providers(providers).await?;
    let request = CreateProviderKeyRequest {
        provider_id: "host-one".to_owned(),
        ..CreateProviderKeyRequest::default()
    };
    let created = client.dispatch().create_provider_key(request).await?;
    Ok(created.into_inner().key)
}

/// Creates cases in the order of their urgency: one that a young person reported, and others by their number of reports.
/// Returns their external ids, and the reference of the third, by the names of their variables.
async fn submit_reports(client: &Client, intake: &str) -> Result<Vec<(String, String)>> {
    report_as_young_person(client, intake).await?;
    let mut variables = vec![("FIRST".to_owned(), YOUNG_PERSON.to_owned())];
    for (index, name) in OTHERS.into_iter().enumerate() {
        let external_id = format!("PU-7-{:06}", 40 + index);
        for copy in 0..OTHERS.len() - index {
            let report = NewReport {
                url: format!("https://host-one.example/album/{index}"),
                external_id: if copy == 0 {
                    external_id.clone()
                } else {
                    String::new()
                },
                media: Media::Image.wire(),
                ..NewReport::default()
            };
            let request = SubmitReportsRequest {
                channel: ReportChannel::Public.into(),
                reports: vec![report],
                ..SubmitReportsRequest::default()
            };
            let response = client.intake().submit_reports(request).await?;
            let receipt = first_receipt(response.into_inner())?;
            if copy == 0 && name == "THIRD" {
                variables.push(("REFERENCE".to_owned(), receipt.reference));
            }
        }
        variables.push((name.to_owned(), external_id));
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let request = GetVerificationCountsRequest {};
        let counts = client
            .verification()
            .get_verification_counts(request)
            .await?;
        if counts.get_ref().cases == 1 + OTHERS.len() as u64 {
            return Ok(variables);
        }
        ensure!(Instant::now() < deadline, "the cases are not queued");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reports through the helpline for young people, with its own key.
async fn report_as_young_person(client: &Client, intake: &str) -> Result<()> {
    let request = CreatePartnerRequest {
        name: "A helpline".to_owned(),
        channel: ReportChannel::ReportRemove.into(),
        daily_quota: 100,
    };
    let partner = client.intake().create_partner(request).await?.into_inner();
    let report = NewReport {
        url: URL.to_owned(),
        external_id: YOUNG_PERSON.to_owned(),
        media: Media::Image.wire(),
        ..NewReport::default()
    };
    let facts = ReportRemoveFacts {
        under_18: true,
        age_band: AgeBand::AgeBand1315.wire(),
        unique_number: YOUNG_PERSON.to_owned(),
    };
    let mut request = tonic::Request::new(SubmitReportsRequest {
        channel: ReportChannel::ReportRemove.into(),
        report_remove: Some(facts),
        reports: vec![report],
        ..SubmitReportsRequest::default()
    });
    let bearer = format!("Bearer {}", partner.key).parse()?;
    request.metadata_mut().insert("authorization", bearer);
    let mut service = IntakeServiceClient::new(platform::grpc::channel(intake)?);
    first_receipt(service.submit_reports(request).await?.into_inner())?;
    Ok(())
}

fn first_receipt(response: SubmitReportsResponse) -> Result<Receipt> {
    match response
        .results
        .into_iter()
        .next()
        .and_then(|first| first.result)
    {
        Some(report_result::Result::Receipt(receipt)) => Ok(receipt),
        other => anyhow::bail!("a report was not accepted: {other:?}"),
    }
}

/// Appends an event that verification cannot apply and therefore parks.
async fn append_invalid_event(database: &TestDatabase) -> Result<()> {
    let intake = database.pool("intake").await;
    let invalid = platform::log::NewEvent {
        id: uuid::Uuid::new_v4(),
        case_id: uuid::Uuid::new_v4(),
        kind: "ReportReceived",
        caused_by: None,
        traceparent: None,
        occurred_at: time::OffsetDateTime::UNIX_EPOCH,
        payload: b"\xff not a message".to_vec(),
    };
    let mut conn = intake.acquire().await?;
    platform::log::append(&mut conn, &[invalid]).await?;
    Ok(())
}
