//! The reference client believes what the hotline signed for it, and nothing else, on every way that a notice comes.

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
use domain::word::{Category, DeliveryChannel, ProviderRole};
use http::{HeaderMap, StatusCode};
use lettre::message::header::ContentType;
use lettre::message::{MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use platform::clock::wall;
use platform::connector::{self, Connector, ConnectorMap, Request};
use platform::sealed::{Keyring, SigningContext, commitment, jwks};
use serde_json::{Value, json};
use takedown::street::files::{Behaviour, Entry, Provider, ReportRow, Street, Truth, Verdict};
use takedown::street::residents::{Premises, Residents, webhook_url};
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PAGE: &str = "https://acts-webhook.example/a/1.jpg";
const SALT: [u8; 32] = [7; 32];

/// What the far side of the client was told, in order: (how, notice or token, answer).
type Told = Arc<Mutex<Vec<(&'static str, String, String)>>>;

struct Scene {
    keyring: Keyring,
    told: Told,
    gateway: SocketAddr,
    relay: SocketAddr,
    way_out: Connector,
    residents: Arc<Residents>,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("keyring.json");
        let keyring = Keyring::create(&path).unwrap();
        let told = Told::default();
        let gateway = hotline(&keyring, Arc::clone(&told)).await;
        let street = street();
        let premises = Premises::build(&street).await.unwrap();
        let relay = premises.mail_relay().unwrap();
        let mut policy = connector::Policy {
            map: ConnectorMap::try_from(premises.connector_map().to_vec()).unwrap(),
            ..connector::Policy::default()
        };
        policy.trust_pem(premises.authority().as_bytes()).unwrap();
        let base = format!("http://{gateway}");
        let residents = premises
            .open(&street, &base, &HashMap::new(), CancellationToken::new())
            .await
            .unwrap();
        let way_out = Connector::new(policy);
        Self {
            keyring,
            told,
            gateway,
            relay,
            way_out,
            residents,
            _folder: folder,
        }
    }

    /// A notice as the hotline shows it to `shown_to`, signed for `audience`.
    fn notice(&self, id: Uuid, audience: &str) -> Value {
        let signer = self.keyring.signer(SigningContext::Notice);
        let time = |at: time::OffsetDateTime| at.format(&Rfc3339).unwrap();
        let statement = json!({
            "format": 1, "notice_id": id, "sequence": 1, "message": "notice", "provider_id": audience,
            "episode": 1, "step": 1, "commitment": hex::encode(commitment(&SALT, PAGE)),
            "issued": time(wall()), "expires": time(wall() + time::Duration::days(1)),
            "key_id": signer.key_id().as_str(),
        })
        .to_string();
        json!({
            "notice_id": id, "case_id": Uuid::from_u128(1), "provider_id": audience, "episode": 1, "step": 1,
            "url": PAGE, "salt": STANDARD.encode(SALT), "signed": STANDARD.encode(&statement),
            "signature": STANDARD.encode(signer.sign(statement.as_bytes())), "key_id": signer.key_id().as_str(),
        })
    }

    /// Sends a webhook; `forge` breaks its signature.
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
        self.way_out.send(request).await.unwrap().status
    }

    async fn mail(&self, to: &str, data: &Value) -> Result<(), lettre::transport::smtp::Error> {
        let link = format!("http://{}/n/token-1", self.gateway);
        let letter = Message::builder()
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
            .send(letter)
            .await
            .map(drop)
    }

    async fn page(&self) -> StatusCode {
        self.way_out
            .send(Request::head(PAGE.parse().unwrap()))
            .await
            .unwrap()
            .status
    }

    /// Waits until the hotline was told so much.
    async fn hears(&self, how: &str, what: &str, answer: &str) {
        let told = || {
            let told = self.told.lock().unwrap();
            told.iter()
                .any(|said| *said == (leak(how), what.to_owned(), answer.to_owned()))
        };
        let heard = async {
            while !told() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(20), heard).await;
        assert!(
            heard.is_ok(),
            "not told {answer}: {:?}",
            self.told.lock().unwrap()
        );
    }
}

fn leak(how: &str) -> &'static str {
    ["api", "link", "opened"]
        .into_iter()
        .find(|known| *known == how)
        .unwrap()
}

/// A notice id that meets no mishap on the way.
fn plain(n: u128) -> Uuid {
    Uuid::from_u128(n | 0x0700_0000_0000_4000_8000_0000_0000_0000)
}

fn street() -> Street {
    let provider = |behaviour: Behaviour, channel: DeliveryChannel| {
        let verb = if behaviour == Behaviour::Bounces {
            "bounces"
        } else {
            "acts"
        };
        let id = format!("{verb}-{channel}");
        Provider {
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
    let entry = Entry {
        report: ReportRow {
            external_id: "r-1".to_owned(),
            channel: "public".to_owned(),
            url: PAGE.to_owned(),
            sha256: String::new(),
            age_band: String::new(),
            media: String::new(),
            received_at: String::new(),
            reporter_country: String::new(),
        },
        truth: Some(Truth {
            case: "c-1".to_owned(),
            verdict: Verdict::Actionable(Category::A),
            provider: "acts-webhook".to_owned(),
        }),
    };
    Street {
        providers: vec![
            provider(Behaviour::Prompt, DeliveryChannel::Webhook),
            provider(Behaviour::Prompt, DeliveryChannel::Email),
            provider(Behaviour::Bounces, DeliveryChannel::Webhook),
        ],
        entries: vec![entry],
    }
}

/// The part of the hotline's API that a host needs, writing down what it is told.
async fn hotline(keyring: &Keyring, told: Told) -> SocketAddr {
    let keys = jwks(&keyring.public_keys(SigningContext::Notice));
    let whpk = keyring.public_keys(SigningContext::Notice)[0].whpk();
    let preferences = json!({ "channel": "webhook", "webhook_public_key": whpk });
    let answers = |State(told): State<Told>, Json(body): Json<Value>| async move {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut results = Vec::new();
        for said in body["answers"].as_array().unwrap() {
            let one = ("api", text(&said["notice_id"]), text(&said["answer"]));
            told.lock().unwrap().push(one);
            results.push(json!({ "notice_id": said["notice_id"], "state": "acknowledged" }));
        }
        Json(json!({ "results": results }))
    };
    let link = |State(told): State<Told>,
                Path(token): Path<String>,
                Form(form): Form<HashMap<String, String>>| async move {
        told.lock()
            .unwrap()
            .push(("link", token, form["answer"].clone()));
    };
    let opened = |State(told): State<Told>, Path(token): Path<String>| async move {
        told.lock().unwrap().push(("opened", token, String::new()));
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
        .route("/provider/v1/answers", post(answers))
        .route("/n/{token}", get(opened).post(link))
        .with_state(told);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    at
}

#[tokio::test]
async fn a_true_webhook_is_acted_on_and_a_resend_is_not() {
    let scene = Scene::set().await;
    let id = plain(1);
    assert_eq!(scene.page().await, StatusCode::OK);
    let notice = scene.notice(id, "acts-webhook");
    assert_eq!(
        scene.push("acts-webhook", &notice, false).await,
        StatusCode::NO_CONTENT
    );
    scene.hears("api", &id.to_string(), "acknowledged").await;
    scene.hears("api", &id.to_string(), "removed").await;
    assert_eq!(scene.page().await, StatusCode::NOT_FOUND);

    assert_eq!(
        scene.push("acts-webhook", &notice, false).await,
        StatusCode::NO_CONTENT
    );
    let logged = scene.residents.log().read();
    assert_eq!(
        (logged.received, logged.repeated, logged.duplicates),
        (2, 1, 0)
    );
    assert_eq!(
        scene.told.lock().unwrap().len(),
        2,
        "a resend is not answered again"
    );
}

#[tokio::test]
async fn what_is_forged_altered_or_anothers_is_not_acted_on() {
    let scene = Scene::set().await;
    let notice = scene.notice(plain(1), "acts-webhook");
    assert_eq!(
        scene.push("acts-webhook", &notice, true).await,
        StatusCode::UNAUTHORIZED
    );
    let anothers = scene.notice(plain(2), "acts-email");
    let status = scene.push("acts-webhook", &anothers, false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let mut altered = scene.notice(plain(3), "acts-webhook");
    altered["url"] = json!("https://acts-webhook.example/innocent");
    let status = scene.push("acts-webhook", &altered, false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let refused = scene.residents.log().read().refused;
    let refused: Vec<_> = refused.into_keys().collect();
    assert_eq!(refused, ["contradicts", "not_for_us", "webhook_forged"]);
    assert!(scene.told.lock().unwrap().is_empty());
    assert_eq!(scene.page().await, StatusCode::OK);
}

#[tokio::test]
async fn a_true_mail_is_answered_by_its_link() {
    let scene = Scene::set().await;
    let notice = scene.notice(plain(1), "acts-email");
    scene.mail("acts-email", &notice).await.unwrap();
    scene.hears("opened", "token-1", "").await;
    scene.hears("link", "token-1", "acknowledged").await;
    scene.hears("link", "token-1", "removed").await;
}

#[tokio::test]
async fn whoever_bounces_takes_neither_webhook_nor_mail() {
    let scene = Scene::set().await;
    let notice = scene.notice(plain(1), "bounces-webhook");
    assert_eq!(
        scene.push("bounces-webhook", &notice, false).await,
        StatusCode::GONE
    );
    let refused = scene.mail("bounces-webhook", &notice).await.unwrap_err();
    assert!(refused.is_permanent(), "{refused}");
    let nobody = scene.mail("nobody", &notice).await.unwrap_err();
    assert!(nobody.is_permanent(), "{nobody}");
}
