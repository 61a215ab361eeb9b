//! The provider directory in memory: who hosts a name or an address, who stands behind whom, and by which channels each
//! is reached. Loaded again when its version grows. Holds sealed endpoints as they are stored; opens none.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use domain::id::ProviderId;
use domain::url::{CanonicalUrl, DomainName};
use domain::word::{DeliveryChannel, ProviderRole};
use ipnet::IpNet;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, store};

/// A provider as the directory knows it.
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
    /// What the sealed values are bound to.
    pub row_id: Uuid,
    /// Abuse mailbox, sealed.
    pub contact: Option<Vec<u8>>,
    /// Where its webhooks go; none where it has none, or the one it has is gone.
    pub webhook: Option<WebhookAt>,
}

/// The endpoint of a provider that is in use.
#[derive(Clone)]
pub struct WebhookAt {
    pub endpoint_id: Uuid,
    /// Sealed.
    pub address: Vec<u8>,
}

impl Provider {
    /// The channels that reach it, the chosen one first. Nobody is made to pull who did not ask to.
    pub fn channels(&self) -> Vec<DeliveryChannel> {
        let there = |channel: &DeliveryChannel| match channel {
            DeliveryChannel::Api => self.channel == DeliveryChannel::Api,
            DeliveryChannel::Webhook => self.webhook.is_some(),
            DeliveryChannel::Email => self.contact.is_some(),
        };
        let others = [DeliveryChannel::Webhook, DeliveryChannel::Email];
        std::iter::once(self.channel)
            .chain(others.into_iter().filter(|other| *other != self.channel))
            .filter(there)
            .collect()
    }
}

/// The whole directory at one version.
#[derive(Default)]
pub struct Snapshot {
    version: i64,
    providers: HashMap<ProviderId, Arc<Provider>>,
    by_domain: HashMap<String, Vec<ProviderId>>,
    by_net: HashMap<IpNet, Vec<ProviderId>>,
    /// Lengths of prefixes that occur, longest first.
    lengths_v4: BTreeSet<std::cmp::Reverse<u8>>,
    lengths_v6: BTreeSet<std::cmp::Reverse<u8>>,
}

impl Snapshot {
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

    /// Who has this name, or the longest name above it that the directory knows.
    pub fn by_domain(&self, name: &DomainName) -> Option<&Arc<Provider>> {
        name.ancestry()
            .find_map(|name| self.by_domain.get(name))
            .and_then(|ids| self.nearest(ids))
    }

    /// Who has this address, by the longest prefix.
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

    /// Who hosts a URL as far as the directory alone can tell.
    pub fn by_url(&self, url: &CanonicalUrl) -> Option<&Arc<Provider>> {
        let host = url.host();
        match (host.domain(), host.ip()) {
            (Some(name), _) => self.by_domain(name),
            (None, Some(ip)) => self.by_address(ip),
            (None, None) => None,
        }
    }

    /// What a provider named in an answer: an id, a name or an address that the directory knows.
    pub fn named(&self, text: &str) -> Option<&Arc<Provider>> {
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

    /// Where several share a name or a network: whoever is nearest to the content, then by id.
    fn nearest(&self, ids: &[ProviderId]) -> Option<&Arc<Provider>> {
        ids.iter()
            .filter_map(|id| self.providers.get(id))
            .min_by_key(|provider| (provider.role, &provider.id))
    }
}

/// The directory as it is shared; clones see the same.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<Arc<Snapshot>>>);

impl Directory {
    /// The present directory: one look at its version, and a load when that has grown.
    pub async fn current(&self, conn: &mut PgConnection) -> Result<Arc<Snapshot>, Error> {
        let version = store::directory_version(conn).await?;
        let held = self.held();
        if held.version == version {
            return Ok(held);
        }
        let loaded = Arc::new(Snapshot::new(version, store::providers(conn).await?));
        // A slower loader of an older version must not undo a newer one; each uses what it loaded.
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if shared.version < loaded.version {
            *shared = Arc::clone(&loaded);
        }
        Ok(loaded)
    }

    fn held(&self) -> Arc<Snapshot> {
        // Only a pointer is behind the lock: nothing can be half-written.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
