//! Calls about the people who do the work: how it lies on them, and where they do not agree.

use domain::id::{CaseId, Subject};
use domain::wire::timestamp;
use platform::principal::Role;
use proto::v1;
use time::{Duration, OffsetDateTime};
use tonic::Request;

use super::{Grpc, parse, show};
use crate::auth::Person;
use crate::error::Error;
use crate::store;
use crate::store::looks::Disagreement;
use crate::store::workload::Load;

/// Second looks are counted over so long.
const LOOKED_AT: Duration = Duration::days(30);

/// They see what concerns everybody.
const OVERSEERS: [Role; 2] = [Role::Supervisor, Role::Auditor];

impl Grpc {
    pub(super) async fn get_workload(
        &self,
        request: Request<v1::GetWorkloadRequest>,
    ) -> Result<v1::GetWorkloadResponse, Error> {
        let (person, v1::GetWorkloadRequest {}) = self.admit(request)?;
        let only = (!oversees(&person)).then(|| person.subject.uuid());
        let mut conn = self.pool.acquire().await?;
        let now = self.clock.now(&mut conn).await?;
        let since = now - self.means.config.shift();
        let people = store::workload::people(&mut conn, only, since, now).await?;
        let roster = store::staff::roster(&mut conn).await?;
        let for_nobody = store::queue::for_nobody(&mut conn, &roster).await?;
        Ok(v1::GetWorkloadResponse {
            people: people
                .into_iter()
                .map(workload)
                .collect::<Result<_, Error>>()?,
            since: Some(timestamp(since)),
            reveals_allowed: self.means.config.reveals_per_shift,
            for_nobody: for_nobody as u64,
        })
    }

    pub(super) async fn list_disagreements(
        &self,
        request: Request<v1::ListDisagreementsRequest>,
    ) -> Result<v1::ListDisagreementsResponse, Error> {
        let (person, request) = self.admit(request)?;
        person.require_any(OVERSEERS)?;
        let size = i64::from(parse::page_size(request.page.as_ref()));
        let after = parse::id_cursor(request.page.as_ref())?;
        let mut conn = self.pool.acquire().await?;
        let now: OffsetDateTime = self.clock.now(&mut conn).await?;
        let rows = store::looks::disagreements(&mut conn, after, size).await?;
        let looks = store::looks::counts(&mut conn, now - LOOKED_AT).await?;
        let next = rows.last().filter(|_| rows.len() as i64 == size);
        Ok(v1::ListDisagreementsResponse {
            next_cursor: next
                .map(|row| row.judgement_id.to_string())
                .unwrap_or_default(),
            disagreements: rows.into_iter().map(disagreement).collect(),
            looks: looks
                .into_iter()
                .map(|(look, agreed, disagreed)| v1::LookCount {
                    look,
                    agreed: agreed as u64,
                    disagreed: disagreed as u64,
                })
                .collect(),
        })
    }
}

fn oversees(person: &Person) -> bool {
    OVERSEERS.into_iter().any(|role| person.has(role))
}

fn workload(load: Load) -> Result<v1::Workload, Error> {
    let roles = load
        .roles
        .iter()
        .map(|role| store::parsed::<Role>(role, "staff", "roles", load.subject).map(show::role));
    Ok(v1::Workload {
        subject: Subject::new(load.subject).to_string(),
        roles: roles.collect::<Result<_, Error>>()?,
        name: load.name,
        in_hand: load.in_hand as u64,
        claim_ends_at: load.claim_ends_at.map(timestamp),
        verdicts: load.verdicts as u64,
        passed_on: load.passed_on as u64,
        reveals: load.reveals as u64,
        seen_at: load.seen_at.map(timestamp),
    })
}

fn disagreement(row: Disagreement) -> v1::Disagreement {
    v1::Disagreement {
        case_id: CaseId::new(row.case_id).to_string(),
        look: row.look,
        first_by: row.first_by.iter().map(ToString::to_string).collect(),
        first: row.first,
        second_by: row.second_by.to_string(),
        second: row.second,
        at: Some(timestamp(row.at)),
    }
}
