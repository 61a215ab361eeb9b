//! Who asks: a member of staff, by a token that is checked offline. Nobody else has business here.
//! Must not look anything up: a revoked person is out when their last token ends, within a minute.

use domain::id::Subject;
use platform::principal::{Principal, Role, Roles, bearer};
use platform::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use tonic::metadata::MetadataMap;

use crate::SERVICE;
use crate::error::{Error, Refusal};

pub(crate) struct Doorkeeper(StaffTokenVerifier);

impl Doorkeeper {
    pub(crate) fn new(keyring: &Keyring) -> Self {
        let verifier = keyring.verifier(SigningContext::StaffToken);
        // The verifier was made for this very context one line above.
        Self(StaffTokenVerifier::new(verifier, SERVICE).expect("a verifier of staff tokens"))
    }

    pub(crate) fn admit(&self, metadata: &MetadataMap) -> Result<Person, Error> {
        let token = bearer(metadata)
            .map_err(Error::Denied)?
            .ok_or(Refusal::NO_CREDENTIAL)?;
        // Tokens are made and checked by the wall clock, in whichever process.
        let now = platform::clock::wall();
        let claims = self
            .0
            .verify(token, now)
            .map_err(|_| Refusal::BAD_CREDENTIAL)?;
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

/// A member of staff who asks.
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

    /// Refuses who has none of these roles; the first is named to them.
    pub(crate) fn require_any(&self, roles: [Role; 2]) -> Result<(), Error> {
        if roles.into_iter().any(|role| self.has(role)) {
            Ok(())
        } else {
            self.require(roles[0])
        }
    }
}
