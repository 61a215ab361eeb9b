//! Setup before the first report: staff accounts, providers with their keys, a hash list and rules.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, ensure};
use domain::enums::HashKind;
use domain::url::{CanonicalUrl, DomainName};
use platform::sealed::random;
use proto::v1::hash_entry::Verdict as HashVerdict;
use proto::v1::rule::Verdict as RuleVerdict;
use proto::v1::{
    ApproveHashListRequest, ApproveRuleRequest, CreateProviderKeyRequest, CreateStaffRequest,
    GetIntakeCountsRequest, Hash, HashEntry, ImportHashesRequest, ListHashListsRequest,
    ProposeRuleRequest, Provider, Rule, StaffRole, UpsertProvidersRequest,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::hosts::webhook_url;
use crate::scenario::{Scenario, ScenarioProvider, TrueVerdict};
use roles::client::Client;

const HASH_LIST: &str = "demo-known-material";
/// This many of ten hashes in the scenario are on the list; the others are left to analysts.
const KNOWN_OF_TEN: usize = 7;
const MAX_RULES: usize = 8;
/// A host with fewer cases gets no rule.
const MIN_CASES_FOR_RULE: usize = 3;
const HASHES_PER_CALL: usize = 5000;

/// Clients signed in as the simulated staff.
pub struct DemoStaff {
    pub operator: Client,
    pub supervisor: Client,
    pub analysts: Vec<Client>,
}

/// Creates the accounts.
///
/// # Errors
/// The system has reports already, whose figures would be counted with those of this run.
pub async fn create_staff_accounts(operator: &Client) -> Result<DemoStaff> {
    let counts = operator
        .intake()
        .get_intake_counts(GetIntakeCountsRequest {})
        .await?;
    ensure!(
        counts.get_ref().accepted == 0,
        "this system has reports already; give the demo a new data folder or an empty database"
    );
    let supervisor = create_account(operator, "demo-supervisor", &[StaffRole::Supervisor]).await?;
    let mut analysts = Vec::new();
    for name in ["demo-analyst-1", "demo-analyst-2"] {
        analysts.push(
            create_account(operator, name, &[StaffRole::Analyst, StaffRole::Supervisor]).await?,
        );
    }
    Ok(DemoStaff {
        operator: operator.clone(),
        supervisor,
        analysts,
    })
}

async fn create_account(operator: &Client, name: &str, roles: &[StaffRole]) -> Result<Client> {
    let password = SecretString::from(hex::encode(random::<16>()));
    let request = CreateStaffRequest {
        name: name.to_owned(),
        password: password.expose_secret().to_owned(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
    };
    operator
        .verification()
        .create_staff(request)
        .await
        .with_context(|| format!("creating the account {name}"))?;
    Ok(operator.sign_in(name, &password).await?)
}

/// Adds the scenario's providers to the directory and creates an API key for each.
pub async fn register_providers(
    staff: &DemoStaff,
    scenario: &Scenario,
) -> Result<HashMap<String, SecretString>> {
    let mut dispatch = staff.operator.dispatch();
    let providers: Vec<Provider> = scenario.providers.iter().map(provider_proto).collect();
    for chunk in providers.chunks(1000) {
        let request = UpsertProvidersRequest {
            providers: chunk.to_vec(),
        };
        let answer = dispatch.upsert_providers(request).await?.into_inner();
        if let Some(problem) = answer.problems.first() {
            anyhow::bail!("providers.json, {}: {}", problem.field, problem.detail);
        }
    }
    let mut keys = HashMap::new();
    for provider in &scenario.providers {
        let request = CreateProviderKeyRequest {
            provider_id: provider.id.clone(),
            ..CreateProviderKeyRequest::default()
        };
        let answer = dispatch.create_provider_key(request).await?.into_inner();
        keys.insert(provider.id.clone(), answer.key.into());
    }
    Ok(keys)
}

fn provider_proto(provider: &ScenarioProvider) -> Provider {
    let has_webhook = provider.channel == domain::enums::DeliveryChannel::Webhook;
    let id_of = |id: &Option<String>| id.clone().unwrap_or_default();
    Provider {
        provider_id: provider.id.clone(),
        role: provider.role.wire(),
        country: provider.country.clone(),
        asn: provider.asn,
        cidrs: provider.cidrs.clone(),
        domains: provider.domains.clone(),
        upstream: id_of(&provider.upstream),
        registrar: id_of(&provider.registrar),
        origin: id_of(&provider.origin),
        channel: provider.channel.wire(),
        abuse_contact: provider.abuse_contact.clone(),
        webhook_url: if has_webhook {
            webhook_url(&provider.id)
        } else {
            String::new()
        },
    }
}

/// Proposes and approves the hash list and the rules, as two different people.
pub async fn approve_hashes_and_rules(staff: &DemoStaff, scenario: &Scenario) -> Result<()> {
    let mut proposer = staff.operator.verification();
    let mut approver = staff.supervisor.verification();
    for chunk in hashes(scenario).chunks(HASHES_PER_CALL) {
        let request = ImportHashesRequest {
            list: HASH_LIST.to_owned(),
            entries: chunk.to_vec(),
        };
        proposer.import_hashes(request).await?;
    }
    // The approver approves the version that they have read.
    let lists = approver.list_hash_lists(ListHashListsRequest {}).await?;
    for list in lists.into_inner().lists {
        if list.list == HASH_LIST && list.approved_by.is_empty() {
            let approve = ApproveHashListRequest {
                list: list.list,
                version: list.version,
                entries: list.entries,
            };
            approver.approve_hash_list(approve).await?;
        }
    }
    for rule in rules(scenario) {
        let request = ProposeRuleRequest { rule: Some(rule) };
        let rule = proposer.propose_rule(request).await?.into_inner().rule;
        let rule = rule.context("verification returned no rule")?;
        let approve = ApproveRuleRequest {
            rule_id: rule.rule_id,
            version: rule.version,
        };
        approver.approve_rule(approve).await?;
    }
    Ok(())
}

/// The scenario's hashes for the list, without those of cases that need a second opinion.
fn hashes(scenario: &Scenario) -> Vec<HashEntry> {
    let mut verdicts: BTreeMap<&str, TrueVerdict> = BTreeMap::new();
    let mut ambiguous = Vec::new();
    for entry in &scenario.reports {
        let Some(truth) = &entry.truth else { continue };
        if entry.report.sha256.is_empty() {
            continue;
        }
        let verdict = verdicts
            .entry(&entry.report.sha256)
            .or_insert(truth.verdict);
        if *verdict != truth.verdict {
            ambiguous.push(entry.report.sha256.as_str());
        }
    }
    let is_known = |hash: &str| hash.bytes().map(usize::from).sum::<usize>() % 10 < KNOWN_OF_TEN;
    verdicts
        .into_iter()
        .filter(|(hash, _)| is_known(hash) && !ambiguous.contains(hash))
        .filter_map(|(hash, verdict)| {
            let verdict = match verdict {
                TrueVerdict::Actionable(category) => HashVerdict::Actionable(category.wire()),
                TrueVerdict::NotActionable(reason) => HashVerdict::NotActionable(reason.wire()),
                TrueVerdict::SecondOpinion => return None,
            };
            let hash = Hash {
                kind: HashKind::Sha256.wire(),
                value: hash.to_owned(),
            };
            Some(HashEntry {
                hash: Some(hash),
                verdict: Some(verdict),
            })
        })
        .collect()
}

/// Rules for hosts whose cases all have the same verdict; the hosts with the most cases first.
fn rules(scenario: &Scenario) -> Vec<Rule> {
    let mut hosts: BTreeMap<String, BTreeMap<&str, TrueVerdict>> = BTreeMap::new();
    for entry in &scenario.reports {
        let (Some(truth), Ok(url)) = (&entry.truth, CanonicalUrl::parse(&entry.report.url)) else {
            continue;
        };
        // A rule for a host applies to every name below it.
        for name in url
            .host()
            .domain()
            .into_iter()
            .flat_map(DomainName::ancestry)
        {
            hosts
                .entry(name.to_owned())
                .or_default()
                .insert(&truth.case, truth.verdict);
        }
    }
    let mut unanimous: Vec<(usize, String, TrueVerdict)> = hosts
        .into_iter()
        .filter(|(_, cases)| cases.len() >= MIN_CASES_FOR_RULE)
        .filter_map(|(host, cases)| {
            let first = *cases.values().next()?;
            let agree = cases.values().all(|verdict| *verdict == first);
            agree.then_some((cases.len(), host, first))
        })
        .collect();
    unanimous.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    unanimous
        .into_iter()
        .filter_map(|(_, host, verdict)| {
            let verdict = match verdict {
                TrueVerdict::Actionable(category) => RuleVerdict::Actionable(category.wire()),
                TrueVerdict::NotActionable(reason) => RuleVerdict::NotActionable(reason.wire()),
                TrueVerdict::SecondOpinion => return None,
            };
            let reason = "All cases on this host have had the same verdict.".to_owned();
            Some(Rule {
                host,
                verdict: Some(verdict),
                reason,
                ..Rule::default()
            })
        })
        .take(MAX_RULES)
        .collect()
}
