//! The town that a crash run is played in: few hosts, one for each way on, and as many reports as the run may use.
//!
//! Prompt hosts on each channel; silent ones with somebody above them, and one without, whose cases climb to the end of
//! the ladder; one with nothing to remove. Rules decide for hosts of one mind, a hash list and analysts for the others.

use domain::word::{
    Category, DeliveryChannel, NotActionableReason, ProviderRole, ReportChannel, Rung,
};
use sha2::{Digest as _, Sha256};
use takedown::street::files::{Behaviour, Entry, Provider, ReportRow, Street, Truth, Verdict};

/// Whose cases are whose: the name, how often its turn comes in a round, and what is right about them.
const TURNS: [(&str, usize); 7] = [
    ("hanging-web", 6),
    ("prompt-mail", 3),
    ("prompt-pull", 4),
    ("silent-web", 2),
    ("silent-mail", 1),
    ("mute-web", 2),
    ("harmless", 2),
];
/// Its hosts have both, so that no rule stands for them.
const MIXED: &str = "prompt-pull";
const HARMLESS: &str = "harmless";
/// The one above whom nobody is.
pub const MUTE: &str = "mute-web";
/// One report in so many is of a URL that was reported before.
const REPEATS: usize = 6;

/// Hosts that act by themselves and have nobody above them: what they say of a page is the first that is said.
pub fn is_alone(host: &str) -> bool {
    ["hanging-web", "prompt-mail", MIXED].contains(&host)
}

/// The rungs without which a case at this host cannot have come to its end.
pub fn rungs(host: &str) -> &'static [Rung] {
    match host {
        MUTE => &[Rung::Supervisor, Rung::Regulator],
        "silent-web" => &[Rung::Upstream],
        "silent-mail" => &[Rung::Registrar],
        _ => &[],
    }
}

/// Who lives there, and what is reported.
pub fn town(reports: usize, seed: u64) -> Street {
    let round: Vec<&str> = TURNS
        .into_iter()
        .flat_map(|(host, turns)| std::iter::repeat_n(host, turns))
        .collect();
    let mut entries: Vec<Entry> = Vec::with_capacity(reports);
    for number in 0..reports {
        // A prime that no round has as a factor: neighbours in the round are none in the run.
        let host = round[number * 7 % round.len()];
        let entry = match entries.len().checked_sub(REPEATS) {
            Some(earlier) if number % REPEATS == REPEATS - 1 => {
                repeat(&entries[earlier], number, seed)
            }
            _ => fresh(host, number, seed),
        };
        entries.push(entry);
    }
    Street {
        providers: providers(),
        entries,
    }
}

fn fresh(host: &str, number: usize, seed: u64) -> Entry {
    let verdict = match host {
        HARMLESS => Verdict::NotActionable(NotActionableReason::NotIllegal),
        MIXED if number.is_multiple_of(5) => {
            Verdict::NotActionable(NotActionableReason::OutOfScope)
        }
        MIXED => Verdict::Actionable(Category::ALL[number % Category::ALL.len()]),
        _ => Verdict::Actionable(Category::B),
    };
    // What a list may know: half of what no rule decides.
    let known = host == MIXED && number % 2 == 1;
    let digest = || hex::encode(Sha256::digest(format!("crash {seed} case {number}")));
    Entry {
        report: ReportRow {
            external_id: name(seed, number),
            channel: ReportChannel::Public.to_string(),
            url: format!("https://{host}.example/p/{number}.jpg"),
            sha256: if known { digest() } else { String::new() },
            age_band: String::new(),
            media: String::new(),
            received_at: String::new(),
            reporter_country: String::new(),
        },
        truth: Some(Truth {
            case: format!("C{number}"),
            verdict,
            provider: host.to_owned(),
        }),
    }
}

fn repeat(earlier: &Entry, number: usize, seed: u64) -> Entry {
    let mut entry = earlier.clone();
    entry.report.external_id = name(seed, number);
    entry
}

fn name(seed: u64, number: usize) -> String {
    format!("crash-{seed}-{number}")
}

fn providers() -> Vec<Provider> {
    use Behaviour::{Prompt, Silent};
    use DeliveryChannel::{Api, Email, Webhook};
    use ProviderRole::{Host, Registrar, Upstream};
    let mut all: Vec<Provider> = [
        ("hanging-web", Host, Prompt, Webhook),
        ("prompt-mail", Host, Prompt, Email),
        (MIXED, Host, Prompt, Api),
        ("silent-web", Host, Silent, Webhook),
        ("silent-mail", Host, Silent, Email),
        (MUTE, Host, Silent, Webhook),
        (HARMLESS, Host, Prompt, Webhook),
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
) -> Provider {
    Provider {
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
    fn every_host_is_met_in_a_short_town() {
        let street = town(60, 1);
        let met: BTreeSet<&str> = street
            .entries
            .iter()
            .filter_map(|entry| Some(entry.truth.as_ref()?.provider.as_str()))
            .collect();
        assert_eq!(met.len(), TURNS.len());
        let urls: BTreeSet<&str> = street
            .entries
            .iter()
            .map(|e| e.report.url.as_str())
            .collect();
        assert!(urls.len() < street.entries.len());
    }
}
