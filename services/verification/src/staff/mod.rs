//! Local staff accounts and their sessions: signing in, exchanging a session for a short-lived token,
//! revoking. Passwords and session ids are stored as hashes only, and an unknown name is answered like a
//! wrong password.

mod bootstrap;
mod passwords;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Invalid;
use domain::id::Subject;
use domain::invalid::text;
use platform::clock::Clock;
use platform::principal::{Role, Roles};
use platform::sealed::{
    Keyring, MAX_TOKEN_LIFE, SigningContext, StaffClaims, StaffTokenIssuer, random,
};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use self::bootstrap::{ensure_local_operator, open_local_session};
use self::passwords::Passwords;
use crate::auth::Person;
use crate::config::Config;
use crate::error::{CommandRefusal, Error};
use crate::store::staff as store;
use crate::store::staff::StaffMember;

/// The services that accept tokens.
const AUDIENCES: [&str; 4] = ["intake", "verification", "dispatch", "ledger"];

/// Characters. A staff token holds at most 200 bytes of the name, and a character has up to four.
const MAX_NAME: usize = 50;

/// Precision of the stored time of a session's last use.
const LAST_USE_PRECISION: Duration = Duration::minutes(1);

pub(crate) struct Sessions {
    pool: PgPool,
    clock: Clock,
    config: Config,
    issuer: StaffTokenIssuer,
    passwords: Passwords,
}

/// A new session, with its secret id.
pub(crate) struct SignedIn {
    pub(crate) session: String,
    pub(crate) member: StaffMember,
    pub(crate) expires_at: OffsetDateTime,
}

pub(crate) struct ExchangedToken {
    pub(crate) token: String,
    pub(crate) member: StaffMember,
    pub(crate) expires_at: OffsetDateTime,
}

/// The name of an account, by which its owner signs in.
pub(crate) fn staff_name(name: &str) -> Result<String, Invalid> {
    text("name", name, MAX_NAME)
}

impl Sessions {
    pub(crate) fn new(pool: PgPool, clock: Clock, config: Config, keyring: &Arc<Keyring>) -> Self {
        let signer = keyring.signer(SigningContext::StaffToken);
        Self {
            pool,
            clock,
            config,
            // Cannot fail: the signer was made for this context one line above.
            issuer: StaffTokenIssuer::new(signer).expect("a signer of staff tokens"),
            passwords: Passwords::default(),
        }
    }

    /// Signs in with name and password. The attempt is counted as a failure before the password is verified,
    /// and cleared afterwards, so that concurrent calls get no more attempts than sequential ones. An unknown
    /// name takes the same time as a wrong password.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Result<SignedIn, Error> {
        let name_hash = sha256(name.trim().to_lowercase().as_bytes());
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let since = now - self.config.sign_in_window();
        let failures = store::count_attempt(&mut tx, &name_hash, since, now).await?;
        if i64::from(failures) > i64::from(self.config.sign_in_failures) {
            // Rolled back: an attempt that is refused unchecked is not counted.
            return Err(CommandRefusal::SIGN_IN_LATER.into());
        }
        let member = store::by_name(&mut tx, name.trim())
            .await?
            .filter(|member| member.revoked_at.is_none());
        tx.commit().await?;

        let hash = member.as_ref().map(|member| member.password_hash.clone());
        let matches = self.passwords.verify(password.to_owned(), hash).await?;
        let Some(member) = member.filter(|_| matches) else {
            return Err(CommandRefusal::SIGN_IN.into());
        };
        let mut tx = self.pool.begin().await?;
        store::clear_attempts(&mut tx, &name_hash).await?;
        let idle = self.config.session_idle();
        let session = open_session(&mut tx, &member, now, idle).await?;
        tx.commit().await?;
        tracing::info!(staff.subject = %member.subject, "signed in");
        Ok(session)
    }

    /// Ends a session. Ending a session that has ended is a success.
    pub(crate) async fn sign_out(&self, session: &str) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        store::end_session(&mut tx, &sha256(session.as_bytes()), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Issues a token for one service, valid for at most a minute.
    pub(crate) async fn exchange(
        &self,
        session: &str,
        audience: &str,
    ) -> Result<ExchangedToken, Error> {
        if !AUDIENCES.contains(&audience) {
            return Err(domain::Invalid::new(
                "audience_unknown",
                "audience",
                "`audience` is one of intake, verification, dispatch, ledger",
            )
            .into());
        }
        let hash = sha256(session.as_bytes());
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let session = store::session(&mut tx, &hash, now)
            .await?
            .ok_or(CommandRefusal::NO_SESSION)?;
        if now - session.used_at >= LAST_USE_PRECISION {
            let until = now + self.config.session_idle();
            store::use_session(&mut tx, &hash, now, until).await?;
        }
        tx.commit().await?;

        // Services verify tokens by their wall clocks.
        let issued_at = platform::clock::wall();
        let expires_at = issued_at + MAX_TOKEN_LIFE;
        let token = self
            .issuer
            .issue(&StaffClaims {
                subject: session.member.subject.uuid(),
                name: session.member.name.clone(),
                roles: session.member.roles.clone(),
                session: session.id,
                audience: audience.to_owned(),
                issued_at,
                expires_at,
            })
            .map_err(|_| Error::bad_row("staff", "name", session.member.subject))?;
        Ok(ExchangedToken {
            token,
            member: session.member,
            expires_at,
        })
    }

    /// Creates an account. Repeating the call is a success; with another password or other roles the name is
    /// taken.
    pub(crate) async fn create(
        &self,
        person: &Person,
        name: String,
        password: String,
        roles: Roles,
    ) -> Result<StaffMember, Error> {
        person.require(Role::Operator)?;
        let mut conn = self.pool.acquire().await?;
        let existing = store::by_name(&mut conn, &name).await?;
        drop(conn);
        if let Some(existing) = existing {
            return self.existing_account(existing, password, &roles).await;
        }
        let password_hash = self.passwords.hash(password).await?;
        let mut tx = self.pool.begin().await?;
        let member = StaffMember {
            subject: Subject::new(Uuid::now_v7()),
            name,
            password_hash,
            roles,
            created_at: self.clock.now(&mut tx).await?,
            revoked_at: None,
        };
        if !store::insert(&mut tx, &member).await? {
            return Err(CommandRefusal::NAME_TAKEN.into());
        }
        tx.commit().await?;
        tracing::info!(staff.subject = %member.subject, "account created");
        Ok(member)
    }

    /// The account, if it is the one that the request asks for.
    async fn existing_account(
        &self,
        existing: StaffMember,
        password: String,
        roles: &Roles,
    ) -> Result<StaffMember, Error> {
        let hash = Some(existing.password_hash.clone());
        let matches = self.passwords.verify(password, hash).await?;
        if matches && existing.roles == *roles && existing.revoked_at.is_none() {
            Ok(existing)
        } else {
            Err(CommandRefusal::NAME_TAKEN.into())
        }
    }

    pub(crate) async fn list(&self) -> Result<Vec<StaffMember>, Error> {
        let mut conn = self.pool.acquire().await?;
        store::all(&mut conn).await
    }

    /// Revokes an account and all its sessions. Repeating the call has no further effect.
    pub(crate) async fn revoke(&self, person: &Person, subject: Subject) -> Result<(), Error> {
        person.require(Role::Operator)?;
        if person.subject == subject {
            return Err(CommandRefusal::OWN_ACCOUNT.into());
        }
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        if !store::revoke(&mut tx, subject, now).await? {
            return Err(CommandRefusal::STAFF_UNKNOWN.into());
        }
        tx.commit().await?;
        tracing::info!(staff.subject = %subject, "account revoked");
        Ok(())
    }
}

async fn open_session(
    conn: &mut PgConnection,
    member: &StaffMember,
    now: OffsetDateTime,
    idle: Duration,
) -> Result<SignedIn, Error> {
    let session = URL_SAFE_NO_PAD.encode(random::<32>());
    let expires_at = now + idle;
    let hash = sha256(session.as_bytes());
    store::open_session(conn, &hash, Uuid::new_v4(), member.subject, now, expires_at).await?;
    Ok(SignedIn {
        session,
        member: member.clone(),
        expires_at,
    })
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
