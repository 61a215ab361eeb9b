//! The configuration file of each role: one typed struct, unknown fields refused, a usable default for every field.
//!
//! Where it listens and whom it reaches is said here; what the role does is in `settings`, which are the same as the
//! role's table in the file of `takedown up`. Holds no secret: secrets are named by reference.

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
    ConsolePeers, DispatchPeers, GatewayPeers, IntakePeers, LedgerPeers, Logs, VerificationPeers,
};

/// A core role that needs nothing from another one but, on Kafka, the logs that it hears.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    bound = "C: Default + DeserializeOwned, P: Default + DeserializeOwned"
)]
pub struct Core<C, P> {
    /// Where calls are taken. [default: the role's port on every address; on loopback without TLS]
    pub listen: Option<SocketAddr>,
    pub tls: Security,
    pub database: Database,
    /// The keys of the installation; readable by the role alone.
    pub keyring: PathBuf,
    pub bus: BusConfig,
    /// Only asked where the bus is Kafka: on the Local bus the logs are in the same database.
    pub peers: P,
    pub monitor: Monitor,
    pub settings: C,
}

pub type Intake = Core<intake::Config, IntakePeers>;
pub type Verification = Core<verification::Config, VerificationPeers>;
pub type Ledger = Core<ledger::Config, LedgerPeers>;

/// Dispatch: a policy, a way out, and the ledger's checkpoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dispatch {
    pub listen: Option<SocketAddr>,
    pub tls: Security,
    pub database: Database,
    pub keyring: PathBuf,
    pub bus: BusConfig,
    pub peers: DispatchPeers,
    /// The escalation policy, YAML. [default: the one of deploy/policies/production.yaml, as it was built in]
    pub policy: Option<PathBuf>,
    pub outside: Outside,
    pub monitor: Monitor,
    pub settings: dispatch::Config,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Where HTTP is taken; TLS towards the outside ends in front of it.
    pub listen: Option<SocketAddr>,
    /// Where mails come back to. [default: nowhere]
    pub mail_listen: Option<SocketAddr>,
    /// Towards the other roles.
    pub tls: Security,
    pub peers: GatewayPeers,
    pub monitor: Monitor,
    pub settings: gateway::Config,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Where HTTP is taken; TLS towards the outside ends in front of it.
    pub listen: Option<SocketAddr>,
    /// Towards the other roles.
    pub tls: Security,
    pub peers: ConsolePeers,
    pub monitor: Monitor,
    pub settings: console::Config,
}

/// Who is at the other end of a connection between roles, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Both sides show a certificate.
    Files(TlsFiles),
    /// `tls = "plaintext-loopback"`: nobody shows anything, and nothing but loopback is listened on or called.
    PlaintextLoopback,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Where the address is, with the role's own user (`takedown_<role>`) and its password.
    pub url: SecretRef,
    /// Connections of the role, beside the few of its timers.
    pub connections: u32,
}

/// What may be reached outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outside {
    /// Real hosts are written to. Then nothing stands in for them: a map is refused, and so are webhooks without TLS.
    pub production: bool,
    /// Synthetic hosts of a demo or a test: names and networks, and the loopback address that each leads to.
    pub map: Vec<MapEntry>,
    /// Authorities that are trusted beside the machine's own, PEM.
    pub ca: Option<PathBuf>,
    /// Networks that are refused beside those that are not public: the operator's own.
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
            outside: Outside::default(),
            monitor: Monitor::default(),
            settings: dispatch::Config::default(),
        }
    }
}

/// As a certificate manager mounts them.
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

impl Default for Outside {
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

/// Reads a role's file, with its variables over it.
pub fn read<T: DeserializeOwned>(role: Role, file: Option<&Path>) -> Result<T, ConfigError> {
    load(file, role.variables())
}

impl Security {
    /// Reads the certificates, which must be this role's.
    pub fn transport(&self, role: &str) -> Result<Transport> {
        match self {
            Self::PlaintextLoopback => Ok(Transport::Plain),
            Self::Files(files) => {
                let role = tls::Role::parse(role).context("a role has a plain name")?;
                let tls = Tls::open(files.clone(), &role)
                    .context("the certificates of `tls` cannot be used")?;
                Ok(Transport::Proven(tls))
            }
        }
    }

    /// Where a role listens when its file does not say.
    pub(super) fn listen(&self, role: Role) -> SocketAddr {
        let ip = match self {
            Self::PlaintextLoopback => Ipv4Addr::LOCALHOST,
            Self::Files(_) => Ipv4Addr::UNSPECIFIED,
        };
        SocketAddr::new(IpAddr::V4(ip), role.port())
    }
}

impl Outside {
    /// The way out, unless it leads to synthetic hosts and this is said to be production.
    pub fn policy(&self, settings: &dispatch::Config) -> Result<connector::Policy> {
        if self.production && (!self.map.is_empty() || settings.plain_webhooks) {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "synthetic_hosts",
                "`outside.map` and `settings.plain_webhooks` stand for synthetic hosts, and `outside.production` is true; take them out, or say `production = false` where no real host is meant.",
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
                .with_context(|| format!("{} holds no certificates", file.display()))?;
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
