//! Generates scenarios of any length from a seed: the same seed gives the same bytes.
//!
//! A third of the reports repeat an earlier URL in another form, two in a hundred must be refused, and every behaviour
//! occurs on every delivery channel. Must not generate a name or an address that could exist.

mod host_generator;
mod rng;
mod url_forms;
mod vocabulary;

use std::collections::HashSet;

use anyhow::Result;
use domain::enums::{Category, NotActionableReason};
use domain::url::CanonicalUrl;
use sha2::{Digest as _, Sha256};
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

use super::scenario::{
    GroundTruth, ReportRow, Scenario, ScenarioProvider, ScenarioReport, TrueVerdict,
};
use rng::Rng;
use vocabulary::{COUNTRIES, EXTENSIONS, IDN_LABELS, NAMES, ODD_PATHS, SUBDOMAINS, UNUSABLE};

/// Reports per thousand whose URL was reported before.
const REPEATED: usize = 340;
/// Reports per thousand that must be refused.
const REFUSED: usize = 20;
/// Half of the repeats are of the first `POPULAR` cases, so that some cases have many reports.
const POPULAR: usize = 25;

struct GeneratedCase {
    url: String,
    sha256: String,
    truth: GroundTruth,
}

/// Generates a scenario with this many reports.
pub fn generate(reports: usize, seed: u64) -> Result<Scenario> {
    let mut rng = Rng::new(seed);
    let providers = host_generator::generate_providers(&mut rng);
    let hosts: Vec<&ScenarioProvider> = providers
        .iter()
        .filter(|p| host_generator::has_pages(p))
        .collect();
    let mut cases: Vec<GeneratedCase> = Vec::new();
    let mut known_urls = HashSet::new();
    let mut generated = Vec::with_capacity(reports);
    let mut at = datetime!(2026-03-01 00:00 UTC);
    for number in 0..reports {
        at += time::Duration::milliseconds(rng.below(90_000) as i64);
        let (url, sha256, truth) = if rng.in_thousand(REFUSED) {
            (unusable(&mut rng), String::new(), None)
        } else if !cases.is_empty() && rng.in_thousand(REPEATED) {
            let among = if rng.in_thousand(500) {
                cases.len().min(POPULAR)
            } else {
                cases.len()
            };
            let case = &cases[rng.below(among)];
            (
                url_forms::vary(&case.url, &mut rng),
                case.sha256.clone(),
                Some(case.truth.clone()),
            )
        } else {
            let case = new_case(&mut rng, &hosts, cases.len(), seed, &mut known_urls);
            let url = url_forms::vary(&case.url, &mut rng);
            let generated = (url, case.sha256.clone(), Some(case.truth.clone()));
            cases.push(case);
            generated
        };
        let sha256 = if rng.in_thousand(400) {
            sha256
        } else {
            String::new()
        };
        generated.push(ScenarioReport {
            report: row(&mut rng, seed, number, url, sha256, at.format(&Rfc3339)?),
            truth,
        });
    }
    Ok(Scenario {
        providers,
        reports: generated,
    })
}

fn unusable(rng: &mut Rng) -> String {
    if rng.in_thousand(80) {
        return format!("https://{}.example/", "b".repeat(64 + rng.below(200)));
    }
    (*rng.choose(&UNUSABLE)).to_owned()
}

/// A case with a new URL at one of the hosts.
fn new_case(
    rng: &mut Rng,
    hosts: &[&ScenarioProvider],
    number: usize,
    seed: u64,
    known_urls: &mut HashSet<CanonicalUrl>,
) -> GeneratedCase {
    // Round-robin over the hosts, so that a short scenario has each behaviour too.
    let host = hosts[(number * 7 + rng.below(3)) % hosts.len()];
    loop {
        let url = url_at(rng, host);
        let Ok(canonical) = CanonicalUrl::parse(&url) else {
            continue;
        };
        if known_urls.insert(canonical) {
            let sha256 = hex::encode(Sha256::digest(format!("scenario {seed} case {number}")));
            let truth = GroundTruth {
                case: format!("C{number}"),
                verdict: verdict(rng),
                provider: host.id.clone(),
            };
            return GeneratedCase { url, sha256, truth };
        }
    }
}

fn verdict(rng: &mut Rng) -> TrueVerdict {
    match rng.below(100) {
        0..18 => TrueVerdict::NotActionable(NotActionableReason::NotIllegal),
        18..24 => TrueVerdict::NotActionable(NotActionableReason::NotFound),
        24..26 => TrueVerdict::NotActionable(NotActionableReason::OutOfScope),
        26..31 => TrueVerdict::SecondOpinion,
        31..53 => TrueVerdict::Actionable(Category::A),
        53..75 => TrueVerdict::Actionable(Category::B),
        _ => TrueVerdict::Actionable(Category::C),
    }
}

fn url_at(rng: &mut Rng, provider: &ScenarioProvider) -> String {
    let scheme = if rng.in_thousand(750) {
        "https"
    } else {
        "http"
    };
    let host = match rng.below(100) {
        0..8 => host_generator::ipv4(provider, rng.below(8) as u8),
        8..11 => format!("[{}]", host_generator::ipv6(provider, rng.next() as u16)),
        11..16 => format!(
            "{}{}.{}",
            rng.choose(&IDN_LABELS),
            rng.below(20),
            provider.domains[0]
        ),
        16..30 => format!("user{}.{}", rng.below(300), rng.choose(&provider.domains)),
        30..60 => format!(
            "{}.{}",
            rng.choose(&SUBDOMAINS),
            rng.choose(&provider.domains)
        ),
        _ => rng.choose(&provider.domains).clone(),
    };
    let port = if rng.in_thousand(60) {
        format!(":{}", rng.choose(&[81, 8080, 8443]))
    } else {
        String::new()
    };
    format!("{scheme}://{host}{port}{}", path(rng))
}

fn path(rng: &mut Rng) -> String {
    let number = rng.below(9_000_000).to_string();
    match rng.below(10) {
        0..3 => rng.choose(&ODD_PATHS).replace("{}", &number),
        3..5 => format!("/i/{:010x}", rng.next() >> 24),
        _ => {
            let depth = 1 + rng.below(3);
            let folders: Vec<&str> = (0..depth).map(|_| *rng.choose(&NAMES)).collect();
            format!(
                "/{}/{number}.{}",
                folders.join("/"),
                rng.choose(&EXTENSIONS)
            )
        }
    }
}

fn row(
    rng: &mut Rng,
    seed: u64,
    number: usize,
    url: String,
    sha256: String,
    received_at: String,
) -> ReportRow {
    let channel = match rng.below(100) {
        0..45 => "public",
        45..65 => "partner_hotline",
        65..80 => "proactive",
        _ => "report_remove",
    };
    let is_report_remove = channel == "report_remove";
    let age_band = if is_report_remove {
        *rng.choose(&["under_13", "13_15", "16_17"])
    } else {
        ""
    };
    let reporter_country = if is_report_remove {
        ""
    } else {
        rng.choose(&COUNTRIES)
    };
    ReportRow {
        external_id: format!("S{seed}-{number:06}"),
        channel: channel.to_owned(),
        url,
        sha256,
        age_band: age_band.to_owned(),
        media: (*rng.choose(&["image", "image", "video", "text", ""])).to_owned(),
        received_at,
        reporter_country: reporter_country.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::scenario::Behaviour;
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
        let read = Scenario::read(one.path()).unwrap();
        assert_eq!(read.reports.len(), 500);
        assert_ne!(
            generate(500, 12).unwrap().reports[0].report.url,
            read.reports[0].report.url
        );
    }

    #[test]
    fn all_forms_of_a_url_have_one_case_and_refused_urls_do_not_parse() {
        let scenario = generate(4000, 3).unwrap();
        let mut by_case = BTreeMap::new();
        let mut by_url = BTreeMap::new();
        let mut refused = 0;
        for entry in &scenario.reports {
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
    fn every_behaviour_occurs_on_every_delivery_channel() {
        let scenario = generate(600, 1).unwrap();
        let combinations: BTreeSet<_> = scenario
            .reports
            .iter()
            .filter_map(|entry| entry.truth.as_ref())
            .filter(|truth| truth.verdict.is_actionable())
            .filter_map(|truth| scenario.provider(&truth.provider))
            .map(|provider| (provider.behaviour, provider.channel))
            .collect();
        assert!(
            combinations.len() >= Behaviour::ALL.len() * 3,
            "{combinations:?}"
        );
    }
}
