//! `client.toml`: where a running system is, and the local operator's session. Readable by its owner alone.
//! Must not be read from, or written for, anybody else.

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
    /// Of the embedded database, password included; absent where the database was given by its address.
    pub database_url: Option<SecretString>,
    /// Public keys of the ledger's checkpoints, `<key id> whpk_…`, as the keyring had them: what `ledger verify`
    /// trusts, so that it does not ask the ledger whom to believe.
    pub checkpoint_keys: Vec<String>,
    /// The name that the ledger signs its checkpoints under.
    pub ledger_origin: String,
    /// Where the roles are reached with a proof on both sides: the operator's certificate and key, and the authorities.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// What carries the events.
    #[serde(default)]
    pub bus: BusConfig,
}

impl Profile {
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("client.toml")
    }

    /// Reads the profile of a data folder; refuses one that others can read.
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
                    "{} holds a credential and others can read it; run `chmod 600` on it.",
                    path.display()
                ),
            )
            .into());
        }
        // The parser's own message would quote the line at fault, and with it a session.
        Figment::from(Toml::file_exact(&path))
            .extract()
            .map_err(|_| {
                Problem::new(
                    Kind::FailedPrecondition,
                    "profile_malformed",
                    format!(
                        "{} is not as `takedown up` writes it; start `takedown up` on this folder again.",
                        path.display()
                    ),
                )
                .into()
            })
    }

    /// Writes the profile in one step: readers see the old one or the new one.
    pub fn write(&self, data_dir: &Path) -> Result<()> {
        let (path, fresh) = (Self::path(data_dir), data_dir.join("client.toml.new"));
        let text = self.text()?;
        let write = || -> io::Result<()> {
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    fn text(&self) -> Result<String> {
        let a = &self.addresses;
        let mut text = String::from(
            "# Written by `takedown up` at each start: where it is, and the local operator's session.\n",
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

/// A JSON string is a TOML basic string as well.
fn quoted(text: &str) -> Result<String> {
    Ok(serde_json::to_string(text)?)
}

fn not_started(data_dir: &Path) -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "not_started",
        format!(
            "Nothing was started on {0} yet; run `takedown up --data-dir {0}`, or name another folder by --data-dir or TAKEDOWN_DATA_DIR.",
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
                kind: platform::bus::Kind::Kafka,
                tls: Some(platform::bus::Tls {
                    ca: "/a/kafka.pem".into(),
                    certificate: "/a/us.pem".into(),
                    key: "/a/us.key".into(),
                }),
                ..BusConfig::default()
            },
        }
    }

    #[test]
    fn what_is_written_is_read_and_only_by_its_owner() {
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
    fn a_broken_or_missing_profile_says_what_to_do_and_shows_nothing() {
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
