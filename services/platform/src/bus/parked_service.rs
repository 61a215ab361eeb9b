//! `ParkedService`: lists a service's parked events for staff. It shows no payload and changes nothing;
//! replaying and dropping need two people (`takedown parked`).

use proto::v1;
use proto::v1::parked_service_server::{ParkedService, ParkedServiceServer};
use sqlx::PgPool;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::parked::{self, ParkedEvent};
use crate::clock;
use crate::error::{Kind, Problem};
use crate::log::timestamp;
use crate::principal::{Role, bearer};
use crate::sealed::{Keyring, SigningContext, StaffTokenVerifier};

/// Maximum number of events in a response; the total is returned beside them.
const LIST_LIMIT: i64 = 200;

/// Roles that may list parked events.
const READERS: [Role; 3] = [Role::Supervisor, Role::Operator, Role::Auditor];

/// Serves the parked events of one service's schema.
pub struct ParkedServer {
    pool: PgPool,
    staff: StaffTokenVerifier,
}

impl ParkedServer {
    /// `service` is the audience that staff tokens must name.
    pub fn new(
        pool: PgPool,
        keyring: &Keyring,
        service: &'static str,
    ) -> ParkedServiceServer<Self> {
        let verifier = keyring.verifier(SigningContext::StaffToken);
        // The verifier was created for this context one line above, so this cannot fail.
        let staff = StaffTokenVerifier::new(verifier, service).expect("a verifier of staff tokens");
        ParkedServiceServer::new(Self { pool, staff })
    }

    fn authorize(&self, metadata: &MetadataMap) -> Result<(), Problem> {
        let token = bearer(metadata)?.ok_or_else(|| {
            Problem::new(
                Kind::Unauthenticated,
                "credential_missing",
                "This call needs a staff token; sign in first.",
            )
        })?;
        // Staff tokens are issued and verified by the wall clock in every process.
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
        let events = parked::list_parked(&mut conn, LIST_LIMIT).await?;
        let total = parked::count(&mut conn).await?;
        Ok(v1::ListParkedResponse {
            events: events.into_iter().map(to_proto).collect(),
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
        self.authorize(request.metadata())?;
        Ok(Response::new(self.list().await?))
    }
}

fn to_proto(parked: ParkedEvent) -> v1::ParkedEvent {
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
