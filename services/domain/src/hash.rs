//! Hashes of material, as hotlines exchange them: cryptographic hashes and the perceptual hash PDQ, parsed
//! from hex.
//!
//! Nothing here computes a hash: the material is never fetched. `Debug` and errors never show a hash.

use std::fmt;

use crate::Invalid;
pub use crate::enums::HashKind;

/// Largest Hamming distance, in bits, at which two PDQ hashes match: the threshold that the authors of PDQ
/// recommend ("The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm").
pub const PDQ_MATCH_DISTANCE: u32 = 31;

/// Why a text is not a hash of the given kind. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("a {} hash has {} hexadecimal digits", .0.as_str(), .0.octets() * 2)]
    Length(HashKind),
    #[error("a {} hash is written in hexadecimal digits only", .0.as_str())]
    NotHex(HashKind),
}

impl HashError {
    /// Stable code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length(_) => "hash_length",
            Self::NotHex(_) => "hash_not_hex",
        }
    }

    /// What to send instead, for people.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Length(HashKind::Sha256) => "Send SHA-256 as 64 hexadecimal digits.",
            Self::Length(HashKind::Sha1) => "Send SHA-1 as 40 hexadecimal digits.",
            Self::Length(HashKind::Md5) => "Send MD5 as 32 hexadecimal digits.",
            Self::Length(HashKind::Pdq) => "Send PDQ as 64 hexadecimal digits.",
            Self::NotHex(_) => "Write the hash with the digits 0-9 and the letters a-f only.",
        }
    }

    /// The error for the field that held the hash, such as `reports[3].hashes[0].value`.
    pub fn into_invalid(self, field: impl Into<String>) -> Invalid {
        Invalid::new(self.code(), field, self.detail())
    }
}

impl HashKind {
    /// Length of the hash in bytes.
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha256 | Self::Pdq => 32,
            Self::Sha1 => 20,
            Self::Md5 => 16,
        }
    }
}

/// One type for each kind, so that hashes of the same length but of different kinds cannot be confused.
macro_rules! hash_types {
    ($($name:ident, $octets:literal;)*) => {$(
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $octets]);

        impl $name {
            /// Parses hex in either case; surrounding white space is ignored.
            pub fn parse(text: &str) -> Result<Self, HashError> {
                from_hex(HashKind::$name, text).map(Self)
            }

            pub const fn from_octets(octets: [u8; $octets]) -> Self {
                Self(octets)
            }

            /// The bytes. Only this and [`Self::reveal_hex`] expose the value.
            pub const fn reveal_octets(&self) -> &[u8; $octets] {
                &self.0
            }

            /// The value in lower-case hex.
            pub fn reveal_hex(&self) -> String {
                hex::encode(self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "<{}>", HashKind::$name.as_str())
            }
        }

        impl From<$name> for Hash {
            fn from(hash: $name) -> Self {
                Self::$name(hash)
            }
        }
    )*};
}

hash_types! {
    Sha256, 32;
    Sha1, 20;
    Md5, 16;
    Pdq, 32;
}

impl Pdq {
    /// Hamming distance: the number of differing bits, 0 to 256.
    pub fn distance(&self, other: &Self) -> u32 {
        self.0
            .iter()
            .zip(other.0)
            .map(|(left, right)| (left ^ right).count_ones())
            .sum()
    }

    /// True if the distance is at most [`PDQ_MATCH_DISTANCE`].
    pub fn is_match(&self, other: &Self) -> bool {
        self.distance(other) <= PDQ_MATCH_DISTANCE
    }
}

/// A hash of any kind. It describes a report and never identifies a case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    Sha256(Sha256),
    Sha1(Sha1),
    Md5(Md5),
    Pdq(Pdq),
}

impl Hash {
    pub fn parse(kind: HashKind, text: &str) -> Result<Self, HashError> {
        Ok(match kind {
            HashKind::Sha256 => Sha256::parse(text)?.into(),
            HashKind::Sha1 => Sha1::parse(text)?.into(),
            HashKind::Md5 => Md5::parse(text)?.into(),
            HashKind::Pdq => Pdq::parse(text)?.into(),
        })
    }

    pub const fn kind(&self) -> HashKind {
        match self {
            Self::Sha256(_) => HashKind::Sha256,
            Self::Sha1(_) => HashKind::Sha1,
            Self::Md5(_) => HashKind::Md5,
            Self::Pdq(_) => HashKind::Pdq,
        }
    }

    pub const fn reveal_octets(&self) -> &[u8] {
        match self {
            Self::Sha256(hash) => hash.reveal_octets(),
            Self::Sha1(hash) => hash.reveal_octets(),
            Self::Md5(hash) => hash.reveal_octets(),
            Self::Pdq(hash) => hash.reveal_octets(),
        }
    }

    /// The value in lower-case hex.
    pub fn reveal_hex(&self) -> String {
        hex::encode(self.reveal_octets())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.kind().as_str())
    }
}

fn from_hex<const N: usize>(kind: HashKind, text: &str) -> Result<[u8; N], HashError> {
    let digits = text.trim();
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(HashError::NotHex(kind));
    }
    let mut octets = [0; N];
    hex::decode_to_slice(digits, &mut octets).map_err(|_| HashError::Length(kind))?;
    Ok(octets)
}
