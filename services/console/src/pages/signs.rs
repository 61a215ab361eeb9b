//! Silence is an alarm: what must not stand still, and what it says when it does. The same figures and bounds as the alerts
//! of `deploy/chart/files/alerts.yaml`.

use proto::v1::Sign;

use super::pipeline::Step;
use crate::board::Board;
use crate::show::{When, count, length};
use crate::still::Standing;

/// What a sign may say before somebody has to look.
enum Bound {
    Seconds(f64),
    Number(f64),
}

const WATCHED: [(&str, &str, Bound); 8] = [
    (
        "takedown.intake.silence",
        "Since the newest report",
        Bound::Seconds(6.0 * 3600.0),
    ),
    (
        "takedown.dispatch.message.overdue",
        "Messages due and not sent",
        Bound::Seconds(300.0),
    ),
    (
        "takedown.dispatch.clock.overdue",
        "Clocks due and not fired",
        Bound::Seconds(120.0),
    ),
    (
        "takedown.dispatch.check.overdue",
        "Looks due and not taken",
        Bound::Seconds(600.0),
    ),
    (
        "takedown.dispatch.endpoints.open",
        "Endpoints that keep failing",
        Bound::Number(10.0),
    ),
    (
        "takedown.log.unstamped.age",
        "Events without a position",
        Bound::Seconds(30.0),
    ),
    (
        "takedown.bus.parked",
        "Events that cannot be applied",
        Bound::Number(0.0),
    ),
    (
        "takedown.ledger.unsigned",
        "Events not signed yet",
        Bound::Number(1000.0),
    ),
];

/// A tile for each sign that some owner gave, with the worst of what it was given; then the consumers that stand still.
pub(super) fn signs(board: &Board) -> Vec<Step> {
    let all: Vec<&Sign> = board.signs().collect();
    let mut steps: Vec<Step> = WATCHED
        .iter()
        .filter_map(|(metric, name, bound)| {
            let values = all.iter().filter(|sign| sign.name == *metric);
            let worst = values
                .map(|sign| sign.value)
                .fold(None, |worst: Option<f64>, value| {
                    Some(worst.map_or(value, |worst| worst.max(value)))
                })?;
            Some(step(board, name, worst, bound))
        })
        .collect();
    steps.push(consumers(board));
    steps
}

fn step(board: &Board, name: &'static str, value: f64, bound: &Bound) -> Step {
    let (shown, note, most) = match *bound {
        Bound::Seconds(most) => (length(value), format!("at most {}", length(most)), most),
        Bound::Number(most) => (number(value), format!("at most {}", number(most)), most),
    };
    Step {
        name,
        value: shown,
        note,
        oldest: When::age(None, board.at),
        href: "",
        alarm: value > most,
    }
}

fn consumers(board: &Board) -> Step {
    let still: Vec<&Standing> = board.standing.iter().filter(|s| s.is_late()).collect();
    let note = match still.first() {
        None => "everybody hears what is said".to_owned(),
        Some(first) => format!(
            "{} has {} events of {} before it and passes none",
            first.consumer,
            number(first.before),
            first.producer
        ),
    };
    Step {
        name: "Consumers that stand still",
        value: count(still.len() as u64),
        note,
        oldest: When::age(None, board.at),
        href: "",
        alarm: !still.is_empty(),
    }
}

/// Signs are counts or whole seconds, and never negative.
pub(super) fn number(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    count(value.max(0.0).round() as u64)
}
