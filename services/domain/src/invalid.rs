//! The error for invalid input: a stable code, the path of the field, and what to send instead.

use thiserror::Error;

/// Invalid input. Never contains the input itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {detail}")]
pub struct Invalid {
    /// Stable code for programs, such as `url_scheme_not_allowed` or `field_missing`.
    pub code: &'static str,
    /// Path of the field, such as `reports[3].url`.
    pub field: String,
    /// Text for people that states what to send instead.
    pub detail: String,
}

impl Invalid {
    /// An invalid value of `field`.
    pub fn new(code: &'static str, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code,
            field: field.into(),
            detail: detail.into(),
        }
    }

    /// A required field that is absent.
    pub fn missing(field: impl Into<String>) -> Self {
        let field = field.into();
        let detail = format!("`{field}` is required; send a value for it");
        Self::new("field_missing", field, detail)
    }

    /// Prefixes the path with `outer`: `url` becomes `reports[3].url`.
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

/// Parses a required text field: trimmed, not empty, without control characters, at most `max` characters.
///
/// # Errors
/// `field_missing`, `field_too_long` or `field_control_character`.
pub fn text(field: &str, value: &str, max: usize) -> Result<String, Invalid> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Invalid::missing(field));
    }
    optional_text(field, value, max)
}

/// As [`text`], but the field may be empty. Line endings become LF, because HTML forms send CR LF.
///
/// # Errors
/// `field_too_long` or `field_control_character`.
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
    fn line_endings_become_lf_and_other_control_characters_are_refused() {
        let parsed = optional_text("text", " one\r\ntwo\rthree\nfour ", 100);
        assert_eq!(parsed.as_deref(), Ok("one\ntwo\nthree\nfour"));
        // The maximum applies to the result.
        assert!(optional_text("text", "a\r\nb", 3).is_ok());
        let refused = optional_text("text", "a\0b", 100).unwrap_err();
        assert_eq!(refused.code, "field_control_character");
    }
}
