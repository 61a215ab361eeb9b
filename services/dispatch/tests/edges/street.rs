//! A street for the edges: providers whose endpoints are the test's own servers, and a courier that reaches them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dispatch::channels::mail::TlsMode;
use dispatch::channels::{Mail, MailSettings, Webhook};
use dispatch::checkpoint::Latest;
use dispatch::delivery::{Courier, DeliverySettings, Parts};
use dispatch::directory::Provider;
use dispatch::document::Hotline;
use dispatch::probe::{ProbeSettings, Watcher};
use dispatch::store;
use domain::word::{DeliveryChannel, ProviderRole};
use platform::clock::Clock;
use platform::connector::{Connector, Policy};
use platform::log::Hint;
use platform::sealed::{Purpose, SigningContext};
use uuid::Uuid;

use crate::host::Host;
use crate::relay::MailRelay;
use crate::support::{Bench, id};

/// Right of the @ in the addresses that mails come back to.
pub(crate) const RETURNS: &str = "returns.hotline.example";

pub(crate) struct Street {
    pub(crate) bench: Bench,
    hosts: Vec<(String, Host)>,
    pub(crate) relay: Option<MailRelay>,
    pub(crate) settings: DeliverySettings,
}

impl Street {
    pub(crate) async fn new() -> Self {
        Self {
            bench: Bench::new().await,
            hosts: Vec::new(),
            relay: None,
            settings: DeliverySettings {
                timeout_seconds: 2,
                poll_millis: 20,
                ..DeliverySettings::default()
            },
        }
    }

    /// Puts a provider into the directory that is sent webhooks, at `http://hooks.NAME.example/in`, served by `host`.
    pub(crate) async fn hooked(&mut self, name: &str, host: &Host, mailbox: bool) {
        self.serve(&format!("hooks.{name}.example"), host);
        let endpoint = format!("http://hooks.{name}.example/in");
        self.put(name, DeliveryChannel::Webhook, Some(&endpoint), mailbox)
            .await;
    }

    /// Puts a provider into the directory that is sent mails.
    pub(crate) async fn mailed(&mut self, name: &str) {
        self.put(name, DeliveryChannel::Email, None, true).await;
    }

    /// Lets requests for a name reach `host`.
    pub(crate) fn serve(&mut self, name: &str, host: &Host) {
        self.hosts.push((name.to_owned(), host.clone()));
    }

    async fn put(
        &self,
        name: &str,
        channel: DeliveryChannel,
        endpoint: Option<&str>,
        mailbox: bool,
    ) {
        let row_id = Uuid::new_v4();
        let seal = |purpose, text: &str| {
            let keyring = &self.bench.rules.keyring;
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
        let mut tx = self.bench.pool.begin().await.unwrap();
        let (now, keyring) = (self.bench.now(), &self.bench.rules.keyring);
        store::put_providers(&mut tx, now, &[&provider])
            .await
            .unwrap();
        let address = endpoint.unwrap_or_default();
        dispatch::commands::webhook::choose(&mut tx, keyring, now, &provider.id, address)
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

    pub(crate) fn courier(&self) -> Courier {
        let signer = self.bench.rules.keyring.signer(SigningContext::Notice);
        let timeout = self.settings.timeout();
        let mail = self.relay.as_ref().map(|relay| self.mail(relay, timeout));
        Courier::new(Parts {
            pool: self.bench.pool.clone(),
            clock: Clock::Manual(self.bench.clock.clone()),
            rules: self.bench.rules.clone(),
            settings: self.settings.clone(),
            hotline: Hotline::default(),
            checkpoint: Latest::default(),
            webhook: Webhook::new(self.connector(), signer, timeout),
            connector: self.connector(),
            mail,
            bell: Hint::default(),
        })
    }

    fn mail(&self, relay: &MailRelay, timeout: Duration) -> Mail {
        let settings = MailSettings {
            host: relay.address.ip().to_string(),
            port: relay.address.port(),
            tls: TlsMode::Loopback,
            return_domain: Some(RETURNS.into()),
            ..MailSettings::default()
        };
        Mail::new(
            &settings,
            &Hotline::default(),
            &self.bench.rules.keyring,
            timeout,
        )
        .unwrap()
    }

    pub(crate) fn watcher(&self, settings: ProbeSettings) -> Watcher {
        Watcher::new(
            self.bench.pool.clone(),
            Clock::Manual(self.bench.clock.clone()),
            self.bench.rules.clone(),
            self.connector(),
            settings,
        )
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.bench
            .clock
            .advance(time::Duration::seconds_f64(seconds));
    }

    /// Attempts and last failure of what is in line, by provider.
    pub(crate) async fn in_line(&self) -> HashMap<String, (i32, Option<String>)> {
        let rows: Vec<(String, i32, Option<String>)> =
            sqlx::query_as("select provider_id, attempts, last_failure from delivery")
                .fetch_all(&self.bench.pool)
                .await
                .unwrap();
        rows.into_iter().map(|(p, n, f)| (p, (n, f))).collect()
    }
}

/// Waits for a condition, and not for long.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
