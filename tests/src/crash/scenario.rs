//! The scenario of a crash run: a few hosts, one for each course of a case, and as many reports as the run may need.
//!
//! It has prompt hosts on each delivery channel; silent hosts with an upstream or registrar, and one without, whose cases
//! climb to the end of the ladder; and one host without illegal content. Rules decide for hosts whose cases all have one
//! verdict; a hash list and analysts decide the other cases.

use domain::enums::{
    Category, DeliveryChannel, NotActionableReason, ProviderRole, ReportChannel, Rung,
};
use sha2::{Digest as _, Sha256};
use simulator::scenario::{
    Behaviour, GroundTruth, ReportRow, Scenario, ScenarioProvider, ScenarioReport, TrueVerdict,
};

/// The hosts, each with its number of reports per round.
const HOST_WEIGHTS: [(&str, usize); 7] = [
    ("hanging-web", 6),
    ("prompt-mail", 3),
    ("prompt-pull", 4),
    ("silent-web", 2),
    ("silent-mail", 1),
    ("mute-web", 2),
    ("harmless", 2),
];
/// Its cases have different verdicts, so that no rule applies.
const MIXED_HOST: &str = "prompt-pull";
const HARMLESS_HOST: &str = "harmless";
/// A silent host without an upstream or registrar.
pub const UNRESPONSIVE_HOST: &str = "mute-web";
/// One report in this many repeats an earlier URL.
const REPEAT_EVERY: usize = 6;

/// True for hosts that act themselves and have no upstream or registrar, so that every answer about their pages is theirs.
pub fn is_only_contact(host: &str) -> bool {
    ["hanging-web", "prompt-mail", MIXED_HOST].contains(&host)
}

/// The rungs that must have fired when a case at this host has ended.
pub fn required_rungs(host: &str) -> &'static [Rung] {
    match host {
        UNRESPONSIVE_HOST => &[Rung::Supervisor, Rung::Regulator],
        "silent-web" => &[Rung::Upstream],
        "silent-mail" => &[Rung::Registrar],
        _ => &[],
    }
}

/// Generates the scenario with this many reports.
pub fn crash_scenario(reports: usize, seed: u64) -> Scenario {
    let round: Vec<&str> = HOST_WEIGHTS
        .into_iter()
        .flat_map(|(host, weight)| std::iter::repeat_n(host, weight))
        .collect();
    let mut generated: Vec<ScenarioReport> = Vec::with_capacity(reports);
    for number in 0..reports {
        // A prime that does not divide the length of a round: adjacent reports are at different hosts.
        let host = round[number * 7 % round.len()];
        let entry = match generated.len().checked_sub(REPEAT_EVERY) {
            Some(earlier) if number % REPEAT_EVERY == REPEAT_EVERY - 1 => {
                repeat(&generated[earlier], number, seed)
            }
            _ => new_report(host, number, seed),
        };
        generated.push(entry);
    }
    Scenario {
        providers: providers(),
        reports: generated,
    }
}

fn new_report(host: &str, number: usize, seed: u64) -> ScenarioReport {
    let verdict = match host {
        HARMLESS_HOST => TrueVerdict::NotActionable(NotActionableReason::NotIllegal),
        MIXED_HOST if number.is_multiple_of(5) => {
            TrueVerdict::NotActionable(NotActionableReason::OutOfScope)
        }
        MIXED_HOST => TrueVerdict::Actionable(Category::ALL[number % Category::ALL.len()]),
        _ => TrueVerdict::Actionable(Category::B),
    };
    // Half of the reports that no rule decides have a hash that may be on the list.
    let has_hash = host == MIXED_HOST && number % 2 == 1;
    let hash = || hex::encode(Sha256::digest(format!("crash {seed} case {number}")));
    ScenarioReport {
        report: ReportRow {
            external_id: external_id(seed, number),
            channel: ReportChannel::Public.to_string(),
            url: format!("https://{host}.example/p/{number}.jpg"),
            sha256: if has_hash { hash() } else { String::new() },
            age_band: String::new(),
            media: String::new(),
            received_at: String::new(),
            reporter_country: String::new(),
        },
        truth: Some(GroundTruth {
            case: format!("C{number}"),
            verdict,
            provider: host.to_owned(),
        }),
    }
}

fn repeat(earlier: &ScenarioReport, number: usize, seed: u64) -> ScenarioReport {
    let mut entry = earlier.clone();
    entry.report.external_id = external_id(seed, number);
    entry
}

fn external_id(seed: u64, number: usize) -> String {
    format!("crash-{seed}-{number}")
}

fn providers() -> Vec<ScenarioProvider> {
    use Behaviour::{Prompt, Silent};
    use DeliveryChannel::{Api, Email, Webhook};
    use ProviderRole::{Host, Registrar, Upstream};
    let mut all: Vec<ScenarioProvider> = [
        ("hanging-web", Host, Prompt, Webhook),
        ("prompt-mail", Host, Prompt, Email),
        (MIXED_HOST, Host, Prompt, Api),
        ("silent-web", Host, Silent, Webhook),
        ("silent-mail", Host, Silent, Email),
        (UNRESPONSIVE_HOST, Host, Silent, Webhook),
        (HARMLESS_HOST, Host, Prompt, Webhook),
        ("carrier", Upstream, Prompt, Webhook),
        ("names", Registrar, Prompt, Email),
    ]
    .into_iter()
    .map(|(id, role, behaviour, channel)| provider(id, role, behaviour, channel))
    .collect();
    for provider in &mut all {
        match provider.id.as_str() {
            "silent-web" => provider.upstream = Some("carrier".to_owned()),
            "silent-mail" => provider.registrar = Some("names".to_owned()),
            _ => {}
        }
    }
    all
}

fn provider(
    id: &str,
    role: ProviderRole,
    behaviour: Behaviour,
    channel: DeliveryChannel,
) -> ScenarioProvider {
    ScenarioProvider {
        id: id.to_owned(),
        role,
        country: "NL".to_owned(),
        asn: 0,
        cidrs: Vec::new(),
        domains: vec![format!("{id}.example")],
        abuse_contact: format!("abuse@{id}.example"),
        channel,
        behaviour,
        upstream: None,
        registrar: None,
        origin: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_short_scenario_contains_every_host() {
        let scenario = crash_scenario(60, 1);
        let hosts: BTreeSet<&str> = scenario
            .reports
            .iter()
            .filter_map(|entry| Some(entry.truth.as_ref()?.provider.as_str()))
            .collect();
        assert_eq!(hosts.len(), HOST_WEIGHTS.len());
        let urls: BTreeSet<&str> = scenario
            .reports
            .iter()
            .map(|e| e.report.url.as_str())
            .collect();
        assert!(urls.len() < scenario.reports.len());
    }
}
