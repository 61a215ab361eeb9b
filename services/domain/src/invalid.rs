//! What is said of input that cannot be taken: a stable code, a place, and what to send instead.

use thiserror::Error;

/// Input that was refused. Never carries the input itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {detail}")]
pub struct Invalid {
    /// Stable, for programs: `url_scheme`, `field_missing` …
    pub code: &'static str,
    /// Where it stood, as a path: `items[3].url`.
    pub field: String,
    /// A sentence for people that says what to send instead.
    pub detail: String,
}

impl Invalid {
    /// Refuses the value of `field`.
    pub fn new(code: &'static str, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code,
            field: field.into(),
            detail: detail.into(),
        }
    }

    /// Refuses a field that must be there.
    pub fn missing(field: impl Into<String>) -> Self {
        let field = field.into();
        let detail = format!("`{field}` is required; send a value for it");
        Self::new("field_missing", field, detail)
    }

    /// The same refusal, seen from one level further out: `url` becomes `items[3].url`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = if self.field.is_empty() {
            outer.to_owned()
        } else {
            format!("{outer}.{}", self.field)
        };
        self
    }
}

/// Text of a field: trimmed, not empty, without control characters, at most `max` characters.
pub fn text(field: &str, value: &str, max: usize) -> Result<String, Invalid> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Invalid::missing(field));
    }
    optional_text(field, value, max)
}

/// As [`text`], but may be empty. A line has one ending here, whatever the sender's machine writes: forms send CR LF.
pub fn optional_text(field: &str, value: &str, max: usize) -> Result<String, Invalid> {
    let value = value.trim().replace("\r\n", "\n").replace('\r', "\n");
    if value.chars().count() > max {
        return Err(Invalid::new(
            "field_too_long",
            field,
            format!("`{field}` may have at most {max} characters; shorten it"),
        ));
    }
    if value
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(Invalid::new(
            "field_control_character",
            field,
            format!("`{field}` contains a control character; send plain text"),
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_one_way_and_other_control_characters_are_refused() {
        let typed = optional_text("text", " one\r\ntwo\rthree\nfour ", 100);
        assert_eq!(typed.as_deref(), Ok("one\ntwo\nthree\nfour"));
        // What counts is what is kept.
        assert!(optional_text("text", "a\r\nb", 3).is_ok());
        let refused = optional_text("text", "a\0b", 100).unwrap_err();
        assert_eq!(refused.code, "field_control_character");
    }
}
