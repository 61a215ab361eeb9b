//! Who a certificate is for: the SPIFFE ID of an X.509-SVID (SPIFFE X509-SVID, section 2: exactly one URI SAN).

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::TlsError;

const PREFIX: &str = "spiffe://takedown/";

/// The name of a role, as certificates carry it: `a-z` and `-`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Role(Arc<str>);

impl Role {
    /// None when the text names no role.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        fits.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in a certificate.
    pub fn uri(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// Whom a certificate is for. Says nothing about whether it is to be believed.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|_| TlsError::NoRole)?;
        let mut uris = parsed.valid_uri_names();
        match (uris.next(), uris.next()) {
            (Some(uri), None) => uri
                .strip_prefix(PREFIX)
                .and_then(Self::parse)
                .ok_or(TlsError::NoRole),
            _ => Err(TlsError::NoRole),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(uris: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["intake.test".to_owned()]).unwrap();
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI((*uri).try_into().unwrap()));
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_role_is_named_by_exactly_one_uri_of_ours() {
        let of = |uris: &[&str]| Role::of(&certificate(uris)).ok();
        assert_eq!(of(&["spiffe://takedown/intake"]), Role::parse("intake"));
        for wrong in [
            &[][..],
            &["spiffe://takedown/"],
            &["spiffe://takedown/intake/x"],
            &["spiffe://takedown.evil/intake"],
            &["spiffe://other/intake"],
            &["https://takedown/intake"],
            &["spiffe://takedown/intake", "spiffe://takedown/gateway"],
        ] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }
}
