//! The SQL of how the work lies on those who do it. No decisions.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// One person's part of the work.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Load {
    pub(crate) subject: Uuid,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    pub(crate) in_hand: i64,
    pub(crate) claim_ends_at: Option<OffsetDateTime>,
    pub(crate) verdicts: i64,
    pub(crate) passed_on: i64,
    pub(crate) reveals: i64,
    pub(crate) seen_at: Option<OffsetDateTime>,
}

/// Everybody with an account, and whoever without one here has a case in hand or judged one since that moment; or one of
/// them alone. By name. Withdrawing is a verdict in a review; whoever takes one back otherwise says why, and gives none.
pub(crate) async fn people(
    conn: &mut PgConnection,
    only: Option<Uuid>,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Load>> {
    sqlx::query_as(
        "-- people
        with hand as (
            select claimed_by as subject, count(*) as cases, min(claimed_until) as ends
            from assessment where state = 'claimed' and claimed_until > $3 group by claimed_by
        ), acts as (
            select substr(actor, 7)::uuid as subject,
                count(*) filter (where act in ('actionable', 'first_of_two', 'not_actionable', 'uphold', 'gone')
                    or (act = 'withdraw' and sealed_note is null)) as verdicts,
                count(*) filter (where act in ('second_look', 'needs_information')) as passed_on
            from judgement where actor like 'staff:%' and at > $2 group by actor
        ), person as (
            select subject from staff where revoked_at is null
            union select subject from hand
            union select subject from acts
        )
        select p.subject, coalesce(s.name, '') as name, coalesce(s.roles, '{}') as roles,
            coalesce(h.cases, 0) as in_hand, h.ends as claim_ends_at,
            coalesce(a.verdicts, 0) as verdicts, coalesce(a.passed_on, 0) as passed_on,
            (select count(*) from reveal r where r.subject = p.subject and r.at > $2) as reveals,
            (select max(used_at) from session t
                where t.subject = p.subject and t.revoked_at is null and t.expires_at > $3) as seen_at
        from person p
        left join staff s on s.subject = p.subject
        left join hand h on h.subject = p.subject
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
