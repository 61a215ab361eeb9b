//! Keys of providers' own access: operators keep those of anybody, a provider its own. A key is shown once.

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

use super::once::Once;
use super::{Inner, parse};
use crate::store::{KeyRow, ProviderKey};
use crate::{Error, auth, store};

/// Every right that a key may have.
const SCOPES: [(&str, v1::ProviderScope); 3] = [
    ("read", v1::ProviderScope::Read),
    ("answer", v1::ProviderScope::Answer),
    ("settings", v1::ProviderScope::Settings),
];
/// Characters.
const NAME: usize = 100;
/// Of one provider, that hold.
const MOST: usize = 50;

/// Whoever keeps keys.
struct Keeper {
    principal: Principal,
    /// Whose keys; a provider's own, or those of whom an operator named.
    provider: ProviderId,
    /// What its keys may do at most.
    may_give: Scopes,
    /// Recorded beside what it makes.
    by: Uuid,
    /// The key that this call came with.
    current: Option<Uuid>,
}

impl Keeper {
    fn refuse_more(&self, scopes: &[String]) -> Result<(), Problem> {
        match scopes.iter().find(|scope| !self.may_give.has(scope)) {
            None => Ok(()),
            Some(missing) => Err(Problem::new(
                Kind::Forbidden,
                "scope_required",
                format!("Your key lacks the scope {missing}, so it cannot give it to another; use a key that has it."),
            )
            .field("scopes")),
        }
    }

    fn about(&self, key_id: Uuid, row: &KeyRow) -> v1::ProviderKey {
        v1::ProviderKey {
            key_id: key_id.to_string(),
            scopes: wire(&row.key.scopes),
            name: row.name.clone(),
            created_at: Some(timestamp(row.created_at)),
            expires_at: row.expires_at.map(timestamp),
            revoked_at: row.revoked_at.map(timestamp),
            is_current: self.current == Some(key_id),
        }
    }
}

impl Inner {
    pub(super) async fn create_provider_key(
        &self,
        metadata: &MetadataMap,
        mut request: v1::CreateProviderKeyRequest,
    ) -> Result<v1::CreateProviderKeyResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let keeper = self
            .keeper(&mut tx, metadata, Some(&request.provider_id))
            .await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let once = Once::of(
            keeper.principal.actor(),
            &idempotency_key,
            "create_provider_key",
            &request,
        )?;
        if let Some(reply) = self.replied(&mut tx, once.as_ref()).await? {
            return Ok(reply);
        }
        let scopes = scopes(&request.scopes, &keeper.may_give)?;
        keeper.refuse_more(&scopes)?;
        let name = optional_text("name", &request.name, NAME)?;
        let now = self.clock.now(&mut tx).await?;
        let (key_id, key, row) = self.new_key(&mut tx, now, &keeper, scopes, name).await?;
        let reply = v1::CreateProviderKeyResponse {
            about: Some(keeper.about(key_id, &row)),
            key_id: key_id.to_string(),
            key,
        };
        self.keep_reply(&mut tx, now, once, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    pub(super) async fn list_provider_keys(
        &self,
        metadata: &MetadataMap,
        request: v1::ListProviderKeysRequest,
    ) -> Result<v1::ListProviderKeysResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let keeper = self
            .keeper(&mut conn, metadata, Some(&request.provider_id))
            .await?;
        let mut keys = store::provider_keys(&mut conn, &keeper.provider).await?;
        keys.sort_by_key(|(_, row)| !row.holds(clock::wall()));
        Ok(v1::ListProviderKeysResponse {
            keys: keys
                .iter()
                .map(|(key_id, row)| keeper.about(*key_id, row))
                .collect(),
        })
    }

    pub(super) async fn rotate_provider_key(
        &self,
        metadata: &MetadataMap,
        mut request: v1::RotateProviderKeyRequest,
    ) -> Result<v1::RotateProviderKeyResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let former_id = parse::id("key_id", &request.key_id)?;
        let overlap = parse::overlap(request.overlap_seconds)?;
        let (keeper, mut former) = self.keeper_of(&mut tx, metadata, former_id).await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let once = Once::of(
            keeper.principal.actor(),
            &idempotency_key,
            "rotate_provider_key",
            &request,
        )?;
        if let Some(reply) = self.replied(&mut tx, once.as_ref()).await? {
            return Ok(reply);
        }
        let now = self.clock.now(&mut tx).await?;
        if !former.holds(clock::wall()) {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "key_over",
                "This key does not hold any more, so nothing can take its place; create one.",
            )
            .into());
        }
        keeper.refuse_more(&former.key.scopes)?;
        let (scopes, name) = (former.key.scopes.clone(), former.name.clone());
        let (key_id, key, row) = self.new_key(&mut tx, now, &keeper, scopes, name).await?;
        if overlap.is_positive() {
            // By the clock that a key is checked by.
            let end = clock::wall() + overlap;
            former.expires_at = Some(former.expires_at.map_or(end, |before| before.min(end)));
            store::end_provider_key(&mut tx, former_id, end).await?;
        } else {
            former.revoked_at = Some(now);
            store::revoke_provider_key(&mut tx, now, former_id).await?;
        }
        let reply = v1::RotateProviderKeyResponse {
            about: Some(keeper.about(key_id, &row)),
            former: Some(keeper.about(former_id, &former)),
            key_id: key_id.to_string(),
            key,
        };
        self.keep_reply(&mut tx, now, once, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    pub(super) async fn revoke_provider_key(
        &self,
        metadata: &MetadataMap,
        request: v1::RevokeProviderKeyRequest,
    ) -> Result<v1::RevokeProviderKeyResponse, Error> {
        let key_id = parse::id("key_id", &request.key_id)?;
        let mut tx = self.pool.begin().await?;
        self.keeper_of(&mut tx, metadata, key_id).await?;
        let now = self.clock.now(&mut tx).await?;
        store::revoke_provider_key(&mut tx, now, key_id).await?;
        tx.commit().await?;
        Ok(v1::RevokeProviderKeyResponse {})
    }

    /// Keeps a fresh key. The provider's row is locked, so that a bound on their number is one.
    async fn new_key(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        keeper: &Keeper,
        scopes: Vec<String>,
        name: String,
    ) -> Result<(Uuid, String, KeyRow), Error> {
        store::lock_provider(conn, keeper.provider.as_str())
            .await?
            .ok_or_else(|| Error::not_found("provider"))?;
        let keys = store::provider_keys(conn, &keeper.provider).await?;
        if keys
            .iter()
            .filter(|(_, row)| row.holds(clock::wall()))
            .count()
            >= MOST
        {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "keys_full",
                format!("A provider has at most {MOST} keys; revoke one that nobody uses."),
            )
            .into());
        }
        let (key_id, text, secret_hash) = auth::new_key();
        let mut key = ProviderKey {
            provider_id: keeper.provider.clone(),
            secret_hash,
            scopes,
            vouched: None,
        };
        auth::vouch(&self.rules.keyring, key_id, &mut key);
        let row = KeyRow {
            key,
            name,
            created_at: now,
            expires_at: None,
            revoked_at: None,
        };
        store::put_provider_key(conn, key_id, &row, keeper.by).await?;
        Ok((key_id, text, row))
    }

    /// Who keeps keys here: an operator those of `named`, a provider its own.
    async fn keeper(
        &self,
        conn: &mut PgConnection,
        metadata: &MetadataMap,
        named: Option<&str>,
    ) -> Result<Keeper, Error> {
        if auth::is_provider(metadata)? {
            let caller = auth::provider(conn, &self.rules.keyring, metadata, "settings").await?;
            let own = named.is_none_or(|named| named.is_empty() || named == caller.id.as_str());
            let Principal::Provider { key_id, scopes, .. } = &caller.principal else {
                return Err(Problem::of(Kind::Forbidden).into());
            };
            if !own {
                return Err(Error::not_found("provider"));
            }
            return Ok(Keeper {
                provider: caller.id,
                may_give: scopes.clone(),
                by: *key_id,
                current: Some(*key_id),
                principal: caller.principal,
            });
        }
        let principal = auth::staff_with(&self.staff, metadata, &[Role::Operator])?;
        let Principal::Staff { subject, .. } = principal else {
            return Err(Problem::of(Kind::Forbidden).into());
        };
        Ok(Keeper {
            provider: named.unwrap_or_default().parse()?,
            may_give: SCOPES.iter().map(|(scope, _)| *scope).collect(),
            by: subject,
            current: None,
            principal,
        })
    }

    /// Who keeps this key, and the key. Somebody else's and one that never was look the same.
    async fn keeper_of(
        &self,
        conn: &mut PgConnection,
        metadata: &MetadataMap,
        key_id: Uuid,
    ) -> Result<(Keeper, KeyRow), Error> {
        let row = store::lock_provider_key(conn, key_id).await?;
        // Before anything is said of the key, the caller is known; a provider is not asked about its own by a name.
        let owner = row.as_ref().map(|row| row.key.provider_id.to_string());
        let named = if auth::is_provider(metadata)? {
            None
        } else {
            auth::staff_with(&self.staff, metadata, &[Role::Operator])?;
            Some(owner.ok_or_else(|| Error::not_found("key"))?)
        };
        let keeper = self.keeper(conn, metadata, named.as_deref()).await?;
        let row = row
            .filter(|row| row.key.provider_id == keeper.provider)
            .ok_or_else(|| Error::not_found("key"))?;
        Ok((keeper, row))
    }
}

fn scopes(numbers: &[i32], may_give: &Scopes) -> Result<Vec<String>, Invalid> {
    if numbers.is_empty() {
        return Ok(may_give.iter().map(str::to_owned).collect());
    }
    if numbers.len() > SCOPES.len() {
        return Err(Invalid::new(
            "too_many",
            "scopes",
            "`scopes` names more than there are; name each once",
        ));
    }
    let mut scopes: Vec<String> = Vec::new();
    for number in numbers {
        let (scope, _) = SCOPES
            .iter()
            .find(|(_, wire)| i32::from(*wire) == *number)
            .ok_or_else(|| {
                Invalid::new(
                    "word_unknown",
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

fn wire(scopes: &[String]) -> Vec<i32> {
    SCOPES
        .iter()
        .filter(|(scope, _)| scopes.iter().any(|has| has == scope))
        .map(|(_, wire)| i32::from(*wire))
        .collect()
}
