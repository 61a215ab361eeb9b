//! `report`: submits one report, imports many from a file, and shows the outcome of one.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use domain::enums::{AgeBand, HashKind, Media, ReportChannel};
use platform::error::{Kind, Problem};
use proto::v1::{
    FindReportsRequest, GetOutcomeRequest, Hash, NewReport, ReportRemoveFacts, ReportSummary,
    SubmitReportsRequest, find_reports_request::By, report_result,
};
use roles::client::Client;
use serde_json::{Value, json};
use tonic::Code;

use super::{CommonArgs, import, labels};
use crate::output::{Format, facts, format_timestamp, timestamp_json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Submits one report.
    Submit(SubmitArgs),
    /// Submits the rows of a CSV file and writes a result for each.
    ///
    /// Columns are found by name: external_id, channel, url, and optionally sha256, age_band, media,
    /// received_at, reporter_country. Invalid rows are refused and the others imported. Run it again after an
    /// interruption, with the same account: no row is reported twice, and OUT is written anew. Exits 0 when
    /// each row has its line in OUT.
    Import(import::ImportArgs),
    /// Shows the outcome of a report.
    Status {
        #[command(flatten)]
        common: CommonArgs,
        /// The reference on the receipt.
        reference: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The reported URL; `-` reads it from standard input, which keeps it out of the shell's history.
    #[arg(long)]
    url: String,
    /// public, partner_hotline, proactive or report_remove.
    #[arg(long, default_value = "public")]
    channel: ReportChannel,
    /// SHA-256 of the material, in hexadecimal; may be repeated.
    #[arg(long, value_name = "HEX")]
    sha256: Vec<String>,
    /// image, video or text.
    #[arg(long)]
    media: Option<Media>,
    /// The reporter's country (ISO 3166-1 alpha-2); not with report_remove.
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// With report_remove: under_13, 13_15 or 16_17.
    #[arg(long)]
    age_band: Option<AgeBand>,
    /// With report_remove: the helpline's unique number.
    #[arg(long, value_name = "NUMBER")]
    unique_number: Option<String>,
    /// Your own id for the report.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A repeated submission with the same key and content returns the same receipt.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Submit(submit) => submit.common.format,
            Self::Import(import) => import.common.format,
            Self::Status { common, .. } => common.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Submit(args) => submit(args).await.map(|()| true),
        Command::Import(args) => super::abort_on_signal(import::run(&args)).await,
        Command::Status { common, reference } => status(&common, reference).await.map(|()| true),
    }
}

async fn submit(args: SubmitArgs) -> Result<()> {
    let is_report_remove = args.channel == ReportChannel::ReportRemove;
    let common = args.common.clone();
    let request = SubmitReportsRequest {
        idempotency_key: args.idempotency_key.clone().unwrap_or_default(),
        channel: args.channel.wire(),
        reporter_country: args.country.clone().unwrap_or_default(),
        report_remove: is_report_remove.then(|| ReportRemoveFacts {
            under_18: true,
            age_band: args.age_band.map_or(0, AgeBand::wire),
            unique_number: args.unique_number.clone().unwrap_or_default(),
        }),
        reports: vec![new_report(args)?],
        ..SubmitReportsRequest::default()
    };
    let response = common
        .client()?
        .intake()
        .submit_reports(request)
        .await?
        .into_inner();
    let result = response
        .results
        .into_iter()
        .next()
        .and_then(|result| result.result)
        .context("the response has no result")?;
    match result {
        report_result::Result::Receipt(receipt) => {
            let value = json!({
                "report_id": receipt.report_id,
                "reference": receipt.reference,
                "case_id": receipt.case_id,
                "opened_case": receipt.opened_case,
                "accepted_at": timestamp_json(receipt.accepted_at.as_ref()),
                "repeated": response.repeated,
            });
            common.format.print(&value, || {
                facts([
                    ("reference", receipt.reference.clone()),
                    ("report", receipt.report_id.clone()),
                    ("case", receipt.case_id.clone()),
                    ("accepted", format_timestamp(receipt.accepted_at.as_ref())),
                ])
            });
            Ok(())
        }
        report_result::Result::Problem(problem) => {
            Err(Problem::new(Kind::Invalid, problem.code, problem.detail)
                .field(problem.field)
                .into())
        }
    }
}

fn new_report(args: SubmitArgs) -> Result<NewReport> {
    let url = if args.url == "-" {
        let mut text = String::new();
        // Twice the maximum length, so that intake refuses a longer URL as too long.
        std::io::stdin()
            .take(16 * 1024)
            .read_to_string(&mut text)
            .context("reading the URL from standard input")?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        args.url
    };
    Ok(NewReport {
        external_id: args.external_id.unwrap_or_default(),
        url,
        hashes: args
            .sha256
            .into_iter()
            .map(|value| Hash {
                kind: HashKind::Sha256.wire(),
                value,
            })
            .collect(),
        media: args.media.map_or(0, Media::wire),
        received_at: None,
    })
}

async fn status(common: &CommonArgs, reference: String) -> Result<()> {
    let request = GetOutcomeRequest {
        reference: reference.clone(),
    };
    let response = common
        .client()?
        .intake()
        .get_outcome(request)
        .await?
        .into_inner();
    let value = json!({
        "reference": reference,
        "outcome": labels::outcome(response.outcome),
        "received_at": timestamp_json(response.received_at.as_ref()),
        "updated_at": timestamp_json(response.updated_at.as_ref()),
    });
    common.format.print(&value, || {
        facts([
            ("outcome", labels::outcome(response.outcome)),
            ("received", format_timestamp(response.received_at.as_ref())),
            ("updated", format_timestamp(response.updated_at.as_ref())),
        ])
    });
    Ok(())
}

/// Finds reports by reference, case id or external id; empty if there are none.
pub(super) async fn find(client: &Client, by: By) -> Result<Vec<ReportSummary>, tonic::Status> {
    match client
        .intake()
        .find_reports(FindReportsRequest { by: Some(by) })
        .await
    {
        Ok(response) => Ok(response.into_inner().reports),
        Err(status) if status.code() == Code::NotFound => Ok(Vec::new()),
        Err(status) => Err(status),
    }
}

pub(super) fn report_json(r: &ReportSummary) -> Value {
    json!({
        "report_id": r.report_id,
        "channel": labels::report_channel(r.channel),
        "partner": r.partner,
        "external_id": r.external_id,
        "outcome": labels::outcome(r.outcome),
        "received_at": timestamp_json(r.received_at.as_ref()),
        "accepted_at": timestamp_json(r.accepted_at.as_ref()),
    })
}
