//! The console's settings. It has no secrets.

use std::time::Duration;

use serde::Deserialize;

use crate::Error;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The hotline's name, as the sign-in page shows it.
    pub hotline: String,
    /// Whether the session cookie is sent over TLS only. Default: yes, unless the console listens on loopback.
    pub secure_cookie: Option<bool>,
    /// Maximum number of requests in progress at a time; update streams are not counted.
    pub in_flight: usize,
    /// Maximum number of pages that are updated at a time; further pages show their figures and are not refreshed.
    pub streams: usize,
    /// Interval between two updates of a page, in milliseconds; longer while the services are slow.
    pub refresh_ms: u64,
    /// Time limit of one call to a service, in seconds.
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
    /// # Errors
    ///
    /// Names the setting that is out of its bounds.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let at_least_one = [
            ("in_flight", self.in_flight),
            ("streams", self.streams),
            ("call_seconds", self.call_seconds as usize),
        ];
        if let Some((key, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            let advice = "give at least 1";
            return Err(Error::Config { key, advice });
        }
        if self.refresh_ms < 100 {
            return Err(Error::Config {
                key: "refresh_ms",
                advice: "give at least 100",
            });
        }
        Ok(())
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_secs(self.call_seconds)
    }

    pub(crate) fn refresh_interval(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_bounds_is_refused_at_the_start() {
        assert!(Config::default().validate().is_ok());
        let no_streams = Config {
            streams: 0,
            ..Config::default()
        };
        let too_fast = Config {
            refresh_ms: 5,
            ..Config::default()
        };
        for config in [no_streams, too_fast] {
            assert!(config.validate().is_err());
        }
    }
}
