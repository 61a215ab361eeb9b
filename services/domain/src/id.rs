//! Ids. Each names one kind of thing and cannot be given where another is asked for.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::Invalid;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident $field:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an id that is known to be one of these.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare id, for the database and the wire.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                if text.is_empty() {
                    return Err(Invalid::missing($field));
                }
                Uuid::parse_str(text).map(Self).map_err(|_| {
                    Invalid::new(
                        "id_malformed",
                        $field,
                        concat!("`", $field, "` is not a UUID; send it as 8-4-4-4-12 hexadecimal digits"),
                    )
                })
            }
        }
    )*};
}

uuid_ids! {
    /// One reported item.
    ReportId "report_id";
    /// One URL under assessment and removal.
    CaseId "case_id";
    /// One decision of verification.
    DecisionId "decision_id";
    /// One notice: unique for (case, provider, episode, step). Version 4, as XARF asks of report ids.
    NoticeId "notice_id";
    /// One question put to verification about a standing verdict.
    ReviewId "review_id";
    /// One event, by name.
    EventId "event_id";
    /// One submitting organisation.
    PartnerId "partner_id";
    /// One member of staff.
    Subject "subject";
    /// One standing rule.
    RuleId "rule_id";
    /// One police hold.
    HoldId "hold_id";
}

/// A provider's short name: 1 to 64 lower-case letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(String);

impl ProviderId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ProviderId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::missing("provider_id"));
        }
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.len() > 64
            || !text.chars().all(inner)
            || text.starts_with('-')
            || text.ends_with('-')
        {
            return Err(Invalid::new(
                "provider_id_malformed",
                "provider_id",
                "a provider id has 1 to 64 lower-case letters, digits and inner hyphens",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a reporter holds: 20 characters of Crockford's base 32 (100 bits), in groups of five.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference(String);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const REFERENCE_SYMBOLS: usize = 20;

impl Reference {
    /// Spells 13 random bytes (100 bits of them are used).
    pub fn from_random(bytes: [u8; 13]) -> Self {
        let bits = bytes
            .iter()
            .fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let symbols: String = (0..REFERENCE_SYMBOLS)
            .map(|i| char::from(ALPHABET[((bits >> (5 * i)) & 31) as usize]))
            .collect();
        Self(symbols)
    }

    /// The bare symbols, for tags.
    pub fn symbols(&self) -> &str {
        &self.0
    }
}

/// In groups, as it is given to a person.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, symbol) in self.0.chars().enumerate() {
            if i > 0 && i % 5 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{symbol}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<reference>")
    }
}

impl FromStr for Reference {
    type Err = Invalid;

    /// Forgives case, spaces and hyphens, and the letters that people mistake (O, I, L).
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let symbols: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .take(REFERENCE_SYMBOLS + 1)
            .collect();
        let known = |c: char| c.is_ascii() && ALPHABET.contains(&(c as u8));
        if symbols.chars().count() != REFERENCE_SYMBOLS || !symbols.chars().all(known) {
            return Err(Invalid::new(
                "reference_malformed",
                "reference",
                "a reference has 20 letters and digits, such as 7K2QX-M04DZ-9R1TB-EWH5C; copy it from the receipt",
            ));
        }
        Ok(Self(symbols))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_survives_being_written_down() {
        let reference = Reference::from_random([7; 13]);
        let written = reference.to_string().to_lowercase().replace('-', " ");
        assert_eq!(written.parse::<Reference>().unwrap(), reference);
        assert!("7K2QX".parse::<Reference>().is_err());
        assert_eq!(format!("{reference:?}"), "<reference>");
    }

    #[test]
    fn provider_ids_are_plain_names() {
        assert!("amber-host".parse::<ProviderId>().is_ok());
        for bad in ["", "-a", "a-", "A", "a b", "a/b", &"a".repeat(65)] {
            assert!(bad.parse::<ProviderId>().is_err(), "{bad:?}");
        }
    }
}
