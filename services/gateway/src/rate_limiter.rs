//! Rate limits by token bucket, one bucket per key, in bounded memory. Keys are hashed with a secret of this
//! process; the keys themselves are not stored.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

const SHARDS: usize = 16;
/// Buckets per shard. All further keys share one bucket, so that a caller gains nothing by inventing keys.
const BUCKETS_PER_SHARD: usize = 8192;
const OVERFLOW: u64 = 0;
/// Minimum time between two sweeps of a full shard for unused buckets, because a sweep visits all of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A token bucket: `burst` requests at once, refilled at `per_second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub per_second: u32,
    pub burst: u32,
}

impl Rate {
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

pub(crate) struct RateLimiter {
    rate: Rate,
    hasher: RandomState,
    shards: [Mutex<LimiterShard>; SHARDS],
}

#[derive(Default)]
struct LimiterShard {
    buckets: HashMap<u64, TokenBucket>,
    swept_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct TokenBucket {
    tokens: f64,
    refilled_at: Instant,
}

/// A key's limit after one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitStatus {
    pub(crate) allowed: bool,
    /// Requests that are allowed immediately.
    pub(crate) remaining: u32,
    /// After a refusal: until the next request is allowed. Otherwise: until the bucket is full again.
    pub(crate) reset: Duration,
}

impl RateLimiter {
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

    /// Takes one token from the key's bucket, if there is one.
    pub(crate) fn take(&self, key: impl Hash, now: Instant) -> RateLimitStatus {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[hash as usize % SHARDS];
        // A poisoned lock is harmless: a panic cannot leave a bucket half written.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.bucket_key(&mut shard, hash, now);
        let full = TokenBucket {
            tokens: self.burst(),
            refilled_at: now,
        };
        let bucket = shard.buckets.entry(key).or_insert(full);
        bucket.tokens = self.refilled(*bucket, now);
        bucket.refilled_at = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        let missing = if allowed {
            self.burst() - bucket.tokens
        } else {
            1.0 - bucket.tokens
        };
        RateLimitStatus {
            allowed,
            remaining: bucket.tokens as u32,
            reset: Duration::from_secs_f64(missing / f64::from(self.rate.per_second)),
        }
    }

    /// The key's own hash, or [`OVERFLOW`] if the shard is full of buckets in use.
    fn bucket_key(&self, shard: &mut LimiterShard, hash: u64, now: Instant) -> u64 {
        if shard.buckets.len() < BUCKETS_PER_SHARD || shard.buckets.contains_key(&hash) {
            return hash;
        }
        let sweep_due = shard
            .swept_at
            .is_none_or(|swept_at| now.saturating_duration_since(swept_at) >= SWEEP_INTERVAL);
        if sweep_due {
            // A full bucket carries no information.
            shard
                .buckets
                .retain(|_, bucket| self.refilled(*bucket, now) < self.burst());
            shard.swept_at = Some(now);
        }
        if shard.buckets.len() < BUCKETS_PER_SHARD {
            hash
        } else {
            OVERFLOW
        }
    }

    fn refilled(&self, bucket: TokenBucket, now: Instant) -> f64 {
        let since = now
            .saturating_duration_since(bucket.refilled_at)
            .as_secs_f64();
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
    fn a_bucket_empties_refills_and_is_not_shared_between_keys() {
        let limiter = RateLimiter::new(Rate::new(2, 3));
        let start = Instant::now();
        for left in [2, 1, 0] {
            let status = limiter.take("a", start);
            assert!(status.allowed);
            assert_eq!(status.remaining, left);
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
    fn invented_keys_use_bounded_memory_and_share_one_bucket() {
        let limiter = RateLimiter::new(Rate::new(1, 1));
        let start = Instant::now();
        let allowed = (0..SHARDS * BUCKETS_PER_SHARD * 2)
            .filter(|key| limiter.take(key, start).allowed)
            .count();
        assert!(allowed <= SHARDS * (BUCKETS_PER_SHARD + 1), "{allowed}");
        let buckets: usize = limiter
            .shards
            .iter()
            .map(|s| s.lock().unwrap().buckets.len())
            .sum();
        assert!(buckets <= SHARDS * (BUCKETS_PER_SHARD + 1), "{buckets}");
        // Buckets that are full again are removed.
        let later = start + Duration::from_mins(1);
        assert!(limiter.take("new", later).allowed);
    }
}
