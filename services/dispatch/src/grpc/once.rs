//! The same reply under the same idempotency key, also where it holds a secret: it is kept sealed.

use platform::batch::fold::key_reused;
use platform::error::{Kind, Problem};
use platform::sealed::{MacPurpose, Purpose};
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use domain::Invalid;

use super::Inner;
use crate::Error;
use crate::store::{self, Receipt};

const KEY: usize = 200;

/// What makes a call the same as another: who made it, under which key, and the keyed hash of what was asked.
pub(super) struct Once {
    actor: String,
    key: String,
    fields: Vec<Vec<u8>>,
}

impl Once {
    /// None where the caller chose no key. `request` is without the key itself.
    pub(super) fn of(
        actor: String,
        key: &str,
        method: &'static str,
        request: &impl Message,
    ) -> Result<Option<Self>, Invalid> {
        let key = domain::invalid::optional_text("idempotency_key", key, KEY)?;
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

impl Inner {
    /// What was replied under this key, if anything; no other call passes here with it before the commit.
    pub(super) async fn replied<R: Message + Default>(
        &self,
        conn: &mut PgConnection,
        once: Option<&Once>,
    ) -> Result<Option<R>, Error> {
        let Some(once) = once else {
            return Ok(None);
        };
        let (actors, keys) = ([once.actor.as_str()], [once.key.as_str()]);
        store::lock_keys(conn, &actors, &keys).await?;
        let Some(receipt) = store::receipts(conn, &actors, &keys).await?.pop() else {
            return Ok(None);
        };
        let keyring = &self.rules.keyring;
        if !keyring.mac_holds(MacPurpose::Body, &once.fields(), &receipt.body_mac) {
            return Err(key_reused().into());
        }
        let opened = keyring.open_provider(
            Purpose::Secret,
            &once.actor,
            place(&receipt.body_mac),
            &receipt.reply,
        )?;
        let reply = R::decode(&*opened).map_err(|_| Problem::of(Kind::Internal))?;
        Ok(Some(reply))
    }

    /// Keeps a reply for whoever asks the same again under the same key.
    pub(super) async fn keep_reply(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        once: Option<Once>,
        reply: &impl Message,
    ) -> Result<(), Error> {
        let Some(once) = once else {
            return Ok(());
        };
        let keyring = &self.rules.keyring;
        let body_mac = keyring.mac(MacPurpose::Body, &once.fields()).to_vec();
        let sealed = keyring.seal_provider(
            Purpose::Secret,
            &once.actor,
            place(&body_mac),
            &reply.encode_to_vec(),
        );
        let receipt = Receipt {
            actor: once.actor,
            key: once.key,
            body_mac,
            reply: sealed.into_bytes(),
        };
        store::put_receipts(conn, now, &[receipt]).await
    }
}

/// What a kept reply is bound to, beside who was given it.
fn place(body_mac: &[u8]) -> Uuid {
    let half = body_mac.first_chunk::<16>().copied().unwrap_or_default();
    Uuid::from_bytes(half)
}
