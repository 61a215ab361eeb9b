//! Who speaks: partners by their key, staff by their token, the public by nothing.
//! The one place of intake that reads credentials.

use std::sync::Arc;
use std::time::Duration;

use domain::id::PartnerId;
use platform::clock;
use platform::error::{Kind, Problem};
use platform::principal::{Principal, Scopes, bearer};
use platform::sealed::{Keyring, RowPurpose, StaffTokenVerifier, equal, random};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::error::Error;
use crate::store::partner::{self, Partner};
use crate::submission::Sender;

/// What a partner's key begins with.
const PARTNER_KEY: &str = "tdp_";

/// A partner's key as it is shown once: prefix, id, 256 random bits.
pub struct NewKey {
    pub id: PartnerId,
    pub text: String,
    pub hash: [u8; 32],
}

/// Draws a key.
pub fn new_key() -> NewKey {
    let id = Uuid::new_v4();
    let secret = hex::encode(random::<32>());
    NewKey {
        id: PartnerId::new(id),
        text: format!("{PARTNER_KEY}{}_{secret}", id.simple()),
        hash: Sha256::digest(secret.as_bytes()).into(),
    }
}

/// What intake vouches for when it makes a partner, to be kept in the row.
pub fn vouch(keyring: &Keyring, partner: &Partner, hash: &[u8; 32]) -> Vec<u8> {
    with_fields(partner, hash, |fields| {
        keyring.vouch(RowPurpose::PartnerKey, fields)
    })
}

/// What is vouched for: whose key it is, its secret, by which channel, and how much.
fn with_fields<T>(partner: &Partner, hash: &[u8], then: impl FnOnce(&[&[u8]]) -> T) -> T {
    then(&[
        partner.id.uuid().as_bytes(),
        partner.name.as_bytes(),
        partner.channel.as_str().as_bytes(),
        hash,
        &partner.daily_quota.to_be_bytes(),
    ])
}

/// Who asks. Without a credential: the public.
pub async fn sender(
    conn: &mut PgConnection,
    staff: &StaffTokenVerifier,
    keyring: &Keyring,
    metadata: &MetadataMap,
) -> Result<Sender, Error> {
    let Some(token) = bearer(metadata)? else {
        return Ok(Sender {
            principal: Principal::Reporter,
            partner: None,
        });
    };
    match token.strip_prefix(PARTNER_KEY) {
        Some(key) => by_key(conn, keyring, key).await,
        None => Ok(Sender {
            principal: by_token(staff, token)?,
            partner: None,
        }),
    }
}

/// A sender who goes on speaking over one stream, and is asked for the same credential again from time to time.
pub struct Speaker {
    metadata: MetadataMap,
    trusted_for: Duration,
    known: Mutex<(Arc<Sender>, Instant)>,
}

impl Speaker {
    /// `sender` has shown `metadata` just now, and is taken by their word for so long.
    pub fn new(sender: Sender, metadata: MetadataMap, trusted_for: Duration) -> Self {
        Self {
            metadata,
            trusted_for,
            known: Mutex::new((Arc::new(sender), Instant::now())),
        }
    }

    /// Who it still is. Messages that come at the same time wait for one look.
    pub async fn sender(
        &self,
        pool: &PgPool,
        staff: &StaffTokenVerifier,
        keyring: &Keyring,
    ) -> Result<Arc<Sender>, Error> {
        let mut known = self.known.lock().await;
        if known.1.elapsed() >= self.trusted_for {
            let mut conn = pool.acquire().await?;
            known.0 = Arc::new(sender(&mut conn, staff, keyring, &self.metadata).await?);
            known.1 = Instant::now();
        }
        Ok(Arc::clone(&known.0))
    }
}

/// Staff only.
pub fn staff(staff: &StaffTokenVerifier, metadata: &MetadataMap) -> Result<Principal, Error> {
    let token = bearer(metadata)?.ok_or_else(|| {
        Problem::new(
            Kind::Unauthenticated,
            "credential_missing",
            "This needs a staff token; sign in first.",
        )
    })?;
    if token.starts_with(PARTNER_KEY) {
        return Err(Problem::new(
            Kind::Forbidden,
            "staff_only",
            "This is for the hotline's staff; a partner's key does not open it.",
        )
        .into());
    }
    by_token(staff, token)
}

fn by_token(staff: &StaffTokenVerifier, token: &str) -> Result<Principal, Error> {
    Ok(staff
        .verify(token, clock::wall())
        .map_err(Problem::from)?
        .principal())
}

async fn by_key(conn: &mut PgConnection, keyring: &Keyring, key: &str) -> Result<Sender, Error> {
    let refused = || {
        Problem::new(
            Kind::Unauthenticated,
            "key_invalid",
            "This key is not valid, or was revoked; ask the hotline for a new one.",
        )
    };
    let (id, secret) = key.split_once('_').ok_or_else(refused)?;
    let id = Uuid::try_parse(id).map_err(|_| refused())?;
    let (partner, kept) = partner::by_key(conn, PartnerId::new(id))
        .await?
        .ok_or_else(refused)?;
    if !equal(&kept.hash, &Sha256::digest(secret.as_bytes())) {
        return Err(refused().into());
    }
    let vouched = kept.vouched.as_ref().is_some_and(|vouched| {
        with_fields(&partner, &kept.hash, |fields| {
            let checked = keyring.check_row(RowPurpose::PartnerKey, fields, vouched);
            checked.is_ok()
        })
    });
    if !vouched {
        // Whoever showed the key knows its secret: the row was not made by this service, or was changed since.
        tracing::error!(
            alarm = "row_not_vouched",
            partner.id = %id,
            "a partner's key was written or changed by somebody else; it is refused"
        );
        return Err(refused().into());
    }
    Ok(Sender {
        principal: Principal::Partner {
            id,
            name: partner.name,
            scopes: Scopes::from_iter(["submit"]),
        },
        partner: Some((partner.channel, partner.daily_quota)),
    })
}
