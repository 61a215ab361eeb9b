//! Everybody on the street together, on two loopback listeners: one web server, one mail server.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::url::CanonicalUrl;
use domain::word::DeliveryChannel;
use platform::connector::MapEntry;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authority::Authority;
use super::files::{Behaviour, Street};
use super::gateway::{self, Gateway};
use super::log::HostLog;
use super::mishap::Transport;
use super::pages::Pages;
use super::player::{Player, Setting};
use super::{http, poll, smtp};

/// How long a host that is down stays down, from the moment that the street opens. With the longest pause before the next
/// attempt, the removal and its confirmation behind it, its upstream is still not asked (12 s in the demo's policy).
pub(super) const DOWN_FOR: Duration = Duration::from_secs(4);

const CLOSING: Duration = Duration::from_secs(2);

/// A street whose doors stand, before anybody lives in it: addresses for the hotline's configuration.
pub struct Premises {
    pages: Pages,
    authority: Arc<Authority>,
    web: TcpListener,
    mail: TcpListener,
    /// Bound and not listening, so that a connection is refused while the host is down.
    down: Vec<(String, TcpSocket)>,
    map: Vec<MapEntry>,
    transport: Transport,
}

pub struct Residents {
    pages: Arc<Pages>,
    log: Arc<HostLog>,
    players: Vec<Arc<Player>>,
    by_host: HashMap<String, Arc<Player>>,
    by_mailbox: HashMap<String, Arc<Player>>,
    tasks: TaskTracker,
    down: OnceLock<()>,
    shutdown: CancellationToken,
}

/// Where a provider of the street takes webhooks.
pub fn webhook_url(provider: &str) -> String {
    format!("https://{}/notices", webhook_host(provider))
}

fn webhook_host(provider: &str) -> String {
    format!("notify.{provider}.invalid")
}

impl Premises {
    /// Binds the street's listeners, and maps every name and network of the street to them.
    pub async fn build(street: &Street) -> Result<Self> {
        let web = TcpListener::bind((IpAddr::from([127, 0, 0, 1]), 0)).await?;
        let mail = TcpListener::bind((IpAddr::from([127, 0, 0, 1]), 0)).await?;
        let at = web.local_addr()?;
        let mut map = Vec::new();
        let mut leads = |from: &str, to| {
            let from = from.to_owned();
            map.push(MapEntry { from, to });
        };
        let mut down = Vec::new();
        for provider in &street.providers {
            for domain in &provider.domains {
                leads(domain, at);
                leads(&format!("*.{domain}"), at);
            }
            for network in &provider.cidrs {
                leads(network, at);
            }
            let host = webhook_host(&provider.id);
            let is_down = provider.behaviour == Behaviour::Down;
            if is_down && provider.channel == DeliveryChannel::Webhook {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
                leads(&host, socket.local_addr()?);
                down.push((host, socket));
            } else {
                leads(&host, at);
            }
        }
        Ok(Self {
            pages: Pages::of(street),
            authority: Authority::new(addresses(street))?,
            web,
            mail,
            down,
            map,
            transport: Transport::Fair,
        })
    }

    /// Over another way than one that goes wrong now and then.
    #[must_use]
    pub fn reached_over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Where every name and network of the street is, for the hotline's connector.
    pub fn connector_map(&self) -> &[MapEntry] {
        &self.map
    }

    /// The street's certificate authority, PEM.
    pub fn authority(&self) -> String {
        self.authority.pem()
    }

    /// Where every host of the street serves, but those that are down.
    pub fn web_address(&self) -> Result<SocketAddr> {
        Ok(self.web.local_addr()?)
    }

    pub fn mail_relay(&self) -> Result<SocketAddr> {
        Ok(self.mail.local_addr()?)
    }

    /// Everybody moves in: each with its key, against one gateway. `keys` are the providers' own, by id.
    pub async fn open(
        self,
        street: &Street,
        gateway: &str,
        keys: &HashMap<String, SecretString>,
        shutdown: CancellationToken,
    ) -> Result<Arc<Residents>> {
        let tasks = TaskTracker::new();
        let pages = Arc::new(self.pages);
        let log = Arc::new(HostLog::default());
        let client = gateway::client()?;
        let mut players = Vec::new();
        let mut by_host = HashMap::new();
        let mut by_mailbox = HashMap::new();
        for provider in &street.providers {
            let key = keys.get(&provider.id).cloned();
            let setting = Setting {
                id: provider.id.clone(),
                behaviour: provider.behaviour,
                upstream: provider.upstream.clone(),
                gateway: Gateway::new(gateway, key, client.clone())?,
                log: Arc::clone(&log),
                pages: Some(Arc::clone(&pages)),
                transport: self.transport,
            };
            let player = Player::new(setting, tasks.clone()).await?;
            if provider.channel == DeliveryChannel::Webhook {
                learn_webhook_key(&player).await?;
            }
            by_host.insert(webhook_host(&provider.id), Arc::clone(&player));
            by_mailbox.insert(
                provider.abuse_contact.to_ascii_lowercase(),
                Arc::clone(&player),
            );
            players.push(player);
        }
        let residents = Arc::new(Residents {
            pages,
            log,
            players,
            by_host,
            by_mailbox,
            tasks,
            down: OnceLock::new(),
            shutdown: shutdown.clone(),
        });
        let tls = TlsAcceptor::from(self.authority.server_config()?);
        let web = http::serve(
            self.web,
            tls.clone(),
            Arc::clone(&residents),
            shutdown.clone(),
        );
        residents.tasks.spawn(web);
        let mailboxes: smtp::Mailboxes = {
            let residents = Arc::clone(&residents);
            Arc::new(move |address| {
                residents
                    .by_mailbox
                    .get(&address.to_ascii_lowercase())
                    .cloned()
            })
        };
        residents
            .tasks
            .spawn(smtp::serve(self.mail, mailboxes, shutdown.clone()));
        residents.poll(street);
        residents
            .tasks
            .spawn(Arc::clone(&residents).stay_down(self.down, tls));
        Ok(residents)
    }
}

impl Residents {
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    pub fn log(&self) -> &HostLog {
        &self.log
    }

    /// Everybody goes home: no connection is taken any more, and nobody answers.
    pub async fn close(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        // Somebody who waits for a reply from a hotline that is gone is not waited for.
        let _ = tokio::time::timeout(CLOSING, self.tasks.wait()).await;
    }

    /// From now on time passes for those who are down.
    pub fn begin(&self) {
        // A second call changes nothing.
        let _ = self.down.set(());
    }

    pub(super) fn by_webhook_host(&self, host: &str) -> Option<&Arc<Player>> {
        self.by_host.get(host)
    }

    fn poll(&self, street: &Street) {
        for (provider, player) in street.providers.iter().zip(&self.players) {
            if provider.channel == DeliveryChannel::Api {
                self.tasks
                    .spawn(poll::run(Arc::clone(player), self.shutdown.clone()));
            }
        }
    }

    async fn stay_down(self: Arc<Self>, doors: Vec<(String, TcpSocket)>, tls: TlsAcceptor) {
        while self.down.get().is_none() {
            if self.passes(Duration::from_millis(100)).await {
                return;
            }
        }
        if self.passes(DOWN_FOR).await {
            return;
        }
        for player in &self.players {
            player.come_up();
        }
        for (host, door) in doors {
            match door.listen(1024) {
                Ok(listener) => {
                    let residents = Arc::clone(&self);
                    let shutdown = self.shutdown.clone();
                    self.tasks
                        .spawn(http::serve(listener, tls.clone(), residents, shutdown));
                }
                Err(error) => tracing::error!(%error, host, "a host of the street stays down"),
            }
        }
    }

    /// True when the street was shut down meanwhile.
    async fn passes(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.shutdown.cancelled())
            .await
            .is_ok()
    }
}

/// The key that webhooks are signed with, as the hotline tells each host that takes them.
pub(super) async fn learn_webhook_key(player: &Player) -> Result<()> {
    let preferences = player.gateway().preferences().await;
    let preferences = preferences.with_context(|| format!("preferences of {}", player.id()))?;
    let key = preferences
        .webhook_public_key
        .context("the hotline names no webhook key")?;
    player.trust_webhook_key(&key)
}

/// Every literal address that a report speaks of.
fn addresses(street: &Street) -> BTreeSet<IpAddr> {
    let urls = street
        .entries
        .iter()
        .filter_map(|entry| CanonicalUrl::parse(&entry.report.url).ok());
    urls.filter_map(|url| url.host().ip()).collect()
}
