//! The SQL of the workload of each member of staff. No decisions.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The workload of one person.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct StaffWorkload {
    pub(crate) subject: Uuid,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    pub(crate) claimed: i64,
    pub(crate) claim_ends_at: Option<OffsetDateTime>,
    pub(crate) verdicts: i64,
    pub(crate) passed_on: i64,
    pub(crate) reveals: i64,
    pub(crate) seen_at: Option<OffsetDateTime>,
}

/// The workload of everyone with an account, and of everyone without an account here who has claimed a case
/// or acted on one since the given time; or of one of them alone. Sorted by name. A withdrawal in a review
/// counts as a verdict. One outside a review, which has a note, does not.
pub(crate) async fn by_person(
    conn: &mut PgConnection,
    only: Option<Uuid>,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<StaffWorkload>> {
    sqlx::query_as(
        "-- by_person
        with claim as (
            select claimed_by as subject, count(*) as cases, min(claimed_until) as ends
            from assessment where state = 'claimed' and claimed_until > $3 group by claimed_by
        ), acts as (
            select substr(actor, 7)::uuid as subject,
                count(*) filter (where act in ('actionable', 'first_of_two', 'not_actionable', 'uphold', 'offline')
                    or (act = 'withdraw' and sealed_note is null)) as verdicts,
                count(*) filter (where act in ('second_opinion', 'needs_information')) as passed_on
            from case_act where actor like 'staff:%' and at > $2 group by actor
        ), person as (
            select subject from staff where revoked_at is null
            union select subject from claim
            union select subject from acts
        )
        select p.subject, coalesce(s.name, '') as name, coalesce(s.roles, '{}') as roles,
            coalesce(c.cases, 0) as claimed, c.ends as claim_ends_at,
            coalesce(a.verdicts, 0) as verdicts, coalesce(a.passed_on, 0) as passed_on,
            (select count(*) from reveal r where r.subject = p.subject and r.at > $2) as reveals,
            (select max(used_at) from session t
                where t.subject = p.subject and t.revoked_at is null and t.expires_at > $3) as seen_at
        from person p
        left join staff s on s.subject = p.subject
        left join claim c on c.subject = p.subject
        left join acts a on a.subject = p.subject
        where $1::uuid is null or p.subject = $1
        order by lower(coalesce(s.name, '')), p.subject",
    )
    .bind(only)
    .bind(since)
    .bind(now)
    .fetch_all(conn)
    .await
}
