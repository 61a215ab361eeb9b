//! Authenticates callers: partners by their key, staff by their token, the public without a credential.
//! The only module of intake that reads credentials.

use std::sync::Arc;
use std::time::Duration;

use domain::id::PartnerId;
use platform::clock;
use platform::error::{Kind, Problem};
use platform::principal::{Principal, Scopes, bearer};
use platform::sealed::{Keyring, RowPurpose, StaffTokenVerifier, constant_time_eq, random};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::error::Error;
use crate::store::partner::{self, Partner};
use crate::submission::Reporter;

/// Prefix of a partner's key.
const PARTNER_KEY_PREFIX: &str = "tdp_";

/// A partner's key, shown once: prefix, partner id, and 256 random bits.
pub struct NewKey {
    pub id: PartnerId,
    pub text: String,
    pub hash: [u8; 32],
}

pub fn new_key() -> NewKey {
    let id = Uuid::new_v4();
    let secret = hex::encode(random::<32>());
    NewKey {
        id: PartnerId::new(id),
        text: format!("{PARTNER_KEY_PREFIX}{}_{secret}", id.simple()),
        hash: Sha256::digest(secret.as_bytes()).into(),
    }
}

/// The MAC that is stored in the row of a new partner.
pub fn vouch(keyring: &Keyring, partner: &Partner, hash: &[u8; 32]) -> Vec<u8> {
    with_mac_fields(partner, hash, |fields| {
        keyring.make_row_mac(RowPurpose::PartnerKey, fields)
    })
}

/// Calls `then` with the fields that the MAC covers.
fn with_mac_fields<T>(partner: &Partner, hash: &[u8], then: impl FnOnce(&[&[u8]]) -> T) -> T {
    then(&[
        partner.id.uuid().as_bytes(),
        partner.name.as_bytes(),
        partner.channel.as_str().as_bytes(),
        hash,
        &partner.daily_quota.to_be_bytes(),
    ])
}

/// The caller. Without a credential it is the public.
pub async fn reporter(
    conn: &mut PgConnection,
    staff: &StaffTokenVerifier,
    keyring: &Keyring,
    metadata: &MetadataMap,
) -> Result<Reporter, Error> {
    let Some(token) = bearer(metadata)? else {
        return Ok(Reporter {
            principal: Principal::Reporter,
            partner: None,
        });
    };
    match token.strip_prefix(PARTNER_KEY_PREFIX) {
        Some(key) => verify_partner_key(conn, keyring, key).await,
        None => Ok(Reporter {
            principal: verify_staff_token(staff, token)?,
            partner: None,
        }),
    }
}

/// The reporter of a stream, whose credential is verified again at intervals.
pub struct CachedSender {
    metadata: MetadataMap,
    recheck_after: Duration,
    /// The reporter, and when its credential was last verified.
    verified: Mutex<(Arc<Reporter>, Instant)>,
}

impl CachedSender {
    /// `reporter` has just been verified by the credential in `metadata`.
    pub fn new(reporter: Reporter, metadata: MetadataMap, recheck_after: Duration) -> Self {
        Self {
            metadata,
            recheck_after,
            verified: Mutex::new((Arc::new(reporter), Instant::now())),
        }
    }

    /// The reporter, after verifying its credential again if it is due. Concurrent callers wait for one
    /// verification.
    pub async fn reporter(
        &self,
        pool: &PgPool,
        staff: &StaffTokenVerifier,
        keyring: &Keyring,
    ) -> Result<Arc<Reporter>, Error> {
        let mut verified = self.verified.lock().await;
        if verified.1.elapsed() >= self.recheck_after {
            let mut conn = pool.acquire().await?;
            verified.0 = Arc::new(reporter(&mut conn, staff, keyring, &self.metadata).await?);
            verified.1 = Instant::now();
        }
        Ok(Arc::clone(&verified.0))
    }
}

/// The calling member of staff.
///
/// # Errors
///
/// Refuses a call without a credential and a partner's key.
pub fn require_staff(
    staff: &StaffTokenVerifier,
    metadata: &MetadataMap,
) -> Result<Principal, Error> {
    let token = bearer(metadata)?.ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "credential_missing",
            "This call requires a staff token; sign in first.",
        )
    })?;
    if token.starts_with(PARTNER_KEY_PREFIX) {
        return Err(Problem::new(
            Kind::Forbidden,
            "staff_only",
            "This call is only for the hotline's staff; a partner's key gives no access.",
        )
        .into());
    }
    verify_staff_token(staff, token)
}

fn verify_staff_token(staff: &StaffTokenVerifier, token: &str) -> Result<Principal, Error> {
    Ok(staff
        .verify(token, clock::wall())
        .map_err(Problem::from)?
        .principal())
}

async fn verify_partner_key(
    conn: &mut PgConnection,
    keyring: &Keyring,
    key: &str,
) -> Result<Reporter, Error> {
    let refusal = || {
        Problem::new(
            Kind::Unauthenticated,
            "key_invalid",
            "This key is invalid or revoked; ask the hotline for a new one.",
        )
    };
    let (id, secret) = key.split_once('_').ok_or_else(refusal)?;
    let id = Uuid::try_parse(id).map_err(|_| refusal())?;
    let (partner, stored) = partner::find_by_id(conn, PartnerId::new(id))
        .await?
        .ok_or_else(refusal)?;
    if !constant_time_eq(&stored.hash, &Sha256::digest(secret.as_bytes())) {
        return Err(refusal().into());
    }
    let is_vouched = stored.vouched.as_ref().is_some_and(|vouched| {
        with_mac_fields(&partner, &stored.hash, |fields| {
            let checked = keyring.verify_row(RowPurpose::PartnerKey, fields, vouched);
            checked.is_ok()
        })
    });
    if !is_vouched {
        // The secret is correct, so the row was inserted or changed by something other than this service.
        tracing::error!(
            alarm = "row_not_vouched",
            partner.id = %id,
            "the row of a partner's key was changed outside the service; the key is refused"
        );
        return Err(refusal().into());
    }
    Ok(Reporter {
        principal: Principal::Partner {
            id,
            name: partner.name,
            scopes: Scopes::from_iter(["submit"]),
        },
        partner: Some((partner.channel, partner.daily_quota)),
    })
}
