//! `provider trial`: creates a trial host with notices to answer on a system on this machine, for client
//! developers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use domain::enums::{Category, DeliveryChannel, ProviderRole, ReportChannel};
use platform::error::{Kind, Problem};
use proto::v1::{
    ClaimCasesRequest, CreateProviderKeyRequest, DecideCasesRequest, DecisionItem,
    GetProviderRequest, NewReport, Provider, SearchNoticesRequest, SubmitReportsRequest,
    UpsertProvidersRequest, Verdict, report_result, verdict,
};
use roles::client::{Client, Profile};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::cli::CommonArgs;
use crate::output::facts;

/// How long to wait for a case to be queued, and for its notice to be opened.
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn run(common: &CommonArgs, id: String, notices: u8) -> Result<()> {
    let profile = Profile::read(&common.data.path()?)?;
    let gateway = profile.addresses.gateway.clone();
    if !is_loopback(&gateway) {
        return Err(Problem::new(
            Kind::FailedPrecondition,
            "not_on_loopback",
            "A trial creates a host and reports about it, and only on a system on this machine; this system's gateway is elsewhere.",
        )
        .into());
    }
    let client = Client::from_profile(&profile)?;
    create_host(&client, &id).await?;
    for _ in 0..notices {
        let case = report(&client, &id).await?;
        decide(&client, &case).await?;
        wait_for_notice(&client, &case).await?;
    }
    let request = CreateProviderKeyRequest {
        provider_id: id.clone(),
        name: "trial".to_owned(),
        ..CreateProviderKeyRequest::default()
    };
    let key = client.dispatch().create_provider_key(request).await?;
    let key = key.into_inner();
    let value = json!({
        "provider_id": id, "gateway": gateway, "key_id": key.key_id, "key": key.key, "notices": notices,
    });
    common.format.print(&value, || {
        let summary = facts([
            ("provider", id.clone()),
            ("open notices", notices.to_string()),
            ("key (shown once)", key.key.clone()),
        ]);
        format!("{summary}\n\nexport BASE={gateway}\nexport KEY={}", key.key)
    });
    Ok(())
}

fn is_loopback(gateway: &str) -> bool {
    match Url::parse(gateway).ok().as_ref().and_then(Url::host) {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Adds the host to the directory, unless it is there already.
async fn create_host(client: &Client, id: &str) -> Result<()> {
    let request = GetProviderRequest {
        provider_id: id.to_owned(),
    };
    match client.dispatch().get_provider(request).await {
        Ok(_) => return Ok(()),
        Err(status) if status.code() == tonic::Code::NotFound => {}
        Err(status) => return Err(status.into()),
    }
    let provider = Provider {
        provider_id: id.to_owned(),
        role: ProviderRole::Host.wire(),
        channel: DeliveryChannel::Api.wire(),
        domains: vec![format!("{id}.example")],
        ..Provider::default()
    };
    let request = UpsertProvidersRequest {
        providers: vec![provider],
    };
    let response = client
        .dispatch()
        .upsert_providers(request)
        .await?
        .into_inner();
    match response.problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(Problem::new(Kind::Invalid, problem.code, problem.detail).into()),
    }
}

/// Reports a new page of the host; returns its case id.
async fn report(client: &Client, id: &str) -> Result<String> {
    let new_report = NewReport {
        url: format!("https://{id}.example/trial/{}", Uuid::new_v4()),
        ..NewReport::default()
    };
    let request = SubmitReportsRequest {
        // Public, because staff who report a case may not decide it.
        channel: ReportChannel::Public.wire(),
        reports: vec![new_report],
        ..SubmitReportsRequest::default()
    };
    let response = client.intake().submit_reports(request).await?.into_inner();
    match response.results.into_iter().next().and_then(|r| r.result) {
        Some(report_result::Result::Receipt(receipt)) => Ok(receipt.case_id),
        Some(report_result::Result::Problem(problem)) => {
            Err(Problem::new(Kind::Invalid, problem.code, problem.detail).into())
        }
        None => anyhow::bail!("the response has no result"),
    }
}

async fn decide(client: &Client, case: &str) -> Result<()> {
    let claimed = wait_for(async || {
        let request = ClaimCasesRequest {
            limit: 1,
            case_id: case.to_owned(),
        };
        match client.verification().claim_cases(request).await {
            Ok(response) => Ok(response.into_inner().claimed.pop()),
            // Not received from intake yet.
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    })
    .await?;
    let assessment = claimed.assessment.context("a claim has no case")?;
    let request = DecideCasesRequest {
        decisions: vec![DecisionItem {
            case_id: assessment.case_id,
            version: assessment.version,
            claim_token: claimed.claim_token,
            verdict: Some(Verdict {
                verdict: Some(verdict::Verdict::Actionable(Category::C.wire())),
            }),
        }],
    };
    client.verification().decide_cases(request).await?;
    Ok(())
}

async fn wait_for_notice(client: &Client, case: &str) -> Result<()> {
    wait_for(async || {
        let request = SearchNoticesRequest {
            case_id: case.to_owned(),
            ..SearchNoticesRequest::default()
        };
        let response = client.dispatch().search_notices(request).await?;
        Ok(response.into_inner().notices.pop())
    })
    .await
    .map(drop)
}

/// Polls until there is a result.
async fn wait_for<T>(poll: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(result) = poll().await? {
            return Ok(result);
        }
        anyhow::ensure!(
            start.elapsed() < TIMEOUT,
            "timed out; run `takedown doctor` to find the reason"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
