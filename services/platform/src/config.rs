//! Configuration: one typed struct per role, loaded from a file and overridden by environment variables.
//!
//! Only this module reads environment variables. Secrets are given by reference and resolved on use; their
//! values never appear in errors or `Debug`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

/// The value of an environment variable, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that reads the environment"
)]
pub fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folders of `PATH`.
pub fn search_path() -> Vec<PathBuf> {
    env_var("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// The cache folder, `$XDG_CACHE_HOME/takedown`: its contents can be fetched or created again.
pub fn cache_dir() -> PathBuf {
    env_var("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .or_else(|| env_var("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/tmp"))
        .join("takedown")
}

/// Why the configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} does not exist; check the path", .0.display())]
    NoFile(PathBuf),
    /// Names the key, and the file or variable. Never contains a secret, because the configuration has only
    /// references.
    #[error("the configuration is invalid: {0}")]
    Invalid(String),
    #[error("a secret must be given as `env:NAME` or `file:/absolute/path`, not by its value")]
    NotAReference,
    #[error("the environment variable {0} of a secret is not set; set it, or name another")]
    NoVariable(String),
    #[error("the file {} of a secret cannot be read: {kind}", .0.display(), kind = .1)]
    NoSecretFile(PathBuf, std::io::ErrorKind),
    #[error("the file {} of a secret can be read by other users; run chmod 600 on it", .0.display())]
    SecretFileReadable(PathBuf),
}

/// Loads the configuration of a role: the defaults of `T`, overridden by the TOML file, overridden by
/// environment variables that start with `env_prefix`, such as `TAKEDOWN_INTAKE__LISTEN` (a double underscore
/// separates levels). `T` should deny unknown fields.
///
/// # Errors
/// If the file does not exist, or a value is invalid.
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
        .map_err(|error| ConfigError::Invalid(describe(&error)))
}

/// All errors with their keys and sources, in one line.
fn describe(errors: &figment::Error) -> String {
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

/// A reference to a secret: `env:NAME` or `file:/absolute/path`. The value itself is refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
}

impl SecretRef {
    /// Reads the secret.
    ///
    /// # Errors
    /// If the variable is not set, or the file cannot be read or is readable by other users.
    pub fn resolve(&self) -> Result<SecretString, ConfigError> {
        match self {
            Self::Env(name) => env_var(name)
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
    // The group may read it, because Kubernetes mounts secrets readable by the pod's group.
    if mode & 0o007 != 0 {
        return Err(ConfigError::SecretFileReadable(path.to_owned()));
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
    struct TestSettings {
        listen: String,
        limit: u32,
        key: Option<SecretRef>,
    }

    impl Default for TestSettings {
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

    fn load_error(text: &str) -> String {
        let file = file(text);
        load::<TestSettings>(Some(file.path()), "TAKEDOWN_NOWHERE_")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_field_has_a_default() {
        let settings: TestSettings = load(None, "TAKEDOWN_NOWHERE_").unwrap();
        assert_eq!(
            (settings.listen.as_str(), settings.limit),
            ("127.0.0.1:0", 7)
        );
    }

    #[test]
    fn an_error_names_the_key_and_the_file() {
        let message = load_error("limit = \"many\"\n");
        assert!(
            message.contains("`limit`") && message.contains(".tmp"),
            "{message}"
        );
        let message = load_error("limits = 3\n");
        assert!(
            message.contains("limits") && message.contains("limit"),
            "{message}"
        );
        let message = load_error("limit = = 3\n");
        assert!(message.contains("configuration is invalid"), "{message}");
        assert!(matches!(
            load::<TestSettings>(Some(Path::new("/nowhere.toml")), "TAKEDOWN_NOWHERE_"),
            Err(ConfigError::NoFile(_))
        ));
    }

    #[test]
    fn a_secret_is_given_by_reference_and_not_by_value() {
        let message = load_error("key = \"hunter2\"\n");
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
            Err(ConfigError::SecretFileReadable(_))
        ));
    }
}
