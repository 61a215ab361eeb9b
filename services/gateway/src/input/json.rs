//! JSON to types of ours. A refusal names the place and what stands there by rights; never the value that came, which
//! may be an address of the material.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use crate::problem::Refused;

/// A whole body.
pub(crate) fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| explain("", &plain(error.path()), error.inner()))?;
    deserializer
        .end()
        .map_err(|error| explain("", "", &error))?;
    Ok(value)
}

/// One element of a list, read on its own so that it spoils nothing but itself.
pub(crate) fn element<T: DeserializeOwned>(place: &str, raw: &RawValue) -> Result<T, Refused> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| explain(place, &plain(error.path()), error.inner()))
}

/// What a sender calls an element that could not be read, if that much can be.
pub(crate) fn external_id(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        external_id: String,
    }
    serde_json::from_str::<Named>(raw.get())
        .ok()
        .map(|named| named.external_id)
        .filter(|id| id.chars().count() <= 128)
}

fn explain(outer: &str, path: &str, error: &serde_json::Error) -> Refused {
    match error.classify() {
        Category::Data => {
            let text = error.to_string();
            let (code, detail, name) = wrong_shape(&text);
            // The path of a field that is not known, or repeated, may end with its name already.
            let is_named = code != "field_missing" && path.rsplit('.').next() == Some(name);
            let place = join(&join(outer, path), if is_named { "" } else { name });
            let refused = Refused::malformed(code, detail);
            if place.is_empty() {
                refused
            } else {
                refused.field(place)
            }
        }
        // The body as a whole was read: what is broken is a text in the element.
        Category::Io | Category::Syntax | Category::Eof if !outer.is_empty() => Refused::malformed(
            "json_malformed",
            "This has a text that is not whole, such as half of a \\u escape; write it again and send this item once more.",
        )
        .field(join(outer, path)),
        Category::Io | Category::Syntax | Category::Eof => Refused::malformed(
            "json_malformed",
            format!(
                "The body is not JSON: it breaks off at line {}, column {}; mend it there.",
                error.line(),
                error.column()
            ),
        ),
    }
}

/// A path without the keys that are no field names of anybody: they may be anything.
fn plain(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("[{index}]")),
            Segment::Map { key } if is_name(key) => Some(key.clone()),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => None,
        })
        .fold(String::new(), |outer, inner| join(&outer, &inner))
}

/// Reads serde's sentence, and passes on only the parts of it that come from our own types, with a plain field name.
fn wrong_shape(text: &str) -> (&'static str, String, &str) {
    let quoted = |start: &str| {
        let rest = text.strip_prefix(start)?;
        let (name, _) = rest.strip_prefix('`')?.split_once('`')?;
        Some(if is_name(name) { name } else { "" })
    };
    if let Some(name) = quoted("unknown field ") {
        let shown = if name.is_empty() {
            "A field".to_owned()
        } else {
            format!("`{name}`")
        };
        return (
            "field_unknown",
            format!("{shown} is not known here; leave it out, or check its spelling."),
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
            format!("`{name}` stands there twice; send it once."),
            name,
        );
    }
    // `invalid type: string "…", expected a list at line 1 column 9`: what is expected is ours.
    let text = text
        .rsplit_once(" at line ")
        .map_or(text, |(front, _)| front);
    let detail = match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("This has another type; send {expected}."),
        None => "This has another type; see the API's description.".to_owned(),
    };
    ("field_type", detail, "")
}

/// Short and plain enough to be said again.
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
    #[expect(dead_code, reason = "only read into")]
    struct Sample {
        name: String,
        #[serde(default)]
        nested: Vec<Nested>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Nested {
        count: u32,
    }

    fn refused(body: &str) -> (String, Option<String>, String) {
        let refused = document::<Sample>(body.as_bytes()).unwrap_err();
        let problem = *refused.problem;
        (problem.code.into_owned(), problem.field, problem.detail)
    }

    #[test]
    fn a_refusal_names_the_place_and_never_the_value() {
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
        assert_eq!(detail, "This has another type; send u32.");
        let (_, field, _) = refused(r#"{"name":"a","nested":[{"count":1,"nested":2}]}"#);
        assert_eq!(field.as_deref(), Some("nested[0].nested"));
        let (_, field, detail) = refused(r#"{"name":"a","https://secret.example/":1}"#);
        assert!(!format!("{field:?} {detail}").contains("secret"));
    }

    #[test]
    fn malformed_json_says_where() {
        let (code, _, detail) = refused("{\n  \"name\": oops }");
        assert_eq!(code, "json_malformed");
        assert!(detail.contains("line 2, column 11"), "{detail}");
        let broken = serde_json::from_str::<&RawValue>(r#"{"name":"\ud800"}"#).unwrap();
        let refused_item = *element::<Sample>("items[3]", broken).unwrap_err().problem;
        assert_eq!(refused_item.code, "json_malformed");
        assert_eq!(refused_item.field.as_deref(), Some("items[3].name"));
        assert!(
            !refused_item.detail.contains("line"),
            "{}",
            refused_item.detail
        );
        let (code, ..) = refused(r#"{"name":"a"} {}"#);
        assert_eq!(code, "json_malformed");
        let (code, ..) = refused("");
        assert_eq!(code, "json_malformed");
    }
}
