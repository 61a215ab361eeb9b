//! Provider keys: operators manage the keys of all providers, a provider its own. A key is shown once.

use domain::Invalid;
use domain::id::ProviderId;
use domain::invalid::optional_text;
use domain::wire::timestamp;
use platform::clock;
use platform::error::{Kind, Problem};
use platform::principal::{Principal, Role, Scopes};
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::directory::store::{self, KeyRow, ProviderKey};
use crate::grpc::{Handlers, parse};
use crate::idempotency::IdempotentCall;
use crate::{Error, auth};

/// All scopes of provider keys.
const SCOPES: [(&str, v1::ProviderScope); 3] = [
    ("read", v1::ProviderScope::Read),
    ("answer", v1::ProviderScope::Answer),
    ("settings", v1::ProviderScope::Settings),
];
/// Maximum length of a key's name, in characters.
const MAX_NAME: usize = 100;
/// Maximum valid keys of one provider.
const MAX_KEYS: usize = 50;

/// The caller that manages keys: an operator, or the provider itself.
struct KeyAdministrator {
    principal: Principal,
    /// The provider whose keys are managed.
    provider: ProviderId,
    /// The scopes that the caller may grant.
    grantable: Scopes,
    /// Recorded as the creator of keys.
    created_by: Uuid,
    /// The key that authenticates this call, if it is a provider's.
    current: Option<Uuid>,
}

impl KeyAdministrator {
    fn require_grantable(&self, scopes: &[String]) -> Result<(), Problem> {
        match scopes.iter().find(|scope| !self.grantable.has(scope)) {
            None => Ok(()),
            Some(missing) => Err(Problem::new(
                Kind::Forbidden,
                "scope_required",
                format!("Your key lacks the scope {missing}, so it cannot grant it to another key; use a key that has it."),
            )
            .field("scopes")),
        }
    }

    fn key_to_proto(&self, key_id: Uuid, row: &KeyRow) -> v1::ProviderKey {
        v1::ProviderKey {
            key_id: key_id.to_string(),
            scopes: scopes_to_proto(&row.key.scopes),
            name: row.name.clone(),
            created_at: Some(timestamp(row.created_at)),
            expires_at: row.expires_at.map(timestamp),
            revoked_at: row.revoked_at.map(timestamp),
            is_current: self.current == Some(key_id),
        }
    }
}

impl Handlers {
    pub(crate) async fn create_provider_key(
        &self,
        metadata: &MetadataMap,
        mut request: v1::CreateProviderKeyRequest,
    ) -> Result<v1::CreateProviderKeyResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let administrator = self
            .administrator(&mut tx, metadata, Some(&request.provider_id))
            .await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let idempotent = IdempotentCall::new(
            administrator.principal.actor(),
            &idempotency_key,
            "create_provider_key",
            &request,
        )?;
        if let Some(reply) = self.previous_reply(&mut tx, idempotent.as_ref()).await? {
            return Ok(reply);
        }
        let scopes = parse_scopes(&request.scopes, &administrator.grantable)?;
        administrator.require_grantable(&scopes)?;
        let name = optional_text("name", &request.name, MAX_NAME)?;
        let now = self.clock.now(&mut tx).await?;
        let (key_id, key, row) = self
            .create_key(&mut tx, now, &administrator, scopes, name)
            .await?;
        let reply = v1::CreateProviderKeyResponse {
            details: Some(administrator.key_to_proto(key_id, &row)),
            key_id: key_id.to_string(),
            key,
        };
        self.store_reply(&mut tx, now, idempotent, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    pub(crate) async fn list_provider_keys(
        &self,
        metadata: &MetadataMap,
        request: v1::ListProviderKeysRequest,
    ) -> Result<v1::ListProviderKeysResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let administrator = self
            .administrator(&mut conn, metadata, Some(&request.provider_id))
            .await?;
        let mut keys = store::provider_keys(&mut conn, &administrator.provider).await?;
        keys.sort_by_key(|(_, row)| !row.is_valid(clock::wall()));
        Ok(v1::ListProviderKeysResponse {
            keys: keys
                .iter()
                .map(|(key_id, row)| administrator.key_to_proto(*key_id, row))
                .collect(),
        })
    }

    pub(crate) async fn rotate_provider_key(
        &self,
        metadata: &MetadataMap,
        mut request: v1::RotateProviderKeyRequest,
    ) -> Result<v1::RotateProviderKeyResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let previous_id = parse::id("key_id", &request.key_id)?;
        let overlap = parse::overlap(request.overlap.as_ref())?;
        let (administrator, mut previous) = self
            .administrator_of_key(&mut tx, metadata, previous_id)
            .await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let idempotent = IdempotentCall::new(
            administrator.principal.actor(),
            &idempotency_key,
            "rotate_provider_key",
            &request,
        )?;
        if let Some(reply) = self.previous_reply(&mut tx, idempotent.as_ref()).await? {
            return Ok(reply);
        }
        let now = self.clock.now(&mut tx).await?;
        if !previous.is_valid(clock::wall()) {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "key_over",
                "This key is no longer valid, so it cannot be replaced; create a new one.",
            )
            .into());
        }
        administrator.require_grantable(&previous.key.scopes)?;
        let (scopes, name) = (previous.key.scopes.clone(), previous.name.clone());
        let (key_id, key, row) = self
            .create_key(&mut tx, now, &administrator, scopes, name)
            .await?;
        if overlap.is_positive() {
            // The wall clock, which authentication uses too.
            let end = clock::wall() + overlap;
            previous.expires_at = Some(previous.expires_at.map_or(end, |before| before.min(end)));
            store::expire_provider_key(&mut tx, previous_id, end).await?;
        } else {
            previous.revoked_at = Some(now);
            store::revoke_provider_key(&mut tx, now, previous_id).await?;
        }
        let reply = v1::RotateProviderKeyResponse {
            details: Some(administrator.key_to_proto(key_id, &row)),
            previous: Some(administrator.key_to_proto(previous_id, &previous)),
            key_id: key_id.to_string(),
            key,
        };
        self.store_reply(&mut tx, now, idempotent, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    pub(crate) async fn revoke_provider_key(
        &self,
        metadata: &MetadataMap,
        request: v1::RevokeProviderKeyRequest,
    ) -> Result<v1::RevokeProviderKeyResponse, Error> {
        let key_id = parse::id("key_id", &request.key_id)?;
        let mut tx = self.pool.begin().await?;
        self.administrator_of_key(&mut tx, metadata, key_id).await?;
        let now = self.clock.now(&mut tx).await?;
        store::revoke_provider_key(&mut tx, now, key_id).await?;
        tx.commit().await?;
        Ok(v1::RevokeProviderKeyResponse {})
    }

    /// Generates and stores a key. Locks the provider's row, so that the limit on keys cannot be exceeded
    /// concurrently.
    async fn create_key(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        administrator: &KeyAdministrator,
        scopes: Vec<String>,
        name: String,
    ) -> Result<(Uuid, String, KeyRow), Error> {
        store::lock_provider(conn, administrator.provider.as_str())
            .await?
            .ok_or_else(|| Error::not_found("provider"))?;
        let keys = store::provider_keys(conn, &administrator.provider).await?;
        if keys
            .iter()
            .filter(|(_, row)| row.is_valid(clock::wall()))
            .count()
            >= MAX_KEYS
        {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "keys_full",
                format!("A provider has at most {MAX_KEYS} keys; revoke one that is not used."),
            )
            .into());
        }
        let (key_id, text, secret_hash) = auth::new_key();
        let mut key = ProviderKey {
            provider_id: administrator.provider.clone(),
            secret_hash,
            scopes,
            vouched: None,
        };
        auth::vouch(&self.deps.keyring, key_id, &mut key);
        let row = KeyRow {
            key,
            name,
            created_at: now,
            expires_at: None,
            revoked_at: None,
        };
        store::insert_provider_key(conn, key_id, &row, administrator.created_by).await?;
        Ok((key_id, text, row))
    }

    /// Authenticates the caller: an operator manages the keys of the `named` provider, a provider its own.
    async fn administrator(
        &self,
        conn: &mut PgConnection,
        metadata: &MetadataMap,
        named: Option<&str>,
    ) -> Result<KeyAdministrator, Error> {
        if auth::presents_provider_key(metadata)? {
            let caller =
                auth::require_provider(conn, &self.deps.keyring, metadata, "settings").await?;
            let is_own = named.is_none_or(|named| named.is_empty() || named == caller.id.as_str());
            let Principal::Provider { key_id, scopes, .. } = &caller.principal else {
                return Err(Problem::from_kind(Kind::Forbidden).into());
            };
            if !is_own {
                return Err(Error::not_found("provider"));
            }
            return Ok(KeyAdministrator {
                provider: caller.id,
                grantable: scopes.clone(),
                created_by: *key_id,
                current: Some(*key_id),
                principal: caller.principal,
            });
        }
        let principal = auth::require_role(&self.staff, metadata, &[Role::Operator])?;
        let Principal::Staff { subject, .. } = principal else {
            return Err(Problem::from_kind(Kind::Forbidden).into());
        };
        Ok(KeyAdministrator {
            provider: named.unwrap_or_default().parse()?,
            grantable: SCOPES.iter().map(|(scope, _)| *scope).collect(),
            created_by: subject,
            current: None,
            principal,
        })
    }

    /// Authenticates the caller for this key, and returns the key. The refusal is the same for another
    /// provider's key and for one that does not exist.
    async fn administrator_of_key(
        &self,
        conn: &mut PgConnection,
        metadata: &MetadataMap,
        key_id: Uuid,
    ) -> Result<(KeyAdministrator, KeyRow), Error> {
        let row = store::lock_provider_key(conn, key_id).await?;
        // The caller is authenticated before the reply reveals whether the key exists. A provider's own id is
        // not passed as `named`, so that another provider's key is refused as unknown below.
        let owner = row.as_ref().map(|row| row.key.provider_id.to_string());
        let named = if auth::presents_provider_key(metadata)? {
            None
        } else {
            auth::require_role(&self.staff, metadata, &[Role::Operator])?;
            Some(owner.ok_or_else(|| Error::not_found("key"))?)
        };
        let administrator = self.administrator(conn, metadata, named.as_deref()).await?;
        let row = row
            .filter(|row| row.key.provider_id == administrator.provider)
            .ok_or_else(|| Error::not_found("key"))?;
        Ok((administrator, row))
    }
}

/// The requested scopes; all grantable ones if none are requested.
fn parse_scopes(numbers: &[i32], grantable: &Scopes) -> Result<Vec<String>, Invalid> {
    if numbers.is_empty() {
        return Ok(grantable.iter().map(str::to_owned).collect());
    }
    if numbers.len() > SCOPES.len() {
        return Err(Invalid::new(
            "too_many",
            "scopes",
            "`scopes` has more entries than there are scopes; name each once",
        ));
    }
    let mut scopes: Vec<String> = Vec::new();
    for number in numbers {
        let (scope, _) = SCOPES
            .iter()
            .find(|(_, wire)| i32::from(*wire) == *number)
            .ok_or_else(|| {
                Invalid::new(
                    "value_unknown",
                    "scopes",
                    "`scopes` is not one of: read, answer, settings",
                )
            })?;
        if !scopes.iter().any(|known| known == scope) {
            scopes.push((*scope).to_owned());
        }
    }
    Ok(scopes)
}

fn scopes_to_proto(scopes: &[String]) -> Vec<i32> {
    SCOPES
        .iter()
        .filter(|(scope, _)| scopes.iter().any(|has| has == scope))
        .map(|(_, wire)| i32::from(*wire))
        .collect()
}
