//! A test handler: records the numbers of the events it receives, and fails as a test requests.

use std::sync::{Arc, Mutex};

use platform::bus::{EventHandler, HandlerError};
use platform::log::Envelope;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::number;

/// Creates the handler's table, and a function that raises a database error.
pub(crate) async fn create_tables(pool: &PgPool) {
    sqlx::raw_sql(
        "create table received (n bigint generated always as identity, case_id uuid not null, number bigint not null);
        create function refuse(state text) returns void language plpgsql as
        $$ begin raise exception 'refused' using errcode = state; end $$;",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// An error to raise when a batch contains the given number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InjectedError {
    Unprocessable(i64),
    /// The database raises the given SQLSTATE.
    Database(i64, &'static str),
    /// As above, but only once.
    DatabaseOnce(i64, &'static str),
    RetryLater(i64),
}

/// Writes numbers into the table `received` and raises the injected errors.
#[derive(Clone, Default)]
pub(crate) struct RecordingHandler {
    errors: Arc<Mutex<Vec<InjectedError>>>,
    calls: Arc<Mutex<Vec<Vec<Uuid>>>>,
}

impl RecordingHandler {
    pub(crate) fn inject(&self, errors: &[InjectedError]) {
        *self.errors.lock().unwrap() = errors.to_vec();
    }

    /// The event ids of each call, in order.
    pub(crate) fn calls(&self) -> Vec<Vec<Uuid>> {
        self.calls.lock().unwrap().clone()
    }

    fn next_error(&self, batch: &[Envelope]) -> Option<(Uuid, InjectedError)> {
        let mut errors = self.errors.lock().unwrap();
        for event in batch {
            let n = number(&event.payload);
            let index = errors.iter().position(|t| match t {
                InjectedError::Unprocessable(m)
                | InjectedError::Database(m, _)
                | InjectedError::DatabaseOnce(m, _)
                | InjectedError::RetryLater(m) => *m == n,
            });
            if let Some(index) = index {
                let error = errors[index];
                if matches!(error, InjectedError::DatabaseOnce(..)) {
                    errors.remove(index);
                }
                return Some((event.id, error));
            }
        }
        None
    }
}

impl EventHandler for RecordingHandler {
    async fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> Result<(), HandlerError> {
        self.calls
            .lock()
            .unwrap()
            .push(batch.iter().map(|e| e.id).collect());
        sqlx::query(
            "insert into received (case_id, number)
            select h.case_id, h.number from unnest($1::uuid[], $2::bigint[]) with ordinality as h (case_id, number, n)
            order by h.n",
        )
        .bind(batch.iter().map(|e| e.case_id).collect::<Vec<_>>())
        .bind(batch.iter().map(|e| number(&e.payload)).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
        match self.next_error(batch) {
            None => Ok(()),
            Some((event, InjectedError::Unprocessable(_))) => Err(HandlerError::Unprocessable {
                event,
                reason: "it does not decode",
            }),
            Some((_, InjectedError::RetryLater(_))) => {
                Err(HandlerError::RetryLater("the key is not available"))
            }
            Some((
                _,
                InjectedError::Database(_, state) | InjectedError::DatabaseOnce(_, state),
            )) => {
                sqlx::query("select refuse($1)")
                    .bind(state)
                    .execute(conn)
                    .await?;
                Ok(())
            }
        }
    }
}
