//! Idempotency keys of the calls whose reply contains a secret: a repeated call gets the same reply, which is
//! stored sealed.

mod store;

use domain::Invalid;
use platform::batch::fold::key_reused;
use platform::error::{Kind, Problem};
use platform::sealed::{MacPurpose, Purpose};
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::grpc::Handlers;

pub(crate) use store::{
    IdempotencyReceipt, drop_receipts, insert_receipts, lock_idempotency_keys, receipts,
};

/// Maximum length of an idempotency key, in characters.
const MAX_KEY: usize = 200;

/// Identifies a call: the caller, its idempotency key, and the request that the key is bound to.
pub(crate) struct IdempotentCall {
    actor: String,
    key: String,
    fields: Vec<Vec<u8>>,
}

impl IdempotentCall {
    /// None if the caller sent no key. `request` must not contain the key itself.
    pub(crate) fn new(
        actor: String,
        key: &str,
        method: &'static str,
        request: &impl Message,
    ) -> Result<Option<Self>, Invalid> {
        let key = domain::invalid::optional_text("idempotency_key", key, MAX_KEY)?;
        Ok((!key.is_empty()).then(|| Self {
            actor,
            key,
            fields: vec![method.as_bytes().to_vec(), request.encode_to_vec()],
        }))
    }

    fn fields(&self) -> Vec<&[u8]> {
        self.fields.iter().map(Vec::as_slice).collect()
    }
}

impl Handlers {
    /// The reply stored under this key, if any. Locks the key until the commit, so that a concurrent call
    /// waits.
    ///
    /// # Errors
    /// `idempotency_key_reused` if the key was used for another request.
    pub(crate) async fn previous_reply<R: Message + Default>(
        &self,
        conn: &mut PgConnection,
        idempotent: Option<&IdempotentCall>,
    ) -> Result<Option<R>, Error> {
        let Some(idempotent) = idempotent else {
            return Ok(None);
        };
        let (actors, keys) = ([idempotent.actor.as_str()], [idempotent.key.as_str()]);
        store::lock_idempotency_keys(conn, &actors, &keys).await?;
        let Some(receipt) = store::receipts(conn, &actors, &keys).await?.pop() else {
            return Ok(None);
        };
        let keyring = &self.deps.keyring;
        if !keyring.verify_mac(MacPurpose::Body, &idempotent.fields(), &receipt.body_mac) {
            return Err(key_reused().into());
        }
        let opened = keyring.open_provider(
            Purpose::Secret,
            &idempotent.actor,
            reply_row_id(&receipt.body_mac),
            &receipt.reply,
        )?;
        let reply = R::decode(&*opened).map_err(|_| Problem::from_kind(Kind::Internal))?;
        Ok(Some(reply))
    }

    /// Stores the reply, for a repeated call under the same key.
    pub(crate) async fn store_reply(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        idempotent: Option<IdempotentCall>,
        reply: &impl Message,
    ) -> Result<(), Error> {
        let Some(idempotent) = idempotent else {
            return Ok(());
        };
        let keyring = &self.deps.keyring;
        let body_mac = keyring.mac(MacPurpose::Body, &idempotent.fields()).to_vec();
        let sealed = keyring.seal_provider(
            Purpose::Secret,
            &idempotent.actor,
            reply_row_id(&body_mac),
            &reply.encode_to_vec(),
        );
        let receipt = IdempotencyReceipt {
            actor: idempotent.actor,
            key: idempotent.key,
            body_mac,
            reply: sealed.into_bytes(),
        };
        store::insert_receipts(conn, now, &[receipt]).await
    }
}

/// The row id that a stored reply is sealed to, together with the caller.
fn reply_row_id(body_mac: &[u8]) -> Uuid {
    let half = body_mac.first_chunk::<16>().copied().unwrap_or_default();
    Uuid::from_bytes(half)
}
