//! Which calls of a batch are done, which share a reply, and which clash.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Invalid;
use platform::batch::fold::{Repeat, key_reused, repeats};
use platform::error::{Kind, Problem};
use platform::sealed::Keyring;
use prost::Message as _;
use proto::v1;

use super::{AnswerCall, Answered};
use crate::store::Receipt;
use crate::{Error, commands};

/// What becomes of each call of a batch.
pub(super) struct Plan {
    fates: Vec<Fate>,
    /// For each call to be done: the place of each item among the parsed ones, or why it has none.
    pub(super) parsed: Vec<Vec<Result<usize, Invalid>>>,
}

enum Fate {
    Do,
    /// As the call at this index.
    Like(usize),
    /// Answered before.
    Known(Vec<u8>),
    Clash,
}

impl Plan {
    pub(super) fn new(
        calls: &[AnswerCall],
        known: &BTreeMap<(String, String), Receipt>,
        keyring: &Keyring,
    ) -> Self {
        // A call without a key repeats nothing: its index makes its key its own.
        let indexed: Vec<(usize, &AnswerCall)> = calls.iter().enumerate().collect();
        let same = repeats(
            &indexed,
            |(n, call)| {
                let own = call.key.is_none().then_some(*n);
                (call.actor.clone(), call.key.clone(), own)
            },
            |(_, call)| (Arc::clone(&call.items), call.body_digest.clone()),
        );
        let fates = calls
            .iter()
            .zip(same)
            .map(|(call, same)| {
                let key = call.key.clone().unwrap_or_default();
                let receipt = known.get(&(call.actor.clone(), key));
                match (receipt, same) {
                    (Some(r), _) if call.is_of(keyring, &r.body_mac) => {
                        Fate::Known(r.reply.clone())
                    }
                    (Some(_), _) | (None, Repeat::Clash(_)) => Fate::Clash,
                    (None, Repeat::Of(first)) => Fate::Like(first),
                    (None, Repeat::First) => Fate::Do,
                }
            })
            .collect();
        Self {
            fates,
            parsed: vec![Vec::new(); calls.len()],
        }
    }

    pub(super) fn to_do(&self) -> Vec<usize> {
        (0..self.fates.len())
            .filter(|n| matches!(self.fates[*n], Fate::Do))
            .collect()
    }

    pub(super) fn finish(
        self,
        calls: &[AnswerCall],
        replies: &[Result<commands::AnswerReply, Problem>],
        keyring: &Keyring,
    ) -> Result<(Vec<Answered>, Vec<Receipt>), Error> {
        let mut answered: Vec<Answered> = Vec::with_capacity(calls.len());
        let mut receipts = Vec::new();
        for (n, call) in calls.iter().enumerate() {
            let reply = match &self.fates[n] {
                Fate::Do => {
                    let response = response(call, &self.parsed[n], replies);
                    if let Some(key) = &call.key {
                        receipts.push(Receipt {
                            actor: call.actor.clone(),
                            key: key.clone(),
                            body_mac: call.mac(keyring).to_vec(),
                            reply: response.encode_to_vec(),
                        });
                    }
                    Ok(response)
                }
                // The first of equal calls stands before its repeats.
                Fate::Like(first) => answered[*first].clone(),
                Fate::Known(reply) => Ok(v1::AnswerNoticesResponse::decode(reply.as_slice())
                    .map_err(|_| Problem::of(Kind::Internal))?),
                Fate::Clash => Err(key_reused()),
            };
            answered.push(reply);
        }
        Ok((answered, receipts))
    }
}

fn response(
    call: &AnswerCall,
    parsed: &[Result<usize, Invalid>],
    replies: &[Result<commands::AnswerReply, Problem>],
) -> v1::AnswerNoticesResponse {
    use v1::answer_result::Result as Said;
    let results = call
        .items
        .iter()
        .zip(parsed)
        .enumerate()
        .map(|(i, (item, parsed))| {
            let said = match parsed {
                Err(invalid) => Said::Problem(invalid.clone().into()),
                Ok(place) => match replies.get(*place) {
                    Some(Ok(reply)) => Said::State(reply.state.wire()),
                    Some(Err(problem)) => Said::Problem(item_problem(problem, i)),
                    None => Said::Problem(item_problem(&Problem::of(Kind::Internal), i)),
                },
            };
            v1::AnswerResult {
                notice_id: item.notice_id.clone(),
                result: Some(said),
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
            "items[{i}].{}",
            problem.field.as_deref().unwrap_or("notice_id")
        ),
    }
}
