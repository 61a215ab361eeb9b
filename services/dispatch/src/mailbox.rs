//! The addresses that our mails come back to: each names one message and one attempt, and nobody else can make one.
//!
//! What cannot be delivered comes back to the envelope's sender (RFC 5321 section 4.5.5), what is answered to the
//! `Reply-To`. They are two kinds of address, so that whoever a mail was passed on to, and who has therefore seen the
//! second, cannot say that it never arrived. An address is no credential to read or to answer anything.

use domain::id::{NoticeId, ProviderId};
use platform::sealed::{Keyring, MacPurpose};
use uuid::Uuid;

/// What an address of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mailbox {
    /// The envelope's sender: reports of delivery.
    Return,
    /// Where people, and machines in their absence, answer to.
    Reply,
}

impl Mailbox {
    const ALL: [Self; 2] = [Self::Return, Self::Reply];

    /// Names the form, too: another form gets other letters.
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

/// One message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub notice_id: NoticeId,
    pub sequence: u16,
    /// Counts from 1; of a message that is sent again.
    pub attempt: u16,
}

/// Notice (16), sequence (2, big endian), attempt (2).
const SENT: usize = 16 + 2 + 2;
/// Behind it the MAC.
const LENGTH: usize = SENT + 16;

impl Sent {
    fn bytes(&self) -> [u8; SENT] {
        let mut bytes = [0; SENT];
        bytes[..16].copy_from_slice(self.notice_id.uuid().as_bytes());
        bytes[16..18].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[18..].copy_from_slice(&self.attempt.to_be_bytes());
        bytes
    }
}

/// An address that was read; it holds for nothing until [`Read::holds`].
#[derive(Debug, Clone, Copy)]
pub struct Read {
    pub mailbox: Mailbox,
    pub sent: Sent,
    mac: [u8; 16],
}

/// Left of the @: below 64 octets (RFC 5321 section 4.5.3.1.1), and the same where somebody changes its case.
pub fn local_part(
    keyring: &Keyring,
    mailbox: Mailbox,
    sent: &Sent,
    provider: &ProviderId,
) -> String {
    let mut bytes = [0; LENGTH];
    bytes[..SENT].copy_from_slice(&sent.bytes());
    let fields: [&[u8]; 2] = [&sent.bytes(), provider.as_str().as_bytes()];
    bytes[SENT..].copy_from_slice(&keyring.short_mac(mailbox.purpose(), &fields));
    format!("{}{}", mailbox.prefix(), base32(&bytes))
}

/// Takes an address of ours apart; `None` for what is none.
pub fn read(address: &str, domain: &str) -> Option<Read> {
    let (local, at) = address.rsplit_once('@')?;
    if !at.eq_ignore_ascii_case(domain) || local.len() > 64 {
        return None;
    }
    let local = local.to_ascii_lowercase();
    let (mailbox, text) = Mailbox::ALL
        .into_iter()
        .find_map(|mailbox| Some((mailbox, local.strip_prefix(mailbox.prefix())?)))?;
    let bytes: [u8; LENGTH] = from_base32(text)?.try_into().ok()?;
    let (sent, mac) = bytes.split_first_chunk::<SENT>()?;
    let number = |from: usize| u16::from_be_bytes([sent[from], sent[from + 1]]);
    Some(Read {
        mailbox,
        sent: Sent {
            notice_id: NoticeId::new(Uuid::from_slice(&sent[..16]).ok()?),
            sequence: number(16),
            attempt: number(18),
        },
        mac: mac.try_into().ok()?,
    })
}

impl Read {
    /// Whether we made it, for a message to this addressee.
    pub fn holds(&self, keyring: &Keyring, provider: &ProviderId) -> bool {
        let fields: [&[u8]; 2] = [&self.sent.bytes(), provider.as_str().as_bytes()];
        keyring.short_mac_holds(self.mailbox.purpose(), &fields, &self.mac)
    }
}

/// RFC 4648 section 6, in lower case and without padding.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(LETTERS[(held << (5 - bits) & 31) as usize]));
    }
    text
}

/// `None` also where bits are left over that are not zero: no two texts are one address.
fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0_u32, 0);
    for letter in text.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        held = held << 5 | value as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (bits < 5 && held == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "returns.hotline.example";

    fn keyring() -> Keyring {
        let folder = tempfile::tempdir().unwrap();
        Keyring::create(&folder.path().join("keyring.json")).unwrap()
    }

    fn sent() -> Sent {
        Sent {
            notice_id: NoticeId::new(Uuid::from_u128(0x1234_5678_9abc_def0_0fed_cba9_8765_4321)),
            sequence: 3,
            attempt: 700,
        }
    }

    #[test]
    fn an_address_is_read_as_it_was_made_also_where_its_case_was_changed() {
        let keyring = keyring();
        let amber: ProviderId = "amber-host".parse().unwrap();
        for mailbox in Mailbox::ALL {
            let local = local_part(&keyring, mailbox, &sent(), &amber);
            assert!(local.len() <= 64, "{local}");
            for local in [local.clone(), local.to_ascii_uppercase()] {
                let read = read(&format!("{local}@Returns.Hotline.Example"), DOMAIN).unwrap();
                assert_eq!((read.mailbox, read.sent), (mailbox, sent()));
                assert!(read.holds(&keyring, &amber));
                assert!(!read.holds(&keyring, &"other-host".parse().unwrap()));
            }
        }
    }

    #[test]
    fn nobody_else_can_make_one_and_one_kind_is_not_the_other() {
        let keyring = keyring();
        let amber: ProviderId = "amber-host".parse().unwrap();
        let local = local_part(&keyring, Mailbox::Reply, &sent(), &amber);
        let holds = |local: &str| {
            read(&format!("{local}@{DOMAIN}"), DOMAIN)
                .is_some_and(|read| read.holds(&keyring, &amber))
        };
        assert!(holds(&local));
        assert!(!holds(&local.replacen("r1-", "b1-", 1)));
        for n in 0..local.len() {
            let mut forged = local.clone().into_bytes();
            forged[n] = if forged[n] == b'a' { b'b' } else { b'a' };
            assert!(
                !holds(std::str::from_utf8(&forged).unwrap()),
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
            assert!(read(bad, DOMAIN).is_none(), "{bad}");
        }
    }
}
