//! The first account of an installation, and a session for whoever has the database anyway.
//!
//! Neither is reachable by any request: they are for the program that starts the roles, which holds the database's
//! credentials and could write the same rows itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::Subject;
use platform::clock::Clock;
use platform::principal::Role;
use platform::sealed::random;
use sqlx::PgPool;
use uuid::Uuid;

use super::open_session;
use super::passwords::Passwords;
use crate::config::Config;
use crate::error::{Error, Refusal};
use crate::store::staff as store;
use crate::store::staff::Member;

/// Creates an account with every role where there is no account at all, and answers its password: the only time it
/// is told. None when there is somebody already.
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
    let name = crate::grpc::staff_name(name)?;
    let password = URL_SAFE_NO_PAD.encode(random::<15>());
    let password_hash = Passwords::default().hash(password.clone()).await?;
    let mut tx = pool.begin().await?;
    let member = Member {
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

/// Opens a session for this member of staff without a password, and answers its id.
pub async fn open_local_session(pool: &PgPool, clock: &Clock, name: &str) -> Result<String, Error> {
    let mut tx = pool.begin().await?;
    let now = clock.now(&mut tx).await?;
    let member = store::by_name(&mut tx, name)
        .await?
        .filter(|member| member.revoked_at.is_none())
        .ok_or(Refusal::STAFF_UNKNOWN)?;
    let idle = Config::default().session_idle();
    let signed_in = open_session(&mut tx, &member, now, idle).await?;
    tx.commit().await?;
    Ok(signed_in.session)
}
