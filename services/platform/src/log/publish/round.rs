//! One round of publishing: a shard's next records put on their way, and what became of each.
//! Must not count a record behind one whose delivery is unknown: `to` is an unbroken row of acknowledgements.

use crate::kafka::{Delivery, NotSent, Outcome, Producer};
use crate::log::Envelope;

/// One shard's records on their way, and what became of them.
pub(super) struct Round {
    pub(super) shard: i16,
    pub(super) epoch: i64,
    pub(super) from: i64,
    /// Everything up to here is acknowledged.
    pub(super) to: i64,
    /// The last record that was sent or tried.
    pub(super) tried: i64,
    pub(super) stopped: Option<Stop>,
}

/// Why a round did not come to its end.
pub(super) enum Stop {
    /// The record after `to` is refused for good.
    Refused(String),
    Unknown(String),
    Full,
}

impl Round {
    /// Whether it was one record by itself: then it alone is at fault.
    pub(super) fn was_alone(&self) -> bool {
        self.tried == self.from + 1
    }
}

/// Puts records on their way; the future ends when it is known, or given up, what became of every one.
pub(super) fn begin(
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
        tried: from,
        stopped: None,
    };
    let mut sent = Vec::with_capacity(events.len());
    for event in events {
        if event.position != round.tried + 1 {
            round.stopped = Some(Stop::Unknown("the log lacks a position".into()));
            break;
        }
        match producer.send(event) {
            Ok(delivery) => sent.push(delivery),
            Err(NotSent::Full) => {
                round.stopped = Some(Stop::Full);
                break;
            }
            Err(NotSent::Refused(why)) => {
                round.tried = event.position;
                round.stopped = Some(Stop::Refused(why));
                break;
            }
            Err(NotSent::Failed(why)) => {
                round.stopped = Some(Stop::Unknown(why));
                break;
            }
        }
        round.tried = event.position;
    }
    if events.is_empty() {
        round.stopped = Some(Stop::Unknown("the log lacks what its head says".into()));
    }
    outcomes(round, sent)
}

/// Waits for every record of the round, so that none of it is still on its way when the next begins.
async fn outcomes(mut round: Round, sent: Vec<Delivery>) -> Round {
    let mut unbroken = true;
    for delivery in sent {
        let outcome = delivery.outcome().await;
        if !unbroken {
            continue;
        }
        match outcome {
            Outcome::Acknowledged => round.to += 1,
            Outcome::Refused(why) => (unbroken, round.stopped) = (false, Some(Stop::Refused(why))),
            Outcome::Unknown(why) => (unbroken, round.stopped) = (false, Some(Stop::Unknown(why))),
        }
    }
    round
}
