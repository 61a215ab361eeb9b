//! The provider directory, kept by operators.

use std::collections::HashMap;

use domain::Invalid;
use domain::id::ProviderId;
use platform::principal::{Principal, Role};
use proto::v1;
use sqlx::PgConnection;
use tonic::metadata::MetadataMap;

use super::form::{Written, read, show};
use super::show::{clock, scorecard, stage};
use super::{Inner, cursor, parse};
use crate::directory::Provider;
use crate::store::ProviderFigures;
use crate::{Error, auth, commands, store};

const PROVIDERS: usize = 1000;
const PAGE: i64 = 50;
const MOST: i64 = 500;

impl Inner {
    pub(super) async fn put_providers(
        &self,
        metadata: &MetadataMap,
        request: v1::PutProvidersRequest,
    ) -> Result<v1::PutProvidersResponse, Error> {
        auth::staff_with(&self.staff, metadata, &[Role::Operator])?;
        if request.providers.is_empty() {
            return Err(Invalid::missing("providers").into());
        }
        if request.providers.len() > PROVIDERS {
            return Err(Invalid::new(
                "too_many",
                "providers",
                format!("a call carries at most {PROVIDERS} providers; send the rest in another"),
            )
            .into());
        }
        let mut written: HashMap<ProviderId, Written> = HashMap::new();
        let mut problems = Vec::new();
        for (n, provider) in request.providers.iter().enumerate() {
            match read(&self.rules.keyring, provider, self.plain_webhooks) {
                // The last of several with one id stands.
                Ok(entry) => {
                    written.insert(entry.provider.id.clone(), entry);
                }
                Err(invalid) => problems.push(invalid.within(&format!("providers[{n}]")).into()),
            }
        }
        let mut rows: Vec<(Provider, String)> = written
            .into_values()
            .map(|entry| (entry.provider, entry.webhook_url))
            .collect();
        rows.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        if !rows.is_empty() {
            let mut tx = self.pool.begin().await?;
            let now = self.clock.now(&mut tx).await?;
            let providers: Vec<&Provider> = rows.iter().map(|(provider, _)| provider).collect();
            store::put_providers(&mut tx, now, &providers).await?;
            let keyring = &self.rules.keyring;
            for (provider, address) in &rows {
                commands::webhook::choose(&mut tx, keyring, now, &provider.id, address).await?;
            }
            tx.commit().await?;
        }
        Ok(v1::PutProvidersResponse {
            written: rows.len() as u32,
            problems,
        })
    }

    pub(super) async fn list_providers(
        &self,
        metadata: &MetadataMap,
        request: v1::ListProvidersRequest,
    ) -> Result<v1::ListProvidersResponse, Error> {
        let principal = auth::staff(&self.staff, metadata)?;
        let (limit, after) = parse::page(request.page.as_ref(), PAGE, MOST);
        let after = cursor::name(&after)?;
        let limit = limit as usize;
        let mut conn = self.pool.acquire().await?;
        let directory = self.rules.directory.current(&mut conn).await?;
        let page: Vec<_> = directory
            .all()
            .into_iter()
            .filter(|provider| provider.id.as_str() > after.as_str())
            .take(limit)
            .collect();
        let next_cursor = match page.last() {
            Some(last) if page.len() == limit => cursor::of_name(last.id.as_str()),
            _ => String::new(),
        };
        let figures = self
            .figures(&mut conn, page.iter().map(|p| p.id.as_str()).collect())
            .await?;
        let providers = page
            .iter()
            .map(|provider| self.summary_of(&principal, provider, &figures))
            .collect::<Result<_, _>>()?;
        Ok(v1::ListProvidersResponse {
            providers,
            next_cursor,
        })
    }

    pub(super) async fn get_provider(
        &self,
        metadata: &MetadataMap,
        request: v1::GetProviderRequest,
    ) -> Result<v1::GetProviderResponse, Error> {
        let principal = auth::staff(&self.staff, metadata)?;
        let id: ProviderId = request.provider_id.parse()?;
        let mut conn = self.pool.acquire().await?;
        let directory = self.rules.directory.current(&mut conn).await?;
        let provider = directory
            .get(&id)
            .ok_or_else(|| Error::not_found("provider"))?;
        let figures = self.figures(&mut conn, vec![id.as_str()]).await?;
        let clocks = store::provider_clocks(&mut conn, id.as_str()).await?;
        let states = store::count_provider(&mut conn, id.as_str()).await?;
        let false_claims = store::count_false_claims(&mut conn, Some(id.as_str())).await?;
        let now = self.clock.now(&mut conn).await?;
        let kept = store::scorecard(&mut conn, now, id.as_str()).await?;
        Ok(v1::GetProviderResponse {
            summary: Some(self.summary_of(&principal, provider, &figures)?),
            clocks: clocks.iter().map(clock).collect(),
            by_state: states.into_iter().map(stage).collect(),
            false_claims: false_claims.cast_unsigned(),
            scorecard: Some(scorecard(&kept)),
        })
    }

    async fn figures(
        &self,
        conn: &mut PgConnection,
        providers: Vec<&str>,
    ) -> Result<HashMap<String, ProviderFigures>, Error> {
        let now = self.clock.now(conn).await?;
        let figures = store::provider_figures(conn, now, &providers).await?;
        Ok(figures
            .into_iter()
            .map(|figure| (figure.provider_id.clone(), figure))
            .collect())
    }

    fn summary_of(
        &self,
        principal: &Principal,
        provider: &Provider,
        figures: &HashMap<String, ProviderFigures>,
    ) -> Result<v1::ProviderSummary, Error> {
        let figure = figures.get(provider.id.as_str());
        let shown = show(&self.rules.keyring, provider, principal)?;
        Ok(v1::ProviderSummary {
            provider: Some(shown),
            notices_open: figure.map_or(0, |f| f.open.cast_unsigned()),
            notices_overdue: figure.map_or(0, |f| f.overdue.cast_unsigned()),
            notices_total: figure.map_or(0, |f| f.total.cast_unsigned()),
            contact_health: health(figure),
        })
    }
}

/// 0 to 100: what part of the notices neither bounced nor met silence.
fn health(figure: Option<&ProviderFigures>) -> u32 {
    figure.filter(|f| f.total > 0).map_or(100, |f| {
        let bad = (f.bounced + f.silent).min(f.total);
        (100 - 100 * bad / f.total) as u32
    })
}
