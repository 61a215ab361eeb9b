//! Calls about the workload of staff and the agreement of their verdicts.

use domain::id::{CaseId, Subject};
use domain::wire::timestamp;
use platform::principal::Role;
use proto::v1;
use time::{Duration, OffsetDateTime};
use tonic::Request;

use super::{Grpc, parse, to_proto};
use crate::auth::Person;
use crate::error::Error;
use crate::store;
use crate::store::second_opinions::DisagreementRow;
use crate::store::workload::StaffWorkload;

/// Period over which second opinions are counted.
const AGREEMENT_PERIOD: Duration = Duration::days(30);

/// The roles that see the work of all staff.
const OVERSIGHT_ROLES: [Role; 2] = [Role::Supervisor, Role::Auditor];

impl Grpc {
    pub(super) async fn get_workload(
        &self,
        request: Request<v1::GetWorkloadRequest>,
    ) -> Result<v1::GetWorkloadResponse, Error> {
        let (person, v1::GetWorkloadRequest {}) = self.authenticate(request)?;
        let only = (!has_oversight(&person)).then(|| person.subject.uuid());
        let mut conn = self.pool.acquire().await?;
        let now = self.clock.now(&mut conn).await?;
        let since = now - self.context.config.shift();
        let people = store::workload::by_person(&mut conn, only, since, now).await?;
        let eligible_staff = store::staff::eligible_staff(&mut conn).await?;
        let without_eligible_staff =
            store::queue::count_without_eligible_staff(&mut conn, &eligible_staff).await?;
        Ok(v1::GetWorkloadResponse {
            people: people
                .into_iter()
                .map(workload)
                .collect::<Result<_, Error>>()?,
            since: Some(timestamp(since)),
            reveals_allowed: self.context.config.reveals_per_shift,
            without_eligible_staff: without_eligible_staff as u64,
        })
    }

    pub(super) async fn list_disagreements(
        &self,
        request: Request<v1::ListDisagreementsRequest>,
    ) -> Result<v1::ListDisagreementsResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        person.require_any(OVERSIGHT_ROLES)?;
        let size = parse::page_size(request.page_size)?;
        let after = parse::id_page_token(&request.page_token)?;
        let mut conn = self.pool.acquire().await?;
        let now: OffsetDateTime = self.clock.now(&mut conn).await?;
        let rows = store::second_opinions::disagreements(&mut conn, after, size).await?;
        let counts = store::second_opinions::counts(&mut conn, now - AGREEMENT_PERIOD).await?;
        let next = rows.last().filter(|_| rows.len() as i64 == size);
        Ok(v1::ListDisagreementsResponse {
            next_page_token: next
                .map(|row| row.case_act_id.to_string())
                .unwrap_or_default(),
            disagreements: rows.into_iter().map(disagreement).collect(),
            agreement: counts
                .into_iter()
                .map(|(kind, agreed, disagreed)| v1::AgreementCount {
                    kind,
                    agreed: agreed as u64,
                    disagreed: disagreed as u64,
                })
                .collect(),
        })
    }
}

fn has_oversight(person: &Person) -> bool {
    OVERSIGHT_ROLES.into_iter().any(|role| person.has(role))
}

fn workload(load: StaffWorkload) -> Result<v1::Workload, Error> {
    let roles = load.roles.iter().map(|role| {
        store::parse_column::<Role>(role, "staff", "roles", load.subject).map(to_proto::role)
    });
    Ok(v1::Workload {
        subject: Subject::new(load.subject).to_string(),
        roles: roles.collect::<Result<_, Error>>()?,
        name: load.name,
        claimed: load.claimed as u64,
        claim_ends_at: load.claim_ends_at.map(timestamp),
        verdicts: load.verdicts as u64,
        passed_on: load.passed_on as u64,
        reveals: load.reveals as u64,
        seen_at: load.seen_at.map(timestamp),
    })
}

fn disagreement(row: DisagreementRow) -> v1::Disagreement {
    v1::Disagreement {
        case_id: CaseId::new(row.case_id).to_string(),
        kind: row.kind,
        first_by: row.first_by.iter().map(ToString::to_string).collect(),
        first: row.first,
        second_by: row.second_by.to_string(),
        second: row.second,
        at: Some(timestamp(row.at)),
    }
}
