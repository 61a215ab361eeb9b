//! Whether the log holds: every leaf is computed again from its body, the tree from the leaves, and each checkpoint is
//! held against the tree of its size.
//!
//! Pure and on its own: no database, no clock, and no word of the ledger's is believed but by its signature. It cannot
//! tell by itself that leaves and checkpoints were cut off together at the end: against that stand the notes that
//! others hold, hosts and whoever verified before ([`Verifier::witness`]).

mod positions;
mod report;

use std::collections::BTreeMap;

use platform::sealed::{PublicKey, SealedError};
use proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::leaf::Committed;
use crate::merkle::{Frontier, Hash};
use crate::note::{NoteError, Statement, Trust};

pub use positions::Hole;
use positions::{Positions, Shard};
pub use report::{Fault, Place, Report};

/// Takes the leaves in order, and each checkpoint at the latest before the leaf whose index is its size. It keeps
/// no leaves, so a log of any length can be streamed through it.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    tree: Frontier,
    /// Roots of checkpoints that the tree has not reached, each with its note.
    ahead: BTreeMap<u64, (Hash, String)>,
    positions: Positions,
    parked: Vec<(Shard, u64)>,
    /// No root can be computed any more: a leaf is missing.
    broken: bool,
    /// The root at the last checkpoint was another one: so will be all later ones, and is said once.
    diverged: bool,
    report: Report,
}

impl Verifier {
    /// `origin` is the log's configured name; `keys` come from whoever is trusted to know them, not from the ledger.
    ///
    /// # Errors
    /// `Malformed` when a key is none.
    pub fn new(origin: &str, keys: Vec<PublicKey>) -> Result<Self, SealedError> {
        Ok(Self {
            trust: Trust::new(origin, keys)?,
            tree: Frontier::default(),
            ahead: BTreeMap::new(),
            positions: Positions::default(),
            parked: Vec::new(),
            broken: false,
            diverged: false,
            report: Report::default(),
        })
    }

    /// How many leaves were taken: checkpoints of this size or more may still be given.
    pub fn leaves(&self) -> u64 {
        self.tree.size()
    }

    /// Takes a checkpoint as the ledger tells of it.
    pub fn checkpoint(&mut self, checkpoint: &v1::Checkpoint) {
        let place = Place::Checkpoint(checkpoint.size);
        match self.open(place, &checkpoint.note) {
            Some(said) if said.size == checkpoint.size && said.root[..] == checkpoint.root[..] => {
                self.expect(&said, &checkpoint.note);
            }
            Some(said) => {
                self.report.fault(
                    place,
                    "checkpoint_changed",
                    format!("the signed note speaks of {} leaves or another root than what stands beside it", said.size),
                );
                self.expect(&said, &checkpoint.note);
            }
            None => {}
        }
    }

    /// Takes a note alone: one that a host was given with a notice, for example.
    pub fn witness(&mut self, note: &str) {
        self.report.checkpoints += 1;
        let size = self.tree.size();
        if let Some(said) = self.judge(Place::Checkpoint(size), note) {
            self.expect(&said, note);
        }
    }

    /// Takes a position that has no leaf because its event waits for people.
    pub fn parked(&mut self, parked: &v1::ParkedPosition) {
        let shard = (parked.producer.clone(), parked.shard);
        self.parked.push((shard, parked.position));
    }

    fn open(&mut self, place: Place, note: &str) -> Option<Statement> {
        self.report.checkpoints += 1;
        self.judge(place, note)
    }

    fn judge(&mut self, place: Place, note: &str) -> Option<Statement> {
        let (code, sentence) = match self.trust.open(note) {
            Ok(said) => return Some(said),
            Err(NoteError::Malformed) => (
                "checkpoint_malformed",
                "it has not the form of a signed checkpoint",
            ),
            Err(NoteError::OtherOrigin) => ("checkpoint_other_origin", "it speaks of another log"),
            Err(NoteError::Unsigned) => (
                "checkpoint_forged",
                "none of the trusted keys has signed it",
            ),
        };
        self.report.fault(place, code, sentence);
        None
    }

    fn expect(&mut self, said: &Statement, note: &str) {
        let place = Place::Checkpoint(said.size);
        if said.size < self.tree.size() {
            self.report.fault(
                place,
                "checkpoint_out_of_order",
                "it was given after a leaf that lies beyond it",
            );
            return;
        }
        match self.ahead.insert(said.size, (said.root, note.to_owned())) {
            Some((root, _)) if root != said.root => self.report.fault(
                place,
                "checkpoint_split",
                "two trees of this size were signed: somebody was shown another log",
            ),
            _ => {}
        }
        self.compare();
    }

    /// Takes the next leaf.
    pub fn leaf(&mut self, leaf: &v1::Leaf) {
        let next = self.tree.size();
        if leaf.index != next {
            self.out_of_place(next, leaf.index);
            if leaf.index < next {
                return;
            }
        }
        let hash = if let Some(hash) = recompute(leaf) {
            if hash[..] != leaf.leaf_hash[..] {
                self.report.fault(
                    Place::Leaf(leaf.index),
                    "leaf_changed",
                    "its hash is not that of its event: one of the two was changed, or it was moved here",
                );
            }
            hash
        } else {
            self.report.fault(
                Place::Leaf(leaf.index),
                "leaf_malformed",
                "its fields cannot be read",
            );
            self.broken = true;
            Hash::default()
        };
        if !self
            .positions
            .take((leaf.producer.clone(), leaf.shard), leaf.position)
        {
            self.report.fault(
                Place::Leaf(leaf.index),
                "position_repeated",
                format!(
                    "another leaf has position {} of {}'s shard {}",
                    leaf.position, leaf.producer, leaf.shard
                ),
            );
        }
        self.report.leaves += 1;
        self.tree.push(hash, |_, _| {});
        self.compare();
    }

    fn out_of_place(&mut self, next: u64, index: u64) {
        self.broken = true;
        if index < next {
            self.report.fault(
                Place::Leaf(index),
                "leaf_repeated",
                format!("it came again, in the place of leaf {next}"),
            );
            return;
        }
        let sentence = if index - next == 1 {
            "it is missing".to_owned()
        } else {
            format!("it is missing, and so are all up to leaf {}", index - 1)
        };
        self.report
            .fault(Place::Leaf(next), "leaf_missing", sentence);
        // What follows is still looked at, each leaf by itself.
        while self.tree.size() < index {
            self.tree.push(Hash::default(), |_, _| {});
        }
    }

    /// Holds the tree against the checkpoint of its size, if there is one.
    fn compare(&mut self) {
        let size = self.tree.size();
        while let Some(entry) = self
            .ahead
            .first_entry()
            .filter(|entry| *entry.key() <= size)
        {
            let (reached, (root, note)) = entry.remove_entry();
            if self.broken || self.diverged {
                // Said already, at the leaf or checkpoint where it began.
            } else if reached == size && root == self.tree.root() {
                self.report.covered = size;
                self.report.newest = Some(note);
            } else {
                self.diverged = true;
                let from = self.report.covered;
                self.report.fault(
                    Place::Checkpoint(reached),
                    "checkpoint_root",
                    format!(
                        "leaves {from} to {} are not those that were signed",
                        size.saturating_sub(1)
                    ),
                );
            }
        }
    }

    /// The end of the leaves. Every one of them is under a checkpoint by now, where whoever reads gave the ledger the
    /// second in which it signs: what nobody signed can be anything.
    pub fn finish(mut self) -> Report {
        let size = self.tree.size();
        if let Some((largest, _)) = self.ahead.last_key_value() {
            let sentence = format!(
                "it is missing, and so are all up to leaf {}, which were signed",
                largest - 1
            );
            self.report
                .fault(Place::Leaf(size), "leaf_missing", sentence);
        } else if self.report.covered < size && !self.broken && !self.diverged {
            self.report.fault(
                Place::Leaf(self.report.covered),
                "leaf_unsigned",
                "no checkpoint that holds is over it, nor over any later leaf",
            );
        }
        self.report.holes = self.positions.holes(self.parked);
        self.report
    }
}

/// A time to the microsecond, which is what a leaf commits to.
fn micros(field: &str, at: &prost_types::Timestamp) -> Option<OffsetDateTime> {
    if at.nanos % 1000 != 0 {
        return None;
    }
    domain::wire::time(field, at).ok()
}

/// The hash of the leaf by its body alone; `None` where it cannot be one.
fn recompute(leaf: &v1::Leaf) -> Option<Hash> {
    let caused_by = match leaf.caused_by.as_str() {
        "" => None,
        text => Some(Uuid::parse_str(text).ok()?),
    };
    let heard_at = match leaf.format {
        1 => None,
        2 => Some(micros("heard_at", leaf.heard_at.as_ref()?)?),
        _ => return None,
    };
    let committed = Committed {
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
        heard_at,
    };
    Some(committed.leaf_hash())
}
