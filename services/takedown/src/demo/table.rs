//! The result of a demo as a table for people.

use domain::wire::seconds;
use simulator::expected_figures::ExpectedFigures;
use simulator::run::figures::DemoFigures;

use crate::output;

pub fn render(figures: &DemoFigures, expected: &ExpectedFigures, differences: &[String]) -> String {
    let exact = |figure: u64| figure.to_string();
    let list = |counts: Vec<(String, u64)>| -> String {
        if counts.is_empty() {
            return "0".to_owned();
        }
        let each = counts
            .into_iter()
            .map(|(name, count)| format!("{name} {count}"));
        each.collect::<Vec<_>>().join(", ")
    };
    let channels = figures
        .notices_by_channel
        .iter()
        .map(|(name, n)| ((*name).to_owned(), *n));
    let rungs = figures
        .escalated_by_rung
        .iter()
        .map(|(name, n)| ((*name).to_owned(), *n));
    let expected_rungs = expected
        .escalated_by_rung
        .iter()
        .map(|(name, n)| (name.clone(), *n));
    let rows = [
        [
            "reports accepted",
            &exact(figures.accepted),
            &exact(expected.accepted),
        ],
        [
            "reports refused",
            &exact(figures.refused),
            &exact(expected.refused),
        ],
        [
            "joined an open case",
            &exact(figures.joined),
            &exact(expected.joined),
        ],
        ["cases", &exact(figures.cases), &exact(expected.cases)],
        [
            "actionable",
            &exact(figures.actionable),
            &exact(expected.actionable),
        ],
        [
            "not actionable",
            &exact(figures.not_actionable),
            &exact(expected.not_actionable),
        ],
        ["notices", &list(channels.collect()), ""],
        ["delivered", &exact(figures.delivered), ""],
        ["acknowledged", &exact(figures.acknowledged), ""],
        [
            "removed, confirmed",
            &exact(figures.confirmed_removed),
            &exact(expected.confirmed_removed),
        ],
        [
            "false claims",
            &exact(figures.false_claims),
            &expected.false_claims.to_string(),
        ],
        [
            "moved to another host",
            &exact(figures.moved),
            &expected.moved.to_string(),
        ],
        [
            "reappeared",
            &exact(figures.reappeared),
            &expected.reappeared.to_string(),
        ],
        [
            "open at the end of the ladder",
            &exact(figures.open),
            &exact(expected.open),
        ],
        [
            "by last rung",
            &list(rungs.collect()),
            &list(expected_rungs.collect()),
        ],
        ["lost", &exact(figures.lost), "0"],
        ["duplicate notices", &exact(figures.hosts.duplicates), "0"],
        [
            "attempts",
            &exact(figures.attempts),
            &format!("more than {} notices", figures.notices),
        ],
        [
            "resends received by hosts",
            &exact(figures.hosts.repeated),
            "",
        ],
    ];
    let counts = output::table(
        ["", "actual", "expected"],
        rows.map(|row| row.map(str::to_owned)),
    );
    let clocks = output::table(
        ["clock, from receipt", "p50 s", "p99 s", "cases"],
        figures.clocks.iter().map(|clock| {
            [
                clock.clock.clone(),
                format!("{:.1}", seconds(clock.p50.as_ref())),
                format!("{:.1}", seconds(clock.p99.as_ref())),
                clock.count.to_string(),
            ]
        }),
    );
    let verdict = if differences.is_empty() {
        "as expected".to_owned()
    } else {
        format!("not as expected:\n  {}", differences.join("\n  "))
    };
    format!("{counts}\n\n{clocks}\n\n{verdict}")
}
