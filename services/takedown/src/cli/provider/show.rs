//! `provider list` and `provider show`: the directory, and one provider with its figures.

use anyhow::Result;
use domain::wire::seconds;
use proto::v1::{GetProviderRequest, ListProvidersRequest, ProviderSummary};
use serde_json::{Value, json};

use crate::cli::{CommonArgs, labels};
use crate::output::{facts, print, table};

pub(super) async fn list(common: &CommonArgs) -> Result<()> {
    let mut dispatch = common.client()?.dispatch();
    let mut all: Vec<ProviderSummary> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListProvidersRequest {
            page_size: 0,
            page_token,
        };
        let response = dispatch.list_providers(request).await?.into_inner();
        let is_last = response.providers.is_empty() || response.next_page_token.is_empty();
        all.extend(response.providers);
        page_token = response.next_page_token;
        if is_last {
            break;
        }
    }
    if common.format.json {
        let values: Vec<Value> = all.iter().map(summary_json).collect();
        print(&format!("{:#}", Value::from(values)));
        return Ok(());
    }
    print(&table(
        [
            "provider", "role", "country", "channel", "open", "overdue", "all", "health",
        ],
        all.iter().map(|summary| {
            let provider = summary.provider.clone().unwrap_or_default();
            [
                provider.provider_id,
                labels::provider_role(provider.role),
                provider.country,
                labels::delivery_channel(provider.channel),
                summary.notices_open.to_string(),
                summary.notices_overdue.to_string(),
                summary.notices_total.to_string(),
                summary.contact_health.to_string(),
            ]
        }),
    ));
    Ok(())
}

pub(super) async fn show(common: &CommonArgs, id: String) -> Result<()> {
    let request = GetProviderRequest { provider_id: id };
    let response = common
        .client()?
        .dispatch()
        .get_provider(request)
        .await?
        .into_inner();
    let summary = response.summary.unwrap_or_default();
    let mut value = summary_json(&summary);
    value["false_claims"] = response.false_claims.into();
    value["by_state"] = response
        .by_state
        .iter()
        .map(|s| (s.stage.clone(), Value::from(s.count)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    value["clocks"] = response
        .clocks
        .iter()
        .map(|c| {
            let figure = json!({ "p50": seconds(c.p50.as_ref()), "p99": seconds(c.p99.as_ref()), "count": c.count });
            (c.clock.clone(), figure)
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    common.format.print(&value, || {
        let provider = summary.provider.clone().unwrap_or_default();
        let head = facts([
            ("provider", provider.provider_id),
            ("role", labels::provider_role(provider.role)),
            ("country", provider.country),
            ("channel", labels::delivery_channel(provider.channel)),
            ("upstream", provider.upstream),
            ("registrar", provider.registrar),
            ("notices", summary.notices_total.to_string()),
            ("open", summary.notices_open.to_string()),
            ("overdue", summary.notices_overdue.to_string()),
            ("false claims", response.false_claims.to_string()),
            ("contact health", summary.contact_health.to_string()),
        ]);
        let states = table(
            ["state", "notices"],
            response
                .by_state
                .iter()
                .map(|s| [s.stage.clone(), s.count.to_string()]),
        );
        let clocks = table(
            ["clock", "p50 s", "p99 s", "notices"],
            response.clocks.iter().map(|c| {
                [
                    c.clock.clone(),
                    format!("{:.1}", seconds(c.p50.as_ref())),
                    format!("{:.1}", seconds(c.p99.as_ref())),
                    c.count.to_string(),
                ]
            }),
        );
        [head, states, clocks].join("\n\n")
    });
    Ok(())
}

fn summary_json(summary: &ProviderSummary) -> Value {
    let provider = summary.provider.clone().unwrap_or_default();
    json!({
        "provider_id": provider.provider_id,
        "role": labels::provider_role(provider.role),
        "country": provider.country,
        "asn": provider.asn,
        "channel": labels::delivery_channel(provider.channel),
        "cidrs": provider.cidrs,
        "domains": provider.domains,
        "upstream": provider.upstream,
        "registrar": provider.registrar,
        "origin": provider.origin,
        "notices_open": summary.notices_open,
        "notices_overdue": summary.notices_overdue,
        "notices_total": summary.notices_total,
        "contact_health": summary.contact_health,
    })
}
