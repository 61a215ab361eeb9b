//! `report import`: submits each row of a file and writes its result to OUT, in the order of the file.
//!
//! A row's idempotency key is derived from its content and from how often the same row occurred before it in
//! the file. An aborted run can therefore be repeated: the server returns the same receipt for each row that it
//! has accepted from the same account, so nothing is lost or reported twice. A row that has been changed is a
//! new row.

mod result_file;
mod rows;
mod stream;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use serde_json::json;

use super::CommonArgs;
use crate::output::{facts, note, print, progress};
use result_file::{EarlierLines, ResultFile, RowResult, is_standard};
use rows::{ImportRow, Rows};
use stream::SubmissionStream;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// The CSV file; `-` for standard input.
    file: PathBuf,
    /// The result file, one line per row: external_id, result, reason, report, case. `-` for standard output.
    #[arg(long, value_name = "OUT.csv")]
    out: PathBuf,
}

/// Maximum number of rows in flight: enough to fill the server's batches, and bounded in memory.
const IN_FLIGHT: usize = 2048;

#[derive(Debug, Default)]
struct ImportSummary {
    accepted: u64,
    refused: u64,
    /// Rows with the same line in OUT as after an earlier run.
    passed_over: u64,
    /// Rows whose line differs from the earlier one with the same id.
    changed: u64,
}

/// Returns `true` when each row has its line.
pub(super) async fn run(args: &ImportArgs) -> Result<bool> {
    let client = args.common.client()?;
    let (file, bytes) = open(&args.file)?;
    let bar = progress(bytes, "importing");
    let rows = Rows::new(bar.wrap_read(file))?;
    let earlier = EarlierLines::read(&args.out)?;
    let mut results = ResultFile::create(&args.out)?;
    let stream = SubmissionStream::new(client);
    let outcome = submit_rows(rows, stream, &mut results, earlier).await;
    // Also after an error: the lines written so far are kept.
    results.finish()?;
    finish(&bar);
    report(args, &outcome?);
    Ok(true)
}

async fn submit_rows(
    mut rows: Rows<impl Read>,
    mut stream: SubmissionStream,
    results: &mut ResultFile,
    mut earlier: EarlierLines,
) -> Result<ImportSummary> {
    let mut summary = ImportSummary::default();
    let mut has_more = true;
    while has_more || !stream.is_empty() {
        while has_more && stream.len() < IN_FLIGHT {
            let Some(row) = rows.next()? else {
                has_more = false;
                break;
            };
            match row {
                ImportRow::Valid(row) => stream.submit(row).await?,
                ImportRow::Refused(line) => stream.push_settled(line),
            }
        }
        let ready = stream.next_lines().await?;
        for line in &ready {
            if earlier.take(line) {
                summary.passed_over += 1;
                continue;
            }
            summary.changed += u64::from(earlier.has_id(&line.external_id));
            match line.result {
                RowResult::Accepted { .. } => summary.accepted += 1,
                RowResult::Refused { .. } => summary.refused += 1,
            }
        }
        results.write(&ready)?;
    }
    Ok(summary)
}

/// Opens the file; the length is 0 for standard input.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, u64)> {
    if is_standard(path) {
        return Ok((Box::new(io::stdin()), 0));
    }
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let length = file.metadata()?.len();
    Ok((Box::new(file), length))
}

fn finish(bar: &ProgressBar) {
    bar.finish_and_clear();
}

fn report(args: &ImportArgs, summary: &ImportSummary) {
    let ImportSummary {
        accepted,
        refused,
        passed_over,
        changed,
    } = summary;
    let value = json!({
        "accepted": accepted, "refused": refused, "passed_over": passed_over, "changed": changed,
    });
    let text = if args.common.format.json {
        value.to_string()
    } else {
        facts([
            ("accepted", accepted.to_string()),
            ("refused", refused.to_string()),
            ("already imported", passed_over.to_string()),
            ("results changed", changed.to_string()),
        ])
    };
    // If the lines went to standard output, print the summary elsewhere.
    if is_standard(&args.out) {
        note(&text);
    } else {
        print(&text);
    }
}
