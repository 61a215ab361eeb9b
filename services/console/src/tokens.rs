//! Sessions exchanged for access tokens, one for each audience, cached until shortly before they expire.
//! The cache knows a session by its hash only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::enums::StaffRole;
use platform::error::{Kind, Problem};
use proto::v1;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};

/// How long before its expiry a token is no longer used: the call that carries it needs time.
const MARGIN: Duration = Duration::from_secs(10);
/// Cached tokens above which the expired ones are removed.
const SWEEP_AT: usize = 1024;

/// The service that a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Intake,
    Verification,
    Dispatch,
    Ledger,
}

impl Audience {
    const ALL: [Self; 4] = [
        Self::Intake,
        Self::Verification,
        Self::Dispatch,
        Self::Ledger,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Verification => "verification",
            Self::Dispatch => "dispatch",
            Self::Ledger => "ledger",
        }
    }
}

/// The member of staff who is signed in. The roles decide only what pages offer; the services decide what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaffMember {
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) is_analyst: bool,
    pub(crate) is_supervisor: bool,
    pub(crate) is_operator: bool,
    pub(crate) is_auditor: bool,
}

impl StaffMember {
    /// May read about the work of all staff.
    pub(crate) fn oversees_staff(&self) -> bool {
        self.is_supervisor || self.is_auditor
    }

    /// Is offered to claim cases.
    pub(crate) fn may_claim(&self) -> bool {
        self.is_analyst || self.is_supervisor
    }

    fn from_proto(staff: v1::Staff) -> Self {
        let has = |role: StaffRole| staff.roles.contains(&role.wire());
        Self {
            is_analyst: has(StaffRole::Analyst),
            is_supervisor: has(StaffRole::Supervisor),
            is_operator: has(StaffRole::Operator),
            is_auditor: has(StaffRole::Auditor),
            subject: staff.subject,
            name: staff.name,
        }
    }
}

#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) header: MetadataValue<Ascii>,
    pub(crate) staff: Arc<StaffMember>,
    usable_until: Instant,
}

impl AccessToken {
    /// From the response of an exchange, which has just arrived.
    pub(crate) fn new(response: v1::ExchangeSessionResponse) -> Result<Self, Problem> {
        let internal = || Problem::from_kind(Kind::Internal);
        let expires_at = domain::wire::required_time("expires_at", response.expires_at.as_ref())
            .map_err(|_| internal())?;
        let left = (expires_at - platform::clock::wall()).unsigned_abs();
        let mut header = MetadataValue::try_from(format!("Bearer {}", response.token))
            .map_err(|_| internal())?;
        header.set_sensitive(true);
        let staff = response.staff.ok_or_else(internal)?;
        Ok(Self {
            header,
            staff: Arc::new(StaffMember::from_proto(staff)),
            usable_until: Instant::now() + left.min(Duration::from_mins(1)).saturating_sub(MARGIN),
        })
    }
}

type CacheKey = [u8; 32];

#[derive(Default)]
pub(crate) struct TokenCache(Mutex<HashMap<CacheKey, AccessToken>>);

impl TokenCache {
    pub(crate) fn get(&self, session: &str, audience: Audience) -> Option<AccessToken> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .get(&cache_key(session, audience))
            .filter(|token| token.usable_until > Instant::now())
            .cloned()
    }

    /// The name and the roles of the last token of a session, also after its expiry. For the frame of an error page
    /// alone: they authorise nothing.
    pub(crate) fn last_known_staff(&self, session: &str) -> Option<Arc<StaffMember>> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .get(&cache_key(session, Audience::Verification))
            .map(|token| token.staff.clone())
    }

    pub(crate) fn insert(&self, session: &str, audience: Audience, token: AccessToken) {
        // A panic elsewhere cannot leave the map half-written.
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= SWEEP_AT {
            let now = Instant::now();
            tokens.retain(|_, token| token.usable_until > now);
        }
        tokens.insert(cache_key(session, audience), token);
    }

    pub(crate) fn remove_session(&self, session: &str) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for audience in Audience::ALL {
            tokens.remove(&cache_key(session, audience));
        }
    }
}

fn cache_key(session: &str, audience: Audience) -> CacheKey {
    let mut hash = Sha256::new();
    hash.update(audience.name());
    hash.update([0]);
    hash.update(session);
    hash.finalize().into()
}
