//! Authorization: staff of any role, by a token that is verified without a call.

use platform::clock;
use platform::error::{Kind, Problem};
use platform::principal::bearer;
use platform::sealed::StaffTokenVerifier;
use tonic::metadata::MetadataMap;

/// Requires a staff token with at least one role. Every role may read everything in the ledger.
///
/// # Errors
/// `credential_missing`, `role_required`, or the reason why the token is not valid.
pub fn require_staff(verifier: &StaffTokenVerifier, metadata: &MetadataMap) -> Result<(), Problem> {
    let token = bearer(metadata)?.ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "credential_missing",
            "This needs a staff token; sign in first.",
        )
    })?;
    // Every process issues and verifies tokens by its wall clock, not by the database's clock.
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
