//! Settings of the role. Every field has a usable default.

use platform::service::RoleFailed;
use serde::Deserialize;

use crate::checks::CheckSettings;
use crate::delivery::document::Hotline;
use crate::delivery::{DeliverySettings, MailSettings};

/// Maximum of every count.
const MAX_COUNT: u32 = 100_000;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The hotline, as notices name it.
    pub hotline: Hotline,
    pub delivery: DeliverySettings,
    pub checks: CheckSettings,
    /// The mail relay; without it, mails wait.
    pub mail: Option<MailSettings>,
    /// Whether to resolve host names by DNS that the directory does not know.
    pub resolve_names: bool,
    /// Whether to accept webhook URLs without TLS. For the demo and tests only: a notice contains the URL.
    pub http_webhooks: bool,
    /// Time between two polls of the timers when nothing is due, in milliseconds.
    pub timer_poll_millis: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hotline: Hotline::default(),
            delivery: DeliverySettings::default(),
            checks: CheckSettings::default(),
            mail: None,
            resolve_names: true,
            http_webhooks: false,
            timer_poll_millis: 100,
        }
    }
}

impl Config {
    /// Refuses settings with which the role would start but not work.
    ///
    /// # Errors
    /// [`RoleFailed::Setting`] with a sentence that names the field.
    pub(crate) fn check(&self) -> Result<(), RoleFailed> {
        let delivery = &self.delivery;
        for (field, number) in [
            ("delivery.each", delivery.each),
            ("delivery.all", delivery.all),
            ("delivery.batch", delivery.batch),
            ("delivery.breaker.failures", delivery.breaker.failures),
            ("checks.each", self.checks.each),
            ("checks.all", self.checks.all),
            ("checks.batch", self.checks.batch),
        ] {
            if !(1..=MAX_COUNT).contains(&number) {
                let text = format!("{field} is {number}; set it to a number from 1 to {MAX_COUNT}");
                return Err(RoleFailed::Setting(text));
            }
        }
        let retry = &delivery.retry;
        for (field, number, least) in [
            ("delivery.retry.first_seconds", retry.first_seconds, 0.001),
            ("delivery.retry.factor", retry.factor, 1.0),
            (
                "delivery.retry.longest_seconds",
                retry.longest_seconds,
                0.001,
            ),
        ] {
            // Also refuses NaN.
            if !(least..=86_400.0).contains(&number) {
                let text = format!("{field} is {number}; set it to a number from {least} to 86400");
                return Err(RoleFailed::Setting(text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Config);

    #[test]
    fn a_setting_with_which_nothing_would_be_sent_is_refused_with_a_sentence() {
        assert!(Config::default().check().is_ok());
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        let bad: [(Change, &str); 7] = [
            (|c| c.delivery.each = 0, "delivery.each"),
            (|c| c.delivery.all = 0, "delivery.all"),
            (|c| c.delivery.batch = u32::MAX, "delivery.batch"),
            (
                |c| c.delivery.breaker.failures = 0,
                "delivery.breaker.failures",
            ),
            (|c| c.checks.all = 0, "checks.all"),
            (
                |c| c.delivery.retry.factor = f64::NAN,
                "delivery.retry.factor",
            ),
            (
                |c| c.delivery.retry.first_seconds = f64::INFINITY,
                "delivery.retry.first_seconds",
            ),
        ];
        for (change, field) in bad {
            let text = refused(change);
            assert!(
                text.starts_with(field) && text.contains("set it to"),
                "{text}"
            );
        }
    }
}
