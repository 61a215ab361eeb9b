//! `ParkedService`: what a service could not apply, shown to staff who look after it.
//! Must not show what is in an event, and must not change anything: replaying and dropping take two people.

use proto::v1;
use proto::v1::parked_service_server::{ParkedService, ParkedServiceServer};
use sqlx::PgPool;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::parked::{self, Parked};
use crate::clock;
use crate::error::{Kind, Problem};
use crate::log::timestamp;
use crate::principal::{Role, bearer};
use crate::sealed::{Keyring, SigningContext, StaffTokenVerifier};

/// Parked events in one answer; how many there are in all is said beside them.
const SHOWN: i64 = 200;

/// Who looks after what cannot be applied.
const READERS: [Role; 3] = [Role::Supervisor, Role::Operator, Role::Auditor];

/// Serves what is parked in one service's schema.
pub struct ParkedServer {
    pool: PgPool,
    staff: StaffTokenVerifier,
}

impl ParkedServer {
    /// `service` is the audience that staff tokens are for.
    pub fn new(
        pool: PgPool,
        keyring: &Keyring,
        service: &'static str,
    ) -> ParkedServiceServer<Self> {
        let verifier = keyring.verifier(SigningContext::StaffToken);
        // The verifier was made for this very context one line above.
        let staff = StaffTokenVerifier::new(verifier, service).expect("a verifier of staff tokens");
        ParkedServiceServer::new(Self { pool, staff })
    }

    fn admit(&self, metadata: &MetadataMap) -> Result<(), Problem> {
        let token = bearer(metadata)?.ok_or_else(|| {
            Problem::new(
                Kind::Unauthenticated,
                "credential_missing",
                "This needs a staff token; sign in first.",
            )
        })?;
        // Tokens are made and checked by the wall clock, in whichever process.
        let claims = self.staff.verify(token, clock::wall())?;
        if READERS.into_iter().any(|role| claims.roles.has(role)) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Forbidden,
            "role_required",
            "Parked events are shown to supervisors, operators and auditors.",
        ))
    }

    async fn list(&self) -> Result<v1::ListParkedResponse, Problem> {
        let mut conn = self.pool.acquire().await?;
        let events = parked::list(&mut conn, SHOWN).await?;
        let total = parked::count(&mut conn).await?;
        Ok(v1::ListParkedResponse {
            events: events.into_iter().map(shown).collect(),
            total: total.cast_unsigned(),
        })
    }
}

#[tonic::async_trait]
impl ParkedService for ParkedServer {
    async fn list_parked(
        &self,
        request: Request<v1::ListParkedRequest>,
    ) -> Result<Response<v1::ListParkedResponse>, Status> {
        self.admit(request.metadata())?;
        Ok(Response::new(self.list().await?))
    }
}

fn shown(parked: Parked) -> v1::ParkedEvent {
    v1::ParkedEvent {
        consumer: parked.consumer,
        producer: parked.event.producer,
        case_id: parked.event.case_id.to_string(),
        event_id: parked.event.id.to_string(),
        kind: parked.event.kind,
        reason: parked.reason,
        parked_at: Some(timestamp(parked.parked_at)),
    }
}
