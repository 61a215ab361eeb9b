//! The positions of each producer's shards that have a leaf. Positions are dense, from 1: a repeated one was
//! forged; a missing one was never received or was removed.

use std::collections::BTreeMap;

/// A shard of a producer's log.
pub type Shard = (String, u32);

/// A range of positions without a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionGap {
    pub producer: String,
    pub shard: u32,
    pub first: u64,
    pub last: u64,
}

/// Positions as ranges, so that the memory depends on the number of gaps and not on the length of the log.
#[derive(Debug, Default)]
pub struct Positions(BTreeMap<Shard, BTreeMap<u64, u64>>);

impl Positions {
    /// Adds a position; returns false if it was added before.
    pub fn add(&mut self, shard: Shard, position: u64) -> bool {
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

    /// The gaps below the largest position of each shard, except the positions of parked events.
    pub fn gaps(mut self, parked: Vec<(Shard, u64)>) -> Vec<PositionGap> {
        for (shard, position) in parked {
            let largest = self
                .0
                .get(&shard)
                .and_then(|ranges| ranges.last_key_value());
            if largest.is_some_and(|(_, last)| position < *last) {
                self.add(shard, position);
            }
        }
        let mut gaps = Vec::new();
        for ((producer, shard), ranges) in self.0 {
            let mut next = 1;
            for (first, last) in ranges {
                if first > next {
                    gaps.push(PositionGap {
                        producer: producer.clone(),
                        shard,
                        first: next,
                        last: first - 1,
                    });
                }
                next = last + 1;
            }
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_repeated_positions_are_found_in_any_order() {
        let shard = || ("intake".to_owned(), 3);
        let mut positions = Positions::default();
        for position in [2, 5, 3, 9, 8, 4] {
            assert!(positions.add(shard(), position), "{position}");
        }
        for position in [2, 3, 4, 5, 8, 9] {
            assert!(!positions.add(shard(), position), "{position}");
        }
        assert!(positions.add(("dispatch".to_owned(), 3), 1));
        let parked = vec![(shard(), 1), (shard(), 99)];
        let gaps: Vec<_> = positions
            .gaps(parked)
            .into_iter()
            .map(|gap| (gap.producer, gap.shard, gap.first, gap.last))
            .collect();
        assert_eq!(gaps, [("intake".to_owned(), 3, 6, 7)]);
    }
}
