//! The directory: providers with their roles, contacts, webhook endpoints and keys, and how each of them
//! performs. Must not know a case; it says who can be notified and how, not whether.

mod commands;
mod grpc;
mod snapshot;
mod store;

pub use commands::choose_endpoint;
pub(crate) use commands::webhook_target;
pub(crate) use snapshot::DirectorySnapshot;
pub use snapshot::{Directory, Provider};
pub use store::upsert_providers;
pub(crate) use store::{
    ProviderKey, WebhookEndpoint, provider_key, retire_webhook_endpoint, webhook_endpoint,
};
