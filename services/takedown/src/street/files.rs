//! A street as files: `providers.json`, `reports.csv` and `truth.csv`. Fields that this program does not know are passed
//! over, and columns are found by their names.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use domain::word::{DeliveryChannel, ProviderRole};
use serde::{Deserialize, Serialize};

pub use super::verdict::Verdict;

pub const PROVIDERS: &str = "providers.json";
pub const REPORTS: &str = "reports.csv";
pub const TRUTH: &str = "truth.csv";

/// How a provider behaves when a notice reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Acknowledges and removes.
    Prompt,
    /// Acts on a reminder only.
    Slow,
    /// Never answers.
    Silent,
    /// Says that it is not theirs, and names its upstream.
    NotOurs,
    /// Asks for a second look, then removes.
    Disputes,
    /// Asks a question once, then removes.
    NeedsInformation,
    /// Removes; it comes back; removes again.
    Reappears,
    /// Neither mailbox nor webhook takes anything.
    Bounces,
    /// Says removed when it is not; removes at the second notice.
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

/// One line of `providers.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Provider {
    pub id: String,
    #[serde(with = "word")]
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
    #[serde(with = "word")]
    pub channel: DeliveryChannel,
    pub behaviour: Behaviour,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrar: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// One row of `reports.csv`, as it is spelled.
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

/// What is right about an accepted report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Equal for reports of the same URL.
    pub case: String,
    pub verdict: Verdict,
    /// Whose address it is.
    pub provider: String,
}

/// A report and what is right about it; `None` when it must be refused.
#[derive(Debug, Clone)]
pub struct Entry {
    pub report: ReportRow,
    pub truth: Option<Truth>,
}

#[derive(Debug, Clone)]
pub struct Street {
    pub providers: Vec<Provider>,
    pub entries: Vec<Entry>,
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

impl Street {
    /// Reads a folder; each report needs its line in the truth.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(PROVIDERS);
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let providers: Vec<Provider> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no list of providers", path.display()))?;
        let mut truths = std::collections::HashMap::new();
        for row in rows::<TruthRow>(&folder.join(TRUTH))? {
            let truth = match row.expect.as_str() {
                "reject" => None,
                "accept" => Some(Truth {
                    verdict: row.verdict.parse()?,
                    case: row.case,
                    provider: row.provider,
                }),
                other => bail!(
                    "truth of {}: `{other}` is not accept or reject",
                    row.external_id
                ),
            };
            truths.insert(row.external_id, truth);
        }
        let entries = rows::<ReportRow>(&folder.join(REPORTS))?
            .into_iter()
            .map(|report| {
                let truth = truths
                    .remove(&report.external_id)
                    .with_context(|| format!("report {} has no truth", report.external_id))?;
                Ok(Entry { report, truth })
            })
            .collect::<Result<_>>()?;
        Ok(Self { providers, entries })
    }

    /// Writes the three files into a folder that exists.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let providers = serde_json::to_string_pretty(&self.providers)?;
        fs::write(folder.join(PROVIDERS), providers + "\n")?;
        let mut reports = csv::Writer::from_path(folder.join(REPORTS))?;
        let mut truths = csv::Writer::from_path(folder.join(TRUTH))?;
        for entry in &self.entries {
            reports.serialize(&entry.report)?;
            let external_id = entry.report.external_id.clone();
            truths.serialize(match &entry.truth {
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
        reports.flush()?;
        truths.flush()?;
        Ok(())
    }

    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }
}

fn rows<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("reading {}", path.display()))?;
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} has a row that cannot be read", path.display()))
}

/// A word of the vocabulary as it is spelled in files.
mod word {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(
        word: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(word)
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
