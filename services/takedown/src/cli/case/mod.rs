//! `case`: one case from every side, and what staff may do to it.

mod show;

use anyhow::Result;
use domain::id::{CaseId, Reference};
use platform::error::{Kind, Problem};
use proto::v1::{
    Assessment, HoldCaseRequest, ReleaseHoldRequest, SupplyInformationRequest,
    WithdrawVerdictRequest, find_reports_request::By,
};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::report::find;
use super::{At, words};
use crate::client::Client;
use crate::output::Format;
use show::assessment_json;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Assessment, reports, notices and timeline of a case.
    Show {
        #[command(flatten)]
        at: At,
        /// A case id, a report's reference, or the submitter's own id.
        case: String,
    },
    /// Takes a verdict back; notices that stand on it are retracted. Needs a supervisor.
    Withdraw {
        #[command(flatten)]
        at: At,
        case: String,
        /// Goes into the record; without any URL.
        #[arg(long)]
        reason: String,
    },
    /// Holds a case for the police until a time. Needs a supervisor.
    Hold {
        #[command(flatten)]
        at: At,
        case: String,
        #[arg(long)]
        reason: String,
        /// RFC 3339, for example 2026-03-01T12:00:00Z.
        #[arg(long, value_parser = rfc3339, value_name = "TIME")]
        until: OffsetDateTime,
    },
    /// Ends a police hold before its time. Needs a supervisor.
    Release {
        #[command(flatten)]
        at: At,
        case: String,
    },
    /// Answers a provider's question about a notice; its clock goes on.
    Inform {
        #[command(flatten)]
        at: At,
        /// The notice with the question.
        notice: String,
        text: String,
    },
}

fn rfc3339(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "write RFC 3339, for example 2026-03-01T12:00:00Z".to_owned())
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Show { at, .. }
            | Self::Withdraw { at, .. }
            | Self::Hold { at, .. }
            | Self::Release { at, .. }
            | Self::Inform { at, .. } => at.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Show { at, case } => show::show(&at, &case).await,
        Command::Withdraw { at, case, reason } => {
            let client = at.client()?;
            let case_id = case_id(&client, &case).await?;
            let request = WithdrawVerdictRequest {
                case_id,
                reason,
                assess_again: false,
            };
            let answer = client.verification().withdraw_verdict(request).await?;
            changed(&at, answer.into_inner().assessment);
            Ok(())
        }
        Command::Hold {
            at,
            case,
            reason,
            until,
        } => {
            let client = at.client()?;
            let request = HoldCaseRequest {
                case_id: case_id(&client, &case).await?,
                reason,
                until: Some(domain::wire::timestamp(until)),
            };
            let answer = client.verification().hold_case(request).await?;
            changed(&at, answer.into_inner().assessment);
            Ok(())
        }
        Command::Release { at, case } => {
            let client = at.client()?;
            let case_id = case_id(&client, &case).await?;
            let request = ReleaseHoldRequest { case_id };
            let answer = client.verification().release_hold(request).await?;
            changed(&at, answer.into_inner().assessment);
            Ok(())
        }
        Command::Inform { at, notice, text } => {
            let request = SupplyInformationRequest {
                notice_id: notice.clone(),
                text,
            };
            let answer = at.client()?.dispatch().supply_information(request).await?;
            let state = words::notice(answer.into_inner().state);
            at.format
                .print(&json!({ "notice_id": notice, "state": state }), || {
                    format!("{notice} is now {state}")
                });
            Ok(())
        }
    }
}

fn changed(at: &At, assessment: Option<Assessment>) {
    let assessment = assessment.unwrap_or_default();
    at.format.print(&assessment_json(&assessment), || {
        format!(
            "{} is now {}",
            assessment.case_id,
            words::assessment(assessment.state)
        )
    });
}

/// The case that somebody means: by its id, by a report's reference, or by the submitter's own id.
async fn case_id(client: &Client, named: &str) -> Result<String> {
    if named.parse::<CaseId>().is_ok() {
        return Ok(named.to_owned());
    }
    let mut found = Vec::new();
    if named.parse::<Reference>().is_ok() {
        found = find(client, By::Reference(named.to_owned())).await?;
    }
    if found.is_empty() {
        found = find(client, By::ExternalId(named.to_owned())).await?;
    }
    let mut cases: Vec<String> = found.into_iter().map(|report| report.case_id).collect();
    cases.sort();
    cases.dedup();
    match cases.as_slice() {
        [case] => Ok(case.clone()),
        [] => Err(Problem::new(
            Kind::NotFound,
            "case_not_found",
            "Nothing is known by that name; give a case id, a reference from a receipt, or a submitter's own id.",
        )
        .into()),
        several => Err(Problem::new(
            Kind::Invalid,
            "case_ambiguous",
            format!("Several cases go by that name; give one of {}.", several.join(", ")),
        )
        .into()),
    }
}
