//! `report import`: each row of a file becomes a submission of its own, and each gets its line in OUT, in the file's
//! order.
//!
//! A row's idempotency key follows from its content (and from how often the same row came before in the file), so a
//! run that was cut off can be repeated: rows with a line in OUT are passed over, rows that were accepted and have no
//! line get the same receipt again. Nothing is lost and nothing is reported twice, wherever the cut was. A row that was
//! changed since is another row: it is sent, and gets a line of its own below the earlier one.

mod lines;
mod records;
mod rows;
mod stream;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use serde_json::json;

use super::report::Import;
use crate::output::{facts, print, progress, tell};
use lines::{Became, Lines, Written, is_standard};
use rows::{Row, Rows};
use stream::Stream;

/// Rows under way: enough to fill the server's batches, few enough to hold in memory whatever they weigh.
const IN_FLIGHT: usize = 2048;

#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    /// Had their line already.
    passed_over: u64,
    /// Have a line under their id that was written for another row.
    changed: u64,
}

/// True when each row has its line.
pub(super) async fn run(args: &Import) -> Result<bool> {
    let client = args.at.client()?;
    let (file, bytes) = open(&args.file)?;
    let (mut lines, written) = Lines::open(&args.out)?;
    let bar = progress(bytes, "importing");
    let rows = Rows::new(bar.wrap_read(file))?;
    let stream = Stream::new(client);
    let outcome = feed(rows, stream, &mut lines, written).await;
    // Whatever happened: the lines that are there stay.
    lines.finish()?;
    finish(&bar);
    report(args, &outcome?);
    Ok(true)
}

async fn feed(
    mut rows: Rows<impl Read>,
    mut stream: Stream,
    lines: &mut Lines,
    mut written: Written,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut more = true;
    while more || !stream.is_empty() {
        while more && stream.len() < IN_FLIGHT {
            let Some(row) = rows.next()? else {
                more = false;
                break;
            };
            if written.has(&row.content()) {
                tally.passed_over += 1;
                continue;
            }
            tally.changed += u64::from(written.knows(row.external_id()));
            match row {
                Row::Good(row) => stream.submit(row).await?,
                Row::Bad(line) => stream.settled(line),
            }
        }
        let ready = stream.next_lines().await?;
        for line in &ready {
            match line.became {
                Became::Accepted { .. } => tally.accepted += 1,
                Became::Refused { .. } => tally.refused += 1,
            }
        }
        lines.write(&ready)?;
    }
    Ok(tally)
}

/// The file, and its length where it has one.
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

fn report(args: &Import, tally: &Tally) {
    let Tally {
        accepted,
        refused,
        passed_over,
        changed,
    } = tally;
    if *changed > 0 {
        tell(&format!(
            "{changed} rows say something else than those that {} has lines for under the same ids: they were sent, \
             and their lines stand below the earlier ones",
            args.out.display()
        ));
    }
    let value = json!({
        "accepted": accepted, "refused": refused, "passed_over": passed_over, "changed": changed,
    });
    let text = if args.at.format.json {
        value.to_string()
    } else {
        facts([
            ("accepted", accepted.to_string()),
            ("refused", refused.to_string()),
            ("had their line already", passed_over.to_string()),
        ])
    };
    // Where the lines went to standard output, they stay alone there.
    if is_standard(&args.out) {
        tell(&text);
    } else {
        print(&text);
    }
}
