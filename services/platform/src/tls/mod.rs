//! Mutual TLS between roles: who a process is, by a certificate from files, and who speaks to it.
//!
//! TLS 1.3 alone, and both sides show a certificate. A peer is known by the SPIFFE ID in it
//! (`spiffe://takedown/<role>`) and by nothing else: names and addresses in DNS prove nothing here. The files are read
//! again while the process runs, so that certificates and authorities rotate without a restart; connections that stand
//! are left alone. Must not know what a role may ask for, and must not fall back to anything weaker.

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
pub use identity::Role;

/// Why a certificate, key or authority was not taken, or a peer was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {kind}", .path.display(), kind = .kind)]
    Unreadable {
        path: PathBuf,
        kind: std::io::ErrorKind,
    },
    #[error("{} can be read by others; run `chmod 600` on it", .0.display())]
    OpenKey(PathBuf),
    #[error("{} is not {what} in PEM", .path.display())]
    NotPem { path: PathBuf, what: &'static str },
    #[error("the certificate, its key and the authorities do not fit together: {0}")]
    Unfit(rustls::Error),
    #[error("the authorities in {} cannot be used: {why}", .path.display())]
    Authorities { path: PathBuf, why: String },
    #[error(
        "the certificate names no role: exactly one URI `spiffe://takedown/<role>` must stand in it"
    )]
    NoRole,
    #[error("the certificate is for the role {is}, and this is {must}")]
    WrongRole { is: Role, must: Role },
}
