//! One round of publishing: sends a shard's next records and collects the result of each. `to` covers an
//! unbroken run of acknowledgements; a record after one whose delivery is unknown does not count.

use crate::kafka::{Delivery, Producer, SendError, SendOutcome};
use crate::log::Envelope;

/// One shard's sent records and their results.
pub(super) struct Round {
    pub(super) shard: i16,
    pub(super) epoch: i64,
    pub(super) from: i64,
    /// Every record up to this position is acknowledged.
    pub(super) to: i64,
    /// Position of the last record that was sent or tried.
    pub(super) last_sent: i64,
    pub(super) stopped: Option<Stop>,
}

/// Why a round ended early.
pub(super) enum Stop {
    /// Kafka permanently rejects the record after `to`.
    Rejected(String),
    Unknown(String),
    Full,
}

impl Round {
    /// Whether the round had a single record, which is then the one at fault.
    pub(super) fn was_single(&self) -> bool {
        self.last_sent == self.from + 1
    }
}

/// Sends records. The future completes when the result of every record is known or given up.
pub(super) fn start(
    producer: &Producer,
    shard: i16,
    epoch: i64,
    from: i64,
    events: &[Envelope],
) -> impl Future<Output = Round> + Send + use<> {
    let mut round = Round {
        shard,
        epoch,
        from,
        to: from,
        last_sent: from,
        stopped: None,
    };
    let mut sent = Vec::with_capacity(events.len());
    for event in events {
        if event.position != round.last_sent + 1 {
            round.stopped = Some(Stop::Unknown("the log has a gap".into()));
            break;
        }
        match producer.send(event) {
            Ok(delivery) => sent.push(delivery),
            Err(SendError::Full) => {
                round.stopped = Some(Stop::Full);
                break;
            }
            Err(SendError::Rejected(why)) => {
                round.last_sent = event.position;
                round.stopped = Some(Stop::Rejected(why));
                break;
            }
            Err(SendError::Failed(why)) => {
                round.stopped = Some(Stop::Unknown(why));
                break;
            }
        }
        round.last_sent = event.position;
    }
    if events.is_empty() {
        round.stopped = Some(Stop::Unknown("the log has no events up to its head".into()));
    }
    await_acknowledgements(round, sent)
}

/// Waits for every record of the round, so that none is in flight when the next round starts.
async fn await_acknowledgements(mut round: Round, sent: Vec<Delivery>) -> Round {
    let mut contiguous = true;
    for delivery in sent {
        let outcome = delivery.outcome().await;
        if !contiguous {
            continue;
        }
        match outcome {
            SendOutcome::Acknowledged => round.to += 1,
            SendOutcome::Rejected(why) => {
                (contiguous, round.stopped) = (false, Some(Stop::Rejected(why)));
            }
            SendOutcome::Unknown(why) => {
                (contiguous, round.stopped) = (false, Some(Stop::Unknown(why)));
            }
        }
    }
    round
}
