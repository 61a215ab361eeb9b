//! Authenticates callers: members of staff, by a token that is verified without any query. The token of a
//! revoked account stays valid until it expires, for at most a minute.

use domain::id::Subject;
use platform::principal::{Principal, Role, Roles, bearer};
use platform::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use tonic::metadata::MetadataMap;

use crate::SERVICE;
use crate::error::{CommandRefusal, Error};

pub(crate) struct Authenticator(StaffTokenVerifier);

impl Authenticator {
    pub(crate) fn new(keyring: &Keyring) -> Self {
        let verifier = keyring.verifier(SigningContext::StaffToken);
        // Cannot fail: the verifier was made for this context one line above.
        Self(StaffTokenVerifier::new(verifier, SERVICE).expect("a verifier of staff tokens"))
    }

    pub(crate) fn authenticate(&self, metadata: &MetadataMap) -> Result<Person, Error> {
        let token = bearer(metadata)
            .map_err(Error::Denied)?
            .ok_or(CommandRefusal::NO_CREDENTIAL)?;
        // Tokens are issued and verified by the wall clock of the process.
        let now = platform::clock::wall();
        let claims = self
            .0
            .verify(token, now)
            .map_err(|_| CommandRefusal::BAD_CREDENTIAL)?;
        Ok(Person {
            subject: Subject::new(claims.subject),
            principal: Principal::Staff {
                subject: claims.subject,
                name: claims.name,
                roles: claims.roles.clone(),
                session: claims.session,
            },
            roles: claims.roles,
        })
    }
}

/// The authenticated member of staff.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) subject: Subject,
    pub(crate) principal: Principal,
    roles: Roles,
}

impl Person {
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.has(role)
    }

    pub(crate) fn require(&self, role: Role) -> Result<(), Error> {
        self.principal.require_role(role).map_err(Error::Denied)
    }

    /// Refuses a person who has none of these roles; the refusal names the first.
    pub(crate) fn require_any(&self, roles: [Role; 2]) -> Result<(), Error> {
        if roles.into_iter().any(|role| self.has(role)) {
            Ok(())
        } else {
            self.require(roles[0])
        }
    }
}
