//! Every statement about deliveries and endpoints. No decisions, no begin, no commit.

mod claim;
mod endpoint;
mod record;

pub(super) use claim::{Due, Room, due, lease, lock_due, renew, share_cases};
pub(super) use endpoint::{Endpoint, endpoints, lock_health, put_health, wake};
pub(super) use record::{Again, Held, lock_cases, lock_held, overwrite, park, release, remove};
