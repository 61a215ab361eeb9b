//! Finds the items of a batch that belong together: several commands for one row, and repeats of an
//! idempotency key. It only sorts indices and decides nothing about the commands.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::{Kind, Problem};

/// Groups the indices of items by key: keys ascending (the order in which to lock rows), indices in the order
/// of the batch (the order in which to apply commands).
pub fn by_key<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> BTreeMap<K, Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        groups.entry(key(item)).or_default().push(index);
    }
    groups
}

/// How an item relates to earlier items of its batch with the same idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The first with its key: to be run.
    First,
    /// The same key and body as the item at this index: gets the same reply.
    SameAs(usize),
    /// The same key as the item at this index with another body: an error for this item only.
    Conflict(usize),
}

/// Error code for an idempotency key that was reused with another body, within a batch or later.
pub const KEY_REUSED: &str = "idempotency_key_reused";

/// The problem with code [`KEY_REUSED`].
pub fn key_reused() -> Problem {
    Problem::new(
        Kind::Conflict,
        KEY_REUSED,
        "This idempotency key was used with another body; send a new key, or the same body again.",
    )
    .field("idempotency_key")
}

/// Compares each item with the earlier ones. `key` must include the principal: keys are scoped to the caller.
pub fn find_repeats<T, K: Ord, B: PartialEq>(
    items: &[T],
    key: impl Fn(&T) -> K,
    body: impl Fn(&T) -> B,
) -> Vec<Repeat> {
    let mut first_by_key = BTreeMap::new();
    items
        .iter()
        .enumerate()
        .map(|(index, item)| match first_by_key.entry(key(item)) {
            Entry::Vacant(entry) => {
                entry.insert(index);
                Repeat::First
            }
            Entry::Occupied(entry) => {
                let earlier = *entry.get();
                if body(&items[earlier]) == body(item) {
                    Repeat::SameAs(earlier)
                } else {
                    Repeat::Conflict(earlier)
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_sorted_by_key_and_keep_the_order_of_commands() {
        let items = ["b1", "a1", "b2", "a2"];
        let groups = by_key(&items, |item| item.as_bytes()[0]);
        assert_eq!(
            groups.into_iter().collect::<Vec<_>>(),
            [(b'a', vec![1, 3]), (b'b', vec![0, 2])]
        );
    }

    #[test]
    fn equal_keys_share_a_receipt_and_another_body_is_a_conflict() {
        let items = [("k", 1), ("l", 1), ("k", 1), ("k", 2)];
        assert_eq!(
            find_repeats(&items, |i| i.0, |i| i.1),
            [
                Repeat::First,
                Repeat::First,
                Repeat::SameAs(0),
                Repeat::Conflict(0)
            ]
        );
    }
}
