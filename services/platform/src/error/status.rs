//! A problem as a gRPC status and back, in the standard error model (AIP-193): the details of the status are
//! an `ErrorInfo` with the code, a `BadRequest` with the field at fault, and a `RetryInfo`.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::{Kind, Problem};

/// The domain of every reason. A status of another domain is not ours.
const DOMAIN: &str = "takedown.v1";

/// An error with a code, for a gRPC code that no [`Kind`] stands for.
pub(crate) fn status(grpc: Code, code: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(grpc, message, error_info(code))
}

fn error_info(code: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason(code), DOMAIN, HashMap::new())
}

/// AIP-193 writes reasons in upper snake case, problem documents and item problems write codes in lower case.
fn reason(code: &str) -> String {
    code.to_ascii_uppercase()
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let mut details = error_info(&problem.code);
        if let Some(field) = problem.field {
            let mut violation = FieldViolation::new(field, problem.detail.clone());
            violation.reason = reason(&problem.code);
            details.set_bad_request(vec![violation]);
        }
        if let Some(after) = problem.retry_after {
            details.set_retry_info(Some(after));
        }
        Self::with_error_details(problem.kind.grpc(), problem.detail, details)
    }
}

impl From<&Status> for Problem {
    fn from(status: &Status) -> Self {
        let kind = Kind::from_grpc(status.code());
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let mut problem = match info {
            Some(info) => Self::new(kind, info.reason.to_ascii_lowercase(), status.message()),
            // Not created by us (the transport, a library): its message may contain anything.
            None => return Self::from_kind(kind),
        };
        problem.field = details
            .bad_request()
            .and_then(|request| request.field_violations.first())
            .map(|violation| violation.field.clone());
        problem.retry_after = details.retry_info().and_then(|retry| retry.retry_delay);
        problem
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::from(&status)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message as _;
    use tonic_types::pb;

    use super::*;

    fn problem() -> Problem {
        Problem::new(Kind::Conflict, "idempotency_key_reused", "Send a new key.")
            .field("reports[3].url")
            .retry_after(Duration::from_millis(1500))
    }

    #[test]
    fn a_problem_survives_a_grpc_round_trip() {
        assert_eq!(Problem::from(Status::from(problem())), problem());
        let minimal = Problem::from_kind(Kind::NotFound);
        assert_eq!(Problem::from(Status::from(minimal.clone())), minimal);
    }

    #[test]
    fn the_details_are_those_that_any_grpc_client_knows() {
        let status = Status::from(problem());
        assert!(status.metadata().is_empty(), "{:?}", status.metadata());
        let sent = pb::Status::decode(status.details()).unwrap();
        assert_eq!(sent.code, i32::from(Code::AlreadyExists));
        assert_eq!(sent.message, "Send a new key.");
        let decoded = status.get_error_details();
        let info = decoded.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("IDEMPOTENCY_KEY_REUSED", "takedown.v1")
        );
        let violations = &decoded.bad_request().unwrap().field_violations;
        let [violation] = violations.as_slice() else {
            panic!("{violations:?}");
        };
        assert_eq!(violation.field, "reports[3].url");
        assert_eq!(violation.description, "Send a new key.");
        assert_eq!(violation.reason, "IDEMPOTENCY_KEY_REUSED");
        let retry = decoded.retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn the_message_of_a_foreign_status_is_not_exposed() {
        let message = "connection to https://host.example/secret failed";
        let details = ErrorDetails::with_error_info("SECRET", "storage.example", HashMap::new());
        for foreign in [
            Status::internal(message),
            Status::with_error_details(Code::Internal, message, details),
            Status::with_details(Code::Internal, message, vec![0xff; 8].into()),
        ] {
            assert_eq!(Problem::from(foreign), Problem::from_kind(Kind::Internal));
        }
    }
}
