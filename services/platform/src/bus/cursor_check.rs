//! Checks that a log and a cursor match, and selects the events that follow the cursor. Pure functions, used
//! on both buses. A mismatch is reported with its reason and never repaired here.

use uuid::Uuid;

use super::cursor::Cursor;
use crate::log::{Envelope, Head};

/// Checks what the positions and the head's event id show.
pub(super) fn check_head(cursor: Cursor, head: &Head) -> Result<(), &'static str> {
    if cursor.position > head.position {
        return Err("the cursor is beyond the head");
    }
    if cursor.position < head.floor - 1 {
        return Err("events after the cursor are no longer kept");
    }
    if cursor.position == head.position && cursor.event_id != head.event_id {
        return Err("the head is a different event");
    }
    Ok(())
}

/// Checks that the event at the cursor's position is the cursor's own. `at` is the id in the log; None is
/// accepted below the floor only.
pub(super) fn check_cursor_event(
    cursor: Cursor,
    floor: i64,
    at: Option<Uuid>,
) -> Result<(), &'static str> {
    match at {
        Some(_) if at != cursor.event_id => Err("the log has a different event at the cursor"),
        None if cursor.position >= floor => Err("the log has no event at the cursor"),
        _ => Ok(()),
    }
}

/// The received events that follow a cursor.
#[derive(Debug, Default)]
pub(super) struct NextEvents {
    pub(super) events: Vec<Envelope>,
    /// The first missing position, if the received events continue beyond it.
    pub(super) missing: Option<i64>,
    /// A received event has the position of the cursor but a different id.
    pub(super) contradicted: bool,
}

/// Selects the events that follow `cursor`. `received` are events of its shard, ordered by position; those at
/// or below the cursor are duplicates.
pub(super) fn next_events(
    cursor: Cursor,
    received: impl IntoIterator<Item = Envelope>,
) -> NextEvents {
    let mut next = NextEvents::default();
    let mut last = cursor.position;
    for event in received {
        if event.position <= last {
            next.contradicted |=
                event.position == cursor.position && Some(event.id) != cursor.event_id;
            continue;
        }
        if event.position > last + 1 {
            next.missing = Some(last + 1);
            break;
        }
        last = event.position;
        next.events.push(event);
    }
    next
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use time::OffsetDateTime;

    use super::*;

    fn id(position: i64) -> Uuid {
        Uuid::from_u128(position as u128)
    }

    fn cursor(position: i64) -> Cursor {
        Cursor {
            shard: 3,
            position,
            event_id: (position > 0).then(|| id(position)),
        }
    }

    fn event(position: i64) -> Envelope {
        Envelope {
            producer: "origin".into(),
            shard: 3,
            position,
            id: id(position),
            case_id: Uuid::nil(),
            kind: "Counted".into(),
            caused_by: None,
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            traceparent: None,
            payload: Bytes::new(),
        }
    }

    fn positions(at: i64, received: &[i64]) -> (Vec<i64>, Option<i64>) {
        let next = next_events(cursor(at), received.iter().copied().map(event));
        let accepted = next.events.iter().map(|e| e.position).collect();
        (accepted, next.missing)
    }

    #[test]
    fn duplicates_are_dropped_and_a_gap_ends_the_batch() {
        assert_eq!(positions(0, &[1, 2, 3]), (vec![1, 2, 3], None));
        assert_eq!(positions(2, &[1, 2, 2, 3, 3, 4]), (vec![3, 4], None));
        assert_eq!(positions(2, &[3, 5, 6]), (vec![3], Some(4)));
        assert_eq!(positions(2, &[9]), (vec![], Some(3)));
        assert_eq!(positions(5, &[1, 2]), (vec![], None));
    }

    #[test]
    fn a_different_event_at_the_cursor_position_is_reported() {
        let mut other = event(2);
        other.id = Uuid::from_u128(99);
        assert!(next_events(cursor(2), [other]).contradicted);
        assert!(!next_events(cursor(2), [event(1), event(2)]).contradicted);
    }

    #[test]
    fn a_cursor_matches_its_log_or_the_mismatch_is_named() {
        let log = |floor, position| Head {
            shard: 3,
            position,
            event_id: (position > 0).then(|| id(position)),
            floor,
        };
        for (at, floor, top, matches) in [
            (0, 1, 0, true),
            (0, 1, 9, true),
            (9, 1, 9, true),
            (4, 5, 9, true),
            (3, 5, 9, false),
            (10, 1, 9, false),
        ] {
            assert_eq!(
                check_head(cursor(at), &log(floor, top)).is_ok(),
                matches,
                "{at} in {floor}..={top}"
            );
        }
        assert!(check_cursor_event(cursor(4), 5, None).is_ok());
        assert!(check_cursor_event(cursor(5), 5, None).is_err());
        assert!(check_cursor_event(cursor(5), 5, Some(id(5))).is_ok());
        assert!(check_cursor_event(cursor(5), 5, Some(id(6))).is_err());
    }
}
