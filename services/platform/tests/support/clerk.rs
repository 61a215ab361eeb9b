//! A service that hears: it writes down what it was told, and meets the troubles that a test sets for it.

use std::sync::{Arc, Mutex};

use platform::bus::{Heed, HeedError};
use platform::log::Envelope;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::number;

/// The clerk's own table, and a way to be refused by the database.
pub(crate) async fn make_room(pool: &PgPool) {
    sqlx::raw_sql(
        "create table heard (n bigint generated always as identity, case_id uuid not null, number bigint not null);
        create function refuse(state text) returns void language plpgsql as
        $$ begin raise exception 'refused' using errcode = state; end $$;",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// What the consumer meets when it applies a batch that holds the given number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Rotten(i64),
    /// The database refuses this number with the given SQLSTATE.
    Refused(i64, &'static str),
    /// As above, but only the first time.
    Once(i64, &'static str),
    Later(i64),
}

/// Writes numbers into `heard` and meets the troubles set for it.
#[derive(Clone, Default)]
pub(crate) struct Clerk {
    troubles: Arc<Mutex<Vec<Trouble>>>,
    calls: Arc<Mutex<Vec<Vec<Uuid>>>>,
}

impl Clerk {
    pub(crate) fn meets(&self, troubles: &[Trouble]) {
        *self.troubles.lock().unwrap() = troubles.to_vec();
    }

    /// Ids of the events of each call, in order.
    pub(crate) fn calls(&self) -> Vec<Vec<Uuid>> {
        self.calls.lock().unwrap().clone()
    }

    fn trouble(&self, batch: &[Envelope]) -> Option<(Uuid, Trouble)> {
        let mut troubles = self.troubles.lock().unwrap();
        for event in batch {
            let n = number(&event.payload);
            let met = troubles.iter().position(|t| match t {
                Trouble::Rotten(m)
                | Trouble::Refused(m, _)
                | Trouble::Once(m, _)
                | Trouble::Later(m) => *m == n,
            });
            if let Some(index) = met {
                let trouble = troubles[index];
                if matches!(trouble, Trouble::Once(..)) {
                    troubles.remove(index);
                }
                return Some((event.id, trouble));
            }
        }
        None
    }
}

impl Heed for Clerk {
    async fn heed(&self, conn: &mut PgConnection, batch: &[Envelope]) -> Result<(), HeedError> {
        self.calls
            .lock()
            .unwrap()
            .push(batch.iter().map(|e| e.id).collect());
        sqlx::query(
            "insert into heard (case_id, number)
            select h.case_id, h.number from unnest($1::uuid[], $2::bigint[]) with ordinality as h (case_id, number, n)
            order by h.n",
        )
        .bind(batch.iter().map(|e| e.case_id).collect::<Vec<_>>())
        .bind(batch.iter().map(|e| number(&e.payload)).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
        match self.trouble(batch) {
            None => Ok(()),
            Some((event, Trouble::Rotten(_))) => Err(HeedError::Rotten {
                event,
                reason: "it does not decode",
            }),
            Some((_, Trouble::Later(_))) => Err(HeedError::Later("the key is not here")),
            Some((_, Trouble::Refused(_, state) | Trouble::Once(_, state))) => {
                sqlx::query("select refuse($1)")
                    .bind(state)
                    .execute(conn)
                    .await?;
                Ok(())
            }
        }
    }
}
