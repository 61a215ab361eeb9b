//! Named values in a query or a form, each taken once by name; what is left over is refused by its name.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::json::is_name;
use crate::problem::Refused;

/// Pairs of name and value as they came.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// The one value of this name; none where it is absent or empty.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Refused> {
        let mut values = self.take_all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(Refused::malformed(
                "parameter_repeated",
                format!("`{name}` stands there more than once; send it once."),
            )
            .field(name)),
        }
    }

    /// All values of this name that are not empty.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(key, _)| key == name);
        self.0 = left;
        taken
            .into_iter()
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), Refused> {
        let Some((name, _)) = self.0.into_iter().next() else {
            return Ok(());
        };
        let refused = |shown: &str| {
            Refused::malformed(
                "parameter_unknown",
                format!("{shown} is not known here; leave it out, or check its spelling."),
            )
        };
        Err(if is_name(&name) {
            refused(&format!("`{name}`")).field(name)
        } else {
            refused("A parameter")
        })
    }
}

/// The parameters of a query.
pub(crate) struct Query(pub(crate) Fields);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let query = parts.uri.query().unwrap_or_default();
        let fields = Fields::parse(query.as_bytes());
        // A form sends fields that nobody filled in; in a query an empty one is a slip.
        match fields.0.iter().find(|(_, value)| value.is_empty()) {
            None => Ok(Self(fields)),
            Some((name, _)) if is_name(name) => Err(Refused::malformed(
                "parameter_empty",
                format!("`{name}` is empty; give it a value, or leave it out."),
            )
            .field(name.clone())),
            Some(_) => Err(Refused::malformed(
                "parameter_empty",
                "A parameter is empty; give it a value, or leave it out.",
            )),
        }
    }
}

/// Proof that no parameter came where none is known.
pub(crate) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Query(fields) = Query::from_request_parts(parts, state).await?;
        fields.finish().map(|()| Self)
    }
}

/// The one variable segment of a path.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| {
                Refused::malformed(
                    "path_malformed",
                    "The path is not UTF-8; check the id in it.",
                )
            })?;
        Ok(Self(text))
    }
}
