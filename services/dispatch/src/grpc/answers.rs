//! Answers of providers: calls that wait at the same time are committed together; each item is judged on its own.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::Invalid;
use domain::id::{NoticeId, ProviderId};
use domain::word::DeliveryChannel;
use platform::batch::{Command, Gather, Limits, in_batches};
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Hint;
use platform::sealed::{Keyring, MacPurpose};
use prost::Message as _;
use proto::v1;
use sqlx::{PgConnection, PgPool};
use tonic::metadata::MetadataMap;

use super::{Inner, parse};
use crate::commands::{self, AnswerItem, Rules};
use crate::store::{self, Receipt};
use crate::{Error, auth};
use plan::Plan;

/// Items in one call.
const ITEMS: usize = 1000;
const KEY: usize = 200;
/// The first field of the keyed hash of a body.
const ANSWER_NOTICES: &[u8] = b"answer_notices";
const LIMITS: Limits = Limits {
    waiting: 2048,
    batch: 128,
    lanes: 4,
};

/// One call, authenticated and with its shape checked.
#[derive(Clone)]
pub(super) struct AnswerCall {
    actor: String,
    provider: ProviderId,
    channel: DeliveryChannel,
    /// None where the caller chose none.
    key: Option<String>,
    body_digest: Bytes,
    items: Arc<Vec<v1::AnswerItem>>,
}

impl AnswerCall {
    /// All that the key is bound to.
    fn body(&self) -> Vec<u8> {
        v1::AnswerNoticesRequest {
            idempotency_key: String::new(),
            items: self.items.to_vec(),
            body_digest: self.body_digest.clone(),
        }
        .encode_to_vec()
    }

    fn mac(&self, keyring: &Keyring) -> [u8; 32] {
        keyring.mac(MacPurpose::Body, &[ANSWER_NOTICES, &self.body()])
    }

    /// Whether this mac was made of the same body, under the keyring's present key or the one before it.
    fn is_of(&self, keyring: &Keyring, mac: &[u8]) -> bool {
        keyring.mac_holds(MacPurpose::Body, &[ANSWER_NOTICES, &self.body()], mac)
    }
}

pub(super) type Answered = Result<v1::AnswerNoticesResponse, Problem>;

pub(super) fn gather(
    pool: PgPool,
    clock: Clock,
    rules: Rules,
    bell: Hint,
) -> Gather<AnswerCall, Answered> {
    let room = Arc::new((pool, Calls { clock, rules }, bell));
    Gather::start(LIMITS, move |calls: Vec<AnswerCall>| {
        let room = Arc::clone(&room);
        async move {
            let (pool, command, bell) = &*room;
            let replies = in_batches(pool, &calls, command).await;
            bell.ring();
            replies
                .into_iter()
                .map(|reply| reply.and_then(|answered| answered))
                .collect()
        }
    })
}

impl Inner {
    pub(super) async fn answer_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::AnswerNoticesRequest,
    ) -> Result<v1::AnswerNoticesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider = auth::provider(&mut conn, &self.rules.keyring, metadata, "answer").await?;
        drop(conn);
        if !matches!(request.body_digest.len(), 0 | 32) {
            let detail = "`body_digest` is not a SHA-256; send its 32 octets, or leave it out";
            return Err(Invalid::new("digest_malformed", "body_digest", detail).into());
        }
        if request.items.is_empty() && request.body_digest.is_empty() {
            return Err(Invalid::missing("items").into());
        }
        if request.items.len() > ITEMS {
            return Err(Invalid::new(
                "too_many",
                "items",
                format!("a call carries at most {ITEMS} answers; send the rest in another"),
            )
            .into());
        }
        let key = domain::invalid::optional_text("idempotency_key", &request.idempotency_key, KEY)?;
        let call = AnswerCall {
            actor: provider.principal.actor(),
            provider: provider.id,
            channel: DeliveryChannel::Api,
            key: (!key.is_empty()).then_some(key),
            body_digest: request.body_digest,
            items: Arc::new(request.items),
        };
        Ok(self.answers.call(call).await??)
    }

    /// One answer by the link of a mail.
    pub(super) async fn answer_one(
        &self,
        provider: ProviderId,
        item: v1::AnswerItem,
    ) -> Result<v1::AnswerNoticesResponse, Error> {
        let call = AnswerCall {
            actor: format!("provider:{provider}"),
            provider,
            channel: DeliveryChannel::Email,
            key: None,
            body_digest: Bytes::new(),
            items: Arc::new(vec![item]),
        };
        Ok(self.answers.call(call).await??)
    }
}

/// Calls as one command.
struct Calls {
    clock: Clock,
    rules: Rules,
}

impl Command<AnswerCall> for Calls {
    type Reply = Answered;
    type Error = Error;

    async fn run(
        &self,
        conn: &mut PgConnection,
        calls: &[AnswerCall],
    ) -> Result<Vec<Answered>, Error> {
        let keyed: Vec<(&str, &str)> = calls
            .iter()
            .filter_map(|call| Some((call.actor.as_str(), call.key.as_deref()?)))
            .collect();
        let (actors, keys): (Vec<&str>, Vec<&str>) = keyed.into_iter().unzip();
        // Before any case, so that a neighbour with the same key is waited for and then found.
        store::lock_keys(conn, &actors, &keys).await?;
        let known: BTreeMap<(String, String), Receipt> = store::receipts(conn, &actors, &keys)
            .await?
            .into_iter()
            .map(|receipt| ((receipt.actor.clone(), receipt.key.clone()), receipt))
            .collect();
        let now = self.clock.now(conn).await?;

        let mut plan = Plan::new(calls, &known, &self.rules.keyring);
        let mut items: Vec<AnswerItem> = Vec::new();
        for n in plan.to_do() {
            plan.parsed[n] = calls[n]
                .items
                .iter()
                .enumerate()
                .map(|(i, item)| match read(&calls[n], item, now) {
                    Ok(item) => {
                        items.push(item);
                        Ok(items.len() - 1)
                    }
                    Err(invalid) => Err(invalid.within(&format!("items[{i}]"))),
                })
                .collect();
        }
        let replies = commands::answer(conn, &self.rules, now, &items).await?;
        let (answered, receipts) = plan.finish(calls, &replies, &self.rules.keyring)?;
        store::put_receipts(conn, now, &receipts).await?;
        Ok(answered)
    }
}

fn read(
    call: &AnswerCall,
    item: &v1::AnswerItem,
    now: time::OffsetDateTime,
) -> Result<AnswerItem, Invalid> {
    let notice: NoticeId = item.notice_id.parse()?;
    parse::answer(item, notice, &call.provider, call.channel, now)
}
