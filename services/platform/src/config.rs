//! Configuration: one typed struct a role, from a file, with the environment over it.
//!
//! The only place that reads environment variables. Secrets are named by reference and resolved late;
//! their values appear in no error and no `Debug`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

/// One environment variable that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folders of `PATH`.
pub fn search_path() -> Vec<PathBuf> {
    variable("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// Where the program keeps what it can fetch or make again: `$XDG_CACHE_HOME/takedown`.
pub fn cache_dir() -> PathBuf {
    variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/tmp"))
        .join("takedown")
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} does not exist; check the path", .0.display())]
    NoFile(PathBuf),
    /// Names the key and the file or variable, by figment; never a secret, for none is in there.
    #[error("the configuration is not right: {0}")]
    Wrong(String),
    #[error("a secret is named `env:NAME` or `file:/absolute/path`, not by its value")]
    NotAReference,
    #[error("the secret's environment variable {0} is not set; set it, or name another")]
    NoVariable(String),
    #[error("the secret's file {} cannot be read: {kind}", .0.display(), kind = .1)]
    NoSecretFile(PathBuf, std::io::ErrorKind),
    #[error("the secret's file {} can be read by others; run chmod 600 on it", .0.display())]
    OpenSecretFile(PathBuf),
}

/// Reads a role's settings: the defaults of `T`, under the TOML file, under variables that begin with `env_prefix`, such
/// as `TAKEDOWN_INTAKE__LISTEN` (a double underscore goes one level down). `T` should deny unknown fields.
pub fn load<T: DeserializeOwned>(file: Option<&Path>, env_prefix: &str) -> Result<T, ConfigError> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        if !path.is_file() {
            return Err(ConfigError::NoFile(path.to_owned()));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    figment
        .merge(Env::prefixed(env_prefix).split("__"))
        .extract()
        .map_err(|error| ConfigError::Wrong(sentence(&error)))
}

/// Every mistake with its key and its source, on one line.
fn sentence(errors: &figment::Error) -> String {
    errors
        .clone()
        .into_iter()
        .map(|error| {
            let key = error.path.join(".");
            let source = error.metadata.as_ref().map_or_else(
                || "a default".to_owned(),
                |m| match &m.source {
                    Some(source) => source.to_string(),
                    None => m.name.to_string(),
                },
            );
            let key = if key.is_empty() {
                "the top level".to_owned()
            } else {
                format!("`{key}`")
            };
            format!("{key} in {source}: {}", error.kind)
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// Where a secret is: `env:NAME` or `file:/path`. The value itself is refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
}

impl SecretRef {
    pub fn resolve(&self) -> Result<SecretString, ConfigError> {
        match self {
            Self::Env(name) => variable(name)
                .map(SecretString::from)
                .ok_or_else(|| ConfigError::NoVariable(name.clone())),
            Self::File(path) => read_secret(path),
        }
    }
}

impl FromStr for SecretRef {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            _ => Err(ConfigError::NotAReference),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

fn read_secret(path: &Path) -> Result<SecretString, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let unreadable = |e: std::io::Error| ConfigError::NoSecretFile(path.to_owned(), e.kind());
    let mode = std::fs::metadata(path)
        .map_err(unreadable)?
        .permissions()
        .mode();
    // Group is left alone: Kubernetes mounts secrets readable by the pod's group.
    if mode & 0o007 != 0 {
        return Err(ConfigError::OpenSecretFile(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    #[derive(Debug, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        listen: String,
        limit: u32,
        key: Option<SecretRef>,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self {
                listen: "127.0.0.1:0".into(),
                limit: 7,
                key: None,
            }
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn wrong(text: &str) -> String {
        let file = file(text);
        load::<Settings>(Some(file.path()), "TAKEDOWN_NOWHERE_")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_field_has_a_default() {
        let settings: Settings = load(None, "TAKEDOWN_NOWHERE_").unwrap();
        assert_eq!(
            (settings.listen.as_str(), settings.limit),
            ("127.0.0.1:0", 7)
        );
    }

    #[test]
    fn a_mistake_is_named_with_its_key_and_its_file() {
        let message = wrong("limit = \"many\"\n");
        assert!(
            message.contains("`limit`") && message.contains(".tmp"),
            "{message}"
        );
        let message = wrong("limits = 3\n");
        assert!(
            message.contains("limits") && message.contains("limit"),
            "{message}"
        );
        let message = wrong("limit = = 3\n");
        assert!(message.contains("configuration is not right"), "{message}");
        assert!(matches!(
            load::<Settings>(Some(Path::new("/nowhere.toml")), "TAKEDOWN_NOWHERE_"),
            Err(ConfigError::NoFile(_))
        ));
    }

    #[test]
    fn a_secret_is_named_and_not_written_down() {
        let message = wrong("key = \"hunter2\"\n");
        assert!(
            message.contains("env:NAME") && !message.contains("hunter2"),
            "{message}"
        );
        let secret = file("hunter2\n");
        let reference: SecretRef = format!("file:{}", secret.path().display()).parse().unwrap();
        assert_eq!(reference.resolve().unwrap().expose_secret(), "hunter2");
        std::fs::set_permissions(secret.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            reference.resolve(),
            Err(ConfigError::OpenSecretFile(_))
        ));
    }
}
