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

/// As [`text`], but may be empty.
pub fn optional_text(field: &str, value: &str, max: usize) -> Result<String, Invalid> {
    let value = value.trim();
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
    Ok(value.to_owned())
}
