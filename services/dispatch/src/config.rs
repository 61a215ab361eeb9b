//! Settings of the role. Every field has a usable default.

use serde::Deserialize;

use crate::Error;
use crate::channels::MailSettings;
use crate::delivery::DeliverySettings;
use crate::document::Hotline;
use crate::probe::ProbeSettings;

/// As far as a count of anything goes.
const MOST: u32 = 100_000;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who speaks in the notices.
    pub hotline: Hotline,
    pub delivery: DeliverySettings,
    pub probe: ProbeSettings,
    /// Where mails go out; without it they wait.
    pub mail: Option<MailSettings>,
    /// Look names up by DNS that the directory does not know.
    pub resolve_names: bool,
    /// Take webhook addresses without TLS: for the demo and tests only, as a notice names what nobody may read.
    pub plain_webhooks: bool,
    /// How long timers wait when nothing was due, milliseconds.
    pub timer_poll_millis: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hotline: Hotline::default(),
            delivery: DeliverySettings::default(),
            probe: ProbeSettings::default(),
            mail: None,
            resolve_names: true,
            plain_webhooks: false,
            timer_poll_millis: 100,
        }
    }
}

impl Config {
    /// Refuses what would start and then do nothing, or end in the middle of its work.
    ///
    /// # Errors
    /// `Setting` with a sentence that names the field.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let delivery = &self.delivery;
        for (field, number) in [
            ("delivery.each", delivery.each),
            ("delivery.all", delivery.all),
            ("delivery.batch", delivery.batch),
            ("delivery.breaker.failures", delivery.breaker.failures),
            ("probe.each", self.probe.each),
            ("probe.all", self.probe.all),
            ("probe.batch", self.probe.batch),
        ] {
            if !(1..=MOST).contains(&number) {
                let text = format!("{field} is {number}; set it to a number from 1 to {MOST}");
                return Err(Error::Setting(text));
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
            // Also false for what is not a number.
            if !(least..=86_400.0).contains(&number) {
                let text = format!("{field} is {number}; set it to a number from {least} to 86400");
                return Err(Error::Setting(text));
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
    fn settings_that_would_never_send_are_refused_with_a_sentence() {
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
            (|c| c.probe.all = 0, "probe.all"),
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
