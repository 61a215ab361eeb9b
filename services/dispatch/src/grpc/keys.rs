//! Providers' keys: made and revoked by operators, shown once.

use domain::Invalid;
use domain::id::ProviderId;
use platform::error::{Kind, Problem};
use platform::principal::{Principal, Role};
use proto::v1;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use super::Inner;
use crate::store::ProviderKey;
use crate::{Error, auth, store};

impl Inner {
    pub(super) async fn create_provider_key(
        &self,
        metadata: &MetadataMap,
        request: v1::CreateProviderKeyRequest,
    ) -> Result<v1::CreateProviderKeyResponse, Error> {
        let principal = auth::staff_with(&self.staff, metadata, &[Role::Operator])?;
        let Principal::Staff { subject, .. } = principal else {
            return Err(Problem::of(Kind::Forbidden).into());
        };
        let provider_id: ProviderId = request.provider_id.parse()?;
        let scopes = scopes(&request.scopes)?;
        let (key_id, key, secret_hash) = auth::new_key();
        let mut row = ProviderKey {
            provider_id,
            secret_hash,
            scopes,
            vouched: None,
        };
        auth::vouch(&self.rules.keyring, key_id, &mut row);
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        if !store::put_provider_key(&mut tx, now, key_id, &row, subject).await? {
            return Err(Error::not_found("provider"));
        }
        tx.commit().await?;
        Ok(v1::CreateProviderKeyResponse {
            key_id: key_id.to_string(),
            key,
        })
    }

    pub(super) async fn revoke_provider_key(
        &self,
        metadata: &MetadataMap,
        request: v1::RevokeProviderKeyRequest,
    ) -> Result<v1::RevokeProviderKeyResponse, Error> {
        auth::staff_with(&self.staff, metadata, &[Role::Operator])?;
        if request.key_id.is_empty() {
            return Err(Invalid::missing("key_id").into());
        }
        let key_id = Uuid::try_parse(&request.key_id).map_err(|_| {
            Invalid::new(
                "id_malformed",
                "key_id",
                "`key_id` is not a UUID; send the one that came with the key",
            )
        })?;
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        if !store::revoke_provider_key(&mut tx, now, key_id).await? {
            return Err(Error::not_found("key"));
        }
        tx.commit().await?;
        Ok(v1::RevokeProviderKeyResponse {})
    }
}

fn scopes(numbers: &[i32]) -> Result<Vec<String>, Invalid> {
    let all = ["read", "answer", "settings"];
    if numbers.is_empty() {
        return Ok(all.map(str::to_owned).to_vec());
    }
    let mut scopes: Vec<String> = Vec::new();
    for number in numbers {
        let scope = match v1::ProviderScope::try_from(*number) {
            Ok(v1::ProviderScope::Read) => "read",
            Ok(v1::ProviderScope::Answer) => "answer",
            Ok(v1::ProviderScope::Settings) => "settings",
            Ok(v1::ProviderScope::Unspecified) | Err(_) => {
                return Err(Invalid::new(
                    "word_unknown",
                    "scopes",
                    "`scopes` is not one of: read, answer, settings",
                ));
            }
        };
        if !scopes.iter().any(|s| s == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}
