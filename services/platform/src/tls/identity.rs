//! The role in a certificate: the SPIFFE ID of an X.509-SVID (SPIFFE X509-SVID section 2: exactly one URI
//! SAN).

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::TlsError;

const PREFIX: &str = "spiffe://takedown/";

/// The name of a role in certificates: 1 to 32 characters of `a-z` and `-`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServiceRole(Arc<str>);

impl ServiceRole {
    /// `None` if the text is not a valid role name.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        is_valid.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SPIFFE ID.
    pub fn uri(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// The role of a certificate. Does not verify the certificate.
    pub(super) fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
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

impl fmt::Display for ServiceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceRole {
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
    fn a_certificate_has_exactly_one_uri_with_a_role() {
        let role = |uris: &[&str]| ServiceRole::from_certificate(&certificate(uris)).ok();
        assert_eq!(
            role(&["spiffe://takedown/intake"]),
            ServiceRole::parse("intake")
        );
        for invalid in [
            &[][..],
            &["spiffe://takedown/"],
            &["spiffe://takedown/intake/x"],
            &["spiffe://takedown.evil/intake"],
            &["spiffe://other/intake"],
            &["https://takedown/intake"],
            &["spiffe://takedown/intake", "spiffe://takedown/gateway"],
        ] {
            assert_eq!(role(invalid), None, "{invalid:?}");
        }
    }
}
