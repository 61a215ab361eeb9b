//! All simulated hosts together, on two loopback listeners: one web server and one mail server.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::enums::DeliveryChannel;
use domain::url::CanonicalUrl;
use host_client::WebhookKey;
use host_client::gateway_client::{self, GatewayClient};
use platform::connector::MapEntry;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::log::HostLog;
use super::network_fault::NetworkProfile;
use super::pages::Pages;
use super::scenario::{Behaviour, Scenario};
use super::simulated_host::{HostSetup, SimulatedHost};
use super::test_ca::TestCa;
use super::{http, poll, smtp};

/// How long a host with [`Behaviour::Down`] is down, from the start of the outages. With the longest pause before the
/// next attempt, the removal and its confirmation added, this stays below the demo policy's first rung upstream (12 s).
pub(super) const OUTAGE: Duration = Duration::from_secs(4);

const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Bound listeners before the hosts run: addresses for the hotline's configuration.
pub struct Listeners {
    pages: Pages,
    ca: Arc<TestCa>,
    web: TcpListener,
    mail: TcpListener,
    /// Webhook sockets of hosts that are down: bound and not listening, so that connections are refused.
    down: Vec<(String, TcpSocket)>,
    map: Vec<MapEntry>,
    network: NetworkProfile,
}

pub struct SimulatedHosts {
    pages: Arc<Pages>,
    log: Arc<HostLog>,
    hosts: Vec<Arc<SimulatedHost>>,
    by_webhook_host: HashMap<String, Arc<SimulatedHost>>,
    by_mailbox: HashMap<String, Arc<SimulatedHost>>,
    tasks: TaskTracker,
    outages_started: OnceLock<()>,
    shutdown: CancellationToken,
}

/// The webhook URL of a simulated provider.
pub fn webhook_url(provider: &str) -> String {
    format!("https://{}/notices", webhook_host(provider))
}

fn webhook_host(provider: &str) -> String {
    format!("notify.{provider}.invalid")
}

impl Listeners {
    /// Binds the listeners, and maps every name and network of the scenario to them.
    pub async fn bind(scenario: &Scenario) -> Result<Self> {
        let web = TcpListener::bind((IpAddr::from([127, 0, 0, 1]), 0)).await?;
        let mail = TcpListener::bind((IpAddr::from([127, 0, 0, 1]), 0)).await?;
        let web_address = web.local_addr()?;
        let mut map = Vec::new();
        let mut add = |from: &str, to| {
            let from = from.to_owned();
            map.push(MapEntry { from, to });
        };
        let mut down = Vec::new();
        for provider in &scenario.providers {
            for domain in &provider.domains {
                add(domain, web_address);
                add(&format!("*.{domain}"), web_address);
            }
            for network in &provider.cidrs {
                add(network, web_address);
            }
            let host = webhook_host(&provider.id);
            let is_down = provider.behaviour == Behaviour::Down;
            if is_down && provider.channel == DeliveryChannel::Webhook {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
                add(&host, socket.local_addr()?);
                down.push((host, socket));
            } else {
                add(&host, web_address);
            }
        }
        Ok(Self {
            pages: Pages::from_scenario(scenario),
            ca: TestCa::new(addresses(scenario))?,
            web,
            mail,
            down,
            map,
            network: NetworkProfile::Faulty,
        })
    }

    /// Replaces the default network, [`NetworkProfile::Faulty`].
    #[must_use]
    pub fn with_network(mut self, network: NetworkProfile) -> Self {
        self.network = network;
        self
    }

    /// Address of every name and network of the scenario, for the hotline's connector.
    pub fn connector_map(&self) -> &[MapEntry] {
        &self.map
    }

    /// CA certificate of the simulated hosts, PEM.
    pub fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// Address of the web server: every host except the webhooks of those that are down.
    pub fn web_address(&self) -> Result<SocketAddr> {
        Ok(self.web.local_addr()?)
    }

    pub fn mail_relay(&self) -> Result<SocketAddr> {
        Ok(self.mail.local_addr()?)
    }

    /// Starts every host against one gateway. `keys` are the providers' API keys, by id.
    pub async fn start(
        self,
        scenario: &Scenario,
        gateway: &str,
        keys: &HashMap<String, SecretString>,
        shutdown: CancellationToken,
    ) -> Result<Arc<SimulatedHosts>> {
        let tasks = TaskTracker::new();
        let pages = Arc::new(self.pages);
        let log = Arc::new(HostLog::default());
        let client = gateway_client::http_client()?;
        let mut hosts = Vec::new();
        let mut by_webhook_host = HashMap::new();
        let mut by_mailbox = HashMap::new();
        for provider in &scenario.providers {
            let key = keys.get(&provider.id).cloned();
            let setup = HostSetup {
                id: provider.id.clone(),
                behaviour: provider.behaviour,
                upstream: provider.upstream.clone(),
                gateway: GatewayClient::new(gateway, key, client.clone())?,
                log: Arc::clone(&log),
                pages: Some(Arc::clone(&pages)),
                network: self.network,
            };
            let host = SimulatedHost::new(setup, tasks.clone()).await?;
            if provider.channel == DeliveryChannel::Webhook {
                fetch_webhook_key(&host).await?;
            }
            by_webhook_host.insert(webhook_host(&provider.id), Arc::clone(&host));
            by_mailbox.insert(
                provider.abuse_contact.to_ascii_lowercase(),
                Arc::clone(&host),
            );
            hosts.push(host);
        }
        let hosts = Arc::new(SimulatedHosts {
            pages,
            log,
            hosts,
            by_webhook_host,
            by_mailbox,
            tasks,
            outages_started: OnceLock::new(),
            shutdown: shutdown.clone(),
        });
        let tls = TlsAcceptor::from(self.ca.server_config()?);
        let web = http::serve(self.web, tls.clone(), Arc::clone(&hosts), shutdown.clone());
        hosts.tasks.spawn(web);
        let mailboxes: smtp::MailboxLookup = {
            let hosts = Arc::clone(&hosts);
            Arc::new(move |address| hosts.by_mailbox.get(&address.to_ascii_lowercase()).cloned())
        };
        hosts
            .tasks
            .spawn(smtp::serve(self.mail, mailboxes, shutdown.clone()));
        hosts.start_polling(scenario);
        hosts
            .tasks
            .spawn(Arc::clone(&hosts).run_outages(self.down, tls));
        Ok(hosts)
    }
}

impl SimulatedHosts {
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    pub fn log(&self) -> &HostLog {
        &self.log
    }

    /// Stops every host: no connection is accepted and no answer is sent after this.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        // A task may still wait for a reply from a hotline that has stopped.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await;
    }

    /// Starts the timer that ends the outages.
    pub fn start_outages(&self) {
        // A second call has no effect.
        let _ = self.outages_started.set(());
    }

    pub(super) fn by_webhook_host(&self, host: &str) -> Option<&Arc<SimulatedHost>> {
        self.by_webhook_host.get(host)
    }

    fn start_polling(&self, scenario: &Scenario) {
        for (provider, host) in scenario.providers.iter().zip(&self.hosts) {
            if provider.channel == DeliveryChannel::Api {
                self.tasks
                    .spawn(poll::run(Arc::clone(host), self.shutdown.clone()));
            }
        }
    }

    async fn run_outages(self: Arc<Self>, sockets: Vec<(String, TcpSocket)>, tls: TlsAcceptor) {
        while self.outages_started.get().is_none() {
            if self.is_shut_down_within(Duration::from_millis(100)).await {
                return;
            }
        }
        if self.is_shut_down_within(OUTAGE).await {
            return;
        }
        for host in &self.hosts {
            host.end_outage();
        }
        for (host, socket) in sockets {
            match socket.listen(1024) {
                Ok(listener) => {
                    let hosts = Arc::clone(&self);
                    let shutdown = self.shutdown.clone();
                    self.tasks
                        .spawn(http::serve(listener, tls.clone(), hosts, shutdown));
                }
                Err(error) => tracing::error!(%error, host, "a simulated host stays down"),
            }
        }
    }

    async fn is_shut_down_within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.shutdown.cancelled())
            .await
            .is_ok()
    }
}

/// Fetches the hotline's webhook key, which the preferences of a host with a webhook contain.
pub(super) async fn fetch_webhook_key(host: &SimulatedHost) -> Result<()> {
    let preferences = host.gateway().preferences().await;
    let preferences = preferences.with_context(|| format!("preferences of {}", host.id()))?;
    let key = preferences
        .webhook_public_key
        .context("the hotline has no webhook key for this host")?;
    host.trust_webhook_key(WebhookKey::parse(&key)?);
    Ok(())
}

/// Every IP address that is the host of a reported URL.
fn addresses(scenario: &Scenario) -> BTreeSet<IpAddr> {
    let urls = scenario
        .reports
        .iter()
        .filter_map(|entry| CanonicalUrl::parse(&entry.report.url).ok());
    urls.filter_map(|url| url.host().ip()).collect()
}
