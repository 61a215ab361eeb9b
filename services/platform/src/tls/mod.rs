//! Mutual TLS between roles.
//!
//! Only TLS 1.3 is used, and both sides present a certificate. A peer is identified only by the SPIFFE ID in
//! its certificate (`spiffe://takedown/<role>`), not by DNS names or addresses. The files are read again
//! while the process runs, so that certificates and authorities can be rotated without a restart; open
//! connections are not affected. There is no fallback to weaker protection.

mod accept;
mod dial;
mod files;
mod identity;
mod verify;

use std::path::PathBuf;

pub(crate) use accept::incoming;
pub use accept::{Connection, Io};
pub(crate) use dial::connect;
pub use files::{Tls, TlsFiles};
pub use identity::ServiceRole;

/// Why a certificate, key or authority could not be used, or a peer was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {kind}", .path.display(), kind = .kind)]
    Unreadable {
        path: PathBuf,
        kind: std::io::ErrorKind,
    },
    #[error("{} can be read by other users; run `chmod 600` on it", .0.display())]
    OpenKey(PathBuf),
    #[error("{} is not {what} in PEM", .path.display())]
    NotPem { path: PathBuf, what: &'static str },
    #[error("the certificate, its key and the authorities do not match: {0}")]
    Mismatch(rustls::Error),
    #[error("the authorities in {} cannot be used: {why}", .path.display())]
    Authorities { path: PathBuf, why: String },
    #[error(
        "the certificate has no role: it must contain exactly one URI, `spiffe://takedown/<role>`"
    )]
    NoRole,
    #[error("the certificate is for the role {actual}, but must be for {expected}")]
    WrongRole {
        actual: ServiceRole,
        expected: ServiceRole,
    },
}
