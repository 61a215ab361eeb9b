//! `provider import`: writes a file of providers into the directory.

use std::path::Path;

use anyhow::{Context as _, Result};
use domain::enums::{DeliveryChannel, ProviderRole};
use platform::error::{Kind, Problem};
use proto::v1::{Provider, UpsertProvidersRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::CommonArgs;
use crate::output::table;

/// Number of providers per call.
const BATCH: usize = 1000;

/// A provider in the file. Unknown fields are ignored.
#[derive(Deserialize)]
#[serde(default)]
struct ProviderEntry {
    id: String,
    role: String,
    channel: String,
    country: String,
    asn: u32,
    cidrs: Vec<String>,
    domains: Vec<String>,
    abuse_contact: String,
    webhook_url: String,
    upstream: Option<String>,
    registrar: Option<String>,
    origin: Option<String>,
}

impl Default for ProviderEntry {
    fn default() -> Self {
        Self {
            id: String::new(),
            role: ProviderRole::Host.to_string(),
            channel: DeliveryChannel::Email.to_string(),
            country: String::new(),
            asn: 0,
            cidrs: Vec::new(),
            domains: Vec::new(),
            abuse_contact: String::new(),
            webhook_url: String::new(),
            upstream: None,
            registrar: None,
            origin: None,
        }
    }
}

impl ProviderEntry {
    fn wire(self) -> Result<Provider, domain::Invalid> {
        Ok(Provider {
            role: self.role.parse::<ProviderRole>()?.wire(),
            channel: self.channel.parse::<DeliveryChannel>()?.wire(),
            provider_id: self.id,
            country: self.country,
            asn: self.asn,
            cidrs: self.cidrs,
            domains: self.domains,
            upstream: self.upstream.unwrap_or_default(),
            registrar: self.registrar.unwrap_or_default(),
            origin: self.origin.unwrap_or_default(),
            abuse_contact: self.abuse_contact,
            webhook_url: self.webhook_url,
        })
    }
}

pub(super) async fn run(common: &CommonArgs, file: &Path) -> Result<()> {
    let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let entries: Vec<ProviderEntry> = serde_json::from_slice(&text).map_err(|error| {
        Problem::new(
            Kind::Invalid,
            "file_malformed",
            format!(
                "{} is not a JSON list of providers: {error}.",
                file.display()
            ),
        )
    })?;
    let providers: Vec<Provider> = entries
        .into_iter()
        .enumerate()
        .map(|(n, entry)| {
            entry
                .wire()
                .map_err(|invalid| invalid.within(&format!("[{n}]")))
        })
        .collect::<Result<_, _>>()?;
    let mut dispatch = common.client()?.dispatch();
    let (mut written, mut problems) = (0, Vec::new());
    for batch in providers.chunks(BATCH) {
        let request = UpsertProvidersRequest {
            providers: batch.to_vec(),
        };
        let response = dispatch.upsert_providers(request).await?.into_inner();
        written += response.written;
        problems.extend(response.problems);
    }
    let problem_values: Vec<Value> = problems
        .iter()
        .map(|p| json!({ "code": p.code, "detail": p.detail, "field": p.field }))
        .collect();
    common.format.print(
        &json!({ "written": written, "problems": problem_values }),
        || {
            let mut text = format!("{written} written, {} refused", problems.len());
            if !problems.is_empty() {
                let rows = problems
                    .iter()
                    .map(|p| [p.field.clone(), p.code.clone(), p.detail.clone()]);
                text.push_str("\n\n");
                text.push_str(&table(["where", "code", "what to send instead"], rows));
            }
            text
        },
    );
    if problems.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Invalid,
        "providers_refused",
        format!(
            "{} providers were refused; the others are written.",
            problems.len()
        ),
    )
    .into())
}
