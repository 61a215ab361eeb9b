//! Who asks: staff of any role, by a token that is checked offline. The one place of the ledger that reads credentials.

use platform::clock;
use platform::error::{Kind, Problem};
use platform::principal::bearer;
use platform::sealed::StaffTokenVerifier;
use tonic::metadata::MetadataMap;

/// Refuses everybody but staff with a role: each of them may read everything here.
pub fn staff(verifier: &StaffTokenVerifier, metadata: &MetadataMap) -> Result<(), Problem> {
    let token = bearer(metadata)?.ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "credential_missing",
            "This needs a staff token; sign in first.",
        )
    })?;
    // Tokens are made and checked by the wall clock, in whichever process.
    let claims = verifier.verify(token, clock::wall())?;
    if claims.roles.iter().next().is_none() {
        return Err(Problem::new(
            Kind::Forbidden,
            "role_required",
            "This needs a role, such as auditor; ask a supervisor for one.",
        ));
    }
    Ok(())
}
