//! Local accounts and their sessions: signing in, exchanging a session for a short token, revoking.
//! Must not keep a password or a session id in the clear, nor tell an unknown name from a wrong password.

mod bootstrap;
mod passwords;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::Subject;
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
use crate::error::{Error, Refusal};
use crate::store::staff as store;
use crate::store::staff::Member;

/// The owners that check tokens.
const AUDIENCES: [&str; 4] = ["intake", "verification", "dispatch", "ledger"];

/// How often a session's last use is written down.
const USED: Duration = Duration::minutes(1);

pub(crate) struct Reception {
    pool: PgPool,
    clock: Clock,
    config: Config,
    issuer: StaffTokenIssuer,
    passwords: Passwords,
}

/// A session as its holder gets it.
pub(crate) struct SignedIn {
    pub(crate) session: String,
    pub(crate) member: Member,
    pub(crate) expires_at: OffsetDateTime,
}

pub(crate) struct Exchanged {
    pub(crate) token: String,
    pub(crate) member: Member,
    pub(crate) expires_at: OffsetDateTime,
}

impl Reception {
    pub(crate) fn new(pool: PgPool, clock: Clock, config: Config, keyring: &Arc<Keyring>) -> Self {
        let signer = keyring.signer(SigningContext::StaffToken);
        Self {
            pool,
            clock,
            config,
            // The signer was made for this very context one line above.
            issuer: StaffTokenIssuer::new(signer).expect("a signer of staff tokens"),
            passwords: Passwords::default(),
        }
    }

    /// The failure is counted before the password is looked at and forgiven afterwards, so that many calls at once get
    /// no more tries than one after the other; a name that nobody has costs the same time.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Result<SignedIn, Error> {
        let name_hash = digest(name.trim().to_lowercase().as_bytes());
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let since = now - self.config.sign_in_window();
        let failures = store::fail(&mut tx, &name_hash, since, now).await?;
        if i64::from(failures) > i64::from(self.config.sign_in_failures) {
            // Rolled back: what is refused unheard is not counted.
            return Err(Refusal::SIGN_IN_LATER.into());
        }
        let member = store::by_name(&mut tx, name.trim())
            .await?
            .filter(|member| member.revoked_at.is_none());
        tx.commit().await?;

        let hash = member.as_ref().map(|member| member.password_hash.clone());
        let fits = self.passwords.verify(password.to_owned(), hash).await?;
        let Some(member) = member.filter(|_| fits) else {
            return Err(Refusal::SIGN_IN.into());
        };
        let mut tx = self.pool.begin().await?;
        store::forgive(&mut tx, &name_hash).await?;
        let idle = self.config.session_idle();
        let session = open_session(&mut tx, &member, now, idle).await?;
        tx.commit().await?;
        tracing::info!(staff.subject = %member.subject, "signed in");
        Ok(session)
    }

    /// Ends a session. Ending one that is over is success.
    pub(crate) async fn sign_out(&self, session: &str) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        store::end_session(&mut tx, &digest(session.as_bytes()), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A token of at most a minute for one owner.
    pub(crate) async fn exchange(&self, session: &str, audience: &str) -> Result<Exchanged, Error> {
        if !AUDIENCES.contains(&audience) {
            return Err(domain::Invalid::new(
                "audience_unknown",
                "audience",
                "`audience` is one of intake, verification, dispatch, ledger",
            )
            .into());
        }
        let hash = digest(session.as_bytes());
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let session = store::session(&mut tx, &hash, now)
            .await?
            .ok_or(Refusal::NO_SESSION)?;
        if now - session.used_at >= USED {
            let until = now + self.config.session_idle();
            store::use_session(&mut tx, &hash, now, until).await?;
        }
        tx.commit().await?;

        // Tokens are checked by the wall clocks of whoever they are shown to.
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
        Ok(Exchanged {
            token,
            member: session.member,
            expires_at,
        })
    }

    /// Creates an account. The same request again is success; the name with anything else is taken.
    pub(crate) async fn create(
        &self,
        person: &Person,
        name: String,
        password: String,
        roles: Roles,
    ) -> Result<Member, Error> {
        person.require(Role::Operator)?;
        let mut conn = self.pool.acquire().await?;
        let before = store::by_name(&mut conn, &name).await?;
        drop(conn);
        if let Some(before) = before {
            return self.same(before, password, &roles).await;
        }
        let password_hash = self.passwords.hash(password).await?;
        let mut tx = self.pool.begin().await?;
        let member = Member {
            subject: Subject::new(Uuid::now_v7()),
            name,
            password_hash,
            roles,
            created_at: self.clock.now(&mut tx).await?,
            revoked_at: None,
        };
        if !store::insert(&mut tx, &member).await? {
            return Err(Refusal::NAME_TAKEN.into());
        }
        tx.commit().await?;
        tracing::info!(staff.subject = %member.subject, "account created");
        Ok(member)
    }

    async fn same(&self, before: Member, password: String, roles: &Roles) -> Result<Member, Error> {
        let hash = Some(before.password_hash.clone());
        let fits = self.passwords.verify(password, hash).await?;
        if fits && before.roles == *roles && before.revoked_at.is_none() {
            Ok(before)
        } else {
            Err(Refusal::NAME_TAKEN.into())
        }
    }

    pub(crate) async fn list(&self) -> Result<Vec<Member>, Error> {
        let mut conn = self.pool.acquire().await?;
        store::all(&mut conn).await
    }

    /// Ends an account and all its sessions. Revoking it twice is once.
    pub(crate) async fn revoke(&self, person: &Person, subject: Subject) -> Result<(), Error> {
        person.require(Role::Operator)?;
        if person.subject == subject {
            return Err(Refusal::OWN_ACCOUNT.into());
        }
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        if !store::revoke(&mut tx, subject, now).await? {
            return Err(Refusal::STAFF_UNKNOWN.into());
        }
        tx.commit().await?;
        tracing::info!(staff.subject = %subject, "account revoked");
        Ok(())
    }
}

async fn open_session(
    conn: &mut PgConnection,
    member: &Member,
    now: OffsetDateTime,
    idle: Duration,
) -> Result<SignedIn, Error> {
    let session = URL_SAFE_NO_PAD.encode(random::<32>());
    let expires_at = now + idle;
    let hash = digest(session.as_bytes());
    store::open_session(conn, &hash, Uuid::new_v4(), member.subject, now, expires_at).await?;
    Ok(SignedIn {
        session,
        member: member.clone(),
        expires_at,
    })
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
