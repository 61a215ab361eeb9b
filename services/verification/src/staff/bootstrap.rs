//! Creates the first account of an installation, and opens sessions without a password.
//!
//! Not reachable by any request: both are for the process that starts the roles, which has the credentials of
//! the database and could write the same rows itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::Subject;
use platform::clock::Clock;
use platform::principal::Role;
use platform::sealed::random;
use sqlx::PgPool;
use uuid::Uuid;

use super::passwords::Passwords;
use super::{open_session, staff_name};
use crate::config::Config;
use crate::error::{CommandRefusal, Error};
use crate::store::staff as store;
use crate::store::staff::StaffMember;

/// Creates an account with every role if there is no account at all, and returns its password, which is not
/// available later. None if there is an account already.
///
/// # Errors
///
/// An invalid name, or a database error.
pub async fn ensure_local_operator(
    pool: &PgPool,
    clock: &Clock,
    name: &str,
) -> Result<Option<String>, Error> {
    let mut conn = pool.acquire().await?;
    if !store::is_empty(&mut conn).await? {
        return Ok(None);
    }
    drop(conn);
    let name = staff_name(name)?;
    let password = URL_SAFE_NO_PAD.encode(random::<15>());
    let password_hash = Passwords::default().hash(password.clone()).await?;
    let mut tx = pool.begin().await?;
    let member = StaffMember {
        subject: Subject::new(Uuid::now_v7()),
        name,
        password_hash,
        roles: Role::ALL.into_iter().collect(),
        created_at: clock.now(&mut tx).await?,
        revoked_at: None,
    };
    let inserted = store::insert(&mut tx, &member).await?;
    tx.commit().await?;
    Ok(inserted.then_some(password))
}

/// Opens a session for this account without a password, and returns its secret id.
///
/// # Errors
///
/// `staff_unknown` if there is no active account of this name; a database error.
pub async fn open_local_session(pool: &PgPool, clock: &Clock, name: &str) -> Result<String, Error> {
    let mut tx = pool.begin().await?;
    let now = clock.now(&mut tx).await?;
    let member = store::by_name(&mut tx, name)
        .await?
        .filter(|member| member.revoked_at.is_none())
        .ok_or(CommandRefusal::STAFF_UNKNOWN)?;
    let idle = Config::default().session_idle();
    let signed_in = open_session(&mut tx, &member, now, idle).await?;
    tx.commit().await?;
    Ok(signed_in.session)
}
