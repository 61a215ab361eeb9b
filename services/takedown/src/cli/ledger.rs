//! `ledger`: whether the tamper-evident log holds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ledger::verify::{Fault, Hole, Place, Report, Verifier};
use platform::error::{Kind, Problem};
use platform::sealed::{KeyId, PublicKey};
use proto::v1::{ListCheckpointsRequest, ReadLeavesRequest};
use serde_json::{Value, json};

use super::At;
use crate::client::{Client, Profile};
use crate::output::{Format, facts, progress, table};

/// A checkpoint follows an event within a second.
const SIGNED: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);
/// In the data folder: the newest checkpoint that was verified from here.
const WITNESS: &str = "ledger-witness.note";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Computes every leaf and the tree again, and holds them against each signed checkpoint. Exits 1 on a fault.
    ///
    /// Keeps the newest checkpoint that holds in the data folder, and holds the log against it next time.
    ///
    /// Trusts the public keys that `takedown up` wrote into client.toml from the keyring, not what the ledger says.
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    at: At,
    /// A signed checkpoint that somebody else holds, such as one that came with a notice; may be given several times.
    #[arg(long = "witness", value_name = "FILE")]
    witnesses: Vec<PathBuf>,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        let Self::Verify(verify) = self;
        verify.at.format
    }
}

/// True when there is no fault.
pub(super) async fn run(command: Command) -> Result<bool> {
    let Command::Verify(args) = command;
    let profile = Profile::read(&args.at.data.path()?)?;
    let keys = profile
        .checkpoint_keys
        .iter()
        .map(|key| public_key(key))
        .collect::<Result<_, _>>()?;
    let mut verifier = Verifier::new(&profile.ledger_origin, keys)?;
    for path in &args.witnesses {
        let note =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        verifier.witness(&note);
    }
    let mine = args.at.data.path()?.join(WITNESS);
    match std::fs::read_to_string(&mine) {
        Ok(note) => verifier.witness(&note),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", mine.display())),
    }
    let report = read(&args.at.client()?, verifier).await?;
    show(args.at.format, &report);
    if let Some(newest) = report.newest.as_ref().filter(|_| report.is_sound()) {
        // Beside the old one first: a witness that was cut off half-way would accuse a sound log.
        let next = mine.with_extension("next");
        std::fs::write(&next, newest)
            .and_then(|()| std::fs::rename(&next, &mine))
            .with_context(|| format!("writing {}", mine.display()))?;
    }
    Ok(report.is_sound())
}

/// As `client.toml` has it: `<key id> whpk_…`.
fn public_key(text: &str) -> Result<PublicKey, Problem> {
    text.split_once(' ')
        .and_then(|(id, key)| PublicKey::from_whpk(KeyId::parse(id).ok()?, key).ok())
        .ok_or_else(|| {
            Problem::new(
                Kind::FailedPrecondition,
                "profile_malformed",
                "client.toml has a checkpoint key that is none; start `takedown up` on this folder again.",
            )
        })
}

/// Every leaf that there is now, and those after it up to the checkpoint that is over it.
async fn read(client: &Client, mut verifier: Verifier) -> Result<Report> {
    let mut ledger = client.ledger();
    // From beyond all leaves: how many there are is all that is asked.
    let request = ReadLeavesRequest {
        from_index: i64::MAX.unsigned_abs(),
    };
    let mut none = ledger.read_leaves(request).await?.into_inner();
    let leaves = none.message().await?.unwrap_or_default().tree_size;
    let end = checkpoints(client, &mut verifier, leaves).await?;

    let bar = progress(end, "leaves");
    let request = ReadLeavesRequest { from_index: 0 };
    let mut pages = ledger.read_leaves(request).await?.into_inner();
    while let Some(page) = pages.message().await? {
        for parked in &page.parked {
            verifier.parked(parked);
        }
        for leaf in page.leaves.iter().filter(|leaf| leaf.index < end) {
            verifier.leaf(leaf);
        }
        bar.inc(page.leaves.len() as u64);
        if page.leaves.last().is_some_and(|last| last.index >= end) {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(verifier.finish())
}

/// Gives the verifier every checkpoint, waiting for one over all these leaves: it may just be being signed. Returns
/// how many leaves are to be read.
async fn checkpoints(client: &Client, verifier: &mut Verifier, leaves: u64) -> Result<u64> {
    let mut ledger = client.ledger();
    let until = Instant::now() + SIGNED;
    let mut largest = 0;
    loop {
        let request = ListCheckpointsRequest {
            from_size: largest + 1,
        };
        let page = ledger.list_checkpoints(request).await?.into_inner();
        for checkpoint in &page.checkpoints {
            verifier.checkpoint(checkpoint);
            largest = checkpoint.size.max(largest);
        }
        if page.next_size > 0 && !page.checkpoints.is_empty() {
            continue;
        }
        if largest >= leaves || Instant::now() >= until {
            return Ok(largest.max(leaves));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn show(format: Format, report: &Report) {
    let value = json!({
        "ok": report.is_sound(),
        "leaves": report.leaves,
        "checkpoints": report.checkpoints,
        "covered": report.covered,
        "first_fault": report.faults.first().map(fault_json),
        "holes": report.holes.iter().map(hole_json).collect::<Vec<_>>(),
        "faults": report.faults.iter().map(fault_json).collect::<Vec<_>>(),
        "more_faults": report.more,
    });
    format.print(&value, || {
        let mut text = facts([
            ("leaves", report.leaves.to_string()),
            ("checkpoints", report.checkpoints.to_string()),
            ("leaves under a checkpoint", report.covered.to_string()),
            ("positions without a leaf", holes(&report.holes)),
            (
                "verdict",
                if report.is_sound() {
                    "the log holds".to_owned()
                } else {
                    format!("{} faults", report.faults.len() as u64 + report.more)
                },
            ),
        ]);
        if !report.is_sound() {
            text.push_str("\n\n");
            text.push_str(&table(
                ["where", "code", "what"],
                report.faults.iter().map(|fault| {
                    [
                        fault.place.to_string(),
                        fault.code.to_owned(),
                        fault.sentence.clone(),
                    ]
                }),
            ));
        }
        text
    });
}

/// How many, and where the first are.
fn holes(holes: &[Hole]) -> String {
    let all: u64 = holes.iter().map(|hole| hole.last - hole.first + 1).sum();
    match holes.first() {
        None => "0".to_owned(),
        Some(first) => format!(
            "{all}, the first at {} of {}'s shard {}: dropped by people, or never heard",
            first.first, first.producer, first.shard
        ),
    }
}

fn hole_json(hole: &Hole) -> Value {
    json!({ "producer": hole.producer, "shard": hole.shard, "first": hole.first, "last": hole.last })
}

fn fault_json(fault: &Fault) -> Value {
    let (kind, number) = match fault.place {
        Place::Leaf(index) => ("leaf", index),
        Place::Checkpoint(size) => ("checkpoint", size),
    };
    json!({ kind: number, "code": fault.code, "detail": fault.sentence })
}
