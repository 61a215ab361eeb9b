//! Settings of verification. Every field has a usable default.

use std::time::Duration;

use domain::enums::Category;
use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a claim lasts, in seconds.
    pub claim_seconds: u32,
    /// How long dispatch can open a case with its approval proof, in seconds.
    pub proof_seconds: u32,
    /// Categories (`A`, `B`, `C`) in which a second analyst has to confirm an analyst's verdict.
    #[serde(deserialize_with = "parse_categories")]
    pub second_analyst: Vec<Category>,
    /// Another analyst reviews a disputed verdict, if there is one.
    pub review_by_another: bool,
    /// For how many seconds an analyst who alone gave a verdict may withdraw it without a supervisor; 0 for
    /// never.
    pub undo_seconds: u32,
    /// Staff may not withdraw a verdict that they approved: another supervisor has to.
    pub withdraw_by_another: bool,
    /// URLs that one person may reveal in a shift.
    pub reveals_per_shift: u32,
    /// Length of a shift, in seconds.
    pub shift_seconds: u32,
    /// How long a session lasts without being used, in seconds.
    pub session_idle_seconds: u32,
    /// Failed sign-ins of one name within the window; further attempts are refused unchecked.
    pub sign_in_failures: u32,
    /// Length of that window, in seconds.
    pub sign_in_window_seconds: u32,
    /// Recorded in every proof.
    pub policy_version: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            claim_seconds: 15 * 60,
            proof_seconds: 24 * 3600,
            second_analyst: Vec::new(),
            review_by_another: true,
            undo_seconds: 15 * 60,
            withdraw_by_another: false,
            reveals_per_shift: 200,
            shift_seconds: 8 * 3600,
            session_idle_seconds: 12 * 3600,
            sign_in_failures: 10,
            sign_in_window_seconds: 15 * 60,
            policy_version: "1".to_owned(),
        }
    }
}

impl Config {
    pub(crate) fn claim(&self) -> Duration {
        Duration::from_secs(self.claim_seconds.into())
    }

    pub(crate) fn proof(&self) -> time::Duration {
        time::Duration::seconds(self.proof_seconds.into())
    }

    pub(crate) fn undo(&self) -> time::Duration {
        time::Duration::seconds(self.undo_seconds.into())
    }

    pub(crate) fn shift(&self) -> time::Duration {
        time::Duration::seconds(self.shift_seconds.into())
    }

    pub(crate) fn session_idle(&self) -> time::Duration {
        time::Duration::seconds(self.session_idle_seconds.into())
    }

    pub(crate) fn sign_in_window(&self) -> time::Duration {
        time::Duration::seconds(self.sign_in_window_seconds.into())
    }
}

fn parse_categories<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Category>, D::Error> {
    Vec::<String>::deserialize(from)?
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_refused() {
        let known: Config =
            serde_json::from_str(r#"{"second_analyst":["A"],"claim_seconds":60}"#).unwrap();
        assert_eq!(known.second_analyst, [Category::A]);
        assert_eq!(known.claim(), Duration::from_mins(1));
        assert!(serde_json::from_str::<Config>(r#"{"claim_second":60}"#).is_err());
        assert!(serde_json::from_str::<Config>(r#"{"second_analyst":["D"]}"#).is_err());
    }
}
