//! How times, durations, counts, ids and states are written on a page. Pure functions without access to requests.

use std::fmt;

use askama::filters::HtmlSafe;
use prost_types::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

const MACHINE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const READABLE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// In place of a figure that is not available.
pub(crate) const NOT_AVAILABLE: &str = "–";

/// A time as a `<time>` element: the time itself in UTC, or its distance from now. A dash where there is no time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeText {
    at: Option<OffsetDateTime>,
    now: OffsetDateTime,
    is_relative: bool,
}

impl TimeText {
    /// The time itself.
    pub(crate) fn absolute(at: Option<&Timestamp>, now: OffsetDateTime) -> Self {
        Self {
            at: at.and_then(|at| domain::wire::time("at", at).ok()),
            now,
            is_relative: false,
        }
    }

    /// The present time: when the figures on the page were read.
    pub(crate) fn now(now: OffsetDateTime) -> Self {
        Self {
            at: Some(now),
            now,
            is_relative: false,
        }
    }

    /// The distance from now, with the time in the title.
    pub(crate) fn relative(at: Option<&Timestamp>, now: OffsetDateTime) -> Self {
        Self {
            is_relative: true,
            ..Self::absolute(at, now)
        }
    }

    /// Prints a dash.
    pub(crate) fn none(now: OffsetDateTime) -> Self {
        Self::absolute(None, now)
    }

    pub(crate) fn is_some(&self) -> bool {
        self.at.is_some()
    }
}

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.at else {
            return write!(f, "<span class=\"none\">{NOT_AVAILABLE}</span>");
        };
        let (Ok(machine), Ok(readable)) = (at.format(MACHINE_TIME), at.format(READABLE_TIME))
        else {
            return Ok(());
        };
        if self.is_relative {
            let distance = format_distance(at - self.now);
            write!(
                f,
                "<time datetime=\"{machine}\" title=\"{readable} UTC\">{distance}</time>"
            )
        } else {
            write!(f, "<time datetime=\"{machine}\">{readable}</time>")
        }
    }
}

impl HtmlSafe for TimeText {}

/// From now to a time: "in 3 minutes", "3 minutes ago".
fn format_distance(to: Duration) -> String {
    if to.is_positive() {
        format!("in {}", format_length(to))
    } else {
        format!("{} ago", format_length(-to))
    }
}

/// A duration in its two largest units.
fn format_length(length: Duration) -> String {
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

/// A measured duration, from seconds.
pub(crate) fn format_seconds(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => NOT_AVAILABLE.to_owned(),
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        s => format_length(Duration::seconds(s.round() as i64)),
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn format_count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A gauge's value. Gauges are counts or whole seconds, and never negative.
pub(crate) fn format_gauge(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    format_count(value.max(0.0).round() as u64)
}

/// A share of a whole, rounded down; a dash where the whole is nothing.
pub(crate) fn format_percent(part: u64, whole: u64) -> String {
    let percent = (part * 100).checked_div(whole);
    percent.map_or_else(|| NOT_AVAILABLE.to_owned(), |share| format!("{share}%"))
}

/// Text, or a dash where there is none.
pub(crate) fn or_dash(text: String) -> String {
    if text.is_empty() {
        NOT_AVAILABLE.to_owned()
    } else {
        text
    }
}

/// The label of a value of a closed vocabulary: `being_assessed` as "Being assessed". Abbreviations keep their capitals.
pub(crate) fn label(name: &str) -> String {
    match name {
        "api" => return "API".to_owned(),
        "cdn" => return "CDN".to_owned(),
        "soft_404" => return "The page may already be offline (soft 404)".to_owned(),
        "reappeared_changed" => return "Changed content at the URL".to_owned(),
        "no_contact" => return "No contact known".to_owned(),
        "replied" => return "A provider replied by mail".to_owned(),
        _ => {}
    }
    let text = name.replace('_', " ");
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// `NoticeDelivered` as "Notice delivered".
pub(crate) fn event_label(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push(' ');
            text.extend(character.to_lowercase());
        } else {
            text.push(character);
        }
    }
    match text.strip_prefix("Url ") {
        Some(rest) => format!("URL {rest}"),
        None => text,
    }
}

/// The name of an enum value by its number on the wire; empty where it is absent or unknown.
macro_rules! wire_name {
    ($kind:ident, $number:expr) => {
        domain::enums::$kind::from_wire($number).map_or("", domain::enums::$kind::as_str)
    };
}
pub(crate) use wire_name;

/// The end of an id, which is random, whereas its beginning is a time: enough to tell rows apart beside a link with the
/// whole id.
pub(crate) fn short_id(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

/// A state of a case or a notice as a badge: its name, a symbol and a colour, so that nothing depends on colour alone.
#[derive(Debug, Clone)]
pub(crate) struct StateBadge {
    name: &'static str,
    label: String,
}

impl StateBadge {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            label: label(name),
        }
    }
}

impl fmt::Display for StateBadge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, symbol) = match self.name {
            "queued"
            | "claimed"
            | "awaiting_second_opinion"
            | "under_review"
            | "needs_information"
            | "need_information"
            | "need_time"
            | "disputed"
            | "police_hold"
            | "held" => ("tag waiting", "… "),
            "removed" | "offline" | "watched" => ("tag good", "✓ "),
            "online" | "exhausted" | "bounced" | "no_action" | "escalated" => ("tag bad", "! "),
            _ => ("tag", ""),
        };
        // Labels come from closed vocabularies: they contain nothing that HTML would interpret.
        write!(
            f,
            "<span class=\"{class}\"><span aria-hidden=\"true\">{symbol}</span>{}</span>",
            self.label
        )
    }
}

impl HtmlSafe for StateBadge {}

/// A figure that may be an alarm: then it has a symbol, text for assistive technology and a colour.
#[derive(Debug, Clone)]
pub(crate) struct AlarmFigure {
    figure: String,
    is_alarm: bool,
}

impl AlarmFigure {
    /// `figure` must be text that we format ourselves, such as a number: it is not escaped.
    pub(crate) fn new(figure: String, is_alarm: bool) -> Self {
        Self { figure, is_alarm }
    }

    pub(crate) fn is_alarm(&self) -> bool {
        self.is_alarm
    }
}

impl fmt::Display for AlarmFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_alarm {
            f.write_str("<span aria-hidden=\"true\">! </span><span class=\"sr\">Alarm: </span>")?;
        }
        f.write_str(&self.figure)
    }
}

impl HtmlSafe for AlarmFigure {}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, text) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (3599, "59 minutes"),
            (3600, "1 hour"),
            (5400, "1 hour 30 min"),
            (90_000, "1 day 1 h"),
            (864_000, "10 days"),
            (2_592_000, "30 days"),
        ] {
            assert_eq!(format_length(Duration::seconds(seconds)), text);
        }
    }

    #[test]
    fn a_time_is_readable_for_people_and_programs() {
        let now = datetime!(2026-03-01 12:00 UTC);
        let past = domain::wire::timestamp(now - Duration::minutes(3));
        let html = TimeText::relative(Some(&past), now).to_string();
        assert!(html.contains("datetime=\"2026-03-01T11:57:00Z\""));
        assert!(html.contains(">3 minutes ago<"));
        assert!(!TimeText::none(now).is_some());
    }

    #[test]
    fn counts_durations_and_names_are_readable() {
        assert_eq!(format_count(0), "0");
        assert_eq!(format_count(999), "999");
        assert_eq!(format_count(1_234_567), "1,234,567");
        assert_eq!(label("being_assessed"), "Being assessed");
        assert_eq!(event_label("NoticeDelivered"), "Notice delivered");
        assert_eq!(event_label("UrlRevealed"), "URL revealed");
        assert_eq!(format_seconds(0.25), "250 ms");
        assert_eq!(format_seconds(61.0), "1 minute");
        assert_eq!(format_percent(1, 3), "33%");
        assert_eq!(format_percent(0, 0), "–");
    }

    #[test]
    fn a_state_and_an_alarm_are_shown_by_a_symbol_as_well_as_by_colour() {
        assert!(StateBadge::new("bounced").to_string().contains(">! <"));
        assert!(StateBadge::new("removed").to_string().contains(">✓ <"));
        assert!(StateBadge::new("queued").to_string().contains(">… <"));
        let alarm = AlarmFigure::new("3".into(), true).to_string();
        assert!(alarm.contains("! ") && alarm.contains("Alarm: "));
        assert_eq!(AlarmFigure::new("3".into(), false).to_string(), "3");
    }
}
