//! Maps database failures to problems: by SQLSTATE, never by message text.

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

/// By SQLSTATE class (PostgreSQL manual, appendix A, "PostgreSQL Error Codes"). Classes 22, 23 and 42 (data,
/// constraint, statement) concern what we sent; all others are the server's state and no fault of the caller.
fn database_kind(sqlstate: &str) -> Kind {
    match sqlstate.get(..2) {
        Some("22" | "23" | "42") => Kind::Internal,
        Some("53") => Kind::Exhausted,
        _ => Kind::Unavailable,
    }
}

/// Logs names only, never the message, in which Postgres quotes the values of a failed row.
fn log_database(kind: Kind, error: &sqlx::Error) {
    let name = match error {
        sqlx::Error::Database(e) => {
            let (code, table, constraint) = (e.code(), e.table(), e.constraint());
            tracing::warn!(
                db.sqlstate = code.as_deref(),
                db.table = table,
                db.constraint = constraint,
                problem.kind = ?kind,
                "the database rejected a statement"
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
    fn the_sqlstate_decides_the_kind() {
        assert_eq!(database_kind("53100"), Kind::Exhausted);
        for server_side in [
            "08006", "40P01", "57014", "25006", "58030", "57P03", "XX000", "55000", "",
        ] {
            assert_eq!(
                database_kind(server_side),
                Kind::Unavailable,
                "{server_side}"
            );
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
