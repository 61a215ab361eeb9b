//! `client.toml`: the addresses of a running system and the local operator's session. Mode 600; refused if
//! others can read it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use figment::Figment;
use figment::providers::{Format as _, Toml};
use platform::bus::BusConfig;
use platform::error::{Kind, Problem};
use platform::tls::TlsFiles;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Base addresses, such as `http://127.0.0.1:7401`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    pub intake: String,
    pub verification: String,
    pub dispatch: String,
    pub ledger: String,
    pub gateway: String,
    pub console: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    pub name: String,
    pub session: SecretString,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub addresses: Addresses,
    pub operator: Operator,
    /// The embedded database's address, with its password; absent with an external database.
    pub database_url: Option<SecretString>,
    /// Public keys of the ledger's checkpoints, `<key id> whpk_...`, from the keyring. `ledger verify` trusts
    /// these and not keys that the ledger offers.
    pub checkpoint_keys: Vec<String>,
    /// The log's name in the ledger's checkpoints.
    pub ledger_origin: String,
    /// The operator's certificate and key and the trusted authorities, if the roles use TLS.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// The event bus.
    #[serde(default)]
    pub bus: BusConfig,
}

impl Profile {
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("client.toml")
    }

    /// Reads the profile of a data folder.
    ///
    /// # Errors
    ///
    /// `not_started`, `profile_malformed`, or `profile_readable_by_others` if its mode lets others read it.
    pub fn read(data_dir: &Path) -> Result<Self> {
        let path = Self::path(data_dir);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_started(data_dir).into());
            }
            Err(error) => return Err(error).context(format!("reading {}", path.display())),
        };
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "profile_readable_by_others",
                format!(
                    "{} contains a credential and others can read it; run `chmod 600` on it.",
                    path.display()
                ),
            )
            .into());
        }
        // The parser's own message would quote the faulty line, and with it the session.
        Figment::from(Toml::file_exact(&path))
            .extract()
            .map_err(|_| {
                Problem::new(
                    Kind::FailedPrecondition,
                    "profile_malformed",
                    format!(
                        "{} is not a valid profile; run `takedown up` on this folder to write it again.",
                        path.display()
                    ),
                )
                .into()
            })
    }

    /// Writes the profile atomically.
    pub fn write(&self, data_dir: &Path) -> Result<()> {
        let (path, temporary) = (Self::path(data_dir), data_dir.join("client.toml.new"));
        let text = self.text()?;
        let write = || -> io::Result<()> {
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    fn text(&self) -> Result<String> {
        let a = &self.addresses;
        let mut text = String::from(
            "# Written by `takedown up` at each start, or by `takedown init`: the roles' addresses and the local operator's session.\n",
        );
        if let Some(url) = &self.database_url {
            writeln!(text, "database_url = {}", quoted(url.expose_secret())?)?;
        }
        let keys: Vec<String> = self
            .checkpoint_keys
            .iter()
            .map(|key| quoted(key))
            .collect::<Result<_>>()?;
        writeln!(text, "checkpoint_keys = [{}]", keys.join(", "))?;
        writeln!(text, "ledger_origin = {}", quoted(&self.ledger_origin)?)?;
        writeln!(text, "\n[operator]")?;
        writeln!(text, "name = {}", quoted(&self.operator.name)?)?;
        let session = self.operator.session.expose_secret();
        writeln!(text, "session = {}", quoted(session)?)?;
        if let Some(tls) = &self.tls {
            writeln!(text, "\n[tls]")?;
            for (name, path) in [("cert", &tls.cert), ("key", &tls.key), ("ca", &tls.ca)] {
                writeln!(text, "{name} = {}", quoted(&path.to_string_lossy())?)?;
            }
        }
        if self.bus != BusConfig::default() {
            let bus =
                toml::Table::from_iter([("bus".to_owned(), toml::Value::try_from(&self.bus)?)]);
            write!(text, "\n{bus}")?;
        }
        writeln!(text, "\n[addresses]")?;
        for (name, address) in [
            ("intake", &a.intake),
            ("verification", &a.verification),
            ("dispatch", &a.dispatch),
            ("ledger", &a.ledger),
            ("gateway", &a.gateway),
            ("console", &a.console),
        ] {
            writeln!(text, "{name} = {}", quoted(address)?)?;
        }
        Ok(text)
    }
}

/// A JSON string is also a TOML basic string.
fn quoted(text: &str) -> Result<String> {
    Ok(serde_json::to_string(text)?)
}

fn not_started(data_dir: &Path) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "not_started",
        format!(
            "{0} has no client.toml; run `takedown up --data-dir {0}`, or name another folder with --data-dir or TAKEDOWN_DATA_DIR.",
            data_dir.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        let address = |port: u16| format!("http://127.0.0.1:{port}");
        Profile {
            addresses: Addresses {
                intake: address(1),
                verification: address(2),
                dispatch: address(3),
                ledger: address(4),
                gateway: address(5),
                console: address(6),
            },
            operator: Operator {
                name: "local \"op\"".into(),
                session: "secret-session".into(),
            },
            database_url: Some("postgres://a:b@127.0.0.1:5/takedown".into()),
            checkpoint_keys: vec!["k1 whpk_AAAA".into()],
            ledger_origin: "hotline.example/ledger".into(),
            tls: Some(TlsFiles {
                cert: "/a/operator.pem".into(),
                key: "/a/operator \"key\".pem".into(),
                ca: "/a/ca.pem".into(),
            }),
            bus: BusConfig {
                kind: platform::bus::BusKind::Kafka,
                tls: Some(platform::bus::BusTls {
                    ca: "/a/kafka.pem".into(),
                    certificate: "/a/us.pem".into(),
                    key: "/a/us.key".into(),
                }),
                ..BusConfig::default()
            },
        }
    }

    #[test]
    fn a_written_profile_is_read_again_unless_others_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        profile().write(dir.path()).unwrap();
        profile().write(dir.path()).unwrap();
        let read = Profile::read(dir.path()).unwrap();
        assert_eq!(read.addresses, profile().addresses);
        assert_eq!((&read.tls, &read.bus), (&profile().tls, &profile().bus));
        assert_eq!(read.operator.name, "local \"op\"");
        assert_eq!(read.operator.session.expose_secret(), "secret-session");
        assert!(!format!("{read:?}").contains("secret-session"));

        let path = Profile::path(dir.path());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Profile::read(dir.path()).unwrap_err();
        let problem = error.downcast::<Problem>().unwrap();
        assert_eq!(problem.code, "profile_readable_by_others");
    }

    #[test]
    fn a_malformed_or_missing_profile_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = Profile::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("takedown up"), "{error}");
        profile().write(dir.path()).unwrap();
        let path = Profile::path(dir.path());
        let broken = fs::read_to_string(&path)
            .unwrap()
            .replace("session =", "session ==");
        fs::write(&path, broken).unwrap();
        let error = format!("{:?}", Profile::read(dir.path()).unwrap_err());
        assert!(
            error.contains("profile_malformed") && !error.contains("secret"),
            "{error}"
        );
    }
}
