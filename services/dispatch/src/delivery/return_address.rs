//! Return addresses of our mails: each identifies one message and one attempt, and carries a MAC so that it
//! cannot be forged.
//!
//! Delivery reports come back to the envelope's sender (RFC 5321 section 4.5.5), replies to the `Reply-To`.
//! These are two kinds of address, so that a person to whom a mail was forwarded, and who therefore knows the
//! second, cannot forge a report that the mail was not delivered. An address is no credential for reading or
//! answering a notice.

use domain::id::{NoticeId, ProviderId};
use platform::sealed::{Keyring, MacPurpose};
use uuid::Uuid;

/// What a return address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// The envelope's sender: receives delivery reports.
    Return,
    /// The `Reply-To`: receives replies of people and automatic replies.
    Reply,
}

impl AddressKind {
    const ALL: [Self; 2] = [Self::Return, Self::Reply];

    /// Identifies the format too: a new format gets another prefix.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Return => "b1-",
            Self::Reply => "r1-",
        }
    }

    const fn purpose(self) -> MacPurpose {
        match self {
            Self::Return => MacPurpose::MailReturn,
            Self::Reply => MacPurpose::MailReply,
        }
    }
}

/// One attempt to send a message by mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentMessage {
    pub notice_id: NoticeId,
    pub sequence: u16,
    /// Counts from 1.
    pub attempt: u16,
}

/// Notice (16), sequence (2, big endian), attempt (2).
const MESSAGE_LENGTH: usize = 16 + 2 + 2;
/// The message is followed by the MAC (16).
const LENGTH: usize = MESSAGE_LENGTH + 16;

impl SentMessage {
    fn bytes(&self) -> [u8; MESSAGE_LENGTH] {
        let mut bytes = [0; MESSAGE_LENGTH];
        bytes[..16].copy_from_slice(self.notice_id.uuid().as_bytes());
        bytes[16..18].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[18..].copy_from_slice(&self.attempt.to_be_bytes());
        bytes
    }
}

/// An address that was parsed. Its contents are untrusted until [`ParsedAddress::is_authentic`] has confirmed
/// them.
#[derive(Debug, Clone, Copy)]
pub struct ParsedAddress {
    pub kind: AddressKind,
    pub message: SentMessage,
    mac: [u8; 16],
}

/// The part before the @: at most 64 octets (RFC 5321 section 4.5.3.1.1), and readable after a change of
/// case.
pub fn local_part(
    keyring: &Keyring,
    kind: AddressKind,
    message: &SentMessage,
    provider: &ProviderId,
) -> String {
    let mut bytes = [0; LENGTH];
    bytes[..MESSAGE_LENGTH].copy_from_slice(&message.bytes());
    let fields: [&[u8]; 2] = [&message.bytes(), provider.as_str().as_bytes()];
    bytes[MESSAGE_LENGTH..].copy_from_slice(&keyring.short_mac(kind.purpose(), &fields));
    format!("{}{}", kind.prefix(), base32(&bytes))
}

/// Parses a return address; `None` if the address does not have its format or domain.
pub fn parse(address: &str, domain: &str) -> Option<ParsedAddress> {
    let (local, at) = address.rsplit_once('@')?;
    if !at.eq_ignore_ascii_case(domain) || local.len() > 64 {
        return None;
    }
    let local = local.to_ascii_lowercase();
    let (kind, text) = AddressKind::ALL
        .into_iter()
        .find_map(|kind| Some((kind, local.strip_prefix(kind.prefix())?)))?;
    let bytes: [u8; LENGTH] = from_base32(text)?.try_into().ok()?;
    let (message, mac) = bytes.split_first_chunk::<MESSAGE_LENGTH>()?;
    let number = |from: usize| u16::from_be_bytes([message[from], message[from + 1]]);
    Some(ParsedAddress {
        kind,
        message: SentMessage {
            notice_id: NoticeId::new(Uuid::from_slice(&message[..16]).ok()?),
            sequence: number(16),
            attempt: number(18),
        },
        mac: mac.try_into().ok()?,
    })
}

impl ParsedAddress {
    /// Whether we created the address, for a message to this provider.
    pub fn is_authentic(&self, keyring: &Keyring, provider: &ProviderId) -> bool {
        let fields: [&[u8]; 2] = [&self.message.bytes(), provider.as_str().as_bytes()];
        keyring.verify_short_mac(self.kind.purpose(), &fields, &self.mac)
    }
}

/// Base 32 of RFC 4648 section 6, in lower case and without padding.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    text
}

/// Refuses text whose unused bits are not zero, so that no two texts are the same address.
fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for symbol in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == symbol)?;
        buffer = buffer << 5 | value as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    (bits < 5 && buffer == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "returns.hotline.example";

    fn keyring() -> Keyring {
        let folder = tempfile::tempdir().unwrap();
        Keyring::create(&folder.path().join("keyring.json")).unwrap()
    }

    fn message() -> SentMessage {
        SentMessage {
            notice_id: NoticeId::new(Uuid::from_u128(0x1234_5678_9abc_def0_0fed_cba9_8765_4321)),
            sequence: 3,
            attempt: 700,
        }
    }

    #[test]
    fn an_address_is_parsed_as_it_was_created_even_if_its_case_was_changed() {
        let keyring = keyring();
        let amber: ProviderId = "amber-host".parse().unwrap();
        for kind in AddressKind::ALL {
            let local = local_part(&keyring, kind, &message(), &amber);
            assert!(local.len() <= 64, "{local}");
            for local in [local.clone(), local.to_ascii_uppercase()] {
                let parsed = parse(&format!("{local}@Returns.Hotline.Example"), DOMAIN).unwrap();
                assert_eq!((parsed.kind, parsed.message), (kind, message()));
                assert!(parsed.is_authentic(&keyring, &amber));
                assert!(!parsed.is_authentic(&keyring, &"other-host".parse().unwrap()));
            }
        }
    }

    #[test]
    fn a_forged_address_or_one_of_the_other_kind_is_not_authentic() {
        let keyring = keyring();
        let amber: ProviderId = "amber-host".parse().unwrap();
        let local = local_part(&keyring, AddressKind::Reply, &message(), &amber);
        let is_authentic = |local: &str| {
            parse(&format!("{local}@{DOMAIN}"), DOMAIN)
                .is_some_and(|parsed| parsed.is_authentic(&keyring, &amber))
        };
        assert!(is_authentic(&local));
        assert!(!is_authentic(&local.replacen("r1-", "b1-", 1)));
        for n in 0..local.len() {
            let mut forged = local.clone().into_bytes();
            forged[n] = if forged[n] == b'a' { b'b' } else { b'a' };
            assert!(
                !is_authentic(std::str::from_utf8(&forged).unwrap()),
                "character {n}"
            );
        }
        let whole = format!("{local}@{DOMAIN}");
        for bad in [
            "",
            "@",
            &local,
            "b1-@returns.hotline.example",
            "abuse@returns.hotline.example",
            &whole.replace(DOMAIN, "hotline.example"),
            &whole.replacen("r1-", "r1-a", 1),
            &format!("{}@{DOMAIN}", "r1-".to_owned() + &"a".repeat(5000)),
        ] {
            assert!(parse(bad, DOMAIN).is_none(), "{bad}");
        }
    }
}
