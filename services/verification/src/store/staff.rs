//! The SQL of staff, sessions and failed sign-ins. No decisions.

use domain::id::Subject;
use platform::principal::{Role, Roles};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::parse_column;
use crate::eligible_staff::EligibleStaff;
use crate::error::Error;

/// A member of staff.
#[derive(Debug, Clone)]
pub(crate) struct StaffMember {
    pub(crate) subject: Subject,
    pub(crate) name: String,
    pub(crate) password_hash: String,
    pub(crate) roles: Roles,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) revoked_at: Option<OffsetDateTime>,
}

#[derive(sqlx::FromRow)]
struct StaffRow {
    subject: Uuid,
    name: String,
    password_hash: String,
    roles: Vec<String>,
    created_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
}

impl TryFrom<StaffRow> for StaffMember {
    type Error = Error;

    fn try_from(row: StaffRow) -> Result<Self, Error> {
        let roles = row
            .roles
            .iter()
            .map(|role| parse_column::<Role>(role, "staff", "roles", row.subject))
            .collect::<Result<Roles, Error>>()?;
        Ok(Self {
            subject: Subject::new(row.subject),
            name: row.name,
            password_hash: row.password_hash,
            roles,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        })
    }
}

pub(crate) async fn by_name(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<StaffMember>, Error> {
    let row: Option<StaffRow> = sqlx::query_as(
        "-- by_name
        select subject, name, password_hash, roles, created_at, revoked_at from staff where lower(name) = lower($1)",
    )
    .bind(name)
    .fetch_optional(conn)
    .await?;
    row.map(StaffMember::try_from).transpose()
}

pub(crate) async fn all(conn: &mut PgConnection) -> Result<Vec<StaffMember>, Error> {
    let rows: Vec<StaffRow> = sqlx::query_as(
        "-- all_staff
        select subject, name, password_hash, roles, created_at, revoked_at from staff order by lower(name)",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(StaffMember::try_from).collect()
}

/// Inserts a member of staff; false if the name is taken.
pub(crate) async fn insert(conn: &mut PgConnection, member: &StaffMember) -> sqlx::Result<bool> {
    let roles: Vec<&str> = member.roles.iter().map(Role::as_str).collect();
    let done = sqlx::query(
        "-- insert_staff
        insert into staff (subject, name, password_hash, roles, created_at) values ($1, $2, $3, $4, $5)
        on conflict (lower(name)) do nothing",
    )
    .bind(member.subject.uuid())
    .bind(&member.name)
    .bind(&member.password_hash)
    .bind(roles)
    .bind(member.created_at)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn is_empty(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "-- is_empty
        select not exists (select from staff)",
    )
    .fetch_one(conn)
    .await
}

/// The accounts that are not revoked, by the roles that may claim cases.
pub(crate) async fn eligible_staff(conn: &mut PgConnection) -> sqlx::Result<EligibleStaff> {
    let (analysts, supervisors) = sqlx::query_as(
        "-- eligible_staff
        select coalesce(array_agg(subject) filter (where 'analyst' = any (roles)), '{}'),
            coalesce(array_agg(subject) filter (where 'supervisor' = any (roles)), '{}')
        from staff where revoked_at is null",
    )
    .fetch_one(conn)
    .await?;
    Ok(EligibleStaff {
        analysts,
        supervisors,
    })
}

/// Revokes an account and all its sessions; false if there is no such account.
pub(crate) async fn revoke(
    conn: &mut PgConnection,
    subject: Subject,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "-- revoke
        update staff set revoked_at = coalesce(revoked_at, $2) where subject = $1",
    )
    .bind(subject.uuid())
    .bind(now)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "-- revoke_sessions
        update session set revoked_at = $2 where subject = $1 and revoked_at is null",
    )
    .bind(subject.uuid())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn open_session(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    id: Uuid,
    subject: Subject,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- open_session
        insert into session (session_hash, session_id, subject, created_at, used_at, expires_at)
        values ($1, $2, $3, $4, $4, $5)",
    )
    .bind(hash.as_slice())
    .bind(id)
    .bind(subject.uuid())
    .bind(now)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// A valid session with its account.
pub(crate) struct StaffSession {
    pub(crate) id: Uuid,
    pub(crate) used_at: OffsetDateTime,
    pub(crate) member: StaffMember,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    session_id: Uuid,
    used_at: OffsetDateTime,
    #[sqlx(flatten)]
    staff: StaffRow,
}

/// The session, unless it has expired, or it or its account is revoked.
pub(crate) async fn session(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<StaffSession>, Error> {
    let row: Option<SessionRow> = sqlx::query_as(
        "-- session
        select s.session_id, s.used_at, m.subject, m.name, m.password_hash, m.roles, m.created_at, m.revoked_at
        from session s join staff m on m.subject = s.subject
        where s.session_hash = $1 and s.revoked_at is null and s.expires_at > $2 and m.revoked_at is null",
    )
    .bind(hash.as_slice())
    .bind(now)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(StaffSession {
            id: row.session_id,
            used_at: row.used_at,
            member: row.staff.try_into()?,
        })
    })
    .transpose()
}

pub(crate) async fn use_session(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- use_session
        update session set used_at = $2, expires_at = $3 where session_hash = $1",
    )
    .bind(hash.as_slice())
    .bind(now)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn end_session(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- end_session
        update session set revoked_at = $2 where session_hash = $1 and revoked_at is null",
    )
    .bind(hash.as_slice())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a sign-in attempt for a name and returns the new count. Concurrent attempts wait for each other
/// here, so that each gets a count of its own.
pub(crate) async fn count_attempt(
    conn: &mut PgConnection,
    name: &[u8; 32],
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "-- count_attempt
        insert into sign_in_failure as f (name_hash, failures, began_at) values ($1, 1, $3)
        on conflict (name_hash) do update set
            failures = case when f.began_at > $2 then f.failures + 1 else 1 end,
            began_at = case when f.began_at > $2 then f.began_at else excluded.began_at end
        returning failures",
    )
    .bind(name.as_slice())
    .bind(since)
    .bind(now)
    .fetch_one(conn)
    .await
}

/// Deletes the count of a name after a successful sign-in.
pub(crate) async fn clear_attempts(conn: &mut PgConnection, name: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query(
        "-- clear_attempts
        delete from sign_in_failure where name_hash = $1",
    )
    .bind(name.as_slice())
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes expired sessions and failure counts. Returns the number of deleted rows.
pub(crate) async fn delete_expired(
    conn: &mut PgConnection,
    sessions_before: OffsetDateTime,
    failures_before: OffsetDateTime,
) -> sqlx::Result<u64> {
    let sessions = sqlx::query(
        "-- delete_expired_sessions
        delete from session where expires_at < $1",
    )
    .bind(sessions_before)
    .execute(&mut *conn)
    .await?;
    let failures = sqlx::query(
        "-- delete_expired_failures
        delete from sign_in_failure where began_at < $1",
    )
    .bind(failures_before)
    .execute(conn)
    .await?;
    Ok(sessions.rows_affected() + failures.rows_affected())
}
