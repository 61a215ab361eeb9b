//! What stands before the first report: people, providers with their keys, known material and rules.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, ensure};
use domain::url::{CanonicalUrl, DomainName};
use domain::word::HashKind;
use platform::sealed::random;
use proto::v1::hash_entry::Verdict as HashVerdict;
use proto::v1::rule::Verdict as RuleVerdict;
use proto::v1::{
    ApproveHashListRequest, ApproveRuleRequest, CreateProviderKeyRequest, CreateStaffRequest,
    GetIntakeCountsRequest, Hash, HashEntry, ImportHashesRequest, ListHashListsRequest,
    ProposeRuleRequest, Provider, PutProvidersRequest, Rule, StaffRole,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::Client;
use crate::street::files::{Street, Verdict};
use crate::street::residents::webhook_url;

const HASH_LIST: &str = "demo-known-material";
/// Of the hashes on the street, this share in ten is known; the others are left to analysts.
const KNOWN: usize = 7;
/// Hosts decided by a rule, at most.
const RULES: usize = 8;
/// Cases that a host must have for a rule to be worth it.
const WORTH_A_RULE: usize = 3;
const HASHES_A_CALL: usize = 5000;

/// The people who play.
pub struct Cast {
    pub operator: Client,
    pub supervisor: Client,
    pub analysts: Vec<Client>,
}

/// Makes the accounts. The system must be new: figures of another run would be counted with this one's.
pub async fn people(operator: &Client) -> Result<Cast> {
    let counts = operator
        .intake()
        .get_intake_counts(GetIntakeCountsRequest {})
        .await?;
    ensure!(
        counts.get_ref().accepted == 0,
        "this system has reports already; give the demo a new data folder or an empty database"
    );
    let supervisor = account(operator, "demo-supervisor", &[StaffRole::Supervisor]).await?;
    let mut analysts = Vec::new();
    for name in ["demo-analyst-1", "demo-analyst-2"] {
        analysts.push(account(operator, name, &[StaffRole::Analyst, StaffRole::Supervisor]).await?);
    }
    Ok(Cast {
        operator: operator.clone(),
        supervisor,
        analysts,
    })
}

async fn account(operator: &Client, name: &str, roles: &[StaffRole]) -> Result<Client> {
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
        .with_context(|| format!("account {name}"))?;
    Ok(operator.sign_in(name, &password).await?)
}

/// Puts the street into the directory and gives each provider its key.
pub async fn providers(cast: &Cast, street: &Street) -> Result<HashMap<String, SecretString>> {
    let mut dispatch = cast.operator.dispatch();
    let providers: Vec<Provider> = street.providers.iter().map(entry).collect();
    for some in providers.chunks(1000) {
        let request = PutProvidersRequest {
            providers: some.to_vec(),
        };
        let answer = dispatch.put_providers(request).await?.into_inner();
        if let Some(problem) = answer.problems.first() {
            anyhow::bail!("providers.json, {}: {}", problem.field, problem.detail);
        }
    }
    let mut keys = HashMap::new();
    for provider in &street.providers {
        let request = CreateProviderKeyRequest {
            provider_id: provider.id.clone(),
            ..CreateProviderKeyRequest::default()
        };
        let answer = dispatch.create_provider_key(request).await?.into_inner();
        keys.insert(provider.id.clone(), answer.key.into());
    }
    Ok(keys)
}

fn entry(provider: &crate::street::files::Provider) -> Provider {
    let takes_webhooks = provider.channel == domain::word::DeliveryChannel::Webhook;
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
        webhook_url: if takes_webhooks {
            webhook_url(&provider.id)
        } else {
            String::new()
        },
    }
}

/// Known hashes and standing rules: proposed by one person, approved by another.
pub async fn known_material(cast: &Cast, street: &Street) -> Result<()> {
    let mut proposer = cast.operator.verification();
    let mut approver = cast.supervisor.verification();
    for some in hashes(street).chunks(HASHES_A_CALL) {
        let request = ImportHashesRequest {
            list: HASH_LIST.to_owned(),
            entries: some.to_vec(),
        };
        proposer.import_hashes(request).await?;
    }
    // What is approved is what the approver reads.
    let lists = approver.list_hash_lists(ListHashListsRequest {}).await?;
    for read in lists.into_inner().lists {
        if read.list == HASH_LIST && read.approved_by.is_empty() {
            let approve = ApproveHashListRequest {
                list: read.list,
                version: read.version,
                entries: read.entries,
            };
            approver.approve_hash_list(approve).await?;
        }
    }
    for rule in rules(street) {
        let request = ProposeRuleRequest { rule: Some(rule) };
        let rule = proposer.propose_rule(request).await?.into_inner().rule;
        let rule = rule.context("verification proposed no rule")?;
        let approve = ApproveRuleRequest {
            rule_id: rule.rule_id,
            version: rule.version,
        };
        approver.approve_rule(approve).await?;
    }
    Ok(())
}

/// The street's hashes that a list decides; a case that needs two looks is none of them.
fn hashes(street: &Street) -> Vec<HashEntry> {
    let mut known: BTreeMap<&str, Verdict> = BTreeMap::new();
    let mut unclear = Vec::new();
    for entry in &street.entries {
        let Some(truth) = &entry.truth else { continue };
        if entry.report.sha256.is_empty() {
            continue;
        }
        let verdict = known.entry(&entry.report.sha256).or_insert(truth.verdict);
        if *verdict != truth.verdict {
            unclear.push(entry.report.sha256.as_str());
        }
    }
    let share = |hash: &str| hash.bytes().map(usize::from).sum::<usize>() % 10 < KNOWN;
    known
        .into_iter()
        .filter(|(hash, _)| share(hash) && !unclear.contains(hash))
        .filter_map(|(hash, verdict)| {
            let verdict = match verdict {
                Verdict::Actionable(category) => HashVerdict::Actionable(category.wire()),
                Verdict::NotActionable(reason) => HashVerdict::NotActionable(reason.wire()),
                Verdict::SecondLook => return None,
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

/// Rules for hosts all of whose cases have one verdict, the busiest first.
fn rules(street: &Street) -> Vec<Rule> {
    let mut hosts: BTreeMap<String, BTreeMap<&str, Verdict>> = BTreeMap::new();
    for entry in &street.entries {
        let (Some(truth), Ok(url)) = (&entry.truth, CanonicalUrl::parse(&entry.report.url)) else {
            continue;
        };
        // A rule for a host decides for every name below it as well.
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
    let mut of_one_mind: Vec<(usize, String, Verdict)> = hosts
        .into_iter()
        .filter(|(_, cases)| cases.len() >= WORTH_A_RULE)
        .filter_map(|(host, cases)| {
            let first = *cases.values().next()?;
            let agree = cases.values().all(|verdict| *verdict == first);
            agree.then_some((cases.len(), host, first))
        })
        .collect();
    of_one_mind.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    of_one_mind
        .into_iter()
        .filter_map(|(_, host, verdict)| {
            let verdict = match verdict {
                Verdict::Actionable(category) => RuleVerdict::Actionable(category.wire()),
                Verdict::NotActionable(reason) => RuleVerdict::NotActionable(reason.wire()),
                Verdict::SecondLook => return None,
            };
            let reason = "All that was found on this host so far is the same.".to_owned();
            Some(Rule {
                host,
                verdict: Some(verdict),
                reason,
                ..Rule::default()
            })
        })
        .take(RULES)
        .collect()
}
