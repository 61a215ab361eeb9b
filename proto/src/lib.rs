//! Generated messages, clients and servers of `takedown.v1`. Services parse them into types of the `domain`
//! crate. `Debug` never shows a field with the option `[debug_redact = true]`.
#![allow(
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code"
)]

/// Version 1, the only version.
pub mod v1 {
    tonic::include_proto!("takedown.v1");
    include!(concat!(env!("OUT_DIR"), "/debug_impls.rs"));
}

/// The encoded descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/takedown.bin"));

/// What `Debug` shows instead of the value of a redacted field.
struct Redacted;

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}
