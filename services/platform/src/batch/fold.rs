//! What in a batch belongs together: several commands for one row, and repeats of one idempotency key.
//! Must not decide anything about the commands; it only sorts their indices.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::{Kind, Problem};

/// The indices of the items for each key: keys ascending (the order to lock rows in), indices in the order of the
/// batch (the order to apply commands in).
pub fn by_key<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> BTreeMap<K, Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        groups.entry(key(item)).or_default().push(index);
    }
    groups
}

/// How an item stands to the earlier ones of its batch that carry the same idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The first with its key: to be done.
    First,
    /// The same key and body as the item at this index: shares its receipt.
    Of(usize),
    /// The same key as the item at this index with another body: an error for this item only.
    Clash(usize),
}

/// What is said of an idempotency key that came again with another body, at once or later, by whoever owns the key.
pub const KEY_REUSED: &str = "idempotency_key_reused";

/// The refusal of [`KEY_REUSED`].
pub fn key_reused() -> Problem {
    Problem::new(
        Kind::Conflict,
        KEY_REUSED,
        "This idempotency key was used with another body; send a new key, or the same body again.",
    )
    .field("idempotency_key")
}

/// Compares each item with the earlier ones. The key holds the principal: keys are scoped to who sent them.
pub fn repeats<T, K: Ord, B: PartialEq>(
    items: &[T],
    key: impl Fn(&T) -> K,
    body: impl Fn(&T) -> B,
) -> Vec<Repeat> {
    let mut first = BTreeMap::new();
    items
        .iter()
        .enumerate()
        .map(|(index, item)| match first.entry(key(item)) {
            Entry::Vacant(entry) => {
                entry.insert(index);
                Repeat::First
            }
            Entry::Occupied(entry) => {
                let earlier = *entry.get();
                if body(&items[earlier]) == body(item) {
                    Repeat::Of(earlier)
                } else {
                    Repeat::Clash(earlier)
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
    fn equal_keys_share_a_receipt_and_another_body_is_a_clash() {
        let items = [("k", 1), ("l", 1), ("k", 1), ("k", 2)];
        assert_eq!(
            repeats(&items, |i| i.0, |i| i.1),
            [
                Repeat::First,
                Repeat::First,
                Repeat::Of(0),
                Repeat::Clash(0)
            ]
        );
    }
}
