//! How times, ages, counts and words look on a page. Pure; must not decide what is shown.

use std::fmt;

use askama::filters::HtmlSafe;
use prost_types::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

const MACHINE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const PEOPLE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// A moment as `<time>`, with its distance from now in words. Nothing where it did not happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    at: Option<OffsetDateTime>,
    now: OffsetDateTime,
    words: bool,
}

impl When {
    /// The moment itself.
    pub(crate) fn at(at: Option<&Timestamp>, now: OffsetDateTime) -> Self {
        Self {
            at: at.and_then(|at| domain::wire::time("at", at).ok()),
            now,
            words: false,
        }
    }

    /// This moment: when what is shown was true.
    pub(crate) fn now(now: OffsetDateTime) -> Self {
        Self {
            at: Some(now),
            now,
            words: false,
        }
    }

    /// The distance alone; the moment is in the title.
    pub(crate) fn age(at: Option<&Timestamp>, now: OffsetDateTime) -> Self {
        Self {
            words: true,
            ..Self::at(at, now)
        }
    }

    pub(crate) fn is_some(&self) -> bool {
        self.at.is_some()
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.at else {
            return f.write_str("<span class=\"none\">–</span>");
        };
        let (Ok(machine), Ok(people)) = (at.format(MACHINE), at.format(PEOPLE)) else {
            return Ok(());
        };
        if self.words {
            let age = distance(at - self.now);
            write!(
                f,
                "<time datetime=\"{machine}\" title=\"{people} UTC\">{age}</time>"
            )
        } else {
            write!(f, "<time datetime=\"{machine}\">{people}</time>")
        }
    }
}

impl HtmlSafe for When {}

/// From now to a moment, in words.
fn distance(to: Duration) -> String {
    if to.is_positive() {
        format!("in {}", long(to))
    } else {
        format!("{} ago", long(-to))
    }
}

/// A length in words, in its two largest units.
fn long(length: Duration) -> String {
    let seconds = length.whole_seconds();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let unit = |n: i64, name: &str| format!("{n} {name}{}", if n == 1 { "" } else { "s" });
    match seconds {
        0..60 => unit(seconds, "second"),
        60..3600 => unit(minutes, "minute"),
        3600..86_400 if minutes % 60 == 0 => unit(hours, "hour"),
        3600..86_400 => format!("{} {} min", unit(hours, "hour"), minutes % 60),
        86_400..1_209_600 if hours % 24 != 0 => format!("{} {} h", unit(days, "day"), hours % 24),
        _ => unit(days, "day"),
    }
}

/// A measured length, in seconds.
pub(crate) fn length(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "–".to_owned(),
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        s => long(Duration::seconds(s.round() as i64)),
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `being_looked_at` as "Being looked at".
pub(crate) fn label(word: &str) -> String {
    let text = word.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// `NoticeDelivered` as "Notice delivered".
pub(crate) fn event_label(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
            text.extend(letter.to_lowercase());
        } else {
            text.push(letter);
        }
    }
    text
}

/// A word of the wire by its number; empty where there is none.
macro_rules! word {
    ($kind:ident, $number:expr) => {
        domain::word::$kind::from_wire($number).map_or("", domain::word::$kind::as_str)
    };
}
pub(crate) use word;

/// The end of an id, which is random where its beginning tells the time: enough for the eye, beside a link that has all
/// of it.
pub(crate) fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn ages_are_words() {
        for (seconds, words) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (3599, "59 minutes"),
            (3600, "1 hour"),
            (5400, "1 hour 30 min"),
            (90_000, "1 day 1 h"),
            (864_000, "10 days"),
            (2_592_000, "30 days"),
        ] {
            assert_eq!(long(Duration::seconds(seconds)), words);
        }
    }

    #[test]
    fn a_moment_says_when_for_people_and_programs() {
        let now = datetime!(2026-03-01 12:00 UTC);
        let past = domain::wire::timestamp(now - Duration::minutes(3));
        let page = When::age(Some(&past), now).to_string();
        assert!(page.contains("datetime=\"2026-03-01T11:57:00Z\""));
        assert!(page.contains(">3 minutes ago<"));
        assert!(!When::age(None, now).is_some());
    }

    #[test]
    fn counts_and_words_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(label("being_looked_at"), "Being looked at");
        assert_eq!(event_label("NoticeDelivered"), "Notice delivered");
        assert_eq!(length(0.25), "250 ms");
        assert_eq!(length(61.0), "1 minute");
    }
}
