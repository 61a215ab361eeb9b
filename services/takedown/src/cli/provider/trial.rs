//! `provider trial`: a made-up host with notices to answer, on a system on this machine, for whoever writes a client.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use domain::word::{Category, DeliveryChannel, ProviderRole, ReportChannel};
use platform::error::{Kind, Problem};
use proto::v1::{
    ClaimCasesRequest, CreateProviderKeyRequest, DecideCasesRequest, DecisionItem,
    GetProviderRequest, Provider, PutProvidersRequest, ReportItem, SearchNoticesRequest,
    SubmitReportsRequest, Verdict, item_result, verdict,
};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::cli::At;
use crate::client::{Client, Profile};
use crate::output::facts;

/// For a case to be queued, and for its notice.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(at: &At, id: String, notices: u8) -> Result<()> {
    let profile = Profile::read(&at.data.path()?)?;
    let gateway = profile.addresses.gateway.clone();
    if !is_loopback(&gateway) {
        return Err(Problem::new(
            Kind::FailedPrecondition,
            "not_on_loopback",
            "A trial makes up a host and reports about it; it is for a system on this machine, and this one's gateway is elsewhere.",
        )
        .into());
    }
    let client = Client::of(&profile)?;
    enter(&client, &id).await?;
    for _ in 0..notices {
        let case = report(&client, &id).await?;
        decide(&client, &case).await?;
        noticed(&client, &case).await?;
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
    at.format.print(&value, || {
        let shown = facts([
            ("provider", id.clone()),
            ("notices that wait", notices.to_string()),
            ("key (shown once)", key.key.clone()),
        ]);
        format!("{shown}\n\nexport BASE={gateway}\nexport KEY={}", key.key)
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

/// Puts the host into the directory; one that is there stays as it is.
async fn enter(client: &Client, id: &str) -> Result<()> {
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
    let request = PutProvidersRequest {
        providers: vec![provider],
    };
    let answer = client.dispatch().put_providers(request).await?.into_inner();
    match answer.problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(Problem::new(Kind::Invalid, problem.code, problem.detail).into()),
    }
}

/// Reports a page of the host that nobody has reported before; its case.
async fn report(client: &Client, id: &str) -> Result<String> {
    let item = ReportItem {
        url: format!("https://{id}.example/trial/{}", Uuid::new_v4()),
        ..ReportItem::default()
    };
    let request = SubmitReportsRequest {
        // As from nobody: whoever reports by name does not decide.
        channel: ReportChannel::Public.wire(),
        items: vec![item],
        ..SubmitReportsRequest::default()
    };
    let answer = client.intake().submit_reports(request).await?.into_inner();
    match answer.results.into_iter().next().and_then(|r| r.result) {
        Some(item_result::Result::Receipt(receipt)) => Ok(receipt.case_id),
        Some(item_result::Result::Problem(problem)) => {
            Err(Problem::new(Kind::Invalid, problem.code, problem.detail).into())
        }
        None => anyhow::bail!("the report was answered with nothing"),
    }
}

async fn decide(client: &Client, case: &str) -> Result<()> {
    let claimed = within(async || {
        let request = ClaimCasesRequest {
            limit: 1,
            case_id: case.to_owned(),
        };
        match client.verification().claim_cases(request).await {
            Ok(answer) => Ok(answer.into_inner().claimed.pop()),
            // It is on its way from intake.
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    })
    .await?;
    let assessment = claimed.assessment.context("a claim has no case")?;
    let request = DecideCasesRequest {
        items: vec![DecisionItem {
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

async fn noticed(client: &Client, case: &str) -> Result<()> {
    within(async || {
        let request = SearchNoticesRequest {
            case_id: case.to_owned(),
            ..SearchNoticesRequest::default()
        };
        let found = client.dispatch().search_notices(request).await?;
        Ok(found.into_inner().notices.pop())
    })
    .await
    .map(drop)
}

/// Asks again until there is an answer.
async fn within<T>(ask: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "it does not come about; `takedown doctor` says what is wrong"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
