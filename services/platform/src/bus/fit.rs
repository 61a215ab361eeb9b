//! Whether a log and a cursor fit together, and what follows the cursor. Pure: whoever feeds a consumer asks here.
//! Must not guess: what does not fit is said, with its reason.

use uuid::Uuid;

use super::cursor::Cursor;
use crate::log::{Envelope, Head};

/// As far as numbers and the head's own id tell.
pub(super) fn head(cursor: Cursor, head: &Head) -> Result<(), &'static str> {
    if cursor.position > head.position {
        return Err("the cursor is beyond the head");
    }
    if cursor.position < head.floor - 1 {
        return Err("what follows the cursor is no longer kept");
    }
    if cursor.position == head.position && cursor.event_id != head.event_id {
        return Err("the head is another event");
    }
    Ok(())
}

/// The cursor's own event must be the one in the log, where the log still keeps it.
pub(super) fn past(cursor: Cursor, floor: i64, at: Option<Uuid>) -> Result<(), &'static str> {
    match at {
        Some(_) if at != cursor.event_id => Err("the cursor's event is another one"),
        None if cursor.position >= floor => Err("the cursor's event is gone"),
        _ => Ok(()),
    }
}

/// What follows a cursor among the events that came, and what was found on the way.
#[derive(Debug, Default)]
pub(super) struct Follows {
    pub(super) events: Vec<Envelope>,
    /// The position that is missing, where what came goes on beyond it.
    pub(super) missing: Option<i64>,
    /// Another event than the cursor's came with its position.
    pub(super) contradicted: bool,
}

/// `came` are events of the cursor's shard by position; those at or below the cursor are duplicates.
pub(super) fn follows(cursor: Cursor, came: impl IntoIterator<Item = Envelope>) -> Follows {
    let mut follows = Follows::default();
    let mut last = cursor.position;
    for event in came {
        if event.position <= last {
            follows.contradicted |=
                event.position == cursor.position && Some(event.id) != cursor.event_id;
            continue;
        }
        if event.position > last + 1 {
            follows.missing = Some(last + 1);
            break;
        }
        last = event.position;
        follows.events.push(event);
    }
    follows
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

    fn positions(at: i64, came: &[i64]) -> (Vec<i64>, Option<i64>) {
        let follows = follows(cursor(at), came.iter().copied().map(event));
        let taken = follows.events.iter().map(|e| e.position).collect();
        (taken, follows.missing)
    }

    #[test]
    fn duplicates_are_dropped_and_a_gap_ends_it() {
        assert_eq!(positions(0, &[1, 2, 3]), (vec![1, 2, 3], None));
        assert_eq!(positions(2, &[1, 2, 2, 3, 3, 4]), (vec![3, 4], None));
        assert_eq!(positions(2, &[3, 5, 6]), (vec![3], Some(4)));
        assert_eq!(positions(2, &[9]), (vec![], Some(3)));
        assert_eq!(positions(5, &[1, 2]), (vec![], None));
    }

    #[test]
    fn another_event_at_the_cursor_is_noticed() {
        let mut other = event(2);
        other.id = Uuid::from_u128(99);
        assert!(follows(cursor(2), [other]).contradicted);
        assert!(!follows(cursor(2), [event(1), event(2)]).contradicted);
    }

    #[test]
    fn a_cursor_fits_its_log_or_the_reason_is_named() {
        let log = |floor, position| Head {
            shard: 3,
            position,
            event_id: (position > 0).then(|| id(position)),
            floor,
        };
        for (at, floor, top, fits) in [
            (0, 1, 0, true),
            (0, 1, 9, true),
            (9, 1, 9, true),
            (4, 5, 9, true),
            (3, 5, 9, false),
            (10, 1, 9, false),
        ] {
            assert_eq!(
                head(cursor(at), &log(floor, top)).is_ok(),
                fits,
                "{at} in {floor}..={top}"
            );
        }
        assert!(past(cursor(4), 5, None).is_ok());
        assert!(past(cursor(5), 5, None).is_err());
        assert!(past(cursor(5), 5, Some(id(5))).is_ok());
        assert!(past(cursor(5), 5, Some(id(6))).is_err());
    }
}
