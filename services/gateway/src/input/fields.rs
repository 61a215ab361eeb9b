//! The parameters of a query or a form. Handlers take them by name; parameters that no handler took are
//! refused.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::json::is_name;
use crate::problem::ProblemResponse;

/// Pairs of name and value, in the order received.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// The value of this parameter; `None` if it is absent or empty.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, ProblemResponse> {
        let mut values = self.take_all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(ProblemResponse::malformed(
                "parameter_repeated",
                format!("`{name}` occurs more than once; send it once."),
            )
            .field(name)),
        }
    }

    /// All values of this parameter that are not empty.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, remaining): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(key, _)| key == name);
        self.0 = remaining;
        taken
            .into_iter()
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// Refuses the request if a parameter was not taken.
    pub(crate) fn finish(self) -> Result<(), ProblemResponse> {
        let Some((name, _)) = self.0.into_iter().next() else {
            return Ok(());
        };
        let refusal = |label: &str| {
            ProblemResponse::malformed(
                "parameter_unknown",
                format!("{label} is not known here; leave it out, or check its name."),
            )
        };
        Err(if is_name(&name) {
            refusal(&format!("`{name}`")).field(name)
        } else {
            refusal("A parameter")
        })
    }
}

/// The parameters of a query.
pub(crate) struct Query(pub(crate) Fields);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        let query = parts.uri.query().unwrap_or_default();
        let fields = Fields::parse(query.as_bytes());
        // Forms send the fields that were left blank; in a query an empty parameter is a mistake.
        match fields.0.iter().find(|(_, value)| value.is_empty()) {
            None => Ok(Self(fields)),
            Some((name, _)) if is_name(name) => Err(ProblemResponse::malformed(
                "parameter_empty",
                format!("`{name}` is empty; give it a value, or leave it out."),
            )
            .field(name.clone())),
            Some(_) => Err(ProblemResponse::malformed(
                "parameter_empty",
                "A parameter is empty; give it a value, or leave it out.",
            )),
        }
    }
}

/// For routes without parameters: refuses a request that has any.
pub(crate) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        let Query(fields) = Query::from_request_parts(parts, state).await?;
        fields.finish().map(|()| Self)
    }
}

/// The single variable segment of a path.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| {
                ProblemResponse::malformed(
                    "path_malformed",
                    "The path is not UTF-8; check the id in it.",
                )
            })?;
        Ok(Self(text))
    }
}
