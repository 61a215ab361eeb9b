//! Principals: the authenticated caller of a command. The service that owns a credential creates the
//! principal.
//!
//! A principal is never taken from the body of a request. `Debug` shows only ids, because a name can reveal a
//! reporter.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::error::{Kind, Problem};

/// An authenticated caller.
#[derive(Clone, PartialEq, Eq)]
pub enum Principal {
    /// A partner, which sends reports.
    Partner {
        id: Uuid,
        name: String,
        scopes: Scopes,
    },
    /// A person at the public form, without an identity.
    Reporter,
    /// A provider, authenticated by one of its keys.
    Provider {
        id: String,
        key_id: Uuid,
        scopes: Scopes,
    },
    /// A member of staff.
    Staff {
        subject: Uuid,
        name: String,
        roles: Roles,
        session: Uuid,
    },
    /// A timer or a consumer of a service, by its name.
    System(&'static str),
}

impl Principal {
    /// A stable id for records and events, such as `staff:<uuid>`; never a person's name.
    pub fn actor(&self) -> String {
        match self {
            Self::Partner { id, .. } => format!("partner:{id}"),
            Self::Reporter => "reporter".to_owned(),
            Self::Provider { id, .. } => format!("provider:{id}"),
            Self::Staff { subject, .. } => format!("staff:{subject}"),
            Self::System(name) => format!("system:{name}"),
        }
    }

    /// Requires staff with this role.
    ///
    /// # Errors
    /// `role_required`.
    pub fn require_role(&self, role: Role) -> Result<(), Problem> {
        match self {
            Self::Staff { roles, .. } if roles.has(role) => Ok(()),
            _ => Err(Problem::new(
                Kind::Forbidden,
                "role_required",
                format!("This needs the role {role}; ask a supervisor for it."),
            )),
        }
    }

    /// Requires a partner or provider whose key has this scope.
    ///
    /// # Errors
    /// `scope_required`.
    pub fn require_scope(&self, scope: &str) -> Result<(), Problem> {
        match self {
            Self::Partner { scopes, .. } | Self::Provider { scopes, .. } if scopes.has(scope) => {
                Ok(())
            }
            _ => Err(Problem::new(
                Kind::Forbidden,
                "scope_required",
                format!("This needs a key with the scope {scope}; ask the hotline for one."),
            )),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.actor())
    }
}

/// The scopes of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    pub fn has(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<S: Into<String>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        Self(scopes.into_iter().map(Into::into).collect())
    }
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Analyst,
    Supervisor,
    Operator,
    Auditor,
}

impl Role {
    pub const ALL: [Self; 4] = [
        Self::Analyst,
        Self::Supervisor,
        Self::Operator,
        Self::Auditor,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analyst => "analyst",
            Self::Supervisor => "supervisor",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("role is not one of analyst, supervisor, operator, auditor")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// A set of roles; serialised as a sorted list without repeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

/// The token of `authorization: Bearer TOKEN`; the case of the scheme is ignored (RFC 9110 section 11.1).
/// `None` if there is no such header.
///
/// # Errors
/// `credential_malformed` if the header is repeated or is not a bearer token.
pub fn bearer(metadata: &MetadataMap) -> Result<Option<&str>, Problem> {
    let mut values = metadata.get_all("authorization").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match value.to_str().ok().and_then(token) {
        Some(token) if values.next().is_none() => Ok(Some(token)),
        _ => Err(Problem::new(
            Kind::Unauthenticated,
            "credential_malformed",
            "Send one `authorization: Bearer` with your key or token, or leave the header out.",
        )),
    }
}

fn token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_with_any_case_of_the_scheme() {
        let mut metadata = MetadataMap::new();
        assert_eq!(bearer(&metadata), Ok(None));
        metadata.insert("authorization", "bearer abc".parse().unwrap());
        assert_eq!(bearer(&metadata), Ok(Some("abc")));
        metadata.append("authorization", "Bearer def".parse().unwrap());
        assert!(bearer(&metadata).is_err());
        for invalid in ["Basic abc", "Bearer", "Bearer  ", "abc", ""] {
            metadata.insert("authorization", invalid.parse().unwrap());
            let error = bearer(&metadata).unwrap_err();
            assert_eq!(error.code, "credential_malformed", "{invalid:?}");
        }
    }

    #[test]
    fn a_role_is_required_and_debug_does_not_show_the_name() {
        let staff = Principal::Staff {
            subject: Uuid::nil(),
            name: "Sam Example".into(),
            roles: Roles::from_iter([Role::Analyst]),
            session: Uuid::nil(),
        };
        assert!(staff.require_role(Role::Analyst).is_ok());
        assert_eq!(
            staff.require_role(Role::Supervisor).unwrap_err().code,
            "role_required"
        );
        assert!(
            Principal::System("timer")
                .require_role(Role::Analyst)
                .is_err()
        );
        assert!(!format!("{staff:?}").contains("Sam"));
    }
}
