//! `ledger verify`: verifies the tamper-evident log.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ledger::verify::{Fault, FaultLocation, PositionGap, VerificationReport, Verifier};
use platform::error::{Kind, Problem};
use platform::sealed::{KeyId, PublicKey};
use proto::v1::{ListCheckpointsRequest, ReadLeavesRequest};
use roles::client::{Client, Profile};
use serde_json::{Value, json};

use super::CommonArgs;
use crate::output::{Format, facts, progress, table};

/// How long to wait for a checkpoint, which is signed within a second of an event.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// File in the data folder with the newest verified checkpoint.
const WITNESS: &str = "ledger-witness.note";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Recomputes every leaf and the tree, and compares them with each signed checkpoint. Exits 1 on a fault.
    ///
    /// Stores the newest verified checkpoint in the data folder and compares the log with it in the next run.
    ///
    /// Trusts the public keys that `takedown up` or `takedown init` wrote into client.toml from the keyring,
    /// not keys from the ledger.
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// A signed checkpoint from elsewhere, such as one that came with a notice; may be repeated.
    #[arg(long = "witness", value_name = "FILE")]
    witnesses: Vec<PathBuf>,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        let Self::Verify(verify) = self;
        verify.common.format
    }
}

/// Returns whether the log has no fault.
pub(super) async fn run(command: Command) -> Result<bool> {
    let Command::Verify(args) = command;
    let profile = Profile::read(&args.common.data.path()?)?;
    let keys = profile
        .checkpoint_keys
        .iter()
        .map(|key| public_key(key))
        .collect::<Result<_, _>>()?;
    let mut verifier = Verifier::new(&profile.ledger_origin, keys)?;
    for path in &args.witnesses {
        let note =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        verifier.add_witness(&note);
    }
    let witness_file = args.common.data.path()?.join(WITNESS);
    match std::fs::read_to_string(&witness_file) {
        Ok(note) => verifier.add_witness(&note),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("reading {}", witness_file.display()));
        }
    }
    let report = verify(&args.common.client()?, verifier).await?;
    print_report(args.common.format, &report);
    if let Some(newest) = report.newest_note.as_ref().filter(|_| report.is_sound()) {
        // Atomically: with a truncated witness, the next run would find a fault in a sound log.
        let next = witness_file.with_extension("next");
        std::fs::write(&next, newest)
            .and_then(|()| std::fs::rename(&next, &witness_file))
            .with_context(|| format!("writing {}", witness_file.display()))?;
    }
    Ok(report.is_sound())
}

/// Parses a key of `client.toml`: `<key id> whpk_...`.
fn public_key(text: &str) -> Result<PublicKey, Problem> {
    text.split_once(' ')
        .and_then(|(id, key)| PublicKey::from_whpk(KeyId::parse(id).ok()?, key).ok())
        .ok_or_else(|| {
            Problem::new(
                Kind::FailedPrecondition,
                "profile_malformed",
                "client.toml has a malformed checkpoint key; run `takedown up` on this folder to write it again.",
            )
        })
}

/// Verifies all present leaves, and those after them up to the first checkpoint that covers them.
async fn verify(client: &Client, mut verifier: Verifier) -> Result<VerificationReport> {
    let mut ledger = client.ledger();
    // A request beyond the last leaf returns only the size of the tree.
    let request = ReadLeavesRequest {
        from_index: i64::MAX.unsigned_abs(),
    };
    let mut no_leaves = ledger.read_leaves(request).await?.into_inner();
    let leaves = no_leaves.message().await?.unwrap_or_default().tree_size;
    let end = add_checkpoints(client, &mut verifier, leaves).await?;

    let bar = progress(end, "leaves");
    let request = ReadLeavesRequest { from_index: 0 };
    let mut pages = ledger.read_leaves(request).await?.into_inner();
    while let Some(page) = pages.message().await? {
        for parked in &page.parked {
            verifier.add_parked(parked);
        }
        for leaf in page.leaves.iter().filter(|leaf| leaf.index < end) {
            verifier.add_leaf(leaf);
        }
        bar.inc(page.leaves.len() as u64);
        if page.leaves.last().is_some_and(|last| last.index >= end) {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(verifier.finish())
}

/// Passes every checkpoint to the verifier, and waits for one that covers all these leaves. Returns the
/// number of leaves to read.
async fn add_checkpoints(client: &Client, verifier: &mut Verifier, leaves: u64) -> Result<u64> {
    let mut ledger = client.ledger();
    let deadline = Instant::now() + CHECKPOINT_TIMEOUT;
    let mut largest = 0;
    loop {
        let request = ListCheckpointsRequest {
            from_size: largest + 1,
        };
        let page = ledger.list_checkpoints(request).await?.into_inner();
        for checkpoint in &page.checkpoints {
            verifier.add_checkpoint(checkpoint);
            largest = checkpoint.size.max(largest);
        }
        if page.next_size > 0 && !page.checkpoints.is_empty() {
            continue;
        }
        if largest >= leaves || Instant::now() >= deadline {
            return Ok(largest.max(leaves));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn print_report(format: Format, report: &VerificationReport) {
    let value = json!({
        "ok": report.is_sound(),
        "leaves": report.leaves,
        "checkpoints": report.checkpoints,
        "covered": report.covered,
        "first_fault": report.faults.first().map(fault_json),
        "gaps": report.gaps.iter().map(gap_json).collect::<Vec<_>>(),
        "faults": report.faults.iter().map(fault_json).collect::<Vec<_>>(),
        "more_faults": report.omitted_faults,
    });
    format.print(&value, || {
        let mut text = facts([
            ("leaves", report.leaves.to_string()),
            ("checkpoints", report.checkpoints.to_string()),
            ("leaves under a checkpoint", report.covered.to_string()),
            ("positions without a leaf", format_gaps(&report.gaps)),
            (
                "verdict",
                if report.is_sound() {
                    "no fault".to_owned()
                } else {
                    format!(
                        "{} faults",
                        report.faults.len() as u64 + report.omitted_faults
                    )
                },
            ),
        ]);
        if !report.is_sound() {
            text.push_str("\n\n");
            text.push_str(&table(
                ["where", "code", "what"],
                report.faults.iter().map(|fault| {
                    [
                        fault.location.to_string(),
                        fault.code.to_owned(),
                        fault.detail.clone(),
                    ]
                }),
            ));
        }
        text
    });
}

/// The number of missing positions, and the first of them.
fn format_gaps(gaps: &[PositionGap]) -> String {
    let all: u64 = gaps.iter().map(|gap| gap.last - gap.first + 1).sum();
    match gaps.first() {
        None => "0".to_owned(),
        Some(first) => format!(
            "{all}, the first at {} of {}'s shard {}: dropped by two people, or never received",
            first.first, first.producer, first.shard
        ),
    }
}

fn gap_json(gap: &PositionGap) -> Value {
    json!({ "producer": gap.producer, "shard": gap.shard, "first": gap.first, "last": gap.last })
}

fn fault_json(fault: &Fault) -> Value {
    let (kind, number) = match fault.location {
        FaultLocation::Leaf(index) => ("leaf", index),
        FaultLocation::Checkpoint(size) => ("checkpoint", size),
    };
    json!({ kind: number, "code": fault.code, "detail": fault.detail })
}
