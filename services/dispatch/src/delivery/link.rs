//! The link in a mail: a credential for one notice and one addressee, with an expiry. It contains no URL, and
//! needs no database row.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{NoticeId, ProviderId};
use platform::error::{Kind, Problem};
use platform::sealed::{Keyring, MacPurpose};
use time::OffsetDateTime;
use uuid::Uuid;

/// The first byte of a token.
const FORMAT: u8 = 1;
const LENGTH: usize = 1 + 16 + 8 + 32;

/// A parsed token. It grants nothing until [`Link::check`] has accepted it.
pub struct Link {
    pub notice_id: NoticeId,
    /// Seconds since 1970.
    expires: i64,
    mac: [u8; 32],
}

/// Creates a token: format (1 byte), notice (16), expiry (8, seconds since 1970, big endian), MAC (32), in
/// base64url without padding.
pub fn token(
    keyring: &Keyring,
    notice: NoticeId,
    provider: &ProviderId,
    expires: OffsetDateTime,
) -> String {
    let expires = expires.unix_timestamp();
    let mac = keyring.mac(
        MacPurpose::Link,
        &[
            notice.uuid().as_bytes(),
            provider.as_str().as_bytes(),
            &expires.to_be_bytes(),
        ],
    );
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(FORMAT);
    bytes.extend_from_slice(notice.uuid().as_bytes());
    bytes.extend_from_slice(&expires.to_be_bytes());
    bytes.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Parses a token without verifying it.
///
/// # Errors
/// `link_unknown` for text that is not a token.
pub fn parse(token: &str) -> Result<Link, Problem> {
    let bytes: [u8; LENGTH] = (token.len() <= 2 * LENGTH)
        .then(|| URL_SAFE_NO_PAD.decode(token).ok())
        .flatten()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(unknown)?;
    let (head, rest) = bytes.split_at(17);
    let (expires, mac) = rest.split_at(8);
    if head[0] != FORMAT {
        return Err(unknown());
    }
    let id = Uuid::from_slice(&head[1..]).map_err(|_| unknown())?;
    Ok(Link {
        notice_id: NoticeId::new(id),
        expires: i64::from_be_bytes(expires.try_into().map_err(|_| unknown())?),
        mac: mac.try_into().map_err(|_| unknown())?,
    })
}

impl Link {
    /// Verifies that we created the link for this provider, and that it has not expired.
    ///
    /// # Errors
    /// `link_unknown` for a forged link or another addressee's, `link_expired` after its expiry.
    pub fn check(
        &self,
        keyring: &Keyring,
        provider: &ProviderId,
        now: OffsetDateTime,
    ) -> Result<(), Problem> {
        let notice = self.notice_id.uuid();
        let fields: [&[u8]; 3] = [
            notice.as_bytes(),
            provider.as_str().as_bytes(),
            &self.expires.to_be_bytes(),
        ];
        if !keyring.verify_mac(MacPurpose::Link, &fields, &self.mac) {
            return Err(unknown());
        }
        if now.unix_timestamp() >= self.expires {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "link_expired",
                "This link has expired; ask the hotline for a new one, or answer by the provider API.",
            ));
        }
        Ok(())
    }
}

/// The same for a forged or truncated link and for a notice that does not exist.
pub(crate) fn unknown() -> Problem {
    Problem::new(
        Kind::NotFound,
        "link_unknown",
        "This link is not valid; copy it completely from the mail.",
    )
    .field("token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_link_is_valid_for_one_notice_and_one_addressee_until_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::create(&folder.path().join("keyring.json")).unwrap();
        let notice = NoticeId::new(Uuid::from_u128(7));
        let amber: ProviderId = "amber-host".parse().unwrap();
        let other: ProviderId = "other-host".parse().unwrap();
        let end = datetime!(2026-03-01 12:00 UTC);
        let text = token(&keyring, notice, &amber, end);
        let before = end - time::Duration::SECOND;

        let link = parse(&text).unwrap();
        assert_eq!(link.notice_id, notice);
        assert!(link.check(&keyring, &amber, before).is_ok());
        assert_eq!(
            link.check(&keyring, &other, before).unwrap_err().code,
            "link_unknown"
        );
        assert_eq!(
            link.check(&keyring, &amber, end).unwrap_err().code,
            "link_expired"
        );
        for n in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[n] = if forged[n] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            let accepted = parse(&forged).is_ok_and(|l| l.check(&keyring, &amber, before).is_ok());
            assert!(!accepted || forged == text, "character {n}");
        }
        for bad in ["", "a", &text[1..], &format!("{text}A"), &"A".repeat(5000)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
