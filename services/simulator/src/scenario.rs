//! A scenario as files: `providers.json`, `reports.csv` and `truth.csv`. Unknown fields are ignored, and columns are
//! found by name.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use domain::enums::{DeliveryChannel, ProviderRole};
use serde::{Deserialize, Serialize};

pub use super::verdict::TrueVerdict;

pub const PROVIDERS: &str = "providers.json";
pub const REPORTS: &str = "reports.csv";
pub const TRUTH: &str = "truth.csv";

/// How a simulated provider reacts to a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Acknowledges and removes.
    Prompt,
    /// Acts on a reminder only.
    Slow,
    /// Never answers.
    Silent,
    /// Answers `not_ours` and names its upstream.
    NotOurs,
    /// Disputes the notice once, then removes.
    Disputes,
    /// Asks a question once, then removes.
    NeedsInformation,
    /// Removes, puts the page online again, then removes it for good.
    Reappears,
    /// Rejects every mail and every webhook.
    Bounces,
    /// Claims a removal that did not happen; removes at the second notice.
    ClaimsFalsely,
    /// Unreachable for a while, then prompt.
    Down,
}

impl Behaviour {
    pub const ALL: [Self; 10] = [
        Self::Prompt,
        Self::Slow,
        Self::Silent,
        Self::NotOurs,
        Self::Disputes,
        Self::NeedsInformation,
        Self::Reappears,
        Self::Bounces,
        Self::ClaimsFalsely,
        Self::Down,
    ];
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Behaviour {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_value(serde_json::Value::String(text.to_owned()))
    }
}

/// One element of `providers.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScenarioProvider {
    pub id: String,
    #[serde(with = "as_text")]
    pub role: ProviderRole,
    #[serde(default)]
    pub country: String,
    #[serde(default)]
    pub asn: u32,
    #[serde(default)]
    pub cidrs: Vec<String>,
    #[serde(default)]
    pub domains: Vec<String>,
    #[serde(default)]
    pub abuse_contact: String,
    #[serde(with = "as_text")]
    pub channel: DeliveryChannel,
    pub behaviour: Behaviour,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrar: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// One row of `reports.csv`, unparsed.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReportRow {
    pub external_id: String,
    pub channel: String,
    pub url: String,
    #[serde(default)]
    pub sha256: String,
    #[serde(default)]
    pub age_band: String,
    #[serde(default)]
    pub media: String,
    #[serde(default)]
    pub received_at: String,
    #[serde(default)]
    pub reporter_country: String,
}

impl fmt::Debug for ReportRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportRow({})", self.external_id)
    }
}

/// The correct outcome of a report that must be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroundTruth {
    /// The scenario's name for the case; equal for reports of one canonical URL.
    pub case: String,
    pub verdict: TrueVerdict,
    /// The provider that serves the URL.
    pub provider: String,
}

/// A report with its correct outcome; `truth` is `None` when the report must be refused.
#[derive(Debug, Clone)]
pub struct ScenarioReport {
    pub report: ReportRow,
    pub truth: Option<GroundTruth>,
}

/// Providers and reports, with the correct outcome of each report.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub providers: Vec<ScenarioProvider>,
    pub reports: Vec<ScenarioReport>,
}

#[derive(Serialize, Deserialize)]
struct TruthRow {
    external_id: String,
    expect: String,
    #[serde(default)]
    case: String,
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    provider: String,
}

impl Scenario {
    /// Reads a folder.
    ///
    /// # Errors
    /// A file is missing or unreadable, or a report has no row in `truth.csv`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(PROVIDERS);
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let providers: Vec<ScenarioProvider> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a list of providers", path.display()))?;
        let mut truths = std::collections::HashMap::new();
        for row in rows::<TruthRow>(&folder.join(TRUTH))? {
            let truth = match row.expect.as_str() {
                "reject" => None,
                "accept" => Some(GroundTruth {
                    verdict: row.verdict.parse()?,
                    case: row.case,
                    provider: row.provider,
                }),
                other => bail!(
                    "truth.csv, {}: expected `accept` or `reject`, found `{other}`",
                    row.external_id
                ),
            };
            truths.insert(row.external_id, truth);
        }
        let reports = rows::<ReportRow>(&folder.join(REPORTS))?
            .into_iter()
            .map(|report| {
                let truth = truths.remove(&report.external_id).with_context(|| {
                    format!("report {} has no row in {TRUTH}", report.external_id)
                })?;
                Ok(ScenarioReport { report, truth })
            })
            .collect::<Result<_>>()?;
        Ok(Self { providers, reports })
    }

    /// Writes the three files into an existing folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let providers = serde_json::to_string_pretty(&self.providers)?;
        fs::write(folder.join(PROVIDERS), providers + "\n")?;
        let mut report_writer = csv::Writer::from_path(folder.join(REPORTS))?;
        let mut truth_writer = csv::Writer::from_path(folder.join(TRUTH))?;
        for entry in &self.reports {
            report_writer.serialize(&entry.report)?;
            let external_id = entry.report.external_id.clone();
            truth_writer.serialize(match &entry.truth {
                Some(truth) => TruthRow {
                    external_id,
                    expect: "accept".to_owned(),
                    case: truth.case.clone(),
                    verdict: truth.verdict.to_string(),
                    provider: truth.provider.clone(),
                },
                None => TruthRow {
                    external_id,
                    expect: "reject".to_owned(),
                    case: String::new(),
                    verdict: String::new(),
                    provider: String::new(),
                },
            })?;
        }
        report_writer.flush()?;
        truth_writer.flush()?;
        Ok(())
    }

    pub fn provider(&self, id: &str) -> Option<&ScenarioProvider> {
        self.providers.iter().find(|provider| provider.id == id)
    }
}

fn rows<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("reading {}", path.display()))?;
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} has an unreadable row", path.display()))
}

/// Serde adapter for enumerations of `domain`, written as their text form.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err = domain::Invalid>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|invalid: domain::Invalid| D::Error::custom(invalid.detail))
    }
}
