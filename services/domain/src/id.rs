//! Ids. Each kind has its own type, so that one cannot be passed for another.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::Invalid;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident $field:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to be an id of this kind.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID, for the database and protobuf messages.
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
    /// A report.
    ReportId "report_id";
    /// A case.
    CaseId "case_id";
    /// A decision of verification.
    DecisionId "decision_id";
    /// A notice: unique for (case, provider, episode, step). A version 4 UUID, as XARF requires of report
    /// ids.
    NoticeId "notice_id";
    /// A review.
    ReviewId "review_id";
    /// An event.
    EventId "event_id";
    /// A partner.
    PartnerId "partner_id";
    /// A member of staff.
    Subject "subject";
    /// A rule.
    RuleId "rule_id";
    /// A police hold.
    PoliceHoldId "police_hold_id";
}

/// A provider id: 1 to 64 lower-case letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(String);

impl ProviderId {
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
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.len() > 64
            || !text.chars().all(is_allowed)
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

/// The reference of a report, given to its reporter: 20 characters of Crockford's base 32 (100 bits).
/// `Display` writes groups of five.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference(String);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const REFERENCE_SYMBOLS: usize = 20;

impl Reference {
    /// Encodes 100 bits of 13 random bytes.
    pub fn from_random(bytes: [u8; 13]) -> Self {
        let bits = bytes
            .iter()
            .fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let symbols: String = (0..REFERENCE_SYMBOLS)
            .map(|i| char::from(ALPHABET[((bits >> (5 * i)) & 31) as usize]))
            .collect();
        Self(symbols)
    }

    /// The symbols without separators, for tags.
    pub fn symbols(&self) -> &str {
        &self.0
    }
}

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

    /// Accepts any case, ignores spaces and hyphens, and reads O as 0 and I and L as 1.
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
        let is_symbol = |c: char| c.is_ascii() && ALPHABET.contains(&(c as u8));
        if symbols.chars().count() != REFERENCE_SYMBOLS || !symbols.chars().all(is_symbol) {
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
    fn a_reference_written_in_lower_case_with_spaces_is_read_back() {
        let reference = Reference::from_random([7; 13]);
        let written = reference.to_string().to_lowercase().replace('-', " ");
        assert_eq!(written.parse::<Reference>().unwrap(), reference);
        assert!("7K2QX".parse::<Reference>().is_err());
        assert_eq!(format!("{reference:?}"), "<reference>");
    }

    #[test]
    fn provider_ids_have_only_lower_case_letters_digits_and_inner_hyphens() {
        assert!("amber-host".parse::<ProviderId>().is_ok());
        for bad in ["", "-a", "a-", "A", "a b", "a/b", &"a".repeat(65)] {
            assert!(bad.parse::<ProviderId>().is_err(), "{bad:?}");
        }
    }
}
