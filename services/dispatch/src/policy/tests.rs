//! The repository's policies, and policies with mistakes.

use domain::enums::Category;
use time::Duration;

use super::parse::duration;
use super::{lint, parse};

const PRODUCTION: &str = include_str!("../../../../deploy/policies/production.yaml");
const DEMO: &str = include_str!("../../../../deploy/policies/demo.yaml");

#[test]
fn the_repositorys_policies_are_valid() {
    for (name, yaml) in [("production", PRODUCTION), ("demo", DEMO)] {
        assert_eq!(lint(yaml), [], "{name}");
    }
    let policy = parse(PRODUCTION).unwrap();
    assert_eq!(policy.regime_for("GB", Category::A).name, "uk-osa");
    assert_eq!(policy.regime_for("AU", Category::A).remove, Duration::DAY);
    assert_eq!(policy.regime_for("FR", Category::C).name, "eu-tco");
    assert_eq!(policy.regime_for("ZZ", Category::C).name, "uk-osa");
}

#[test]
fn every_mistake_is_reported_with_its_line_and_field() {
    let bad = DEMO
        .replacen("of: 3", "of: 1", 1)
        .replacen("rung: remind", "rung: shout", 1)
        .replacen("acknowledge: 4s", "acknowledge: soon", 1);
    let faults = lint(&bad);
    let fields: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "probe.of",
            "regimes[0].acknowledge",
            "regimes[0].ladder[0].rung"
        ]
    );
    let too_large = DEMO
        .replacen("received: 60s", "received: 9000000000000s", 1)
        .replacen("times: 3", "times: 2000000000", 1);
    let fields: Vec<String> = lint(&too_large).into_iter().map(|f| f.field).collect();
    assert_eq!(fields, ["pauses.times", "regimes[0].received"]);
    for fault in &faults {
        let line = bad.lines().nth(fault.line as usize - 1).unwrap();
        let key = fault.field.rsplit('.').next().unwrap();
        assert!(line.contains(key), "{fault} points at {line:?}");
    }
}

#[test]
fn an_invalid_policy_is_refused() {
    for bad in ["", "version: 1", "- a", "version: [", "{}"] {
        assert!(!lint(bad).is_empty(), "{bad:?}");
    }
    let unknown = DEMO.replacen("watch:", "wotch:", 1);
    let faults = lint(&unknown);
    assert!(
        faults[0].line > 0 && faults[0].detail.contains("wotch"),
        "{faults:?}"
    );
}

#[test]
fn a_duration_has_exactly_one_unit() {
    assert_eq!(duration("1500ms"), Some(Duration::milliseconds(1500)));
    assert_eq!(duration("7d"), Some(Duration::days(7)));
    for bad in ["", "s", "1", "1 h", "-1s", "1w", "99999999999999999d"] {
        assert_eq!(duration(bad), None, "{bad:?}");
    }
}
