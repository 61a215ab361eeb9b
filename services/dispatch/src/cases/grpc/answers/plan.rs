//! Decides which calls of a batch are processed, which repeat another and get its reply, and which reuse a
//! key for another request.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Invalid;
use platform::batch::fold::{Repeat, find_repeats, key_reused};
use platform::error::{Kind, Problem};
use platform::sealed::Keyring;
use prost::Message as _;
use proto::v1;

use super::{AnswerCall, AnswerCallResult};
use crate::Error;
use crate::cases::commands;
use crate::idempotency::IdempotencyReceipt;

/// How each call of a batch is handled.
pub(super) struct BatchPlan {
    plans: Vec<CallPlan>,
    /// For each call to process: the index of each answer among the parsed ones, or why it could not be
    /// parsed.
    pub(super) parsed: Vec<Vec<Result<usize, Invalid>>>,
}

enum CallPlan {
    Process,
    /// Repeats the call at this index of the batch.
    Repeat(usize),
    /// Repeats an earlier call; its encoded reply.
    Replied(Vec<u8>),
    /// The idempotency key was used for another request.
    KeyReused,
}

impl BatchPlan {
    pub(super) fn new(
        calls: &[AnswerCall],
        known: &BTreeMap<(String, String), IdempotencyReceipt>,
        keyring: &Keyring,
    ) -> Self {
        // A call without a key repeats nothing: its index makes its key unique.
        let indexed: Vec<(usize, &AnswerCall)> = calls.iter().enumerate().collect();
        let same = find_repeats(
            &indexed,
            |(n, call)| {
                let unique = call.key.is_none().then_some(*n);
                (call.actor.clone(), call.key.clone(), unique)
            },
            |(_, call)| (Arc::clone(&call.items), call.body_digest.clone()),
        );
        let plans = calls
            .iter()
            .zip(same)
            .map(|(call, same)| {
                let key = call.key.clone().unwrap_or_default();
                let receipt = known.get(&(call.actor.clone(), key));
                match (receipt, same) {
                    (Some(r), _) if call.has_request_mac(keyring, &r.body_mac) => {
                        CallPlan::Replied(r.reply.clone())
                    }
                    (Some(_), _) | (None, Repeat::Conflict(_)) => CallPlan::KeyReused,
                    (None, Repeat::SameAs(first)) => CallPlan::Repeat(first),
                    (None, Repeat::First) => CallPlan::Process,
                }
            })
            .collect();
        Self {
            plans,
            parsed: vec![Vec::new(); calls.len()],
        }
    }

    pub(super) fn calls_to_process(&self) -> Vec<usize> {
        (0..self.plans.len())
            .filter(|n| matches!(self.plans[*n], CallPlan::Process))
            .collect()
    }

    pub(super) fn finish(
        self,
        calls: &[AnswerCall],
        replies: &[Result<commands::AnswerReply, Problem>],
        keyring: &Keyring,
    ) -> Result<(Vec<AnswerCallResult>, Vec<IdempotencyReceipt>), Error> {
        let mut results: Vec<AnswerCallResult> = Vec::with_capacity(calls.len());
        let mut receipts = Vec::new();
        for (n, call) in calls.iter().enumerate() {
            let reply = match &self.plans[n] {
                CallPlan::Process => {
                    let response = response(call, &self.parsed[n], replies);
                    if let Some(key) = &call.key {
                        receipts.push(IdempotencyReceipt {
                            actor: call.actor.clone(),
                            key: key.clone(),
                            body_mac: call.request_mac(keyring).to_vec(),
                            reply: response.encode_to_vec(),
                        });
                    }
                    Ok(response)
                }
                // The first of equal calls precedes its repeats in the batch.
                CallPlan::Repeat(first) => results[*first].clone(),
                CallPlan::Replied(reply) => Ok(v1::AnswerNoticesResponse::decode(reply.as_slice())
                    .map_err(|_| Problem::from_kind(Kind::Internal))?),
                CallPlan::KeyReused => Err(key_reused()),
            };
            results.push(reply);
        }
        Ok((results, receipts))
    }
}

fn response(
    call: &AnswerCall,
    parsed: &[Result<usize, Invalid>],
    replies: &[Result<commands::AnswerReply, Problem>],
) -> v1::AnswerNoticesResponse {
    use v1::answer_result::Result as ItemResult;
    let results = call
        .items
        .iter()
        .zip(parsed)
        .enumerate()
        .map(|(i, (item, parsed))| {
            let result = match parsed {
                Err(invalid) => ItemResult::Problem(invalid.clone().into()),
                Ok(index) => match replies.get(*index) {
                    Some(Ok(reply)) => ItemResult::State(reply.state.wire()),
                    Some(Err(problem)) => ItemResult::Problem(item_problem(problem, i)),
                    None => {
                        ItemResult::Problem(item_problem(&Problem::from_kind(Kind::Internal), i))
                    }
                },
            };
            v1::AnswerResult {
                notice_id: item.notice_id.clone(),
                result: Some(result),
            }
        })
        .collect();
    v1::AnswerNoticesResponse { results }
}

fn item_problem(problem: &Problem, i: usize) -> v1::ItemProblem {
    v1::ItemProblem {
        code: problem.code.to_string(),
        detail: problem.detail.clone(),
        field: format!(
            "answers[{i}].{}",
            problem.field.as_deref().unwrap_or("notice_id")
        ),
    }
}
