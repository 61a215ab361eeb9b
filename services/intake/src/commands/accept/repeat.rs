//! Submissions whose idempotency key was used before: the answer that was given then, or a refusal where the body is another.

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

/// What is known of a submission's answer.
pub(super) enum Reply {
    Done(Accepted),
    /// The same as that of an earlier submission of the batch.
    SameAs(usize),
}

impl Accept {
    /// Answers those whose idempotency key was used before, earlier or in this batch; takes the keys of the others.
    pub(super) async fn repeated(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
        now: OffsetDateTime,
    ) -> Result<Vec<Option<Reply>>, Error> {
        let mut replies: Vec<Option<Reply>> = batch.iter().map(|_| None).collect();
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
            keys.entry(name).or_insert(submission::Key {
                id: submission.id,
                principal: name.0,
                name: name.1,
                body: &idempotency.mac,
            });
        }
        let keys: Vec<submission::Key<'_>> = keys.into_values().collect();
        let mut used = HashMap::new();
        if !keys.is_empty() {
            let taken = submission::take(conn, &keys, now).await?;
            if taken.len() < keys.len() {
                for used_key in submission::used(conn, &keys).await? {
                    used.insert((used_key.principal.clone(), used_key.key.clone()), used_key);
                }
            }
        }
        // First what is known, then what stands in this batch: a wrong body beside a true repeat costs only itself.
        let mut fresh = Vec::with_capacity(keyed.len());
        for (index, submission, idempotency) in keyed {
            let name = (submission.principal.clone(), idempotency.key.clone());
            match used.get(&name) {
                None => fresh.push((index, submission, idempotency)),
                Some(used) if idempotency.is_of(&self.keyring, &used.body) => {
                    replies[index] = Some(Reply::Done(self.earlier(used)?));
                }
                Some(_) => replies[index] = Some(Reply::Done(Err(fold::key_reused()))),
            }
        }
        let stand = fold::repeats(
            &fresh,
            |(_, submission, idempotency)| {
                (submission.principal.as_str(), idempotency.key.as_str())
            },
            |(.., idempotency)| idempotency.mac,
        );
        for ((index, ..), stands) in fresh.iter().zip(stand) {
            replies[*index] = match stands {
                fold::Repeat::First => None,
                fold::Repeat::Of(earlier) => Some(Reply::SameAs(fresh[earlier].0)),
                fold::Repeat::Clash(_) => Some(Reply::Done(Err(fold::key_reused()))),
            };
        }
        Ok(replies)
    }

    /// The answer that was given before.
    fn earlier(&self, used: &submission::Used) -> Result<Accepted, Error> {
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

/// Gives those that share an answer their copy.
pub(super) fn settle(replies: Vec<Option<Reply>>) -> Vec<Accepted> {
    let mut settled: Vec<Accepted> = Vec::with_capacity(replies.len());
    for reply in replies {
        settled.push(match reply {
            Some(Reply::Done(done)) => done,
            // Earlier in the batch, so settled already.
            Some(Reply::SameAs(earlier)) => settled[earlier].clone().map(|mut response| {
                response.repeated = true;
                response
            }),
            None => Err(Problem::of(Kind::Internal)),
        });
    }
    settled
}
