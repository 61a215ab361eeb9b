//! Which positions of each producer's shards have a leaf. A producer gives them out dense, from 1: one that comes twice
//! was forged, and one that is missing was never heard, or was taken out. Must not judge.

use std::collections::BTreeMap;

/// A shard of a producer's log.
pub type Shard = (String, u32);

/// Positions from the first to the last that no leaf has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    pub producer: String,
    pub shard: u32,
    pub first: u64,
    pub last: u64,
}

/// Kept as ranges: as many as there are holes, however long the log.
#[derive(Debug, Default)]
pub struct Positions(BTreeMap<Shard, BTreeMap<u64, u64>>);

impl Positions {
    /// Takes a position; false where it was there before.
    pub fn take(&mut self, shard: Shard, position: u64) -> bool {
        let ranges = self.0.entry(shard).or_default();
        let before = ranges.range(..=position).next_back().map(|(a, b)| (*a, *b));
        if before.is_some_and(|(_, last)| last >= position) {
            return false;
        }
        let first = match before {
            Some((first, last)) if last + 1 == position => first,
            _ => position,
        };
        let last = ranges.remove(&(position + 1)).unwrap_or(position);
        ranges.insert(first, last);
        true
    }

    /// What lies between the first position and the largest that was taken, but for those that wait for people.
    pub fn holes(mut self, parked: Vec<(Shard, u64)>) -> Vec<Hole> {
        for (shard, position) in parked {
            let largest = self
                .0
                .get(&shard)
                .and_then(|ranges| ranges.last_key_value());
            if largest.is_some_and(|(_, last)| position < *last) {
                self.take(shard, position);
            }
        }
        let mut holes = Vec::new();
        for ((producer, shard), ranges) in self.0 {
            let mut next = 1;
            for (first, last) in ranges {
                if first > next {
                    holes.push(Hole {
                        producer: producer.clone(),
                        shard,
                        first: next,
                        last: first - 1,
                    });
                }
                next = last + 1;
            }
        }
        holes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_named_and_a_repeat_is_known_in_whatever_order_they_come() {
        let shard = || ("intake".to_owned(), 3);
        let mut positions = Positions::default();
        for position in [2, 5, 3, 9, 8, 4] {
            assert!(positions.take(shard(), position), "{position}");
        }
        for position in [2, 3, 4, 5, 8, 9] {
            assert!(!positions.take(shard(), position), "{position}");
        }
        assert!(positions.take(("dispatch".to_owned(), 3), 1));
        let parked = vec![(shard(), 1), (shard(), 99)];
        let holes: Vec<_> = positions
            .holes(parked)
            .into_iter()
            .map(|hole| (hole.producer, hole.shard, hole.first, hole.last))
            .collect();
        let of = |first, last| ("intake".to_owned(), 3, first, last);
        assert_eq!(holes, [of(6, 7)]);
    }
}
