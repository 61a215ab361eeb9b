//! `case`: shows a case, and lets staff act on it.

mod show;

use anyhow::Result;
use domain::id::{CaseId, Reference};
use platform::error::{Kind, Problem};
use proto::v1::{
    Assessment, HoldCaseRequest, ReleaseHoldRequest, SupplyInformationRequest,
    WithdrawVerdictRequest, find_reports_request::By,
};
use roles::client::Client;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::report::find;
use super::{CommonArgs, labels};
use crate::output::Format;
use show::assessment_json;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows assessment, reports, notices and timeline of a case.
    Show {
        #[command(flatten)]
        common: CommonArgs,
        /// A case id, a report's reference, or its external id.
        case: String,
    },
    /// Withdraws a verdict; its notices are retracted. Needs a supervisor, or the analyst who alone gave it within
    /// the last `verification.undo_seconds`.
    Withdraw {
        #[command(flatten)]
        common: CommonArgs,
        case: String,
        /// Recorded with the act. Must not contain a URL.
        #[arg(long)]
        reason: String,
    },
    /// Places a police hold until a time. Needs a supervisor, or the analyst who has claimed the case.
    #[command(name = "hold")]
    PoliceHold {
        #[command(flatten)]
        common: CommonArgs,
        case: String,
        #[arg(long)]
        reason: String,
        /// RFC 3339, for example 2026-03-01T12:00:00Z.
        #[arg(long, value_parser = rfc3339, value_name = "TIME")]
        until: OffsetDateTime,
    },
    /// Lifts a police hold. Needs a supervisor.
    Release {
        #[command(flatten)]
        common: CommonArgs,
        case: String,
    },
    /// Answers a provider's question about a notice; its deadline runs again.
    Inform {
        #[command(flatten)]
        common: CommonArgs,
        /// The id of the notice with the question.
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
            Self::Show { common, .. }
            | Self::Withdraw { common, .. }
            | Self::PoliceHold { common, .. }
            | Self::Release { common, .. }
            | Self::Inform { common, .. } => common.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Show { common, case } => show::show(&common, &case).await,
        Command::Withdraw {
            common,
            case,
            reason,
        } => {
            let client = common.client()?;
            let case_id = case_id(&client, &case).await?;
            let request = WithdrawVerdictRequest {
                case_id,
                reason,
                assess_again: false,
            };
            let response = client.verification().withdraw_verdict(request).await?;
            print_state(&common, response.into_inner().assessment);
            Ok(())
        }
        Command::PoliceHold {
            common,
            case,
            reason,
            until,
        } => {
            let client = common.client()?;
            let request = HoldCaseRequest {
                case_id: case_id(&client, &case).await?,
                reason,
                until: Some(domain::wire::timestamp(until)),
            };
            let response = client.verification().hold_case(request).await?;
            print_state(&common, response.into_inner().assessment);
            Ok(())
        }
        Command::Release { common, case } => {
            let client = common.client()?;
            let case_id = case_id(&client, &case).await?;
            let request = ReleaseHoldRequest { case_id };
            let response = client.verification().release_hold(request).await?;
            print_state(&common, response.into_inner().assessment);
            Ok(())
        }
        Command::Inform {
            common,
            notice,
            text,
        } => {
            let request = SupplyInformationRequest {
                notice_id: notice.clone(),
                text,
            };
            let response = common
                .client()?
                .dispatch()
                .supply_information(request)
                .await?;
            let state = labels::notice(response.into_inner().state);
            common
                .format
                .print(&json!({ "notice_id": notice, "state": state }), || {
                    format!("{notice} is now {state}")
                });
            Ok(())
        }
    }
}

fn print_state(common: &CommonArgs, assessment: Option<Assessment>) {
    let assessment = assessment.unwrap_or_default();
    common.format.print(&assessment_json(&assessment), || {
        format!(
            "{} is now {}",
            assessment.case_id,
            labels::assessment(assessment.state)
        )
    });
}

/// Finds a case by its id, by a report's reference, or by a report's external id.
async fn case_id(client: &Client, identifier: &str) -> Result<String> {
    if identifier.parse::<CaseId>().is_ok() {
        return Ok(identifier.to_owned());
    }
    let mut reports = Vec::new();
    if identifier.parse::<Reference>().is_ok() {
        reports = find(client, By::Reference(identifier.to_owned())).await?;
    }
    if reports.is_empty() {
        reports = find(client, By::ExternalId(identifier.to_owned())).await?;
    }
    let mut cases: Vec<String> = reports.into_iter().map(|report| report.case_id).collect();
    cases.sort();
    cases.dedup();
    match cases.as_slice() {
        [case] => Ok(case.clone()),
        [] => Err(Problem::new(
            Kind::NotFound,
            "case_not_found",
            "No case has that identifier; give a case id, a reference from a receipt, or an external id.",
        )
        .into()),
        candidates => Err(Problem::new(
            Kind::Invalid,
            "case_ambiguous",
            format!("Several cases have that identifier; give one of {}.", candidates.join(", ")),
        )
        .into()),
    }
}
