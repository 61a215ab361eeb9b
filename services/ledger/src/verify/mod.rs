//! Verifies the log: recomputes every leaf from its event and the tree from the leaves, and compares each
//! checkpoint with the tree of its size.
//!
//! Pure: it uses no database and no clock, and trusts nothing from the ledger but valid signatures. By itself
//! it cannot detect that leaves and checkpoints were truncated together. Checkpoints from other sources
//! detect that: those that providers received, or that of an earlier verification
//! ([`Verifier::add_witness`]).

mod positions;
mod report;

use std::collections::BTreeMap;

use platform::sealed::{PublicKey, SealedError};
use proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::leaf::LeafFields;
use crate::merkle::{Frontier, Hash};
use crate::note::{CheckpointBody, NoteError, TrustedKeys};

pub use positions::PositionGap;
use positions::{Positions, Shard};
pub use report::{Fault, FaultLocation, VerificationReport};

/// Verifies a stream of leaves. Leaves are added in order, and each checkpoint before the leaf whose index is
/// its size. Leaves are not kept, so the log may have any length.
#[derive(Debug)]
pub struct Verifier {
    trusted_keys: TrustedKeys,
    tree: Frontier,
    /// Checkpoints that the tree has not reached, by size: root and note.
    pending: BTreeMap<u64, (Hash, String)>,
    positions: Positions,
    parked: Vec<(Shard, u64)>,
    /// A leaf is missing or malformed, so no later root can be computed.
    broken: bool,
    /// The root differed from a checkpoint's. All later roots differ too, which is reported only once.
    diverged: bool,
    report: VerificationReport,
}

impl Verifier {
    /// `origin` is the configured name of the log. `keys` must come from a trusted source, not from the
    /// ledger.
    ///
    /// # Errors
    /// `Malformed` if a key is invalid.
    pub fn new(origin: &str, keys: Vec<PublicKey>) -> Result<Self, SealedError> {
        Ok(Self {
            trusted_keys: TrustedKeys::new(origin, keys)?,
            tree: Frontier::default(),
            pending: BTreeMap::new(),
            positions: Positions::default(),
            parked: Vec::new(),
            broken: false,
            diverged: false,
            report: VerificationReport::default(),
        })
    }

    /// Number of leaves added. Checkpoints of at least this size may still be added.
    pub fn leaves(&self) -> u64 {
        self.tree.size()
    }

    /// Adds a checkpoint from the ledger.
    pub fn add_checkpoint(&mut self, checkpoint: &v1::Checkpoint) {
        let location = FaultLocation::Checkpoint(checkpoint.size);
        match self.verify_note(location, &checkpoint.note) {
            Some(body) if body.size == checkpoint.size && body.root[..] == checkpoint.root[..] => {
                self.expect(&body, &checkpoint.note);
            }
            Some(body) => {
                self.report.fault(
                    location,
                    "checkpoint_changed",
                    format!(
                        "the signed note is for {} leaves, or for another root than stored with it",
                        body.size
                    ),
                );
                self.expect(&body, &checkpoint.note);
            }
            None => {}
        }
    }

    /// Adds a checkpoint from another source, such as one that a provider received with a notice.
    pub fn add_witness(&mut self, note: &str) {
        let size = self.tree.size();
        if let Some(body) = self.verify_note(FaultLocation::Checkpoint(size), note) {
            self.expect(&body, note);
        }
    }

    /// Adds the position of a parked event, which has no leaf.
    pub fn add_parked(&mut self, parked: &v1::ParkedPosition) {
        let shard = (parked.producer.clone(), parked.shard);
        self.parked.push((shard, parked.position));
    }

    fn verify_note(&mut self, location: FaultLocation, note: &str) -> Option<CheckpointBody> {
        self.report.checkpoints += 1;
        let (code, detail) = match self.trusted_keys.verify(note) {
            Ok(body) => return Some(body),
            Err(NoteError::Malformed) => {
                ("checkpoint_malformed", "this is not a signed checkpoint")
            }
            Err(NoteError::OtherOrigin) => (
                "checkpoint_other_origin",
                "this is a checkpoint of another log",
            ),
            Err(NoteError::Unsigned) => (
                "checkpoint_forged",
                "it has no valid signature of a trusted key",
            ),
        };
        self.report.fault(location, code, detail);
        None
    }

    fn expect(&mut self, body: &CheckpointBody, note: &str) {
        let location = FaultLocation::Checkpoint(body.size);
        if body.size < self.tree.size() {
            self.report.fault(
                location,
                "checkpoint_out_of_order",
                "it came after a leaf that it does not cover",
            );
            return;
        }
        match self.pending.insert(body.size, (body.root, note.to_owned())) {
            Some((root, _)) if root != body.root => self.report.fault(
                location,
                "checkpoint_split",
                "two different trees of this size were signed, so two versions of the log exist",
            ),
            _ => {}
        }
        self.compare();
    }

    /// Adds the next leaf.
    pub fn add_leaf(&mut self, leaf: &v1::Leaf) {
        let next = self.tree.size();
        if leaf.index != next {
            self.report_wrong_index(next, leaf.index);
            if leaf.index < next {
                return;
            }
        }
        let hash = if let Some(hash) = recompute(leaf) {
            if hash[..] != leaf.leaf_hash[..] {
                self.report.fault(
                    FaultLocation::Leaf(leaf.index),
                    "leaf_changed",
                    "its hash does not match its event: the hash or the event was changed, or the leaf was moved",
                );
            }
            hash
        } else {
            self.report.fault(
                FaultLocation::Leaf(leaf.index),
                "leaf_malformed",
                "its fields are malformed",
            );
            self.broken = true;
            Hash::default()
        };
        if !self
            .positions
            .add((leaf.producer.clone(), leaf.shard), leaf.position)
        {
            self.report.fault(
                FaultLocation::Leaf(leaf.index),
                "position_repeated",
                format!(
                    "another leaf has the same position: {} of shard {} of {}",
                    leaf.position, leaf.shard, leaf.producer
                ),
            );
        }
        self.report.leaves += 1;
        self.tree.push(hash, |_, _| {});
        self.compare();
    }

    fn report_wrong_index(&mut self, next: u64, index: u64) {
        self.broken = true;
        if index < next {
            self.report.fault(
                FaultLocation::Leaf(index),
                "leaf_repeated",
                format!("it is repeated in place of leaf {next}"),
            );
            return;
        }
        let detail = if index - next == 1 {
            "it is missing".to_owned()
        } else {
            format!(
                "it is missing, and so are the following leaves up to {}",
                index - 1
            )
        };
        self.report
            .fault(FaultLocation::Leaf(next), "leaf_missing", detail);
        // The leaves that follow are still verified one by one.
        while self.tree.size() < index {
            self.tree.push(Hash::default(), |_, _| {});
        }
    }

    /// Compares the tree with the checkpoint of its size, if there is one.
    fn compare(&mut self) {
        let size = self.tree.size();
        while let Some(entry) = self
            .pending
            .first_entry()
            .filter(|entry| *entry.key() <= size)
        {
            let (reached, (root, note)) = entry.remove_entry();
            if self.broken || self.diverged {
                // Reported already, at the first leaf or checkpoint concerned.
            } else if reached == size && root == self.tree.root() {
                self.report.covered = size;
                self.report.newest_note = Some(note);
            } else {
                self.diverged = true;
                let from = self.report.covered;
                self.report.fault(
                    FaultLocation::Checkpoint(reached),
                    "checkpoint_root",
                    format!(
                        "leaves {from} to {} differ from those that were signed",
                        size.saturating_sub(1)
                    ),
                );
            }
        }
    }

    /// Ends the verification after the last leaf. A checkpoint must cover every leaf: the caller waits for
    /// the second in which the ledger signs. A leaf that no checkpoint covers is a fault, because it may have
    /// been changed.
    pub fn finish(mut self) -> VerificationReport {
        let size = self.tree.size();
        if let Some((largest, _)) = self.pending.last_key_value() {
            let detail = format!(
                "it is missing, and so are the following leaves up to {}, which were signed",
                largest - 1
            );
            self.report
                .fault(FaultLocation::Leaf(size), "leaf_missing", detail);
        } else if self.report.covered < size && !self.broken && !self.diverged {
            self.report.fault(
                FaultLocation::Leaf(self.report.covered),
                "leaf_unsigned",
                "no valid checkpoint covers it or any later leaf",
            );
        }
        self.report.gaps = self.positions.gaps(self.parked);
        self.report
    }
}

/// Parses a time with microsecond precision, to which a leaf commits.
fn micros(field: &str, at: &prost_types::Timestamp) -> Option<OffsetDateTime> {
    if at.nanos % 1000 != 0 {
        return None;
    }
    domain::wire::time(field, at).ok()
}

/// Recomputes the hash of a leaf from its fields; `None` if a field is malformed.
fn recompute(leaf: &v1::Leaf) -> Option<Hash> {
    let caused_by = match leaf.caused_by.as_str() {
        "" => None,
        text => Some(Uuid::parse_str(text).ok()?),
    };
    let recorded_at = match leaf.format {
        1 => None,
        2 => Some(micros("recorded_at", leaf.recorded_at.as_ref()?)?),
        _ => return None,
    };
    let fields = LeafFields {
        index: leaf.index,
        event_id: Uuid::parse_str(&leaf.event_id).ok()?,
        producer: &leaf.producer,
        shard: i16::try_from(leaf.shard).ok()?,
        position: i64::try_from(leaf.position).ok()?,
        kind: &leaf.r#type,
        case_id: Uuid::parse_str(&leaf.case_id).ok()?,
        occurred_at: micros("occurred_at", leaf.occurred_at.as_ref()?)?,
        caused_by,
        salt: &leaf.salt,
        payload: &leaf.payload,
        recorded_at,
    };
    Some(fields.leaf_hash())
}
