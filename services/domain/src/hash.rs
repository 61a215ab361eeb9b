//! Hashes of material, as hotlines exchange them: cryptographic digests and the perceptual PDQ, each parsed from hex here or nowhere.
//! Must not compute a hash of anything (the material is never fetched), and no `Debug` or error shows one.

use std::fmt;

use crate::Invalid;
pub use crate::word::HashKind;

/// Two images whose PDQ hashes differ in at most this many of 256 bits are taken for the same: the threshold that PDQ's authors
/// recommend ("The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm").
pub const PDQ_NEAR: u32 = 31;

/// Why a text is not a hash of the kind it was sent as. Neither variant carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("a {} hash has {} hexadecimal digits", .0.as_str(), .0.octets() * 2)]
    Length(HashKind),
    #[error("a {} hash is written in hexadecimal digits only", .0.as_str())]
    NotHex(HashKind),
}

impl HashError {
    /// Stable, for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length(_) => "hash_length",
            Self::NotHex(_) => "hash_not_hex",
        }
    }

    /// What to send instead.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Length(HashKind::Sha256) => "Send SHA-256 as 64 hexadecimal digits.",
            Self::Length(HashKind::Sha1) => "Send SHA-1 as 40 hexadecimal digits.",
            Self::Length(HashKind::Md5) => "Send MD5 as 32 hexadecimal digits.",
            Self::Length(HashKind::Pdq) => "Send PDQ as 64 hexadecimal digits.",
            Self::NotHex(_) => "Write the hash with the digits 0-9 and the letters a-f only.",
        }
    }

    /// The refusal of the field where the hash stood, such as `items[3].sha256`.
    pub fn at(self, field: impl Into<String>) -> Invalid {
        Invalid::new(self.code(), field, self.sentence())
    }
}

impl HashKind {
    /// Length of the hash, in octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha256 | Self::Pdq => 32,
            Self::Sha1 => 20,
            Self::Md5 => 16,
        }
    }
}

/// One type for each kind, so that a look-up of one cannot be asked with another of the same length.
macro_rules! hash_types {
    ($($name:ident, $octets:literal;)*) => {$(
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $octets]);

        impl $name {
            /// Reads hex in either case; white space around it does not count.
            pub fn parse(text: &str) -> Result<Self, HashError> {
                from_hex(HashKind::$name, text).map(Self)
            }

            pub const fn from_octets(octets: [u8; $octets]) -> Self {
                Self(octets)
            }

            /// With [`Self::reveal_hex`] the only way to the value.
            pub const fn reveal_octets(&self) -> &[u8; $octets] {
                &self.0
            }

            /// Lower-case hex.
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
    /// Hamming distance: how many of the 256 bits differ.
    pub fn distance(&self, other: &Self) -> u32 {
        self.0
            .iter()
            .zip(other.0)
            .map(|(mine, theirs)| (mine ^ theirs).count_ones())
            .sum()
    }

    pub fn is_near(&self, other: &Self) -> bool {
        self.distance(other) <= PDQ_NEAR
    }
}

/// A hash of any kind. It is a tag of a report, never the identity of a case.
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

    /// Lower-case hex.
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
