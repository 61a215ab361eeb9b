//! Marks: by which the very same page is known again. Must not keep anything that a page could be found by.

use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::case::Seen;
use super::row::Reader;
use crate::Error;

/// A digest of what a place looked like: status, length, ETag and type.
#[derive(Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    pub fn of(seen: &Seen) -> Self {
        let length = seen.length.map(|length| length.to_string());
        let told = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let line = format!(
            "{} {} {} {}",
            seen.status,
            told(&length),
            told(&seen.etag),
            told(&seen.content_type)
        );
        Self(hex::encode(&Sha256::digest(line)[..16]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 32 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(())
        }
    }
}

/// Several in one column, with blanks between.
pub(super) fn read(r: &Reader<'_>, column: &'static str) -> Result<Vec<Mark>, Error> {
    let text: Option<&str> = r.get(column)?;
    let marks = text.unwrap_or_default().split_whitespace();
    marks
        .map(|mark| mark.parse().map_err(|()| r.damaged(column)))
        .collect()
}

pub(super) fn text(marks: &[Mark]) -> Option<String> {
    let marks: Vec<&str> = marks.iter().map(Mark::as_str).collect();
    (!marks.is_empty()).then(|| marks.join(" "))
}
