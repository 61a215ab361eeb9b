//! The YAML form of a policy, as serde reads it. Values are validated in `parse`.

use serde::Deserialize;
use serde_saphyr::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyText {
    pub(super) version: Spanned<String>,
    pub(super) probe: ChecksText,
    pub(super) watch: Vec<Spanned<String>>,
    pub(super) pauses: PausesText,
    #[serde(default)]
    pub(super) automatic_reply: Option<Spanned<String>>,
    pub(super) regimes: Vec<Spanned<RegimeText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChecksText {
    pub(super) agree: Spanned<i32>,
    pub(super) of: Spanned<i32>,
    pub(super) every: Spanned<String>,
    pub(super) open: Spanned<String>,
    pub(super) exhausted: Spanned<String>,
    pub(super) claim_window: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PausesText {
    pub(super) times: Spanned<i32>,
    pub(super) each: Spanned<String>,
    pub(super) total: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegimeText {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) default: bool,
    #[serde(default)]
    pub(super) countries: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) categories: Vec<Spanned<String>>,
    pub(super) source: Spanned<String>,
    pub(super) legal_basis: Spanned<String>,
    pub(super) acknowledge: Spanned<String>,
    pub(super) remove: Spanned<String>,
    pub(super) received: Spanned<String>,
    pub(super) ladder: Vec<Spanned<RungText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RungText {
    pub(super) after: Spanned<String>,
    pub(super) rung: Spanned<String>,
    #[serde(default)]
    pub(super) when: Option<Spanned<String>>,
}
