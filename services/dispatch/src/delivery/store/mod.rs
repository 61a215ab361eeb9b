//! SQL statements about deliveries and endpoints. No decisions, no begin, no commit.

mod attempt;
mod claim;
mod endpoint;
mod record;

pub use attempt::{
    AttemptQuery, AttemptRecord, count_test_deliveries, drop_attempts, insert_attempts,
    list_attempts,
};
pub(super) use claim::{ClaimLimits, DueDelivery, due, lease, lock_due, renew, share_cases};
pub(super) use endpoint::{EndpointRow, load_endpoints, lock_health, make_due, store_health};
pub(super) use record::{
    LeasedRow, RetryRow, lock_cases, lock_leased, overwrite, park, release, remove,
};
