//! Configuration of the ledger. It contains no secrets: keys are in the keyring.

use platform::service::RoleFailed;

use crate::note;

/// The `[ledger]` section of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Origin of the log: the first line of every checkpoint and the name of its key (C2SP tlog-checkpoint).
    /// A name that the hotline owns and never changes; verifiers must know it.
    pub origin: String,
    /// Milliseconds within which a new leaf is covered by a checkpoint: 100 to 1000. A tree that grows
    /// continuously is signed twice in this time.
    pub checkpoint_within_ms: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            origin: "takedown.example/ledger".into(),
            checkpoint_within_ms: 800,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), RoleFailed> {
        if !note::is_key_name(&self.origin) {
            return Err(RoleFailed::Setting(
                "ledger.origin must not be empty or contain spaces or `+`".into(),
            ));
        }
        if !(100..=1000).contains(&self.checkpoint_within_ms) {
            return Err(RoleFailed::Setting(
                "ledger.checkpoint_within_ms must be 100 to 1000".into(),
            ));
        }
        Ok(())
    }
}
