//! `ledger`: whether the tamper-evident log holds.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ledger::verify::{Fault, Place, Report, Verifier};
use platform::error::{Kind, Problem};
use platform::sealed::{KeyId, PublicKey};
use proto::v1::{ListCheckpointsRequest, ReadLeavesRequest};
use serde_json::{Value, json};

use super::At;
use crate::client::{Client, Profile};
use crate::output::{Format, facts, progress, table};

/// A checkpoint follows an event within a second.
const FIRST_SIGNED: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Computes every leaf and the tree again, and holds them against each signed checkpoint. Exits 1 on a fault.
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
    let report = read(&args.at.client()?, verifier).await?;
    show(args.at.format, &report);
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

/// All checkpoints first: the leaves under each of them are there by then.
async fn read(client: &Client, mut verifier: Verifier) -> Result<Report> {
    let mut ledger = client.ledger();
    if !checkpoints(client, &mut verifier).await? {
        // The first events of a log may be there and their checkpoint just being signed.
        tokio::time::sleep(FIRST_SIGNED).await;
        checkpoints(client, &mut verifier).await?;
    }
    let bar = progress(0, "leaves");
    let request = ReadLeavesRequest { from_index: 0 };
    let mut pages = ledger.read_leaves(request).await?.into_inner();
    while let Some(page) = pages.message().await? {
        for leaf in &page.leaves {
            verifier.leaf(leaf);
        }
        bar.inc(page.leaves.len() as u64);
    }
    bar.finish_and_clear();
    Ok(verifier.finish())
}

/// Gives every checkpoint to the verifier; false where there is none.
async fn checkpoints(client: &Client, verifier: &mut Verifier) -> Result<bool> {
    let mut ledger = client.ledger();
    let mut from_size = 0;
    loop {
        let request = ListCheckpointsRequest { from_size };
        let page = ledger.list_checkpoints(request).await?.into_inner();
        for checkpoint in &page.checkpoints {
            verifier.checkpoint(checkpoint);
        }
        if page.next_size <= from_size {
            return Ok(from_size > 0 || !page.checkpoints.is_empty());
        }
        from_size = page.next_size;
    }
}

fn show(format: Format, report: &Report) {
    let value = json!({
        "ok": report.is_sound(),
        "leaves": report.leaves,
        "checkpoints": report.checkpoints,
        "covered": report.covered,
        "first_fault": report.faults.first().map(fault_json),
        "faults": report.faults.iter().map(fault_json).collect::<Vec<_>>(),
        "more_faults": report.more,
    });
    format.print(&value, || {
        let mut text = facts([
            ("leaves", report.leaves.to_string()),
            ("checkpoints", report.checkpoints.to_string()),
            ("leaves under a checkpoint", report.covered.to_string()),
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

fn fault_json(fault: &Fault) -> Value {
    let (kind, number) = match fault.place {
        Place::Leaf(index) => ("leaf", index),
        Place::Checkpoint(size) => ("checkpoint", size),
    };
    json!({ kind: number, "code": fault.code, "detail": fault.sentence })
}
