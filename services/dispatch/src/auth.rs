//! Who speaks: staff by a token of at most a minute, providers by their own key.
//! Says the same of a key that is unknown, revoked, at its end or wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::ProviderId;
use platform::clock;
use platform::error::{Kind, Problem};
use platform::principal::{Principal, Role, Scopes, bearer};
use platform::sealed::{Keyring, RowPurpose, StaffTokenVerifier, equal, random};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::store::ProviderKey;
use crate::{Error, store};

/// What providers' keys begin with.
const PREFIX: &str = "tdh_";

/// A provider that has shown a key.
pub(crate) struct Provider {
    pub(crate) id: ProviderId,
    pub(crate) principal: Principal,
}

/// Staff of any role.
pub(crate) fn staff(
    verifier: &StaffTokenVerifier,
    metadata: &MetadataMap,
) -> Result<Principal, Problem> {
    let token = bearer(metadata)?.ok_or_else(|| missing("a staff token; sign in again"))?;
    let claims = verifier
        .verify(token, clock::wall())
        .map_err(Problem::from)?;
    Ok(claims.principal())
}

/// Staff with one of these roles.
pub(crate) fn staff_with(
    verifier: &StaffTokenVerifier,
    metadata: &MetadataMap,
    any_of: &[Role],
) -> Result<Principal, Problem> {
    let principal = staff(verifier, metadata)?;
    let mut refusal = None;
    for role in any_of {
        match principal.require_role(*role) {
            Ok(()) => return Ok(principal),
            Err(problem) => refusal = refusal.or(Some(problem)),
        }
    }
    refusal.map_or(Ok(principal), Err)
}

/// Whether whoever speaks shows a provider's key, true or not.
pub(crate) fn is_provider(metadata: &MetadataMap) -> Result<bool, Problem> {
    Ok(bearer(metadata)?.is_some_and(|token| token.starts_with(PREFIX)))
}

/// A provider whose key has this scope.
pub(crate) async fn provider(
    conn: &mut PgConnection,
    keyring: &Keyring,
    metadata: &MetadataMap,
    scope: &str,
) -> Result<Provider, Error> {
    let text = bearer(metadata)?.ok_or_else(|| missing("your key, which begins with tdh_"))?;
    let (key_id, secret) = take_apart(text).ok_or_else(refused)?;
    let key = store::provider_key(conn, clock::wall(), key_id)
        .await?
        .filter(|key| equal(&key.secret_hash, &digest(secret)))
        .ok_or_else(refused)?;
    if !is_vouched(keyring, key_id, &key) {
        // Whoever showed the key knows its secret: the row was not made by this service, or was changed since.
        tracing::error!(
            alarm = "row_not_vouched",
            provider.id = %key.provider_id,
            provider_key.id = %key_id,
            "a provider's key was written or changed by somebody else; it is refused"
        );
        return Err(refused().into());
    }
    let principal = Principal::Provider {
        id: key.provider_id.to_string(),
        key_id,
        scopes: key.scopes.iter().cloned().collect::<Scopes>(),
    };
    principal.require_scope(scope)?;
    Ok(Provider {
        id: key.provider_id,
        principal,
    })
}

/// Vouches for a key before it is stored.
pub(crate) fn vouch(keyring: &Keyring, key_id: Uuid, key: &mut ProviderKey) {
    let vouched = with_fields(key_id, key, |fields| {
        keyring.vouch(RowPurpose::ProviderKey, fields)
    });
    key.vouched = Some(vouched);
}

fn is_vouched(keyring: &Keyring, key_id: Uuid, key: &ProviderKey) -> bool {
    let Some(vouched) = &key.vouched else {
        return false;
    };
    with_fields(key_id, key, |fields| {
        keyring
            .check_row(RowPurpose::ProviderKey, fields, vouched)
            .is_ok()
    })
}

/// What is vouched for: whose key it is, its secret, and what it may do.
fn with_fields<T>(key_id: Uuid, key: &ProviderKey, then: impl FnOnce(&[&[u8]]) -> T) -> T {
    let mut fields: Vec<&[u8]> = vec![
        key_id.as_bytes(),
        key.provider_id.as_str().as_bytes(),
        &key.secret_hash,
    ];
    fields.extend(key.scopes.iter().map(String::as_bytes));
    then(&fields)
}

/// A fresh key: its id, the text that is shown once, and the digest that is kept.
pub(crate) fn new_key() -> (Uuid, String, Vec<u8>) {
    let id = Uuid::new_v4();
    let secret = URL_SAFE_NO_PAD.encode(random::<32>());
    let text = format!("{PREFIX}{}_{secret}", id.simple());
    let digest = digest(&secret);
    (id, text, digest)
}

fn take_apart(text: &str) -> Option<(Uuid, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let fits = id.len() == 32 && secret.len() == 43;
    Some((Uuid::try_parse(id).ok().filter(|_| fits)?, secret))
}

fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

fn missing(what: &str) -> Problem {
    Problem::new(
        Kind::Unauthenticated,
        "credential_missing",
        format!("Send `authorization: Bearer` with {what}."),
    )
}

fn refused() -> Problem {
    Problem::new(
        Kind::Unauthenticated,
        "key_refused",
        "This key does not hold; check it, or ask the hotline for a new one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_apart_as_it_was_made() {
        let (id, text, kept) = new_key();
        let (found, secret) = take_apart(&text).unwrap();
        assert_eq!((found, digest(secret)), (id, kept));
        for bad in [
            "",
            "tdh_",
            "tdp_x_y",
            &text[..text.len() - 1],
            &format!("{text}x"),
        ] {
            assert!(take_apart(bad).is_none(), "{bad}");
        }
    }
}
