//! RPCs about providers: the directory for staff; preferences, endpoints and keys for the provider itself.

mod keys;
mod preferences;
mod provider_proto;
mod providers;
mod scorecard;
mod webhooks;
