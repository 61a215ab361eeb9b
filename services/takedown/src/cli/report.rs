//! `report`: one report by hand, many from a file, and the outcome of one.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use domain::word::{AgeBand, HashKind, Media, ReportChannel};
use platform::error::{Kind, Problem};
use proto::v1::{
    FindReportsRequest, GetOutcomeRequest, Hash, ReportItem, ReportRemoveFacts, ReportSummary,
    SubmitReportsRequest, find_reports_request::By, item_result,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{At, import, words};
use crate::client::Client;
use crate::output::{Format, at, at_json, facts};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Submits one report.
    Submit(Submit),
    /// Submits the rows of a CSV file, and writes what became of each.
    ///
    /// Columns are found by name: external_id, channel, url, and where they are known sha256, age_band, media,
    /// received_at, reporter_country. Goes on after bad rows. Run again with the same --out, it goes on where it ended.
    /// Exits 0 when each row has its line in OUT.
    Import(Import),
    /// What may be told about a report.
    Status {
        #[command(flatten)]
        at: At,
        /// From the receipt.
        reference: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Submit {
    #[command(flatten)]
    at: At,
    /// The address as it was reported; `-` reads it from standard input, so that it is in no history of a shell.
    #[arg(long)]
    url: String,
    /// public, partner_hotline, proactive or report_remove.
    #[arg(long, default_value = "public")]
    channel: ReportChannel,
    /// A hash of the material, in hexadecimal; may be given several times.
    #[arg(long, value_name = "HEX")]
    sha256: Vec<String>,
    /// image, video or text.
    #[arg(long)]
    media: Option<Media>,
    /// The reporter's country (two letters); not with report_remove.
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// With report_remove: under_13, 13_15 or 16_17.
    #[arg(long)]
    age_band: Option<AgeBand>,
    /// With report_remove: the number that the helpline gave.
    #[arg(long, value_name = "NUMBER")]
    unique_number: Option<String>,
    /// Your own id for it.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A second submission with the same key and content gives the same receipt.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    #[command(flatten)]
    pub(super) at: At,
    /// The CSV file; `-` for standard input.
    pub(super) file: PathBuf,
    /// Where a line for each row goes: external_id, result, reason, report, case. `-` for standard output.
    #[arg(long, value_name = "OUT.csv")]
    pub(super) out: PathBuf,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Submit(submit) => submit.at.format,
            Self::Import(import) => import.at.format,
            Self::Status { at, .. } => at.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Submit(args) => submit(args).await.map(|()| true),
        Command::Import(args) => super::unless_signalled(import::run(&args)).await,
        Command::Status { at, reference } => status(&at, reference).await.map(|()| true),
    }
}

async fn submit(args: Submit) -> Result<()> {
    let facts_of_child = args.channel == ReportChannel::ReportRemove;
    let at_hand = args.at.clone();
    let request = SubmitReportsRequest {
        idempotency_key: args.idempotency_key.clone().unwrap_or_default(),
        channel: args.channel.wire(),
        reporter_country: args.country.clone().unwrap_or_default(),
        report_remove: facts_of_child.then(|| ReportRemoveFacts {
            under_18: true,
            age_band: args.age_band.map_or(0, AgeBand::wire),
            unique_number: args.unique_number.clone().unwrap_or_default(),
        }),
        items: vec![item(args)?],
        ..SubmitReportsRequest::default()
    };
    let answer = at_hand
        .client()?
        .intake()
        .submit_reports(request)
        .await?
        .into_inner();
    let result = answer
        .results
        .into_iter()
        .next()
        .and_then(|result| result.result)
        .context("the answer has no result")?;
    match result {
        item_result::Result::Receipt(receipt) => {
            let value = json!({
                "report_id": receipt.report_id,
                "reference": receipt.reference,
                "case_id": receipt.case_id,
                "opened_case": receipt.opened_case,
                "accepted_at": at_json(receipt.accepted_at.as_ref()),
                "repeated": answer.repeated,
            });
            at_hand.format.print(&value, || {
                facts([
                    ("reference", receipt.reference.clone()),
                    ("report", receipt.report_id.clone()),
                    ("case", receipt.case_id.clone()),
                    ("accepted", at(receipt.accepted_at.as_ref())),
                ])
            });
            Ok(())
        }
        item_result::Result::Problem(problem) => {
            Err(Problem::new(Kind::Invalid, problem.code, problem.detail)
                .field(problem.field)
                .into())
        }
    }
}

fn item(args: Submit) -> Result<ReportItem> {
    let url = if args.url == "-" {
        let mut text = String::new();
        // Twice what intake takes: it then says that this is too long.
        std::io::stdin()
            .take(16 * 1024)
            .read_to_string(&mut text)
            .context("reading the address from standard input")?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        args.url
    };
    Ok(ReportItem {
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

async fn status(at_hand: &At, reference: String) -> Result<()> {
    let request = GetOutcomeRequest {
        reference: reference.clone(),
    };
    let answer = at_hand
        .client()?
        .intake()
        .get_outcome(request)
        .await?
        .into_inner();
    let value = json!({
        "reference": reference,
        "outcome": words::outcome(answer.outcome),
        "received_at": at_json(answer.received_at.as_ref()),
        "updated_at": at_json(answer.updated_at.as_ref()),
    });
    at_hand.format.print(&value, || {
        facts([
            ("outcome", words::outcome(answer.outcome)),
            ("received", at(answer.received_at.as_ref())),
            ("updated", at(answer.updated_at.as_ref())),
        ])
    });
    Ok(())
}

/// Reports by what somebody has in hand; empty where nothing is known by it.
pub(super) async fn find(client: &Client, by: By) -> Result<Vec<ReportSummary>, tonic::Status> {
    match client
        .intake()
        .find_reports(FindReportsRequest { by: Some(by) })
        .await
    {
        Ok(answer) => Ok(answer.into_inner().reports),
        Err(status) if status.code() == Code::NotFound => Ok(Vec::new()),
        Err(status) => Err(status),
    }
}

pub(super) fn report_json(r: &ReportSummary) -> Value {
    json!({
        "report_id": r.report_id,
        "channel": words::report_channel(r.channel),
        "partner": r.partner,
        "external_id": r.external_id,
        "outcome": words::outcome(r.outcome),
        "received_at": at_json(r.received_at.as_ref()),
        "accepted_at": at_json(r.accepted_at.as_ref()),
    })
}
