//! The console's settings. Holds no secret: the console has none.

use std::time::Duration;

use serde::Deserialize;

use crate::Error;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who speaks on the pages.
    pub hotline: String,
    /// Whether the session's cookie is for TLS only. Where it is not said: yes, unless the console listens on loopback.
    pub secure_cookie: Option<bool>,
    /// Requests that are worked on at a time; streams are not counted.
    pub in_flight: usize,
    /// Pages that are kept live at a time; one more shows its figures and is not refreshed.
    pub streams: usize,
    /// Between two looks at the figures of a live page, in milliseconds; longer while the owners are slow.
    pub refresh_ms: u64,
    /// How long an owner may take to answer, in seconds.
    pub call_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hotline: "Synthetic Hotline".into(),
            secure_cookie: None,
            in_flight: 256,
            streams: 128,
            refresh_ms: 1000,
            call_seconds: 10,
        }
    }
}

impl Config {
    /// Refuses what could only fail later.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bounds = [
            ("in_flight", self.in_flight),
            ("streams", self.streams),
            ("call_seconds", self.call_seconds as usize),
        ];
        if let Some((key, _)) = bounds.into_iter().find(|(_, value)| *value == 0) {
            let sentence = "give at least 1";
            return Err(Error::Config { key, sentence });
        }
        if self.refresh_ms < 100 {
            return Err(Error::Config {
                key: "refresh_ms",
                sentence: "give at least 100",
            });
        }
        Ok(())
    }

    pub(crate) fn call(&self) -> Duration {
        Duration::from_secs(self.call_seconds)
    }

    pub(crate) fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_only_fail_later_is_refused_at_the_start() {
        assert!(Config::default().check().is_ok());
        for bad in [
            Config {
                streams: 0,
                ..Config::default()
            },
            Config {
                refresh_ms: 5,
                ..Config::default()
            },
        ] {
            assert!(bad.check().is_err());
        }
    }
}
