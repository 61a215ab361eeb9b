//! Token buckets, one a key, in a bounded space. Keys are hashed with a secret of this process and never kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Rate;

const SHARDS: usize = 16;
/// Keys remembered in a shard. A key beyond them shares one bucket with all others beyond them, so that many made-up
/// keys win nothing.
const KEYS: usize = 8192;
const OVERFLOW: u64 = 0;
/// Looking for keys that can be forgotten costs a walk over all; a full shard is walked no more often than this.
const SWEEP: Duration = Duration::from_secs(1);

pub(crate) struct Limiter {
    rate: Rate,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    buckets: HashMap<u64, Bucket>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// How a key stands after it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) allowed: bool,
    /// Requests that are left at once.
    pub(crate) remaining: u32,
    /// Until the next one is allowed, or, where it is, until nothing is used any more.
    pub(crate) reset: Duration,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes one request from the key's bucket, if there is one.
    pub(crate) fn take(&self, key: impl Hash, now: Instant) -> Standing {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[hash as usize % SHARDS];
        // A panic elsewhere cannot leave a half-written bucket behind.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.place(&mut shard, hash, now);
        let full = Bucket {
            tokens: self.burst(),
            at: now,
        };
        let bucket = shard.buckets.entry(key).or_insert(full);
        bucket.tokens = self.refilled(*bucket, now);
        bucket.at = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        let missing = if allowed {
            self.burst() - bucket.tokens
        } else {
            1.0 - bucket.tokens
        };
        Standing {
            allowed,
            remaining: bucket.tokens as u32,
            reset: Duration::from_secs_f64(missing / f64::from(self.rate.per_second)),
        }
    }

    /// The key to count under: its own, unless the space is full of others that are in use.
    fn place(&self, shard: &mut Shard, hash: u64, now: Instant) -> u64 {
        if shard.buckets.len() < KEYS || shard.buckets.contains_key(&hash) {
            return hash;
        }
        let due = shard
            .swept
            .is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP);
        if due {
            // Whoever has a full bucket again is like one that never came.
            shard
                .buckets
                .retain(|_, bucket| self.refilled(*bucket, now) < self.burst());
            shard.swept = Some(now);
        }
        if shard.buckets.len() < KEYS {
            hash
        } else {
            OVERFLOW
        }
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + since * f64::from(self.rate.per_second)).min(self.burst())
    }

    fn burst(&self) -> f64 {
        f64::from(self.rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_refills_and_is_its_owners_alone() {
        let limiter = Limiter::new(Rate::new(2, 3));
        let start = Instant::now();
        for left in [2, 1, 0] {
            let standing = limiter.take("a", start);
            assert!(standing.allowed);
            assert_eq!(standing.remaining, left);
        }
        let refused = limiter.take("a", start);
        assert!(!refused.allowed);
        assert_eq!(refused.reset, Duration::from_millis(500));
        assert!(limiter.take("b", start).allowed);
        assert!(
            limiter
                .take("a", start + Duration::from_millis(600))
                .allowed
        );
    }

    #[test]
    fn many_made_up_keys_take_bounded_space_and_share_what_is_left() {
        let limiter = Limiter::new(Rate::new(1, 1));
        let start = Instant::now();
        let allowed = (0..SHARDS * KEYS * 2)
            .filter(|key| limiter.take(key, start).allowed)
            .count();
        assert!(allowed <= SHARDS * (KEYS + 1), "{allowed}");
        let kept: usize = limiter
            .shards
            .iter()
            .map(|s| s.lock().unwrap().buckets.len())
            .sum();
        assert!(kept <= SHARDS * (KEYS + 1), "{kept}");
        // Once they are idle they are forgotten.
        let later = start + Duration::from_mins(1);
        assert!(limiter.take("new", later).allowed);
    }
}
