//! The events of a case in the order in which they make sense: by cause, then by time. Pure; what an event says is in
//! [`summary`].

mod summary;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use domain::event;
use domain::wire::timestamp;
use proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::leaf::Told;

/// The timeline of one case, given its events in the order of hearing.
pub fn of(told: &[Told]) -> Vec<v1::TimelineEntry> {
    let events: Vec<Event> = told
        .iter()
        .map(|told| Event {
            id: told.event_id,
            producer: &told.producer,
            caused_by: told.caused_by,
            at: told.occurred_at,
        })
        .collect();
    order(&events)
        .into_iter()
        .map(|n| entry(&told[n]))
        .collect()
}

fn entry(told: &Told) -> v1::TimelineEntry {
    v1::TimelineEntry {
        event_id: told.event_id.to_string(),
        producer: told.producer.clone(),
        r#type: told.kind.clone(),
        caused_by: told.caused_by.map(|id| id.to_string()).unwrap_or_default(),
        occurred_at: Some(timestamp(told.occurred_at)),
        heard_at: Some(timestamp(told.heard_at)),
        leaf_index: told.index as u64,
        // Only what could be read has a leaf; a reader older than the event shows its name.
        summary: event::decode(&told.payload)
            .map(|body| summary::of(&body))
            .unwrap_or_default(),
    }
}

struct Event<'a> {
    id: Uuid,
    producer: &'a str,
    caused_by: Option<Uuid>,
    at: OffsetDateTime,
}

/// No event before its cause or before an earlier one of its producer (which are in order here); among those that may
/// come next, the one that happened first. What waits for itself in a circle, which no true cause does, comes last.
fn order(events: &[Event<'_>]) -> Vec<usize> {
    let by_id: HashMap<Uuid, usize> = events.iter().enumerate().map(|(n, e)| (e.id, n)).collect();
    let mut last: HashMap<&str, usize> = HashMap::new();
    let mut waits = vec![0_usize; events.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    for (n, event) in events.iter().enumerate() {
        let cause = event.caused_by.and_then(|id| by_id.get(&id).copied());
        let earlier = last.insert(event.producer, n);
        for before in [cause, earlier].into_iter().flatten() {
            waits[n] += 1;
            followers[before].push(n);
        }
    }
    let mut ready: BinaryHeap<Reverse<(OffsetDateTime, usize)>> = (0..events.len())
        .filter(|n| waits[*n] == 0)
        .map(|n| Reverse((events[n].at, n)))
        .collect();
    let mut ordered = Vec::with_capacity(events.len());
    while let Some(Reverse((_, n))) = ready.pop() {
        ordered.push(n);
        for follower in &followers[n] {
            waits[*follower] -= 1;
            if waits[*follower] == 0 {
                ready.push(Reverse((events[*follower].at, *follower)));
            }
        }
    }
    ordered.extend((0..events.len()).filter(|n| waits[*n] > 0));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    fn event(id: u128, producer: &str, caused_by: u128, second: i64) -> Event<'_> {
        Event {
            id: Uuid::from_u128(id),
            producer,
            caused_by: (caused_by > 0).then(|| Uuid::from_u128(caused_by)),
            at: datetime!(2025-03-01 12:00 UTC) + Duration::seconds(second),
        }
    }

    #[test]
    fn causes_come_first_whatever_the_clocks_say() {
        // Heard: the notice before the verdict that led to it, by a clock that runs behind.
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
    fn a_circle_loses_nothing() {
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
