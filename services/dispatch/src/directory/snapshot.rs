//! The provider directory in memory: which provider hosts a name or an address, its upstream, registrar and
//! origin, and its delivery channels. Reloaded when its version increases. Keeps contacts sealed as they are
//! stored; opens none.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use domain::enums::{DeliveryChannel, ProviderRole};
use domain::id::ProviderId;
use domain::url::{CanonicalUrl, DomainName};
use ipnet::IpNet;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;
use crate::directory::store;

/// A provider in the directory.
#[derive(Clone)]
pub struct Provider {
    pub id: ProviderId,
    pub role: ProviderRole,
    pub country: String,
    pub asn: i64,
    pub cidrs: Vec<IpNet>,
    pub domains: Vec<DomainName>,
    pub upstream: Option<ProviderId>,
    pub registrar: Option<ProviderId>,
    pub origin: Option<ProviderId>,
    pub channel: DeliveryChannel,
    /// The sealed contact is bound to it.
    pub row_id: Uuid,
    /// Abuse mailbox, sealed.
    pub contact: Option<Vec<u8>>,
    /// The active webhook endpoint; none if it has none, or if its endpoint was retired after a 410.
    pub webhook: Option<ActiveWebhook>,
}

/// The webhook endpoint that a provider's notices are sent to.
#[derive(Clone)]
pub struct ActiveWebhook {
    pub endpoint_id: Uuid,
    /// Sealed.
    pub address: Vec<u8>,
}

impl Provider {
    /// The delivery channels that reach the provider, its chosen one first. The pull API is included only if
    /// the provider chose it.
    pub fn channels(&self) -> Vec<DeliveryChannel> {
        let is_available = |channel: &DeliveryChannel| match channel {
            DeliveryChannel::Api => self.channel == DeliveryChannel::Api,
            DeliveryChannel::Webhook => self.webhook.is_some(),
            DeliveryChannel::Email => self.contact.is_some(),
        };
        let others = [DeliveryChannel::Webhook, DeliveryChannel::Email];
        std::iter::once(self.channel)
            .chain(others.into_iter().filter(|other| *other != self.channel))
            .filter(is_available)
            .collect()
    }
}

/// The whole directory at one version.
#[derive(Default)]
pub struct DirectorySnapshot {
    version: i64,
    providers: HashMap<ProviderId, Arc<Provider>>,
    by_domain: HashMap<String, Vec<ProviderId>>,
    by_net: HashMap<IpNet, Vec<ProviderId>>,
    /// Prefix lengths that occur, longest first.
    lengths_v4: BTreeSet<std::cmp::Reverse<u8>>,
    lengths_v6: BTreeSet<std::cmp::Reverse<u8>>,
}

impl DirectorySnapshot {
    pub fn new(version: i64, providers: Vec<Provider>) -> Self {
        let mut snapshot = Self {
            version,
            ..Self::default()
        };
        for provider in providers {
            let id = provider.id.clone();
            for domain in &provider.domains {
                let name = domain.reveal().to_owned();
                snapshot.by_domain.entry(name).or_default().push(id.clone());
            }
            for net in &provider.cidrs {
                let lengths = match net {
                    IpNet::V4(_) => &mut snapshot.lengths_v4,
                    IpNet::V6(_) => &mut snapshot.lengths_v6,
                };
                lengths.insert(std::cmp::Reverse(net.prefix_len()));
                let nets = snapshot.by_net.entry(net.trunc()).or_default();
                nets.push(id.clone());
            }
            snapshot.providers.insert(id, Arc::new(provider));
        }
        snapshot
    }

    pub fn get(&self, id: &ProviderId) -> Option<&Arc<Provider>> {
        self.providers.get(id)
    }

    /// Every provider, by id.
    pub fn all(&self) -> Vec<&Arc<Provider>> {
        let mut all: Vec<&Arc<Provider>> = self.providers.values().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The provider of this name, or of the longest parent domain in the directory.
    pub fn by_domain(&self, name: &DomainName) -> Option<&Arc<Provider>> {
        name.ancestry()
            .find_map(|name| self.by_domain.get(name))
            .and_then(|ids| self.nearest(ids))
    }

    /// The provider of this address, by the longest matching prefix.
    pub fn by_address(&self, ip: IpAddr) -> Option<&Arc<Provider>> {
        let lengths = match ip {
            IpAddr::V4(_) => &self.lengths_v4,
            IpAddr::V6(_) => &self.lengths_v6,
        };
        lengths
            .iter()
            .filter_map(|length| IpNet::new(ip, length.0).ok())
            .find_map(|net| self.by_net.get(&net.trunc()))
            .and_then(|ids| self.nearest(ids))
    }

    /// The provider of a URL, by the directory alone, without DNS.
    pub fn by_url(&self, url: &CanonicalUrl) -> Option<&Arc<Provider>> {
        let host = url.host();
        match (host.domain(), host.ip()) {
            (Some(name), _) => self.by_domain(name),
            (None, Some(ip)) => self.by_address(ip),
            (None, None) => None,
        }
    }

    /// Finds the provider that another one named in an answer: by id, host name or address.
    pub fn by_text(&self, text: &str) -> Option<&Arc<Provider>> {
        let text = text.trim();
        let by_id = text
            .parse::<ProviderId>()
            .ok()
            .and_then(|id| self.providers.get(&id));
        by_id.or_else(|| match text.parse::<IpAddr>() {
            Ok(ip) => self.by_address(ip),
            Err(_) => self.by_domain(&DomainName::parse(text).ok()?),
        })
    }

    /// Among several providers of one name or network: the one nearest to the content by its role, then by
    /// id.
    fn nearest(&self, ids: &[ProviderId]) -> Option<&Arc<Provider>> {
        ids.iter()
            .filter_map(|id| self.providers.get(id))
            .min_by_key(|provider| (provider.role, &provider.id))
    }
}

/// The shared directory. Clones share the snapshot.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<Arc<DirectorySnapshot>>>);

impl Directory {
    /// The current directory: reads its version, and reloads it if the version has increased.
    pub async fn current(&self, conn: &mut PgConnection) -> Result<Arc<DirectorySnapshot>, Error> {
        let version = store::directory_version(conn).await?;
        let cached = self.cached();
        if cached.version == version {
            return Ok(cached);
        }
        let loaded = Arc::new(DirectorySnapshot::new(
            version,
            store::providers(conn).await?,
        ));
        // A slower load of an older version must not replace a newer one; each caller uses what it loaded.
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if shared.version < loaded.version {
            *shared = Arc::clone(&loaded);
        }
        Ok(loaded)
    }

    fn cached(&self) -> Arc<DirectorySnapshot> {
        // The lock guards only a pointer, so a panicked thread cannot have left it half-written.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
