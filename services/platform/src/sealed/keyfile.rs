//! The keyring file: JSON, format 1, readable only by its owner.
//!
//! Errors name the path and the reason, never a key. Parser messages are dropped, because they may quote the
//! text.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::keyring::Keyring;
use super::secret::{Ring, SecretKey};
use super::signing::SigningContext;
use super::{FORMAT, KeyId, random};

/// The services with a bus key of their own.
const PRODUCERS: [&str; 4] = ["intake", "verification", "dispatch", "ledger"];

/// Why a keyring could not be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("other users can read the keyring {} (mode {mode:03o}); run `chmod 600` on it", path.display())]
    Permissions { path: PathBuf, mode: u32 },
    #[error("there is already a keyring at {}; it is never overwritten", .0.display())]
    Exists(PathBuf),
    #[error("the keyring {} cannot be read or written", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the keyring is malformed: {0}")]
    Malformed(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringFile {
    format: u8,
    epochs: RingFile,
    index: RingFile,
    provider: RingFile,
    link: RingFile,
    body: RingFile,
    bus: BTreeMap<String, RingFile>,
    signing: BTreeMap<String, RingFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    current: String,
    keys: Vec<KeyFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    id: String,
    key: String,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Keyring {
    /// Creates a file of random keys that only its owner may read, and opens it.
    ///
    /// # Errors
    /// `Exists` if there is a file already (it is never overwritten), `Io` if it cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyringError> {
        let json = Zeroizing::new(
            serde_json::to_string_pretty(&KeyringFile::generate())
                .expect("strings and numbers become JSON"),
        );
        // Written to a draft file, which is linked to the final name when it is complete: a crash leaves no
        // incomplete keyring, and an existing file is never replaced.
        let draft = path.with_extension(format!("draft-{}", hex::encode(random::<8>())));
        let written = write_new(&draft, &json).and_then(|()| fs::hard_link(&draft, path));
        let removed = fs::remove_file(&draft);
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(KeyringError::Exists(path.to_owned()));
            }
            other => other
                .and(removed)
                .map_err(|source| io_error(path, source))?,
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|source| io_error(path, source))?;
        Self::open(path)
    }

    /// Opens a keyring file.
    ///
    /// # Errors
    /// `Permissions` if others may read the file or its group may write it, `Io`, or `Malformed`.
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        let mut file = File::open(path).map_err(|source| io_error(path, source))?;
        let mode = file
            .metadata()
            .map_err(|source| io_error(path, source))?
            .mode()
            & 0o777;
        // The group may read it, because Kubernetes mounts secrets as owned by root and readable by the pod's
        // group.
        if mode & 0o037 != 0 {
            return Err(KeyringError::Permissions {
                path: path.to_owned(),
                mode,
            });
        }
        let mut json = Zeroizing::new(String::new());
        io::Read::read_to_string(&mut file, &mut json).map_err(|source| io_error(path, source))?;
        Self::parse(&json)
    }

    /// Parses a keyring from JSON.
    ///
    /// # Errors
    /// `Malformed`, with the reason and without the text.
    pub fn parse(json: &str) -> Result<Self, KeyringError> {
        let form: KeyringFile = serde_json::from_str(json)
            .map_err(|_| KeyringError::Malformed("it is not JSON with the fields of a keyring"))?;
        if form.format != FORMAT {
            return Err(KeyringError::Malformed("its format is not 1"));
        }
        let mut seen = HashSet::new();
        let mut ring = |form: &RingFile| form.ring(&mut seen);
        let mut signing = BTreeMap::new();
        for context in SigningContext::ALL {
            let keys = form
                .signing
                .get(context.name())
                .ok_or(KeyringError::Malformed("a signing context has no keys"))?;
            if keys.keys.len() > 2 {
                return Err(KeyringError::Malformed(
                    "a signing context has more than two keys",
                ));
            }
            signing.insert(context, ring(keys)?);
        }
        if form.signing.len() != signing.len() {
            return Err(KeyringError::Malformed(
                "it has keys for an unknown signing context",
            ));
        }
        let keyring = Self {
            epochs: ring(&form.epochs)?,
            index: ring(&form.index)?,
            provider: ring(&form.provider)?,
            link: ring(&form.link)?,
            body: ring(&form.body)?,
            bus: form
                .bus
                .iter()
                .map(|(service, keys)| Ok((service.clone(), ring(keys)?)))
                .collect::<Result<_, KeyringError>>()?,
            signing,
        };
        Ok(keyring)
    }
}

impl KeyringFile {
    fn generate() -> Self {
        let bus = PRODUCERS.map(|service| (service.to_owned(), RingFile::generate("b")));
        let signing =
            SigningContext::ALL.map(|context| (context.name().to_owned(), RingFile::generate("s")));
        Self {
            format: FORMAT,
            epochs: RingFile::generate("e"),
            index: RingFile::generate("i"),
            provider: RingFile::generate("p"),
            link: RingFile::generate("l"),
            body: RingFile::generate("h"),
            bus: bus.into(),
            signing: signing.into(),
        }
    }
}

impl RingFile {
    /// One random key. The prefix of its id shows its purpose.
    fn generate(prefix: &str) -> Self {
        let id = format!("{prefix}{}", hex::encode(random::<6>()));
        let key = STANDARD.encode(Zeroizing::new(random::<32>()));
        Self {
            current: id.clone(),
            keys: vec![KeyFile { id, key }],
        }
    }

    fn ring(&self, seen: &mut HashSet<KeyId>) -> Result<Ring, KeyringError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for form in &self.keys {
            let id = key_id(&form.id)?;
            if !seen.insert(id.clone()) {
                return Err(KeyringError::Malformed("two keys have the same id"));
            }
            let decoded = STANDARD.decode(&form.key).map(Zeroizing::new);
            let bytes = decoded
                .ok()
                .and_then(|bytes| bytes.as_slice().try_into().ok())
                .ok_or(KeyringError::Malformed("a key is not 32 bytes in base64"))?;
            keys.push(SecretKey { id, bytes });
        }
        Ring::new(&key_id(&self.current)?, keys).ok_or(KeyringError::Malformed(
            "a current key is not among its keys",
        ))
    }
}

fn key_id(text: &str) -> Result<KeyId, KeyringError> {
    KeyId::parse(text).map_err(|_| KeyringError::Malformed("a key id is not a-z, 0-9 and -"))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn io_error(path: &Path, source: io::Error) -> KeyringError {
    KeyringError::Io {
        path: path.to_owned(),
        source,
    }
}
