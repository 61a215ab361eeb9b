//! The shift, for supervisors and auditors: the workload of each person, the age of waiting cases, how often second
//! opinions agreed, and parked events.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use platform::error::{Kind, Problem};
use proto::v1;
use time::OffsetDateTime;

use super::stage_tables::{StageTable, waiting_tables};
use super::{ListPosition, MissingPart, StaffNames, next_address, render};
use crate::dashboard::{Dashboard, ServicePart};
use crate::dashboard_queries::{self, service_part};
use crate::edge::Edge;
use crate::form::QueryParams;
use crate::format::{
    AlarmFigure, TimeText, format_count, format_gauge, label, short_id, wire_name,
};
use crate::frame::Frame;
use crate::page_error::PageError;
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "shift.html")]
struct ShiftPage {
    frame: Frame,
    fragment: String,
    is_first: bool,
}

#[derive(Template)]
#[template(path = "shift_figures.html")]
struct ShiftFigures {
    read_at: TimeText,
    since: TimeText,
    missing: Vec<MissingPart>,
    without_eligible_staff: u64,
    people: Vec<WorkloadRow>,
    ages: Vec<StageTable>,
    /// Kind, agreed, disagreed, share of disagreements.
    agreement: Vec<[String; 4]>,
    parked: Vec<(String, AlarmFigure)>,
    disagreements: Vec<DisagreementRow>,
    next: Option<String>,
    is_first: bool,
}

struct WorkloadRow {
    name: String,
    roles: String,
    seen: TimeText,
    claimed: u64,
    claim_ends: TimeText,
    verdicts: u64,
    passed_on: u64,
    /// An alarm from [`EXPOSURE_ALARM`] on.
    reveals: AlarmFigure,
    /// Of the reveals that a shift allows, in percent.
    share: u64,
}

/// Share of the exposure budget from which a person's reveals are an alarm, in percent.
const EXPOSURE_ALARM: u64 = 80;

struct DisagreementRow {
    case: String,
    short: String,
    kind: &'static str,
    first: String,
    first_by: String,
    second: String,
    second_by: String,
    at: TimeText,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    QueryParams(position): QueryParams<ListPosition>,
) -> Result<Html<String>, PageError> {
    render(&ShiftPage {
        fragment: read_figures(&edge, &signed_in, &position).await?,
        is_first: position.is_first(),
        frame: Frame::new("/shift", &signed_in),
    })
}

/// The part of the page that is updated.
pub(crate) async fn fragment(edge: &Edge, signed_in: &SignedIn) -> Result<String, PageError> {
    read_figures(edge, signed_in, &ListPosition::default()).await
}

async fn read_figures(
    edge: &Edge,
    signed_in: &SignedIn,
    position: &ListPosition,
) -> Result<String, PageError> {
    let (dashboard, workload, disagreements, names) = futures::join!(
        // Boxed because the future of four calls is large.
        Box::pin(dashboard_queries::read(edge, signed_in)),
        read_workload(edge, signed_in),
        read_disagreements(edge, signed_in, position),
        StaffNames::read(edge, signed_in),
    );
    let (dashboard, names) = (dashboard?, names?);
    let now = platform::clock::wall();
    let mut missing = Vec::new();
    let workload = take_part(
        &mut missing,
        "Verification: the workload of staff",
        service_part(workload)?,
    )?;
    let disagreements = take_part(
        &mut missing,
        "Verification: second opinions",
        service_part(disagreements)?,
    )?;
    let allowed = workload.reveals_allowed;
    let figures = ShiftFigures {
        read_at: TimeText::now(now),
        since: TimeText::absolute(workload.since.as_ref(), now),
        without_eligible_staff: workload.without_eligible_staff,
        people: workload
            .people
            .into_iter()
            .map(|person| WorkloadRow::from_proto(person, allowed, now))
            .collect(),
        ages: waiting_tables(
            dashboard.verification.as_ref().ok(),
            dashboard.dispatch.as_ref().ok(),
            now,
        ),
        agreement: disagreements.agreement.iter().map(agreement_row).collect(),
        parked: parked_by_service(&dashboard),
        next: next_address("/shift", &disagreements.next_page_token),
        disagreements: disagreements
            .disagreements
            .into_iter()
            .map(|disagreement| DisagreementRow::from_proto(disagreement, &names, now))
            .collect(),
        is_first: position.is_first(),
        missing,
    };
    Ok(figures.render()?)
}

async fn read_workload(
    edge: &Edge,
    signed_in: &SignedIn,
) -> Result<v1::GetWorkloadResponse, Problem> {
    let mut client = edge.verification(signed_in).await?;
    let request = v1::GetWorkloadRequest {};
    edge.call(client.get_workload(request)).await
}

async fn read_disagreements(
    edge: &Edge,
    signed_in: &SignedIn,
    position: &ListPosition,
) -> Result<v1::ListDisagreementsResponse, Problem> {
    let mut client = edge.verification(signed_in).await?;
    let request = v1::ListDisagreementsRequest {
        page_size: 0,
        page_token: position.token(),
    };
    edge.call(client.list_disagreements(request)).await
}

/// The part; or nothing, and an entry in the list of missing parts.
///
/// # Errors
///
/// The reader may not read the part, or its address is not valid.
fn take_part<T: Default>(
    missing: &mut Vec<MissingPart>,
    name: &'static str,
    part: ServicePart<T>,
) -> Result<T, PageError> {
    match part {
        Ok(part) => Ok(part),
        Err(problem) if matches!(problem.kind, Kind::Forbidden | Kind::Invalid) => {
            Err(PageError::from(problem).with_link("/queue", "the queue"))
        }
        Err(problem) => {
            missing.push(MissingPart::new(name, &problem));
            Ok(T::default())
        }
    }
}

impl WorkloadRow {
    fn from_proto(workload: v1::Workload, allowed: u32, now: OffsetDateTime) -> Self {
        let roles: Vec<_> = workload
            .roles
            .iter()
            .map(|role| wire_name!(StaffRole, *role))
            .collect();
        let share = (workload.reveals * 100 / u64::from(allowed.max(1))).min(100);
        Self {
            name: if workload.name.is_empty() {
                short_id(&workload.subject).to_owned()
            } else {
                workload.name
            },
            roles: label(&roles.join(", ")),
            seen: TimeText::relative(workload.seen_at.as_ref(), now),
            claimed: workload.claimed,
            claim_ends: TimeText::relative(workload.claim_ends_at.as_ref(), now),
            verdicts: workload.verdicts,
            passed_on: workload.passed_on,
            reveals: AlarmFigure::new(
                format!("{} of {allowed}", workload.reveals),
                share >= EXPOSURE_ALARM,
            ),
            share,
        }
    }
}

impl DisagreementRow {
    fn from_proto(disagreement: v1::Disagreement, names: &StaffNames, now: OffsetDateTime) -> Self {
        let verdict = |name: &str| match name {
            "A" | "B" | "C" => format!("Category {name}"),
            name => label(name),
        };
        Self {
            short: short_id(&disagreement.case_id).to_owned(),
            kind: match disagreement.kind.as_str() {
                "second" => "The second analyst gave a different verdict",
                "review" => "A review withdrew the verdict",
                "undo" => "Withdrawn by the analyst who gave it",
                _ => "Withdrawn by a supervisor",
            },
            first: verdict(&disagreement.first),
            first_by: if disagreement.first_by.is_empty() {
                "Hash list or rule".to_owned()
            } else {
                names.join(&disagreement.first_by)
            },
            second: verdict(&disagreement.second),
            second_by: names.get(&disagreement.second_by),
            at: TimeText::relative(disagreement.at.as_ref(), now),
            case: disagreement.case_id,
        }
    }
}

fn agreement_row(count: &v1::AgreementCount) -> [String; 4] {
    let all = count.agreed + count.disagreed;
    let name = match count.kind.as_str() {
        "second" => "Second opinions",
        "review" => "Reviews",
        "undo" => "Verdicts withdrawn by their analyst",
        _ => "Verdicts withdrawn by a supervisor",
    };
    [
        name.to_owned(),
        format_count(count.agreed),
        format_count(count.disagreed),
        format!("{}%", (count.disagreed * 100).div_ceil(all.max(1))),
    ]
}

fn parked_by_service(dashboard: &Dashboard) -> Vec<(String, AlarmFigure)> {
    let mut services: Vec<(&str, f64)> = Vec::new();
    for (role, gauge) in dashboard.gauges_by_role() {
        if gauge.name == "takedown.bus.parked" {
            match services.iter_mut().find(|(name, _)| *name == role) {
                Some((_, events)) => *events += gauge.value,
                None => services.push((role, gauge.value)),
            }
        }
    }
    services
        .into_iter()
        .map(|(role, events)| {
            let figure = AlarmFigure::new(format_gauge(events), events > 0.0);
            (label(role), figure)
        })
        .collect()
}
