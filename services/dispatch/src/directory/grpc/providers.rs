//! The provider directory, maintained by operators.

use std::collections::HashMap;

use domain::Invalid;
use domain::id::ProviderId;
use platform::principal::{Principal, Role};
use proto::v1;
use sqlx::PgConnection;
use tonic::metadata::MetadataMap;

use super::provider_proto::ParsedProvider;
use super::provider_proto::parse_provider;
use super::provider_proto::provider_to_proto;
use super::scorecard::scorecard_to_proto;
use crate::cases::{self, ProviderFigures, clock_figure, stage_count};
use crate::directory::snapshot::Provider;
use crate::directory::{commands, store};
use crate::grpc::{Handlers, cursor, parse};
use crate::{Error, auth};

/// Maximum providers in one request.
const MAX_PROVIDERS: usize = 1000;
const PAGE: i64 = 50;
const MAX_PAGE: i64 = 500;

impl Handlers {
    pub(crate) async fn upsert_providers(
        &self,
        metadata: &MetadataMap,
        request: v1::UpsertProvidersRequest,
    ) -> Result<v1::UpsertProvidersResponse, Error> {
        auth::require_role(&self.staff, metadata, &[Role::Operator])?;
        if request.providers.is_empty() {
            return Err(Invalid::missing("providers").into());
        }
        if request.providers.len() > MAX_PROVIDERS {
            return Err(Invalid::new(
                "too_many",
                "providers",
                format!(
                    "a call carries at most {MAX_PROVIDERS} providers; send the rest in another"
                ),
            )
            .into());
        }
        let mut parsed: HashMap<ProviderId, ParsedProvider> = HashMap::new();
        let mut problems = Vec::new();
        for (n, provider) in request.providers.iter().enumerate() {
            match parse_provider(&self.deps.keyring, provider, self.http_webhooks) {
                // Of several with the same id, the last one wins.
                Ok(entry) => {
                    parsed.insert(entry.provider.id.clone(), entry);
                }
                Err(invalid) => problems.push(invalid.within(&format!("providers[{n}]")).into()),
            }
        }
        let mut rows: Vec<(Provider, String)> = parsed
            .into_values()
            .map(|entry| (entry.provider, entry.webhook_url))
            .collect();
        rows.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        if !rows.is_empty() {
            let mut tx = self.pool.begin().await?;
            let now = self.clock.now(&mut tx).await?;
            let providers: Vec<&Provider> = rows.iter().map(|(provider, _)| provider).collect();
            store::upsert_providers(&mut tx, now, &providers).await?;
            let keyring = &self.deps.keyring;
            for (provider, webhook_url) in &rows {
                commands::choose_endpoint(&mut tx, keyring, now, &provider.id, webhook_url).await?;
            }
            tx.commit().await?;
        }
        Ok(v1::UpsertProvidersResponse {
            written: rows.len() as u32,
            problems,
        })
    }

    pub(crate) async fn list_providers(
        &self,
        metadata: &MetadataMap,
        request: v1::ListProvidersRequest,
    ) -> Result<v1::ListProvidersResponse, Error> {
        let principal = auth::require_staff(&self.staff, metadata)?;
        let limit = parse::page_size(request.page_size, PAGE, MAX_PAGE)?;
        let after = cursor::decode_name(&request.page_token)?;
        let limit = limit as usize;
        let mut conn = self.pool.acquire().await?;
        let directory = self.deps.directory.current(&mut conn).await?;
        let page: Vec<_> = directory
            .all()
            .into_iter()
            .filter(|provider| provider.id.as_str() > after.as_str())
            .take(limit)
            .collect();
        let next_page_token = match page.last() {
            Some(last) if page.len() == limit => cursor::encode_name(last.id.as_str()),
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
            next_page_token,
        })
    }

    pub(crate) async fn get_provider(
        &self,
        metadata: &MetadataMap,
        request: v1::GetProviderRequest,
    ) -> Result<v1::GetProviderResponse, Error> {
        let principal = auth::require_staff(&self.staff, metadata)?;
        let id: ProviderId = request.provider_id.parse()?;
        let mut conn = self.pool.acquire().await?;
        let directory = self.deps.directory.current(&mut conn).await?;
        let provider = directory
            .get(&id)
            .ok_or_else(|| Error::not_found("provider"))?;
        let figures = self.figures(&mut conn, vec![id.as_str()]).await?;
        let clocks = cases::provider_clocks(&mut conn, id.as_str()).await?;
        let states = cases::count_provider(&mut conn, id.as_str()).await?;
        let false_claims = cases::count_false_claims(&mut conn, Some(id.as_str())).await?;
        let now = self.clock.now(&mut conn).await?;
        let scorecard = store::scorecard(&mut conn, now, id.as_str()).await?;
        Ok(v1::GetProviderResponse {
            summary: Some(self.summary_of(&principal, provider, &figures)?),
            clocks: clocks.iter().map(clock_figure).collect(),
            by_state: states.into_iter().map(stage_count).collect(),
            false_claims: false_claims.cast_unsigned(),
            scorecard: Some(scorecard_to_proto(&scorecard)),
        })
    }

    async fn figures(
        &self,
        conn: &mut PgConnection,
        providers: Vec<&str>,
    ) -> Result<HashMap<String, ProviderFigures>, Error> {
        let now = self.clock.now(conn).await?;
        let figures = cases::provider_figures(conn, now, &providers).await?;
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
        Ok(v1::ProviderSummary {
            provider: Some(provider_to_proto(&self.deps.keyring, provider, principal)?),
            notices_open: figure.map_or(0, |f| f.open.cast_unsigned()),
            notices_overdue: figure.map_or(0, |f| f.overdue.cast_unsigned()),
            notices_total: figure.map_or(0, |f| f.total.cast_unsigned()),
            contact_health: contact_health(figure),
        })
    }
}

/// Percentage (0 to 100) of the notices that neither bounced nor remained without an answer.
fn contact_health(figure: Option<&ProviderFigures>) -> u32 {
    figure.filter(|f| f.total > 0).map_or(100, |f| {
        let bad = (f.bounced + f.silent).min(f.total);
        (100 - 100 * bad / f.total) as u32
    })
}
