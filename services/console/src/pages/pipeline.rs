//! The whole pipeline at a glance: where everything is, how old it is, and that nothing is lost.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use proto::v1;
use time::OffsetDateTime;

use super::signs::signs;
use super::stages::{MISSING, Stages, channels, clocks, rungs, stages};
use super::{Frame, Missing, render};
use crate::board::{Board, Part};
use crate::edge::Edge;
use crate::lag::Gap;
use crate::refused::Refused;
use crate::session::Signed;
use crate::show::{When, count, label};

#[derive(Template)]
#[template(path = "pipeline.html")]
struct Page {
    frame: Frame,
    fragment: String,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
) -> Result<Html<String>, Refused> {
    render(&Page {
        fragment: fragment(&edge, &signed).await?,
        frame: Frame::new("/", &signed),
    })
}

/// What is sent again whenever it has changed.
pub(crate) async fn fragment(edge: &Edge, signed: &Signed) -> Result<String, Refused> {
    Ok(Figures::new(&*edge.board(signed).await?).render()?)
}

#[derive(Template)]
#[template(path = "board.html")]
struct Figures {
    at: When,
    missing: Vec<Missing>,
    conservation: Option<Conservation>,
    /// The way of a report, from left to right.
    way: Vec<Step>,
    /// What somebody should look at.
    calls: Vec<Step>,
    /// Whether the work goes on.
    signs: Vec<Step>,
    stages: Vec<Stages>,
    clocks: Vec<[String; 4]>,
    has_dispatch: bool,
    rungs: Vec<(String, String)>,
    channels: Vec<(String, String)>,
}

struct Conservation {
    /// By intake's word.
    accepted: String,
    on_the_way: u64,
    lost: u64,
    events: String,
    stages: Vec<[String; 3]>,
}

/// One figure; without a value where its owner does not answer.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) note: String,
    pub(super) oldest: When,
    pub(super) href: &'static str,
    pub(super) alarm: bool,
}

impl Figures {
    fn new(board: &Board) -> Self {
        let now = board.at;
        let (intake, verification) = (board.intake.as_ref().ok(), board.verification.as_ref().ok());
        let (dispatch, ledger) = (board.dispatch.as_ref().ok(), board.ledger.as_ref().ok());
        Self {
            at: When::now(now),
            missing: missing(board),
            conservation: intake.zip(ledger).zip(board.gap).map(Conservation::new),
            way: way(intake, verification, dispatch, now),
            calls: calls(verification, dispatch, now),
            signs: signs(board),
            stages: stages(intake, verification, dispatch, now),
            clocks: dispatch.map(|of| clocks(&of.clocks)).unwrap_or_default(),
            has_dispatch: dispatch.is_some(),
            rungs: dispatch.map(rungs).unwrap_or_default(),
            channels: dispatch.map(channels).unwrap_or_default(),
        }
    }
}

impl Conservation {
    fn new(
        ((intake, of), gap): (
            (&v1::GetIntakeCountsResponse, &v1::GetConservationResponse),
            Gap,
        ),
    ) -> Self {
        Self {
            accepted: count(intake.accepted),
            on_the_way: gap.on_the_way,
            // What the ledger misses by its own count is no matter of waiting.
            lost: gap.lost.max(of.lost.unsigned_abs()),
            events: count(of.events),
            stages: of
                .stages
                .iter()
                .map(|stage| {
                    [
                        label(&stage.stage),
                        count(stage.reports),
                        count(stage.cases),
                    ]
                })
                .collect(),
        }
    }
}

fn missing(board: &Board) -> Vec<Missing> {
    fn of<T>(part: &Part<T>, what: &'static str) -> Option<Missing> {
        part.as_ref()
            .err()
            .map(|problem| Missing::new(what, problem))
    }
    [
        of(&board.intake, "Intake: reports by outcome"),
        of(&board.verification, "Verification: cases under assessment"),
        of(&board.dispatch, "Dispatch: cases, notices and clocks"),
        of(&board.ledger, "Ledger: conservation"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn way(
    intake: Option<&v1::GetIntakeCountsResponse>,
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<Step> {
    let step = |name, value: Option<u64>, note: &str| Step {
        name,
        value: value.map_or_else(|| MISSING.to_owned(), count),
        note: note.to_owned(),
        oldest: When::age(None, now),
        href: "",
        alarm: false,
    };
    let standing = verification.map(|of| of.standing.as_ref().map_or(0, |of| of.count));
    vec![
        step("Accepted", intake.map(|of| of.accepted), "reports"),
        step("Opened", intake.map(|of| of.cases), "cases"),
        step("Actionable", standing, "cases"),
        step("Sent out", dispatch.map(|of| of.notices), "notices"),
        step("Delivered", dispatch.map(|of| of.delivered), "notices"),
        step(
            "Acknowledged",
            dispatch.map(|of| of.acknowledged),
            "notices",
        ),
        step(
            "Removed",
            dispatch.map(|of| of.confirmed_removed),
            "cases, confirmed",
        ),
    ]
}

fn calls(
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<Step> {
    let waiting = verification.map(|of| of.waiting.as_ref().map_or(0, |of| of.count));
    let oldest = verification.and_then(|of| of.waiting.as_ref()?.oldest.as_ref());
    let exhausted = dispatch.map(|of| total(&of.by_live_state, &["exhausted"]));
    let step = |name, value: Option<u64>, note: &'static str, href, alarm| Step {
        name,
        value: value.map_or_else(|| MISSING.to_owned(), count),
        note: note.to_owned(),
        oldest: When::age(None, now),
        href,
        alarm: alarm && value.is_some_and(|n| n > 0),
    };
    vec![
        Step {
            oldest: When::age(oldest, now),
            ..step("Waiting for a person", waiting, "cases", "/queue", false)
        },
        step(
            "Overdue",
            dispatch.map(|of| of.overdue),
            "notices",
            "/overdue",
            true,
        ),
        step("Exhausted, still up", exhausted, "cases", "", true),
        step(
            "Work still to come",
            dispatch.map(|of| of.unsettled),
            "cases",
            "",
            false,
        ),
        step(
            "False claims of removal",
            dispatch.map(|of| of.false_claims),
            "refuted by checks",
            "",
            false,
        ),
        step(
            "Re-appeared",
            dispatch.map(|of| of.reappeared),
            "new episodes",
            "",
            false,
        ),
        step(
            "Moved",
            dispatch.map(|of| of.moved),
            "to another host",
            "",
            false,
        ),
    ]
}

fn total(stages: &[v1::StageCount], of: &[&str]) -> u64 {
    let these = stages
        .iter()
        .filter(|stage| of.contains(&stage.stage.as_str()));
    these.map(|stage| stage.count).sum()
}
