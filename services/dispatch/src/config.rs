//! Settings of the role. Every field has a usable default.

use serde::Deserialize;

use crate::channels::MailSettings;
use crate::delivery::DeliverySettings;
use crate::document::Hotline;
use crate::probe::ProbeSettings;

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
