//! Fixture with providers whose endpoints and pages are the test's own servers, and workers that reach them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::host::TestHost;
use crate::relay::MailRelay;
use crate::support::{DispatchFixture, id};
use dispatch::checks::{CheckSettings, CheckWorker};
use dispatch::delivery::document::Hotline;
use dispatch::delivery::{
    DeliveryDeps, DeliverySettings, DeliveryWorker, LatestCheckpoint, MailSender, MailSettings,
    TlsMode, WebhookSender,
};
use dispatch::directory::{self, Provider};
use domain::enums::{DeliveryChannel, ProviderRole};
use platform::clock::Clock;
use platform::connector::{Connector, Policy};
use platform::log::Wakeup;
use platform::sealed::{Purpose, SigningContext};
use uuid::Uuid;

/// Domain of the return addresses.
pub(crate) const RETURN_DOMAIN: &str = "returns.hotline.example";

pub(crate) struct DeliveryFixture {
    pub(crate) dispatch: DispatchFixture,
    hosts: Vec<(String, TestHost)>,
    pub(crate) relay: Option<MailRelay>,
    pub(crate) settings: DeliverySettings,
}

impl DeliveryFixture {
    pub(crate) async fn new() -> Self {
        Self {
            dispatch: DispatchFixture::new().await,
            hosts: Vec::new(),
            relay: None,
            settings: DeliverySettings {
                timeout_seconds: 2,
                poll_millis: 20,
                ..DeliverySettings::default()
            },
        }
    }

    /// Adds a provider that receives webhooks at `http://hooks.NAME.example/in`, served by `host`.
    pub(crate) async fn add_webhook_host(&mut self, name: &str, host: &TestHost, mailbox: bool) {
        self.map_name(&format!("hooks.{name}.example"), host);
        let endpoint = format!("http://hooks.{name}.example/in");
        self.upsert_provider(name, DeliveryChannel::Webhook, Some(&endpoint), mailbox)
            .await;
    }

    /// Adds a provider that receives mails.
    pub(crate) async fn add_mail_host(&mut self, name: &str) {
        self.upsert_provider(name, DeliveryChannel::Email, None, true)
            .await;
    }

    /// Directs requests for a host name to `host`.
    pub(crate) fn map_name(&mut self, name: &str, host: &TestHost) {
        self.hosts.push((name.to_owned(), host.clone()));
    }

    async fn upsert_provider(
        &self,
        name: &str,
        channel: DeliveryChannel,
        endpoint: Option<&str>,
        mailbox: bool,
    ) {
        let row_id = Uuid::new_v4();
        let seal = |purpose, text: &str| {
            let keyring = &self.dispatch.deps.keyring;
            let sealed = keyring.seal_provider(purpose, name, row_id, text.as_bytes());
            sealed.into_bytes()
        };
        let contact = mailbox.then(|| seal(Purpose::Contact, &format!("abuse@{name}.example")));
        let provider = Provider {
            id: id(name),
            role: ProviderRole::Host,
            country: "NL".into(),
            asn: 64512,
            cidrs: Vec::new(),
            domains: vec![domain::url::DomainName::parse(&format!("{name}.example")).unwrap()],
            upstream: None,
            registrar: None,
            origin: None,
            channel,
            row_id,
            contact,
            webhook: None,
        };
        let mut tx = self.dispatch.pool.begin().await.unwrap();
        let (now, keyring) = (self.dispatch.now(), &self.dispatch.deps.keyring);
        directory::upsert_providers(&mut tx, now, &[&provider])
            .await
            .unwrap();
        let address = endpoint.unwrap_or_default();
        dispatch::directory::choose_endpoint(&mut tx, keyring, now, &provider.id, address)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) fn connector(&self) -> Connector {
        let mut policy = Policy::default();
        for (name, host) in &self.hosts {
            policy.map.insert(name, host.address).unwrap();
        }
        Connector::new(policy)
    }

    pub(crate) fn delivery_worker(&self) -> DeliveryWorker {
        let signer = self.dispatch.deps.keyring.signer(SigningContext::Notice);
        let timeout = self.settings.timeout();
        let mail = self.relay.as_ref().map(|relay| self.mail(relay, timeout));
        DeliveryWorker::new(DeliveryDeps {
            pool: self.dispatch.pool.clone(),
            clock: Clock::Manual(self.dispatch.clock.clone()),
            command_deps: self.dispatch.deps.clone(),
            settings: self.settings.clone(),
            hotline: Hotline::default(),
            checkpoint: LatestCheckpoint::default(),
            webhook: WebhookSender::new(self.connector(), signer, timeout),
            connector: self.connector(),
            mail,
            wakeup: Wakeup::default(),
        })
    }

    fn mail(&self, relay: &MailRelay, timeout: Duration) -> MailSender {
        let settings = MailSettings {
            host: relay.address.ip().to_string(),
            port: relay.address.port(),
            tls: TlsMode::Loopback,
            return_domain: Some(RETURN_DOMAIN.into()),
            ..MailSettings::default()
        };
        MailSender::new(
            &settings,
            &Hotline::default(),
            &self.dispatch.deps.keyring,
            timeout,
        )
        .unwrap()
    }

    pub(crate) fn check_worker(&self, settings: CheckSettings) -> CheckWorker {
        CheckWorker::new(
            self.dispatch.pool.clone(),
            Clock::Manual(self.dispatch.clock.clone()),
            self.dispatch.deps.clone(),
            self.connector(),
            settings,
        )
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.dispatch
            .clock
            .advance(time::Duration::seconds_f64(seconds));
    }

    /// Attempts and last failure of the queued deliveries, by provider.
    pub(crate) async fn waiting_deliveries(&self) -> HashMap<String, (i32, Option<String>)> {
        let rows: Vec<(String, i32, Option<String>)> =
            sqlx::query_as("select provider_id, attempts, last_failure from delivery")
                .fetch_all(&self.dispatch.pool)
                .await
                .unwrap();
        rows.into_iter().map(|(p, n, f)| (p, (n, f))).collect()
    }
}

/// Waits for a condition, at most 20 seconds.
pub(crate) async fn until<F: Future<Output = bool>>(
    condition: &str,
    mut is_met: impl FnMut() -> F,
) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_met().await {
        assert!(Instant::now() < deadline, "not met in time: {condition}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
