//! Answers of providers. Calls that wait at the same time are committed together; each answer succeeds or
//! fails on its own.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::Invalid;
use domain::enums::DeliveryChannel;
use domain::id::{NoticeId, ProviderId};
use platform::batch::{Command, GroupCommit, GroupCommitLimits, in_batches};
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Wakeup;
use platform::sealed::{Keyring, MacPurpose};
use prost::Message as _;
use proto::v1;
use sqlx::{PgConnection, PgPool};
use tonic::metadata::MetadataMap;

use crate::cases::commands::{self, CommandDeps, ProviderAnswer};
use crate::grpc::{Handlers, parse};
use crate::idempotency::{self, IdempotencyReceipt};
use crate::{Error, auth};
use plan::BatchPlan;

/// Maximum answers in one call.
const MAX_ANSWERS: usize = 1000;
/// Maximum length of an idempotency key, in characters.
const MAX_KEY: usize = 200;
/// First field of the keyed hash of a request, so that it differs from that of any other method.
const ANSWER_NOTICES: &[u8] = b"answer_notices";
const LIMITS: GroupCommitLimits = GroupCommitLimits {
    queued: 2048,
    batch: 128,
    concurrent: 4,
};

/// One authenticated call.
#[derive(Clone)]
pub(crate) struct AnswerCall {
    actor: String,
    provider: ProviderId,
    channel: DeliveryChannel,
    /// None if the caller sent no idempotency key.
    key: Option<String>,
    body_digest: Bytes,
    items: Arc<Vec<v1::AnswerItem>>,
}

impl AnswerCall {
    /// The request that the idempotency key is bound to, without the key.
    fn request(&self) -> Vec<u8> {
        v1::AnswerNoticesRequest {
            idempotency_key: String::new(),
            answers: self.items.to_vec(),
            body_digest: self.body_digest.clone(),
        }
        .encode_to_vec()
    }

    fn request_mac(&self, keyring: &Keyring) -> [u8; 32] {
        keyring.mac(MacPurpose::Body, &[ANSWER_NOTICES, &self.request()])
    }

    /// Whether `mac` is of the same request, under the keyring's present key or the previous one.
    fn has_request_mac(&self, keyring: &Keyring, mac: &[u8]) -> bool {
        keyring.verify_mac(MacPurpose::Body, &[ANSWER_NOTICES, &self.request()], mac)
    }
}

pub(crate) type AnswerCallResult = Result<v1::AnswerNoticesResponse, Problem>;

pub(crate) fn group_commit(
    pool: PgPool,
    clock: Clock,
    deps: CommandDeps,
    wakeup: Wakeup,
) -> GroupCommit<AnswerCall, AnswerCallResult> {
    let shared = Arc::new((pool, AnswerBatch { clock, deps }, wakeup));
    GroupCommit::start(LIMITS, move |calls: Vec<AnswerCall>| {
        let shared = Arc::clone(&shared);
        async move {
            let (pool, command, wakeup) = &*shared;
            let replies = in_batches(pool, &calls, command).await;
            wakeup.notify();
            replies
                .into_iter()
                .map(|reply| reply.and_then(|result| result))
                .collect()
        }
    })
}

impl Handlers {
    pub(crate) async fn answer_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::AnswerNoticesRequest,
    ) -> Result<v1::AnswerNoticesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider =
            auth::require_provider(&mut conn, &self.deps.keyring, metadata, "answer").await?;
        drop(conn);
        if !matches!(request.body_digest.len(), 0 | 32) {
            let detail = "`body_digest` is not a SHA-256 digest; send its 32 octets, or omit it";
            return Err(Invalid::new("digest_malformed", "body_digest", detail).into());
        }
        if request.answers.is_empty() && request.body_digest.is_empty() {
            return Err(Invalid::missing("answers").into());
        }
        if request.answers.len() > MAX_ANSWERS {
            return Err(Invalid::new(
                "too_many",
                "answers",
                format!("a call carries at most {MAX_ANSWERS} answers; send the rest in another"),
            )
            .into());
        }
        let key =
            domain::invalid::optional_text("idempotency_key", &request.idempotency_key, MAX_KEY)?;
        let call = AnswerCall {
            actor: provider.principal.actor(),
            provider: provider.id,
            channel: DeliveryChannel::Api,
            key: (!key.is_empty()).then_some(key),
            body_digest: request.body_digest,
            items: Arc::new(request.answers),
        };
        Ok(self.answers.call(call).await??)
    }

    /// Applies one answer given by the link of a mail.
    pub(crate) async fn submit_answer(
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

/// The command that applies a batch of calls.
struct AnswerBatch {
    clock: Clock,
    deps: CommandDeps,
}

impl Command<AnswerCall> for AnswerBatch {
    type Reply = AnswerCallResult;
    type Error = Error;

    async fn run(
        &self,
        conn: &mut PgConnection,
        calls: &[AnswerCall],
    ) -> Result<Vec<AnswerCallResult>, Error> {
        let keyed: Vec<(&str, &str)> = calls
            .iter()
            .filter_map(|call| Some((call.actor.as_str(), call.key.as_deref()?)))
            .collect();
        let (actors, keys): (Vec<&str>, Vec<&str>) = keyed.into_iter().unzip();
        // Before any case is locked, so that a concurrent call with the same key is waited for and its
        // receipt then found.
        idempotency::lock_idempotency_keys(conn, &actors, &keys).await?;
        let known: BTreeMap<(String, String), IdempotencyReceipt> =
            idempotency::receipts(conn, &actors, &keys)
                .await?
                .into_iter()
                .map(|receipt| ((receipt.actor.clone(), receipt.key.clone()), receipt))
                .collect();
        let now = self.clock.now(conn).await?;

        let mut plan = BatchPlan::new(calls, &known, &self.deps.keyring);
        let mut items: Vec<ProviderAnswer> = Vec::new();
        for n in plan.calls_to_process() {
            plan.parsed[n] = calls[n]
                .items
                .iter()
                .enumerate()
                .map(|(i, item)| match parse_answer(&calls[n], item, now) {
                    Ok(item) => {
                        items.push(item);
                        Ok(items.len() - 1)
                    }
                    Err(invalid) => Err(invalid.within(&format!("answers[{i}]"))),
                })
                .collect();
        }
        let replies = commands::apply_answers(conn, &self.deps, now, &items).await?;
        let (results, receipts) = plan.finish(calls, &replies, &self.deps.keyring)?;
        idempotency::insert_receipts(conn, now, &receipts).await?;
        Ok(results)
    }
}

fn parse_answer(
    call: &AnswerCall,
    item: &v1::AnswerItem,
    now: time::OffsetDateTime,
) -> Result<ProviderAnswer, Invalid> {
    let notice: NoticeId = item.notice_id.parse()?;
    parse::answer(item, notice, &call.provider, call.channel, now)
}
