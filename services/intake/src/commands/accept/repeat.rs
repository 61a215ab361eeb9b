//! Submissions whose idempotency key was used before: the earlier response, or a refusal if the body is
//! different.

use std::collections::{BTreeMap, HashMap};

use platform::batch::fold;
use platform::error::{Kind, Problem};
use platform::sealed::Purpose;
use prost::Message;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Accept, Accepted};
use crate::error::Error;
use crate::store::submission;
use crate::submission::{Idempotency, Submission};

/// The reply to a submission, as far as it is known.
pub(super) enum PendingReply {
    Done(Accepted),
    /// The same as that of an earlier submission of the batch.
    SameAs(usize),
}

impl Accept {
    /// Replies to the submissions whose idempotency key was used before, earlier or in this batch. Reserves
    /// the keys of the others, whose entries stay `None`.
    pub(super) async fn find_repeats(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
        now: OffsetDateTime,
    ) -> Result<Vec<Option<PendingReply>>, Error> {
        let mut replies: Vec<Option<PendingReply>> = batch.iter().map(|_| None).collect();
        let keyed: Vec<(usize, &Submission, &Idempotency)> = batch
            .iter()
            .enumerate()
            .filter_map(|(index, submission)| {
                Some((index, submission, submission.idempotency.as_ref()?))
            })
            .collect();
        let mut keys = BTreeMap::new();
        for (_, submission, idempotency) in &keyed {
            let name = (submission.principal.as_str(), idempotency.key.as_str());
            keys.entry(name).or_insert(submission::SubmissionKey {
                id: submission.id,
                principal: name.0,
                name: name.1,
                body_mac: &idempotency.mac,
            });
        }
        let keys: Vec<submission::SubmissionKey<'_>> = keys.into_values().collect();
        let mut used = HashMap::new();
        if !keys.is_empty() {
            let reserved = submission::reserve_keys(conn, &keys, now).await?;
            if reserved.len() < keys.len() {
                for used_key in submission::find_used_keys(conn, &keys).await? {
                    used.insert((used_key.principal.clone(), used_key.key.clone()), used_key);
                }
            }
        }
        // Stored keys first, then repeats within the batch, so that a different body beside a true repeat
        // affects only itself.
        let mut unused = Vec::with_capacity(keyed.len());
        for (index, submission, idempotency) in keyed {
            let name = (submission.principal.clone(), idempotency.key.clone());
            match used.get(&name) {
                None => unused.push((index, submission, idempotency)),
                Some(used) if idempotency.matches(&self.keyring, &used.body_mac) => {
                    replies[index] = Some(PendingReply::Done(self.earlier_reply(used)?));
                }
                Some(_) => replies[index] = Some(PendingReply::Done(Err(fold::key_reused()))),
            }
        }
        let repeats = fold::find_repeats(
            &unused,
            |(_, submission, idempotency)| {
                (submission.principal.as_str(), idempotency.key.as_str())
            },
            |(.., idempotency)| idempotency.mac,
        );
        for ((index, ..), repeat) in unused.iter().zip(repeats) {
            replies[*index] = match repeat {
                fold::Repeat::First => None,
                fold::Repeat::SameAs(earlier) => Some(PendingReply::SameAs(unused[earlier].0)),
                fold::Repeat::Conflict(_) => Some(PendingReply::Done(Err(fold::key_reused()))),
            };
        }
        Ok(replies)
    }

    /// The stored response of an earlier submission with the same key.
    fn earlier_reply(&self, used: &submission::UsedKey) -> Result<Accepted, Error> {
        let opened = self.keyring.open_provider(
            Purpose::Document,
            &used.principal,
            used.id,
            &used.response,
        )?;
        let mut response =
            v1::SubmitReportsResponse::decode(&*opened).map_err(|_| Error::BadRow {
                table: "submission",
                column: "response",
                id: used.id.to_string(),
            })?;
        response.repeated = true;
        Ok(Ok(response))
    }
}

/// Copies the replies of submissions that are repeats of an earlier one in the batch.
pub(super) fn resolve_replies(replies: Vec<Option<PendingReply>>) -> Vec<Accepted> {
    let mut resolved: Vec<Accepted> = Vec::with_capacity(replies.len());
    for reply in replies {
        resolved.push(match reply {
            Some(PendingReply::Done(reply)) => reply,
            // It is earlier in the batch, so it has been resolved already.
            Some(PendingReply::SameAs(earlier)) => resolved[earlier].clone().map(|mut response| {
                response.repeated = true;
                response
            }),
            None => Err(Problem::from_kind(Kind::Internal)),
        });
    }
    resolved
}
