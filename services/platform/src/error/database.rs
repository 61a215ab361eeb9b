//! What a failure of the database is to a caller: by SQLSTATE, never by its text.

use std::time::Duration;

use super::{Kind, Problem};

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let kind = match &error {
            sqlx::Error::Database(e) => database_kind(e.code().as_deref().unwrap_or_default()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Kind::Unavailable,
            _ => Kind::Internal,
        };
        log_database(kind, &error);
        match kind {
            Kind::Exhausted => Self::new(kind, "database_exhausted", kind.default_detail())
                .retry_after(Duration::from_secs(5)),
            Kind::Unavailable => Self::new(kind, "database_unavailable", kind.default_detail())
                .retry_after(Duration::from_secs(1)),
            _ => Self::new(kind, "database", kind.default_detail()),
        }
    }
}

/// By the classes of appendix A of the Postgres manual ("PostgreSQL Error Codes"). Data, a constraint and the statement
/// itself are what we sent; all else is the server's state, and nothing that a caller sent is at fault.
fn database_kind(sqlstate: &str) -> Kind {
    match sqlstate.get(..2) {
        Some("22" | "23" | "42") => Kind::Internal,
        Some("53") => Kind::Exhausted,
        _ => Kind::Unavailable,
    }
}

/// Names, never the message: Postgres quotes the values of a failed row in it.
fn log_database(kind: Kind, error: &sqlx::Error) {
    let name = match error {
        sqlx::Error::Database(e) => {
            let (code, table, constraint) = (e.code(), e.table(), e.constraint());
            tracing::warn!(
                db.sqlstate = code.as_deref(),
                db.table = table,
                db.constraint = constraint,
                problem.kind = ?kind,
                "the database refused a statement"
            );
            return;
        }
        sqlx::Error::RowNotFound => "row not found",
        sqlx::Error::ColumnNotFound(_) => "column not found",
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => "value does not decode",
        sqlx::Error::Encode(_) => "value does not encode",
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => "connection",
        sqlx::Error::PoolTimedOut => "no free connection in time",
        sqlx::Error::PoolClosed => "pool closed",
        sqlx::Error::Protocol(_) => "protocol",
        _ => "other",
    };
    tracing::warn!(db.error = name, problem.kind = ?kind, "the database call failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstate_decides() {
        assert_eq!(database_kind("53100"), Kind::Exhausted);
        for outside in [
            "08006", "40P01", "57014", "25006", "58030", "57P03", "XX000", "55000", "",
        ] {
            assert_eq!(database_kind(outside), Kind::Unavailable, "{outside}");
        }
        for ours in ["22021", "23505", "42P01", "42501"] {
            assert_eq!(database_kind(ours), Kind::Internal, "{ours}");
        }
        assert_eq!(
            Problem::from(sqlx::Error::PoolTimedOut).kind,
            Kind::Unavailable
        );
    }
}
