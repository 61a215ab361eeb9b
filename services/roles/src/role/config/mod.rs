//! The configuration file of each role: one typed struct, unknown fields refused, a usable default for every
//! field.
//!
//! It has addresses, certificates, database and bus; `settings` are the same as the role's table in the
//! configuration of `takedown up`. It contains no secrets: secrets are given by reference.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use platform::bus::BusConfig;
use platform::config::{ConfigError, SecretRef, load};
use platform::connector::{self, ConnectorMap, MapEntry};
use platform::error::{Kind, Problem};
use platform::grpc::Transport;
use platform::tls::{self, Tls, TlsFiles};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Role;
use super::monitor::Monitor;

mod peers;

pub use peers::{
    ConsolePeers, DispatchPeers, GatewayPeers, IntakePeers, LedgerPeers, PeerAddresses,
    VerificationPeers,
};

/// A core role. On Kafka it reads the logs of its producers; it needs nothing else from other roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    bound = "C: Default + DeserializeOwned, P: Default + DeserializeOwned"
)]
pub struct Core<C, P> {
    /// Address of its gRPC server. [default: the role's port on every address; without TLS on loopback]
    pub listen: Option<SocketAddr>,
    pub tls: Security,
    pub database: Database,
    /// The installation's keys; readable by the role only.
    pub keyring: PathBuf,
    pub bus: BusConfig,
    /// Used only with Kafka: on the Local bus the logs are in the same database.
    pub peers: P,
    pub monitor: Monitor,
    pub settings: C,
}

pub type Intake = Core<intake::Config, IntakePeers>;
pub type Verification = Core<verification::Config, VerificationPeers>;
pub type Ledger = Core<ledger::Config, LedgerPeers>;

/// Dispatch, with its policy, its egress and the ledger's address.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dispatch {
    pub listen: Option<SocketAddr>,
    pub tls: Security,
    pub database: Database,
    pub keyring: PathBuf,
    pub bus: BusConfig,
    pub peers: DispatchPeers,
    /// The escalation policy, YAML. [default: deploy/policies/production.yaml, which is built in]
    pub policy: Option<PathBuf>,
    pub egress: EgressConfig,
    pub monitor: Monitor,
    pub settings: dispatch::Config,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Address of its HTTP server. TLS is terminated in front of it.
    pub listen: Option<SocketAddr>,
    /// Address of its SMTP server for inbound mail. [default: none]
    pub mail_listen: Option<SocketAddr>,
    /// For connections to other roles.
    pub tls: Security,
    pub peers: GatewayPeers,
    pub monitor: Monitor,
    pub settings: gateway::Config,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Address of its HTTP server. TLS is terminated in front of it.
    pub listen: Option<SocketAddr>,
    /// For connections to other roles.
    pub tls: Security,
    pub peers: ConsolePeers,
    pub monitor: Monitor,
    pub settings: console::Config,
}

/// How the two ends of a connection between roles authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Both sides present a certificate.
    Files(TlsFiles),
    /// `tls = "plaintext-loopback"`: no authentication, and only loopback addresses are listened on or
    /// called.
    PlaintextLoopback,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Reference to the address, which has the role's own user (`takedown_<role>`) and its password.
    pub url: SecretRef,
    /// Size of the role's pool. Timers have a few more connections of their own.
    pub connections: u32,
}

/// Outgoing connections of dispatch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// Real hosts are contacted: a map of synthetic hosts and webhooks without TLS are refused.
    pub production: bool,
    /// Synthetic hosts of a demo or a test: names and networks, each with a loopback address.
    pub map: Vec<MapEntry>,
    /// Certificate authorities that are trusted besides the machine's own, PEM.
    pub ca: Option<PathBuf>,
    /// Networks that are refused besides those that are not public: the operator's own.
    pub refused: Vec<IpNet>,
}

impl<C: Default, P: Default> Default for Core<C, P> {
    fn default() -> Self {
        Self {
            listen: None,
            tls: Security::default(),
            database: Database::default(),
            keyring: default_keyring(),
            bus: BusConfig::default(),
            peers: P::default(),
            monitor: Monitor::default(),
            settings: C::default(),
        }
    }
}

impl Default for Dispatch {
    fn default() -> Self {
        Self {
            listen: None,
            tls: Security::default(),
            database: Database::default(),
            keyring: default_keyring(),
            bus: BusConfig::default(),
            peers: DispatchPeers::default(),
            policy: None,
            egress: EgressConfig::default(),
            monitor: Monitor::default(),
            settings: dispatch::Config::default(),
        }
    }
}

/// The paths at which a certificate manager mounts them.
impl Default for Security {
    fn default() -> Self {
        let folder = Path::new("/etc/takedown/tls");
        Self::Files(TlsFiles {
            cert: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            ca: folder.join("ca.crt"),
        })
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: SecretRef::Env("DATABASE_URL".into()),
            connections: 16,
        }
    }
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            production: true,
            map: Vec::new(),
            ca: None,
            refused: Vec::new(),
        }
    }
}

fn default_keyring() -> PathBuf {
    "/etc/takedown/keyring.json".into()
}

/// Reads a role's file. Environment variables override it.
pub fn read<T: DeserializeOwned>(role: Role, file: Option<&Path>) -> Result<T, ConfigError> {
    load(file, role.variable_prefix())
}

impl Security {
    /// Reads the certificates.
    ///
    /// # Errors
    ///
    /// They cannot be read or are not this role's.
    pub fn transport(&self, role: &str) -> Result<Transport> {
        match self {
            Self::PlaintextLoopback => Ok(Transport::Plaintext),
            Self::Files(files) => {
                let role = tls::ServiceRole::parse(role).context("not the name of a role")?;
                let tls = Tls::open(files.clone(), &role)
                    .context("the certificates in `tls` cannot be used")?;
                Ok(Transport::MutualTls(tls))
            }
        }
    }

    /// The address on which a role listens by default.
    pub(super) fn default_listen(&self, role: Role) -> SocketAddr {
        let ip = match self {
            Self::PlaintextLoopback => Ipv4Addr::LOCALHOST,
            Self::Files(_) => Ipv4Addr::UNSPECIFIED,
        };
        SocketAddr::new(IpAddr::V4(ip), role.port())
    }
}

impl EgressConfig {
    /// The connector's policy.
    ///
    /// # Errors
    ///
    /// `synthetic_hosts` if production is combined with a map or with webhooks without TLS.
    pub fn policy(&self, settings: &dispatch::Config) -> Result<connector::Policy> {
        if self.production && (!self.map.is_empty() || settings.http_webhooks) {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "synthetic_hosts",
                "`egress.map` and `settings.http_webhooks` are for synthetic hosts, and `egress.production` is true; remove them, or set `production = false` if no real host is to be contacted.",
            )
            .into());
        }
        let mut policy = connector::Policy {
            map: ConnectorMap::try_from(self.map.clone())?,
            refused: self.refused.clone(),
            ..connector::Policy::default()
        };
        if let Some(file) = &self.ca {
            let pem = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            policy
                .trust_pem(&pem)
                .with_context(|| format!("{} contains no certificates", file.display()))?;
        }
        Ok(policy)
    }
}

const PLAINTEXT: &str = "plaintext-loopback";

impl<'de> Deserialize<'de> for Security {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Security;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a table with cert, key and ca, or \"{PLAINTEXT}\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Security, E> {
                if text == PLAINTEXT {
                    Ok(Security::PlaintextLoopback)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Security, M::Error> {
                TlsFiles::deserialize(MapAccessDeserializer::new(map)).map(Security::Files)
            }
        }

        from.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests;
