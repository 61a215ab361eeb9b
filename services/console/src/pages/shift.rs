//! The shift as those who oversee it see it: who has what in hand, how old what waits is, where second looks did not
//! agree, and whether anything is parked.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use platform::error::{Kind, Problem};
use proto::v1;
use serde::Deserialize;
use time::OffsetDateTime;

use super::stages::{Stages, waiting};
use super::{Frame, Missing, Names, page_of, render};
use crate::board::{Board, Part, part};
use crate::edge::Edge;
use crate::posted::Asked;
use crate::refused::{Refused, query};
use crate::session::Signed;
use crate::show::{When, count, label, short, word};

#[derive(Template)]
#[template(path = "shift.html")]
struct Page {
    frame: Frame,
    fragment: String,
    first: bool,
}

#[derive(Template)]
#[template(path = "shift_view.html")]
struct View {
    at: When,
    since: When,
    missing: Vec<Missing>,
    for_nobody: u64,
    allowed: u32,
    people: Vec<Person>,
    ages: Vec<Stages>,
    looks: Vec<[String; 4]>,
    /// By service; whether somebody has to look.
    parked: Vec<(String, String, bool)>,
    disagreements: Vec<Row>,
    next: Option<String>,
    first: bool,
}

struct Person {
    name: String,
    roles: String,
    seen: When,
    in_hand: u64,
    claim_ends: When,
    verdicts: u64,
    passed_on: u64,
    reveals: u64,
    /// Of 100, of the exposure that a shift allows.
    share: u64,
    /// Close to its end.
    exposed: bool,
}

struct Row {
    case: String,
    short: String,
    look: &'static str,
    first: String,
    first_by: String,
    second: String,
    second_by: String,
    at: When,
}

#[derive(Deserialize, Default)]
pub(crate) struct Place {
    cursor: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    render(&Page {
        fragment: view(&edge, &signed, &place).await?,
        first: place.cursor.is_none(),
        frame: Frame::new("/shift", &signed),
    })
}

/// What is sent again whenever it has changed.
pub(crate) async fn fragment(edge: &Edge, signed: &Signed) -> Result<String, Refused> {
    view(edge, signed, &Place::default()).await
}

async fn view(edge: &Edge, signed: &Signed, place: &Place) -> Result<String, Refused> {
    let (board, workload, disagreements, names) = futures::join!(
        // Four owners at once are too much to carry along beside the others.
        Box::pin(edge.board(signed)),
        workload(edge, signed),
        disagreements(edge, signed, place),
        Names::read(edge, signed),
    );
    let (board, names) = (board?, names?);
    let now = platform::clock::wall();
    let mut missing = Vec::new();
    let load = told(
        &mut missing,
        "Verification: who has what in hand",
        part(workload)?,
    )?;
    let disagreed = told(
        &mut missing,
        "Verification: second looks",
        part(disagreements)?,
    )?;
    let allowed = load.reveals_allowed;
    let view = View {
        at: When::now(now),
        since: When::at(load.since.as_ref(), now),
        for_nobody: load.for_nobody,
        allowed,
        people: load
            .people
            .into_iter()
            .map(|one| Person::new(one, allowed, now))
            .collect(),
        ages: waiting(
            board.verification.as_ref().ok(),
            board.dispatch.as_ref().ok(),
            now,
        ),
        looks: disagreed.looks.iter().map(looks).collect(),
        parked: parked(&board),
        next: (!disagreed.next_cursor.is_empty())
            .then(|| format!("/shift?cursor={}", query(&disagreed.next_cursor))),
        disagreements: disagreed
            .disagreements
            .into_iter()
            .map(|of| Row::new(of, &names, now))
            .collect(),
        first: place.cursor.is_none(),
        missing,
    };
    Ok(view.render()?)
}

async fn workload(edge: &Edge, signed: &Signed) -> Result<v1::GetWorkloadResponse, Problem> {
    let mut client = edge.verification(signed).await?;
    let request = v1::GetWorkloadRequest {};
    edge.ask(client.get_workload(request)).await
}

async fn disagreements(
    edge: &Edge,
    signed: &Signed,
    place: &Place,
) -> Result<v1::ListDisagreementsResponse, Problem> {
    let mut client = edge.verification(signed).await?;
    let request = v1::ListDisagreementsRequest {
        page: Some(page_of(place.cursor.as_ref())),
    };
    edge.ask(client.list_disagreements(request)).await
}

/// An owner's part, or nothing of it and a word that it is missing. Whoever may not read it is told so.
fn told<T: Default>(
    missing: &mut Vec<Missing>,
    what: &'static str,
    part: Part<T>,
) -> Result<T, Refused> {
    match part {
        Ok(part) => Ok(part),
        Err(problem) if matches!(problem.kind, Kind::Forbidden | Kind::Invalid) => {
            Err(Refused::from(problem).back("/queue", "the queue"))
        }
        Err(problem) => {
            missing.push(Missing::new(what, &problem));
            Ok(T::default())
        }
    }
}

impl Person {
    fn new(of: v1::Workload, allowed: u32, now: OffsetDateTime) -> Self {
        let roles: Vec<_> = of
            .roles
            .iter()
            .map(|role| word!(StaffRole, *role))
            .collect();
        let share = (of.reveals * 100 / u64::from(allowed.max(1))).min(100);
        Self {
            name: if of.name.is_empty() {
                short(&of.subject).to_owned()
            } else {
                of.name
            },
            roles: label(&roles.join(", ")),
            seen: When::age(of.seen_at.as_ref(), now),
            in_hand: of.in_hand,
            claim_ends: When::age(of.claim_ends_at.as_ref(), now),
            verdicts: of.verdicts,
            passed_on: of.passed_on,
            reveals: of.reveals,
            share,
            exposed: share >= 80,
        }
    }
}

impl Row {
    fn new(of: v1::Disagreement, names: &Names, now: OffsetDateTime) -> Self {
        let said = |word: &str| match word {
            "A" | "B" | "C" => format!("Category {word}"),
            word => label(word),
        };
        Self {
            short: short(&of.case_id).to_owned(),
            look: match of.look.as_str() {
                "second" => "The second analyst saw it otherwise",
                "review" => "A review took the verdict back",
                "undo" => "Taken back by whoever gave it",
                _ => "Withdrawn by a supervisor",
            },
            first: said(&of.first),
            first_by: if of.first_by.is_empty() {
                "List or rule".to_owned()
            } else {
                names.of_all(&of.first_by)
            },
            second: said(&of.second),
            second_by: names.of(&of.second_by),
            at: When::age(of.at.as_ref(), now),
            case: of.case_id,
        }
    }
}

fn looks(of: &v1::LookCount) -> [String; 4] {
    let all = of.agreed + of.disagreed;
    let name = match of.look.as_str() {
        "second" => "Second verdicts",
        "review" => "Reviews of a verdict in question",
        "undo" => "Own verdicts taken back",
        _ => "Verdicts withdrawn by a supervisor",
    };
    [
        name.to_owned(),
        count(of.agreed),
        count(of.disagreed),
        format!("{} %", (of.disagreed * 100).div_ceil(all.max(1))),
    ]
}

fn parked(board: &Board) -> Vec<(String, String, bool)> {
    let mut services: Vec<(&str, f64)> = Vec::new();
    for (role, sign) in board.signs_by_role() {
        if sign.name == "takedown.bus.parked" {
            match services.iter_mut().find(|(name, _)| *name == role) {
                Some((_, events)) => *events += sign.value,
                None => services.push((role, sign.value)),
            }
        }
    }
    services
        .into_iter()
        .map(|(role, events)| (label(role), super::signs::number(events), events > 0.0))
        .collect()
}
