//! A session exchanged for tokens, one for each audience, kept until shortly before they end.
//! Sessions are known by a digest only, and no token outlives its minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::word::StaffRole;
use platform::error::{Kind, Problem};
use proto::v1;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};

/// Left of a token for the call that takes it.
const MARGIN: Duration = Duration::from_secs(10);
/// Tokens that are kept at most; beyond it the old ones are swept.
const SWEEP_AT: usize = 1024;

/// Whom a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Intake,
    Verification,
    Dispatch,
    Ledger,
}

impl Audience {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Verification => "verification",
            Self::Dispatch => "dispatch",
            Self::Ledger => "ledger",
        }
    }
}

/// Who is signed in, as pages need it. What somebody may do is the owners' decision; here it only says what to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) analyst: bool,
    pub(crate) supervisor: bool,
    pub(crate) operator: bool,
    pub(crate) auditor: bool,
}

impl Who {
    /// Sees what concerns everybody.
    pub(crate) fn oversees(&self) -> bool {
        self.supervisor || self.auditor
    }

    fn new(staff: v1::Staff) -> Self {
        let has = |role: StaffRole| staff.roles.contains(&role.wire());
        Self {
            analyst: has(StaffRole::Analyst),
            supervisor: has(StaffRole::Supervisor),
            operator: has(StaffRole::Operator),
            auditor: has(StaffRole::Auditor),
            subject: staff.subject,
            name: staff.name,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) header: MetadataValue<Ascii>,
    pub(crate) who: Arc<Who>,
    until: Instant,
}

impl Token {
    /// Reads what the exchange answered, as of a moment of both clocks.
    pub(crate) fn new(answer: v1::ExchangeSessionResponse) -> Result<Self, Problem> {
        let broken = || Problem::of(Kind::Internal);
        let ends = domain::wire::required_time("expires_at", answer.expires_at.as_ref())
            .map_err(|_| broken())?;
        let left = (ends - platform::clock::wall()).unsigned_abs();
        let mut header =
            MetadataValue::try_from(format!("Bearer {}", answer.token)).map_err(|_| broken())?;
        header.set_sensitive(true);
        Ok(Self {
            header,
            who: Arc::new(Who::new(answer.staff.ok_or_else(broken)?)),
            until: Instant::now() + left.min(Duration::from_mins(1)).saturating_sub(MARGIN),
        })
    }
}

type Key = [u8; 32];

#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<Key, Token>>);

impl Tokens {
    pub(crate) fn get(&self, session: &str, audience: Audience) -> Option<Token> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&key(session, audience))
            .filter(|token| token.until > Instant::now())
            .cloned()
    }

    pub(crate) fn keep(&self, session: &str, audience: Audience, token: Token) {
        // A panic elsewhere cannot leave the map half-written.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SWEEP_AT {
            let now = Instant::now();
            kept.retain(|_, token| token.until > now);
        }
        kept.insert(key(session, audience), token);
    }

    pub(crate) fn forget(&self, session: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for audience in [
            Audience::Intake,
            Audience::Verification,
            Audience::Dispatch,
            Audience::Ledger,
        ] {
            kept.remove(&key(session, audience));
        }
    }
}

fn key(session: &str, audience: Audience) -> Key {
    let mut digest = Sha256::new();
    digest.update(audience.name());
    digest.update([0]);
    digest.update(session);
    digest.finalize().into()
}
