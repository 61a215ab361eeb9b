//! Synthetic streets of any length, by seed: the same seed gives the same bytes.
//!
//! A third of the reports repeat a URL that was reported before in another spelling, two in a hundred are unusable, and
//! every behaviour is met on every channel. Must not make a name or an address that could exist.

mod neighbours;
mod spelling;
mod words;

use std::collections::HashSet;

use anyhow::Result;
use domain::url::CanonicalUrl;
use domain::word::{Category, NotActionableReason};
use sha2::{Digest as _, Sha256};
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

use super::files::{Entry, Provider, ReportRow, Street, Truth, Verdict};
use words::{COUNTRIES, Chance, EXTENSIONS, IDN_LABELS, NAMES, ODD_PATHS, SUBDOMAINS, UNUSABLE};

/// Of a thousand reports, so many speak of a URL that was reported before.
const REPEATED: usize = 340;
/// Of a thousand reports, so many cannot be used.
const REFUSED: usize = 20;
/// A case that many report: repeats fall on one of the first so many, half of the time.
const POPULAR: usize = 25;

/// A case as the generator remembers it.
struct Made {
    url: String,
    sha256: String,
    truth: Truth,
}

/// Makes a street with so many reports.
pub fn generate(reports: usize, seed: u64) -> Result<Street> {
    let mut chance = Chance::new(seed);
    let providers = neighbours::providers(&mut chance);
    let hosts: Vec<&Provider> = providers
        .iter()
        .filter(|p| neighbours::has_pages(p))
        .collect();
    let mut cases: Vec<Made> = Vec::new();
    let mut taken = HashSet::new();
    let mut entries = Vec::with_capacity(reports);
    let mut at = datetime!(2026-03-01 00:00 UTC);
    for number in 0..reports {
        at += time::Duration::milliseconds(chance.below(90_000) as i64);
        let (url, sha256, truth) = if chance.in_thousand(REFUSED) {
            (unusable(&mut chance), String::new(), None)
        } else if !cases.is_empty() && chance.in_thousand(REPEATED) {
            let among = if chance.in_thousand(500) {
                cases.len().min(POPULAR)
            } else {
                cases.len()
            };
            let case = &cases[chance.below(among)];
            (
                spelling::another(&case.url, &mut chance),
                case.sha256.clone(),
                Some(case.truth.clone()),
            )
        } else {
            let case = fresh(&mut chance, &hosts, cases.len(), seed, &mut taken);
            let url = spelling::another(&case.url, &mut chance);
            let made = (url, case.sha256.clone(), Some(case.truth.clone()));
            cases.push(case);
            made
        };
        let sha256 = if chance.in_thousand(400) {
            sha256
        } else {
            String::new()
        };
        entries.push(Entry {
            report: row(&mut chance, seed, number, url, sha256, at.format(&Rfc3339)?),
            truth,
        });
    }
    Ok(Street { providers, entries })
}

fn unusable(chance: &mut Chance) -> String {
    if chance.in_thousand(80) {
        return format!("https://{}.example/", "b".repeat(64 + chance.below(200)));
    }
    (*chance.of(&UNUSABLE)).to_owned()
}

/// A URL that nobody reported yet, at one of the hosts.
fn fresh(
    chance: &mut Chance,
    hosts: &[&Provider],
    number: usize,
    seed: u64,
    taken: &mut HashSet<CanonicalUrl>,
) -> Made {
    // Hosts take turns, so that each behaviour is met also on a short street.
    let host = hosts[(number * 7 + chance.below(3)) % hosts.len()];
    loop {
        let url = address(chance, host);
        let Ok(canonical) = CanonicalUrl::parse(&url) else {
            continue;
        };
        if taken.insert(canonical) {
            let sha256 = hex::encode(Sha256::digest(format!("street {seed} case {number}")));
            let truth = Truth {
                case: format!("C{number}"),
                verdict: verdict(chance),
                provider: host.id.clone(),
            };
            return Made { url, sha256, truth };
        }
    }
}

fn verdict(chance: &mut Chance) -> Verdict {
    match chance.below(100) {
        0..18 => Verdict::NotActionable(NotActionableReason::NotIllegal),
        18..24 => Verdict::NotActionable(NotActionableReason::NotFound),
        24..26 => Verdict::NotActionable(NotActionableReason::OutOfScope),
        26..31 => Verdict::SecondLook,
        31..53 => Verdict::Actionable(Category::A),
        53..75 => Verdict::Actionable(Category::B),
        _ => Verdict::Actionable(Category::C),
    }
}

fn address(chance: &mut Chance, provider: &Provider) -> String {
    let scheme = if chance.in_thousand(750) {
        "https"
    } else {
        "http"
    };
    let host = match chance.below(100) {
        0..8 => neighbours::ipv4(provider, chance.below(8) as u8),
        8..11 => format!("[{}]", neighbours::ipv6(provider, chance.next() as u16)),
        11..16 => format!(
            "{}{}.{}",
            chance.of(&IDN_LABELS),
            chance.below(20),
            provider.domains[0]
        ),
        16..30 => format!("user{}.{}", chance.below(300), chance.of(&provider.domains)),
        30..60 => format!(
            "{}.{}",
            chance.of(&SUBDOMAINS),
            chance.of(&provider.domains)
        ),
        _ => chance.of(&provider.domains).clone(),
    };
    let port = if chance.in_thousand(60) {
        format!(":{}", chance.of(&[81, 8080, 8443]))
    } else {
        String::new()
    };
    format!("{scheme}://{host}{port}{}", path(chance))
}

fn path(chance: &mut Chance) -> String {
    let number = chance.below(9_000_000).to_string();
    match chance.below(10) {
        0..3 => chance.of(&ODD_PATHS).replace("{}", &number),
        3..5 => format!("/i/{:010x}", chance.next() >> 24),
        _ => {
            let depth = 1 + chance.below(3);
            let folders: Vec<&str> = (0..depth).map(|_| *chance.of(&NAMES)).collect();
            format!("/{}/{number}.{}", folders.join("/"), chance.of(&EXTENSIONS))
        }
    }
}

fn row(
    chance: &mut Chance,
    seed: u64,
    number: usize,
    url: String,
    sha256: String,
    received_at: String,
) -> ReportRow {
    let channel = match chance.below(100) {
        0..45 => "public",
        45..65 => "partner_hotline",
        65..80 => "proactive",
        _ => "report_remove",
    };
    let from_a_child = channel == "report_remove";
    let age_band = if from_a_child {
        *chance.of(&["under_13", "13_15", "16_17"])
    } else {
        ""
    };
    let reporter_country = if from_a_child {
        ""
    } else {
        chance.of(&COUNTRIES)
    };
    ReportRow {
        external_id: format!("S{seed}-{number:06}"),
        channel: channel.to_owned(),
        url,
        sha256,
        age_band: age_band.to_owned(),
        media: (*chance.of(&["image", "image", "video", "text", ""])).to_owned(),
        received_at,
        reporter_country: reporter_country.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::files::Behaviour;
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let folder = || {
            let folder = tempfile::tempdir().unwrap();
            generate(500, 11).unwrap().write(folder.path()).unwrap();
            folder
        };
        let (one, two) = (folder(), folder());
        for file in ["providers.json", "reports.csv", "truth.csv"] {
            let read =
                |folder: &tempfile::TempDir| std::fs::read(folder.path().join(file)).unwrap();
            assert_eq!(read(&one), read(&two), "{file}");
        }
        let read = Street::read(one.path()).unwrap();
        assert_eq!(read.entries.len(), 500);
        assert_ne!(
            generate(500, 12).unwrap().entries[0].report.url,
            read.entries[0].report.url
        );
    }

    #[test]
    fn spellings_of_one_case_are_one_url_and_unusable_rows_are_none() {
        let street = generate(4000, 3).unwrap();
        let mut by_case = BTreeMap::new();
        let mut by_url = BTreeMap::new();
        let mut refused = 0;
        for entry in &street.entries {
            let parsed = CanonicalUrl::parse(&entry.report.url);
            let Some(truth) = &entry.truth else {
                assert!(parsed.is_err(), "{}", entry.report.url);
                refused += 1;
                continue;
            };
            let url = parsed.unwrap_or_else(|e| panic!("{}: {e}", entry.report.url));
            let first = by_case.entry(&truth.case).or_insert_with(|| url.clone());
            assert!(*first == url, "{}", entry.report.url);
            assert_eq!(by_url.entry(url).or_insert(&truth.case), &&truth.case);
        }
        assert!((40..140).contains(&refused), "{refused}");
        let repeated = 4000 - refused - by_case.len();
        assert!((1100..1600).contains(&repeated), "{repeated}");
    }

    #[test]
    fn every_behaviour_is_met_on_every_channel() {
        let street = generate(600, 1).unwrap();
        let met: BTreeSet<_> = street
            .entries
            .iter()
            .filter_map(|entry| entry.truth.as_ref())
            .filter(|truth| truth.verdict.is_actionable())
            .filter_map(|truth| street.provider(&truth.provider))
            .map(|provider| (provider.behaviour, provider.channel))
            .collect();
        assert!(met.len() >= Behaviour::ALL.len() * 3, "{met:?}");
    }
}
