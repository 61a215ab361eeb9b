//! Authenticates callers: staff by a token that is valid for at most a minute, providers by their own key.
//! The refusal is the same for a key that is unknown, revoked, expired or wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::ProviderId;
use platform::clock;
use platform::error::{Kind, Problem};
use platform::principal::{Principal, Role, Scopes, bearer};
use platform::sealed::{Keyring, RowPurpose, StaffTokenVerifier, constant_time_eq, random};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::Error;
use crate::directory::{self, ProviderKey};

/// Prefix of provider keys.
const PREFIX: &str = "tdh_";

/// A provider authenticated by its key.
pub(crate) struct AuthenticatedProvider {
    pub(crate) id: ProviderId,
    pub(crate) principal: Principal,
}

/// Authenticates staff of any role.
pub(crate) fn require_staff(
    verifier: &StaffTokenVerifier,
    metadata: &MetadataMap,
) -> Result<Principal, Problem> {
    let token = bearer(metadata)?.ok_or_else(|| missing("a staff token; sign in again"))?;
    let claims = verifier
        .verify(token, clock::wall())
        .map_err(Problem::from)?;
    Ok(claims.principal())
}

/// Authenticates staff who have one of these roles.
pub(crate) fn require_role(
    verifier: &StaffTokenVerifier,
    metadata: &MetadataMap,
    any_of: &[Role],
) -> Result<Principal, Problem> {
    let principal = require_staff(verifier, metadata)?;
    let mut refusal = None;
    for role in any_of {
        match principal.require_role(*role) {
            Ok(()) => return Ok(principal),
            Err(problem) => refusal = refusal.or(Some(problem)),
        }
    }
    refusal.map_or(Ok(principal), Err)
}

/// Whether the credential has the format of a provider key; does not verify it.
pub(crate) fn presents_provider_key(metadata: &MetadataMap) -> Result<bool, Problem> {
    Ok(bearer(metadata)?.is_some_and(|token| token.starts_with(PREFIX)))
}

/// Authenticates a provider whose key has this scope.
pub(crate) async fn require_provider(
    conn: &mut PgConnection,
    keyring: &Keyring,
    metadata: &MetadataMap,
    scope: &str,
) -> Result<AuthenticatedProvider, Error> {
    let text = bearer(metadata)?.ok_or_else(|| missing("your key, which begins with tdh_"))?;
    let (key_id, secret) = parse_key(text).ok_or_else(refused)?;
    let key = directory::provider_key(conn, clock::wall(), key_id)
        .await?
        .filter(|key| constant_time_eq(&key.secret_hash, &secret_hash(secret)))
        .ok_or_else(refused)?;
    if !is_vouched(keyring, key_id, &key) {
        // The caller knows the secret, so the row was not written by this service, or was changed since.
        tracing::error!(
            alarm = "row_not_vouched",
            provider.id = %key.provider_id,
            provider_key.id = %key_id,
            "the row of a provider key was not written by this service; the key is refused"
        );
        return Err(refused().into());
    }
    let principal = Principal::Provider {
        id: key.provider_id.to_string(),
        key_id,
        scopes: key.scopes.iter().cloned().collect::<Scopes>(),
    };
    principal.require_scope(scope)?;
    Ok(AuthenticatedProvider {
        id: key.provider_id,
        principal,
    })
}

/// Adds the row's MAC before the key is stored.
pub(crate) fn vouch(keyring: &Keyring, key_id: Uuid, key: &mut ProviderKey) {
    let vouched = with_fields(key_id, key, |fields| {
        keyring.make_row_mac(RowPurpose::ProviderKey, fields)
    });
    key.vouched = Some(vouched);
}

fn is_vouched(keyring: &Keyring, key_id: Uuid, key: &ProviderKey) -> bool {
    let Some(vouched) = &key.vouched else {
        return false;
    };
    with_fields(key_id, key, |fields| {
        keyring
            .verify_row(RowPurpose::ProviderKey, fields, vouched)
            .is_ok()
    })
}

/// Calls `then` with the fields covered by the row's MAC: id, owner, secret hash and scopes.
fn with_fields<T>(key_id: Uuid, key: &ProviderKey, then: impl FnOnce(&[&[u8]]) -> T) -> T {
    let mut fields: Vec<&[u8]> = vec![
        key_id.as_bytes(),
        key.provider_id.as_str().as_bytes(),
        &key.secret_hash,
    ];
    fields.extend(key.scopes.iter().map(String::as_bytes));
    then(&fields)
}

/// Generates a key: its id, the text that is shown once, and the hash of its secret, which is stored.
pub(crate) fn new_key() -> (Uuid, String, Vec<u8>) {
    let id = Uuid::new_v4();
    let secret = URL_SAFE_NO_PAD.encode(random::<32>());
    let text = format!("{PREFIX}{}_{secret}", id.simple());
    let hash = secret_hash(&secret);
    (id, text, hash)
}

fn parse_key(text: &str) -> Option<(Uuid, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let has_lengths = id.len() == 32 && secret.len() == 43;
    Some((Uuid::try_parse(id).ok().filter(|_| has_lengths)?, secret))
}

fn secret_hash(secret: &str) -> Vec<u8> {
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
        "This key is not valid; check it, or ask the hotline for a new one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_can_be_parsed_and_other_text_cannot() {
        let (id, text, hash) = new_key();
        let (parsed_id, secret) = parse_key(&text).unwrap();
        assert_eq!((parsed_id, secret_hash(secret)), (id, hash));
        for bad in [
            "",
            "tdh_",
            "tdp_x_y",
            &text[..text.len() - 1],
            &format!("{text}x"),
        ] {
            assert!(parse_key(bad).is_none(), "{bad}");
        }
    }
}
