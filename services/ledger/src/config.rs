//! What the ledger can be told. Must not hold a secret: keys are in the keyring.

use crate::error::Error;
use crate::note;

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// First line of every checkpoint and name of its key: a name of the hotline's own that never changes. Whoever
    /// verifies must know it.
    pub origin: String,
    /// Milliseconds within which what was heard is signed: 100 to 1000. A tree that grows all the time is signed twice
    /// in it.
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
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !note::is_key_name(&self.origin) {
            return Err(Error::Running(
                "ledger.origin must not be empty or contain spaces or `+`".into(),
            ));
        }
        if !(100..=1000).contains(&self.checkpoint_within_ms) {
            return Err(Error::Running(
                "ledger.checkpoint_within_ms must be 100 to 1000".into(),
            ));
        }
        Ok(())
    }
}
