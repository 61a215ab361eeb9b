//! Parses JSON. Errors name the path and the expected type, never the value, which may be the URL of illegal
//! material.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use crate::problem::ProblemResponse;

/// Parses a whole body.
pub(crate) fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, ProblemResponse> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| refusal("", &field_path(error.path()), error.inner()))?;
    deserializer
        .end()
        .map_err(|error| refusal("", "", &error))?;
    Ok(value)
}

/// Parses one element of a list separately, so that an invalid element does not affect the others. `path` is
/// the element's path in the body.
pub(crate) fn element<T: DeserializeOwned>(
    path: &str,
    raw: &RawValue,
) -> Result<T, ProblemResponse> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| refusal(path, &field_path(error.path()), error.inner()))
}

/// The `external_id` of an element that is otherwise invalid, if it can be read.
pub(crate) fn external_id(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct ExternalIdField {
        external_id: String,
    }
    serde_json::from_str::<ExternalIdField>(raw.get())
        .ok()
        .map(|field| field.external_id)
        .filter(|id| id.chars().count() <= 128)
}

fn refusal(outer: &str, path: &str, error: &serde_json::Error) -> ProblemResponse {
    match error.classify() {
        Category::Data => {
            let text = error.to_string();
            let (code, detail, name) = describe_data_error(&text);
            // The path of an unknown or repeated field may end with its name already.
            let has_name = code != "field_missing" && path.rsplit('.').next() == Some(name);
            let field = join(&join(outer, path), if has_name { "" } else { name });
            let response = ProblemResponse::malformed(code, detail);
            if field.is_empty() {
                response
            } else {
                response.field(field)
            }
        }
        // The body as a whole has been parsed, so the syntax error is in a string of the element.
        Category::Io | Category::Syntax | Category::Eof if !outer.is_empty() => ProblemResponse::malformed(
            "json_malformed",
            "This contains an invalid string, such as half of a \\u surrogate pair; correct it and send this element again.",
        )
        .field(join(outer, path)),
        Category::Io | Category::Syntax | Category::Eof => ProblemResponse::malformed(
            "json_malformed",
            format!(
                "The body is not valid JSON: there is an error at line {}, column {}.",
                error.line(),
                error.column()
            ),
        ),
    }
}

/// The path of a field. Leaves out keys that are not shaped like field names, because they may contain anything.
fn field_path(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("[{index}]")),
            Segment::Map { key } if is_name(key) => Some(key.clone()),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => None,
        })
        .fold(String::new(), |outer, inner| join(&outer, &inner))
}

/// Code, detail and field name from serde's message. Uses only the parts of the message that come from our
/// own types, and names shaped like field names.
fn describe_data_error(text: &str) -> (&'static str, String, &str) {
    let quoted = |start: &str| {
        let rest = text.strip_prefix(start)?;
        let (name, _) = rest.strip_prefix('`')?.split_once('`')?;
        Some(if is_name(name) { name } else { "" })
    };
    if let Some(name) = quoted("unknown field ") {
        let label = if name.is_empty() {
            "A field".to_owned()
        } else {
            format!("`{name}`")
        };
        return (
            "field_unknown",
            format!("{label} is not known here; leave it out, or check its name."),
            name,
        );
    }
    if let Some(name) = quoted("missing field ") {
        return (
            "field_missing",
            format!("`{name}` is required; send a value for it"),
            name,
        );
    }
    if let Some(name) = quoted("duplicate field ") {
        return (
            "field_repeated",
            format!("`{name}` occurs twice; send it once."),
            name,
        );
    }
    // `invalid type: string "…", expected a list at line 1 column 9`: only the expectation is ours.
    let text = text
        .rsplit_once(" at line ")
        .map_or(text, |(front, _)| front);
    let detail = match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("Wrong type: expected {}.", json_type(expected)),
        None => "Wrong type; see /openapi.json for the expected one.".to_owned(),
    };
    ("field_type", detail, "")
}

/// What serde expected, in the terms of JSON.
fn json_type(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other => other,
    }
}

/// Short and plain enough to be repeated in an error.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn join(outer: &str, inner: &str) -> String {
    if outer.is_empty() || inner.is_empty() || inner.starts_with('[') {
        format!("{outer}{inner}")
    } else {
        format!("{outer}.{inner}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only deserialized")]
    struct Sample {
        name: String,
        #[serde(default)]
        nested: Vec<Nested>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only deserialized")]
    struct Nested {
        count: u32,
    }

    fn refused(body: &str) -> (String, Option<String>, String) {
        let response = document::<Sample>(body.as_bytes()).unwrap_err();
        let problem = *response.problem;
        (problem.code.into_owned(), problem.field, problem.detail)
    }

    #[test]
    fn an_error_names_the_path_and_the_expected_type_and_never_the_value() {
        let (code, field, _) = refused(r#"{"name":"a","colour":1}"#);
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("field_unknown", Some("colour"))
        );
        let (code, field, _) = refused(r#"{"nested":[]}"#);
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("field_missing", Some("name"))
        );
        let (code, field, _) = refused(r#"{"name":"a","nested":[{"count":1},{}]}"#);
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("field_missing", Some("nested[1].count"))
        );
        let (code, field, _) = refused(r#"{"name":"a","name":"b"}"#);
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("field_repeated", Some("name"))
        );
        let (code, field, detail) =
            refused(r#"{"name":"a","nested":[{"count":"https://secret.example/, expected x"}]}"#);
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("field_type", Some("nested[0].count"))
        );
        assert_eq!(detail, "Wrong type: expected a whole number.");
        let (_, field, _) = refused(r#"{"name":"a","nested":[{"count":1,"nested":2}]}"#);
        assert_eq!(field.as_deref(), Some("nested[0].nested"));
        let (_, field, detail) = refused(r#"{"name":"a","https://secret.example/":1}"#);
        assert!(!format!("{field:?} {detail}").contains("secret"));
    }

    #[test]
    fn a_syntax_error_is_reported_with_its_line_or_its_element() {
        let (code, _, detail) = refused("{\n  \"name\": oops }");
        assert_eq!(code, "json_malformed");
        assert!(detail.contains("line 2, column 11"), "{detail}");
        let broken = serde_json::from_str::<&RawValue>(r#"{"name":"\ud800"}"#).unwrap();
        let problem = *element::<Sample>("reports[3]", broken).unwrap_err().problem;
        assert_eq!(problem.code, "json_malformed");
        assert_eq!(problem.field.as_deref(), Some("reports[3].name"));
        assert!(!problem.detail.contains("line"), "{}", problem.detail);
        let (code, ..) = refused(r#"{"name":"a"} {}"#);
        assert_eq!(code, "json_malformed");
        let (code, ..) = refused("");
        assert_eq!(code, "json_malformed");
    }
}
