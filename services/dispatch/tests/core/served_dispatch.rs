//! The role of dispatch served on loopback for a fixture, with a gRPC client.

use std::sync::Arc;

use crate::support::DispatchFixture;
use dispatch::delivery::MailSettings;
use dispatch::{Config, Deps};
use domain::enums::Answer;
use platform::clock::{Clock, wall};
use platform::connector::{Connector, Policy};
use platform::principal::Role;
use platform::sealed::{Keyring, SigningContext, StaffClaims, StaffTokenIssuer};
use platform::service::{CoreDeps, RoleFailed};
use proto::v1;
use proto::v1::dispatch_service_client::DispatchServiceClient;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

pub(crate) struct ServedDispatch {
    pub(crate) fixture: DispatchFixture,
    pub(crate) client: DispatchServiceClient<Channel>,
    shutdown: CancellationToken,
    role: tokio::task::JoinHandle<Result<(), RoleFailed>>,
}

impl ServedDispatch {
    pub(crate) async fn start() -> Self {
        let fixture = DispatchFixture::new().await;
        let keyring = Arc::clone(&fixture.deps.keyring);
        Self::start_with(fixture, keyring, None).await
    }

    /// Serves the role with mail: responses to notices go to addresses of this domain. The mail relay is
    /// unreachable.
    pub(crate) async fn with_return_domain(domain: &str) -> Self {
        let fixture = DispatchFixture::new().await;
        let keyring = Arc::clone(&fixture.deps.keyring);
        let mail = MailSettings {
            port: 1,
            return_domain: Some(domain.to_owned()),
            ..MailSettings::default()
        };
        Self::start_with(fixture, keyring, Some(mail)).await
    }

    /// Restarts the role after the keyring's current key for request bodies was replaced.
    pub(crate) async fn restart_with_new_body_key(self) -> Self {
        self.shutdown.cancel();
        self.role.await.unwrap().unwrap();
        let json = std::fs::read(self.fixture.folder.path().join("keyring.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let new_key = json["link"]["keys"][0]["key"].clone();
        json["body"]["current"] = "h-next".into();
        let keys = json["body"]["keys"].as_array_mut().unwrap();
        keys.insert(0, serde_json::json!({"id": "h-next", "key": new_key}));
        let keyring = Keyring::parse(&json.to_string()).unwrap();
        Self::start_with(self.fixture, Arc::new(keyring), None).await
    }

    pub(crate) async fn start_with(
        fixture: DispatchFixture,
        keyring: Arc<Keyring>,
        mail: Option<MailSettings>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let config = Config {
            resolve_names: false,
            mail,
            ..Config::default()
        };
        let pool = fixture.database.pool_with_size("dispatch", 12).await;
        let deps = Deps {
            core: CoreDeps {
                clock: Clock::Manual(fixture.clock.clone()),
                ..CoreDeps::new(pool, keyring, config)
            },
            policy: Arc::clone(&fixture.deps.policy),
            connector: Connector::new(Policy::default()),
            ledger: None,
        };
        let role = tokio::spawn(dispatch::run(deps, listener, shutdown.clone()));
        let channel = platform::grpc::channel(&address).unwrap();
        Self {
            fixture,
            client: DispatchServiceClient::new(channel),
            shutdown,
            role,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.role.await.unwrap().unwrap();
    }

    /// A staff token with these roles.
    pub(crate) fn staff_token(&self, roles: &[Role]) -> String {
        let signer = self.fixture.deps.keyring.signer(SigningContext::StaffToken);
        StaffTokenIssuer::new(signer)
            .unwrap()
            .issue(&StaffClaims {
                subject: Uuid::from_u128(1),
                name: "Sam Example".into(),
                roles: roles.iter().copied().collect(),
                session: Uuid::from_u128(2),
                audience: "dispatch".into(),
                issued_at: wall(),
                expires_at: wall() + time::Duration::seconds(50),
            })
            .unwrap()
    }

    /// Creates a provider key with these scopes, or with all if `scopes` is empty.
    pub(crate) async fn provider_key(
        &mut self,
        provider: &str,
        scopes: &[v1::ProviderScope],
    ) -> String {
        let request = v1::CreateProviderKeyRequest {
            provider_id: provider.into(),
            scopes: scopes.iter().map(|scope| *scope as i32).collect(),
            ..v1::CreateProviderKeyRequest::default()
        };
        let token = self.staff_token(&[Role::Operator]);
        let created = self
            .client
            .create_provider_key(with_credential(&token, request))
            .await;
        created.unwrap().into_inner().key
    }
}

/// A request with a bearer credential.
pub(crate) fn with_credential<T>(credential: &str, body: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(body);
    let value = format!("Bearer {credential}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// An answer to a notice, without further fields.
pub(crate) fn answer_item(notice: &str, answer: Answer) -> v1::AnswerItem {
    v1::AnswerItem {
        notice_id: notice.into(),
        answer: answer.wire(),
        ..v1::AnswerItem::default()
    }
}
