//! Generated messages, clients and servers of `takedown.v1`. Nothing by hand; domain types are parsed from these at the edges.
#![allow(
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code"
)]

/// The one version of the wire format.
pub mod v1 {
    tonic::include_proto!("takedown.v1");
}

/// The compiled descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/takedown.bin"));
