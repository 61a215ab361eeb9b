//! The reference client acts only on notices that the hotline signed for it, on every delivery channel.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::enums::{Category, DeliveryChannel, ProviderRole};
use http::{HeaderMap, StatusCode};
use lettre::message::header::ContentType;
use lettre::message::{MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use platform::clock::wall;
use platform::connector::{self, Connector, ConnectorMap, Request};
use platform::sealed::{Keyring, SigningContext, commitment, jwks};
use serde_json::{Value, json};
use simulator::hosts::{Listeners, SimulatedHosts, webhook_url};
use simulator::scenario::{
    Behaviour, GroundTruth, ReportRow, Scenario, ScenarioProvider, ScenarioReport, TrueVerdict,
};
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PAGE_URL: &str = "https://acts-webhook.example/a/1.jpg";
const SALT: [u8; 32] = [7; 32];

/// What the test hotline received, in order: (route, notice or token, answer).
type ReceivedAnswers = Arc<Mutex<Vec<(&'static str, String, String)>>>;

struct ReferenceClientFixture {
    keyring: Keyring,
    received: ReceivedAnswers,
    gateway: SocketAddr,
    relay: SocketAddr,
    egress: Connector,
    hosts: Arc<SimulatedHosts>,
    _folder: tempfile::TempDir,
}

impl ReferenceClientFixture {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("keyring.json");
        let keyring = Keyring::create(&path).unwrap();
        let received = ReceivedAnswers::default();
        let gateway = start_hotline(&keyring, Arc::clone(&received)).await;
        let scenario = scenario();
        let listeners = Listeners::bind(&scenario).await.unwrap();
        let relay = listeners.mail_relay().unwrap();
        let mut policy = connector::Policy {
            map: ConnectorMap::try_from(listeners.connector_map().to_vec()).unwrap(),
            ..connector::Policy::default()
        };
        policy.trust_pem(listeners.ca_pem().as_bytes()).unwrap();
        let base = format!("http://{gateway}");
        let hosts = listeners
            .start(&scenario, &base, &HashMap::new(), CancellationToken::new())
            .await
            .unwrap();
        let egress = Connector::new(policy);
        Self {
            keyring,
            received,
            gateway,
            relay,
            egress,
            hosts,
            _folder: folder,
        }
    }

    /// A notice document that is signed for `audience`.
    fn notice(&self, id: Uuid, audience: &str) -> Value {
        let signer = self.keyring.signer(SigningContext::Notice);
        let time = |at: time::OffsetDateTime| at.format(&Rfc3339).unwrap();
        let statement = json!({
            "format": 1, "notice_id": id, "sequence": 1, "message": "notice", "provider_id": audience,
            "episode": 1, "step": 1, "commitment": hex::encode(commitment(&SALT, PAGE_URL)),
            "issued": time(wall()), "expires": time(wall() + time::Duration::days(1)),
            "key_id": signer.key_id().as_str(),
        })
        .to_string();
        json!({
            "notice_id": id, "case_id": Uuid::from_u128(1), "provider_id": audience, "episode": 1, "step": 1,
            "url": PAGE_URL, "salt": STANDARD.encode(SALT), "signed": STANDARD.encode(&statement),
            "signature": STANDARD.encode(signer.sign(statement.as_bytes())), "key_id": signer.key_id().as_str(),
        })
    }

    /// Sends a webhook; `forge` makes its signature invalid.
    async fn push(&self, to: &str, data: &Value, forge: bool) -> StatusCode {
        let (id, timestamp) = ("msg_1", wall().unix_timestamp().to_string());
        let body = json!({ "type": "notice.created", "data": data }).to_string();
        let signer = self.keyring.signer(SigningContext::Notice);
        let content = format!("{id}.{timestamp}.{body}{}", if forge { " " } else { "" });
        let signature = STANDARD.encode(signer.sign_raw(content.as_bytes()).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", timestamp.parse().unwrap());
        headers.insert(
            "webhook-signature",
            format!("v1a,{signature}").parse().unwrap(),
        );
        let url = webhook_url(to).parse().unwrap();
        let request = Request::post(url, headers, Bytes::from(body), 1024);
        self.egress.send(request).await.unwrap().status
    }

    async fn mail(&self, to: &str, data: &Value) -> Result<(), lettre::transport::smtp::Error> {
        let link = format!("http://{}/n/token-1", self.gateway);
        let mail = Message::builder()
            .from("notices@hotline.example".parse().unwrap())
            .to(format!("abuse@{to}.example").parse().unwrap())
            .subject("Notice")
            .multipart(
                MultiPart::mixed()
                    .singlepart(SinglePart::plain(format!("Answer:  {link}\n.hidden\n")))
                    .singlepart(
                        SinglePart::builder()
                            .header(ContentType::parse("application/json").unwrap())
                            .body(json!({ "notice": data }).to_string()),
                    ),
            )
            .unwrap();
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.relay.ip().to_string())
            .port(self.relay.port())
            .build()
            .send(mail)
            .await
            .map(drop)
    }

    async fn page_status(&self) -> StatusCode {
        self.egress
            .send(Request::head(PAGE_URL.parse().unwrap()))
            .await
            .unwrap()
            .status
    }

    /// Waits until the hotline has received an answer by this route (`api`, `link`), or an opened link (`opened`).
    async fn wait_for_answer(&self, route: &'static str, target: &str, answer: &str) {
        let expected = (route, target.to_owned(), answer.to_owned());
        let received = async {
            while !self.received.lock().unwrap().contains(&expected) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), received).await;
        assert!(
            in_time.is_ok(),
            "{answer} was not received: {:?}",
            self.received.lock().unwrap()
        );
    }
}

/// A notice id whose delivery has no network fault.
fn id_without_fault(n: u128) -> Uuid {
    Uuid::from_u128(n | 0x0700_0000_0000_4000_8000_0000_0000_0000)
}

fn scenario() -> Scenario {
    let provider = |behaviour: Behaviour, channel: DeliveryChannel| {
        let verb = if behaviour == Behaviour::Bounces {
            "bounces"
        } else {
            "acts"
        };
        let id = format!("{verb}-{channel}");
        ScenarioProvider {
            domains: vec![format!("{id}.example")],
            abuse_contact: format!("abuse@{id}.example"),
            role: ProviderRole::Host,
            country: "GB".to_owned(),
            asn: 64_512,
            cidrs: Vec::new(),
            upstream: None,
            registrar: None,
            origin: None,
            behaviour,
            channel,
            id,
        }
    };
    let entry = ScenarioReport {
        report: ReportRow {
            external_id: "r-1".to_owned(),
            channel: "public".to_owned(),
            url: PAGE_URL.to_owned(),
            sha256: String::new(),
            age_band: String::new(),
            media: String::new(),
            received_at: String::new(),
            reporter_country: String::new(),
        },
        truth: Some(GroundTruth {
            case: "c-1".to_owned(),
            verdict: TrueVerdict::Actionable(Category::A),
            provider: "acts-webhook".to_owned(),
        }),
    };
    Scenario {
        providers: vec![
            provider(Behaviour::Prompt, DeliveryChannel::Webhook),
            provider(Behaviour::Prompt, DeliveryChannel::Email),
            provider(Behaviour::Bounces, DeliveryChannel::Webhook),
        ],
        reports: vec![entry],
    }
}

/// The part of the hotline's API that a host needs. Records the answers that it receives.
async fn start_hotline(keyring: &Keyring, received: ReceivedAnswers) -> SocketAddr {
    let keys = jwks(&keyring.public_keys(SigningContext::Notice));
    let whpk = keyring.public_keys(SigningContext::Notice)[0].whpk();
    let preferences = json!({ "channel": "webhook", "webhook_public_key": whpk });
    let submit_answers = |State(received): State<ReceivedAnswers>, Json(body): Json<Value>| async move {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut results = Vec::new();
        for answer in body["answers"].as_array().unwrap() {
            let id = &answer["notice_id"];
            let entry = ("api", text(id), text(&answer["answer"]));
            received.lock().unwrap().push(entry);
            results.push(json!({ "notice_id": id, "state": "acknowledged" }));
        }
        Json(json!({ "results": results }))
    };
    let answer_link = |State(received): State<ReceivedAnswers>,
                       Path(token): Path<String>,
                       Form(form): Form<HashMap<String, String>>| async move {
        let entry = ("link", token, form["answer"].clone());
        received.lock().unwrap().push(entry);
    };
    let open_link = |State(received): State<ReceivedAnswers>, Path(token): Path<String>| async move {
        let entry = ("opened", token, String::new());
        received.lock().unwrap().push(entry);
    };
    let router = Router::new()
        .route(
            "/.well-known/takedown-keys.json",
            get(move || async move { Json(keys) }),
        )
        .route(
            "/provider/v1/preferences",
            get(move || async move { Json(preferences) }),
        )
        .route("/provider/v1/answers", post(submit_answers))
        .route("/n/{token}", get(open_link).post(answer_link))
        .with_state(received);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn an_authentic_webhook_is_acted_on_and_a_resend_is_not() {
    let fixture = ReferenceClientFixture::start().await;
    let id = id_without_fault(1);
    assert_eq!(fixture.page_status().await, StatusCode::OK);
    let notice = fixture.notice(id, "acts-webhook");
    assert_eq!(
        fixture.push("acts-webhook", &notice, false).await,
        StatusCode::NO_CONTENT
    );
    fixture
        .wait_for_answer("api", &id.to_string(), "acknowledged")
        .await;
    fixture
        .wait_for_answer("api", &id.to_string(), "removed")
        .await;
    assert_eq!(fixture.page_status().await, StatusCode::NOT_FOUND);

    assert_eq!(
        fixture.push("acts-webhook", &notice, false).await,
        StatusCode::NO_CONTENT
    );
    let totals = fixture.hosts.log().totals();
    assert_eq!(
        (totals.received, totals.repeated, totals.duplicates),
        (2, 1, 0)
    );
    assert_eq!(
        fixture.received.lock().unwrap().len(),
        2,
        "a resend is not answered again"
    );
}

#[tokio::test]
async fn a_forged_altered_or_misaddressed_notice_is_not_acted_on() {
    let fixture = ReferenceClientFixture::start().await;
    let notice = fixture.notice(id_without_fault(1), "acts-webhook");
    assert_eq!(
        fixture.push("acts-webhook", &notice, true).await,
        StatusCode::UNAUTHORIZED
    );
    let misaddressed = fixture.notice(id_without_fault(2), "acts-email");
    let status = fixture.push("acts-webhook", &misaddressed, false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let mut altered = fixture.notice(id_without_fault(3), "acts-webhook");
    altered["url"] = json!("https://acts-webhook.example/innocent");
    let status = fixture.push("acts-webhook", &altered, false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let refused = fixture.hosts.log().totals().refused;
    let refused: Vec<_> = refused.into_keys().collect();
    assert_eq!(refused, ["contradicts", "not_for_us", "webhook_forged"]);
    assert!(fixture.received.lock().unwrap().is_empty());
    assert_eq!(fixture.page_status().await, StatusCode::OK);
}

#[tokio::test]
async fn an_authentic_mail_is_answered_by_its_link() {
    let fixture = ReferenceClientFixture::start().await;
    let notice = fixture.notice(id_without_fault(1), "acts-email");
    fixture.mail("acts-email", &notice).await.unwrap();
    fixture.wait_for_answer("opened", "token-1", "").await;
    fixture
        .wait_for_answer("link", "token-1", "acknowledged")
        .await;
    fixture.wait_for_answer("link", "token-1", "removed").await;
}

#[tokio::test]
async fn a_bouncing_host_accepts_neither_webhook_nor_mail() {
    let fixture = ReferenceClientFixture::start().await;
    let notice = fixture.notice(id_without_fault(1), "bounces-webhook");
    assert_eq!(
        fixture.push("bounces-webhook", &notice, false).await,
        StatusCode::GONE
    );
    let refused = fixture.mail("bounces-webhook", &notice).await.unwrap_err();
    assert!(refused.is_permanent(), "{refused}");
    let unknown = fixture.mail("unknown", &notice).await.unwrap_err();
    assert!(unknown.is_permanent(), "{unknown}");
}
