//! The pipeline page: how many reports, cases and notices are in each stage, that no report is lost, and the service
//! health.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use proto::v1;
use time::OffsetDateTime;

use super::service_health;
use super::stage_tables::{StageTable, channel_rows, clock_rows, rung_rows, stage_tables};
use super::{MissingPart, Tile, figure, render};
use crate::dashboard::{Dashboard, ServicePart};
use crate::dashboard_queries;
use crate::edge::Edge;
use crate::format::{AlarmFigure, TimeText, format_count, label};
use crate::frame::Frame;
use crate::ledger_lag::LedgerGap;
use crate::page_error::PageError;
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    frame: Frame,
    fragment: String,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
) -> Result<Html<String>, PageError> {
    render(&PipelinePage {
        fragment: fragment(&edge, &signed_in).await?,
        frame: Frame::new("/", &signed_in),
    })
}

/// The part of the page that is updated.
pub(crate) async fn fragment(edge: &Edge, signed_in: &SignedIn) -> Result<String, PageError> {
    let dashboard = dashboard_queries::read(edge, signed_in).await?;
    Ok(PipelineFigures::new(&dashboard).render()?)
}

#[derive(Template)]
#[template(path = "pipeline_figures.html")]
struct PipelineFigures {
    read_at: TimeText,
    missing: Vec<MissingPart>,
    conservation: Option<ConservationSection>,
    /// From receipt to removal, in order.
    progress: Vec<Tile>,
    /// What may need a person.
    attention: Vec<Tile>,
    health: Vec<Tile>,
    stages: Vec<StageTable>,
    clocks: Vec<[String; 4]>,
    has_dispatch: bool,
    rungs: Vec<(String, String)>,
    channels: Vec<(String, String)>,
}

/// Every accepted report is in a stage, on the way to the ledger, or lost.
struct ConservationSection {
    /// Counted by intake.
    accepted: String,
    in_transit: u64,
    lost: u64,
    events: String,
    stages: Vec<[String; 3]>,
}

impl PipelineFigures {
    fn new(dashboard: &Dashboard) -> Self {
        let now = dashboard.read_at;
        let intake = dashboard.intake.as_ref().ok();
        let verification = dashboard.verification.as_ref().ok();
        let dispatch = dashboard.dispatch.as_ref().ok();
        let ledger = dashboard.ledger.as_ref().ok();
        Self {
            read_at: TimeText::now(now),
            missing: missing_parts(dashboard),
            conservation: match (intake, ledger, dashboard.gap) {
                (Some(intake), Some(ledger), Some(gap)) => {
                    Some(ConservationSection::new(intake, ledger, gap))
                }
                _ => None,
            },
            progress: progress_tiles(intake, verification, dispatch, now),
            attention: attention_tiles(verification, dispatch, now),
            health: service_health::tiles(dashboard),
            stages: stage_tables(intake, verification, dispatch, now),
            clocks: dispatch
                .map(|counts| clock_rows(&counts.clocks))
                .unwrap_or_default(),
            has_dispatch: dispatch.is_some(),
            rungs: dispatch.map(rung_rows).unwrap_or_default(),
            channels: dispatch.map(channel_rows).unwrap_or_default(),
        }
    }
}

impl ConservationSection {
    fn new(
        intake: &v1::GetIntakeCountsResponse,
        ledger: &v1::GetConservationResponse,
        gap: LedgerGap,
    ) -> Self {
        let row = |stage: &v1::ConservationStage| {
            [
                label(&stage.stage),
                format_count(stage.reports),
                format_count(stage.cases),
            ]
        };
        Self {
            accepted: format_count(intake.accepted),
            in_transit: gap.in_transit,
            // Reports that are missing within the ledger itself will not arrive later.
            lost: gap.lost.max(ledger.lost.unsigned_abs()),
            events: format_count(ledger.events),
            stages: ledger.stages.iter().map(row).collect(),
        }
    }
}

fn missing_parts(dashboard: &Dashboard) -> Vec<MissingPart> {
    fn missing<T>(part: &ServicePart<T>, name: &'static str) -> Option<MissingPart> {
        let problem = part.as_ref().err()?;
        Some(MissingPart::new(name, problem))
    }
    [
        missing(&dashboard.intake, "Intake: reports by outcome"),
        missing(
            &dashboard.verification,
            "Verification: cases under assessment",
        ),
        missing(&dashboard.dispatch, "Dispatch: cases, notices and clocks"),
        missing(&dashboard.ledger, "Ledger: conservation of reports"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn progress_tiles(
    intake: Option<&v1::GetIntakeCountsResponse>,
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<Tile> {
    let tile = |name, count, note: &str| Tile::new(name, count, note, now);
    let actionable = verification.map(|counts| counts.standing.as_ref().map_or(0, |s| s.count));
    vec![
        tile("Accepted", intake.map(|counts| counts.accepted), "reports"),
        tile("Opened", intake.map(|counts| counts.cases), "cases"),
        tile("Actionable", actionable, "cases"),
        tile("Sent", dispatch.map(|counts| counts.notices), "notices"),
        tile(
            "Delivered",
            dispatch.map(|counts| counts.delivered),
            "notices",
        ),
        tile(
            "Acknowledged",
            dispatch.map(|counts| counts.acknowledged),
            "notices",
        ),
        tile(
            "Removed",
            dispatch.map(|counts| counts.confirmed_removed),
            "cases, confirmed",
        ),
    ]
}

fn attention_tiles(
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<Tile> {
    let waiting = verification.map(|counts| counts.waiting.as_ref().map_or(0, |w| w.count));
    let oldest = verification.and_then(|counts| counts.waiting.as_ref()?.oldest.as_ref());
    let overdue = dispatch.map(|counts| counts.overdue);
    let exhausted = dispatch.map(|counts| total(&counts.by_content_status, "exhausted"));
    let tile = |name, count, note: &str| Tile::new(name, count, note, now);
    let alarm = |count: Option<u64>| AlarmFigure::new(figure(count), count.is_some_and(|n| n > 0));
    vec![
        Tile {
            oldest: TimeText::relative(oldest, now),
            href: "/queue",
            ..tile("Waiting for staff", waiting, "cases")
        },
        Tile {
            figure: alarm(overdue),
            href: "/overdue",
            ..tile("Overdue", overdue, "notices")
        },
        Tile {
            figure: alarm(exhausted),
            ..tile("Online, ladder exhausted", exhausted, "cases")
        },
        tile(
            "In progress",
            dispatch.map(|counts| counts.unsettled),
            "cases with further steps to come",
        ),
        tile(
            "False claims of removal",
            dispatch.map(|counts| counts.false_claims),
            "refuted by checks",
        ),
        tile(
            "Re-appeared",
            dispatch.map(|counts| counts.reappeared),
            "new episodes",
        ),
        tile(
            "Moved",
            dispatch.map(|counts| counts.moved),
            "to another host",
        ),
    ]
}

fn total(stages: &[v1::StageCount], stage: &str) -> u64 {
    let matching = stages.iter().filter(|count| count.stage == stage);
    matching.map(|count| count.count).sum()
}
