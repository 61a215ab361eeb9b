//! The timeline of a case: its events with a cause before its effects, otherwise by time. [`summary`]
//! describes an event.

mod summary;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use domain::event;
use domain::wire::timestamp;
use proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::leaf::TimelineEvent;

/// The timeline of a case, given its events in the order in which they were recorded.
pub fn entries(events: &[TimelineEvent]) -> Vec<v1::TimelineEntry> {
    let keys: Vec<OrderKey> = events
        .iter()
        .map(|event| OrderKey {
            id: event.event_id,
            producer: &event.producer,
            caused_by: event.caused_by,
            at: event.occurred_at,
        })
        .collect();
    order(&keys)
        .into_iter()
        .map(|index| entry(&events[index]))
        .collect()
}

fn entry(event: &TimelineEvent) -> v1::TimelineEntry {
    v1::TimelineEntry {
        event_id: event.event_id.to_string(),
        producer: event.producer.clone(),
        r#type: event.kind.clone(),
        caused_by: event.caused_by.map(|id| id.to_string()).unwrap_or_default(),
        occurred_at: Some(timestamp(event.occurred_at)),
        recorded_at: Some(timestamp(event.recorded_at)),
        leaf_index: event.index as u64,
        // Every recorded event could be decoded; an older version than the one that recorded it shows no
        // summary.
        summary: event::decode(&event.payload)
            .map(|body| summary::describe(&body))
            .unwrap_or_default(),
    }
}

/// The fields of an event that decide its place in the timeline.
struct OrderKey<'a> {
    id: Uuid,
    producer: &'a str,
    caused_by: Option<Uuid>,
    at: OffsetDateTime,
}

/// Orders events topologically: after their cause and after the earlier events of their producer, which are
/// given in order; otherwise by time. Events in a cycle of causes, which valid events never form, come last.
fn order(events: &[OrderKey<'_>]) -> Vec<usize> {
    let by_id: HashMap<Uuid, usize> = events.iter().enumerate().map(|(n, e)| (e.id, n)).collect();
    let mut last_of_producer: HashMap<&str, usize> = HashMap::new();
    let mut pending = vec![0_usize; events.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    for (n, event) in events.iter().enumerate() {
        let cause = event.caused_by.and_then(|id| by_id.get(&id).copied());
        let earlier = last_of_producer.insert(event.producer, n);
        for predecessor in [cause, earlier].into_iter().flatten() {
            pending[n] += 1;
            followers[predecessor].push(n);
        }
    }
    let mut ready: BinaryHeap<Reverse<(OffsetDateTime, usize)>> = (0..events.len())
        .filter(|n| pending[*n] == 0)
        .map(|n| Reverse((events[n].at, n)))
        .collect();
    let mut ordered = Vec::with_capacity(events.len());
    while let Some(Reverse((_, n))) = ready.pop() {
        ordered.push(n);
        for follower in &followers[n] {
            pending[*follower] -= 1;
            if pending[*follower] == 0 {
                ready.push(Reverse((events[*follower].at, *follower)));
            }
        }
    }
    ordered.extend((0..events.len()).filter(|n| pending[*n] > 0));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    fn event(id: u128, producer: &str, caused_by: u128, second: i64) -> OrderKey<'_> {
        OrderKey {
            id: Uuid::from_u128(id),
            producer,
            caused_by: (caused_by > 0).then(|| Uuid::from_u128(caused_by)),
            at: datetime!(2025-03-01 12:00 UTC) + Duration::seconds(second),
        }
    }

    #[test]
    fn a_cause_precedes_its_effects_even_if_clocks_disagree() {
        // The notice was recorded before the verdict that caused it, and its producer's clock is slow.
        let events = [
            event(3, "dispatch", 2, 1),
            event(1, "intake", 0, 5),
            event(2, "verification", 1, 9),
            event(4, "dispatch", 0, 0),
            event(5, "intake", 0, 6),
        ];
        let ids: Vec<u128> = order(&events)
            .into_iter()
            .map(|n| events[n].id.as_u128())
            .collect();
        assert_eq!(ids, [1, 5, 2, 3, 4]);
    }

    #[test]
    fn events_in_a_cycle_are_kept() {
        let events = [
            event(1, "intake", 2, 0),
            event(2, "dispatch", 1, 0),
            event(3, "verification", 3, 0),
            event(4, "intake", 0, 0),
        ];
        let mut order = order(&events);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3]);
    }
}
