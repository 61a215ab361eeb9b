//! What decides without a person at the desk: hash lists and rules, each approved by somebody else than who made it.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, Redirect};
use proto::v1;
use serde::Deserialize;

use super::{Frame, Names, render};
use crate::edge::Edge;
use crate::posted::{Asked, Posted};
use crate::refused::Refused;
use crate::session::Signed;
use crate::show::{count, label, word};

#[derive(Template)]
#[template(path = "lists.html")]
struct Page {
    frame: Frame,
    lists: Vec<ListRow>,
    rules: Vec<RuleRow>,
    may_approve: bool,
}

struct ListRow {
    name: String,
    version: u32,
    entries: String,
    /// As it goes back with an approval.
    read: u64,
    imported_by: String,
    approved_by: String,
}

struct RuleRow {
    id: String,
    version: u32,
    pattern: String,
    verdict: String,
    reason: String,
    proposed_by: String,
    approved_by: String,
    retired: bool,
    /// The newest version of its rule: what an approval or the rule's end is about.
    newest: bool,
}

#[derive(Deserialize)]
pub(crate) struct Place {
    done: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    let mut client = edge.verification(&signed).await?;
    let mut other = client.clone();
    let (lists, rules, names) = futures::join!(
        edge.ask(client.list_hash_lists(v1::ListHashListsRequest {})),
        edge.ask(other.list_rules(v1::ListRulesRequest {})),
        Names::read(&edge, &signed),
    );
    let names = names?;
    let several = |subjects: &str| {
        let names: Vec<_> = subjects
            .split(", ")
            .filter(|one| !one.is_empty())
            .map(|one| names.of(one))
            .collect();
        names.join(", ")
    };
    let list = |of: v1::HashList| ListRow {
        entries: count(of.entries),
        read: of.entries,
        imported_by: several(&of.imported_by),
        approved_by: several(&of.approved_by),
        version: of.version,
        name: of.list,
    };
    let rules = rules?.rules;
    let mut newest: HashMap<String, u32> = HashMap::new();
    for rule in &rules {
        let version = newest.entry(rule.rule_id.clone()).or_default();
        *version = rule.version.max(*version);
    }
    let rule = |of: v1::Rule| RuleRow {
        pattern: format!("{}{}", of.host.replace('.', "[.]"), of.path_prefix),
        verdict: match of.verdict {
            Some(v1::rule::Verdict::Actionable(category)) => {
                format!("Category {}", word!(Category, category))
            }
            Some(v1::rule::Verdict::NotActionable(reason)) => {
                label(word!(NotActionableReason, reason))
            }
            None => String::new(),
        },
        reason: of.reason,
        proposed_by: several(&of.proposed_by),
        approved_by: several(&of.approved_by),
        retired: of.retired_at.is_some(),
        newest: newest.get(&of.rule_id) == Some(&of.version),
        version: of.version,
        id: of.rule_id,
    };
    render(&Page {
        lists: lists?.lists.into_iter().map(list).collect(),
        rules: rules.into_iter().map(rule).collect(),
        may_approve: signed.who.supervisor,
        frame: Frame::new("/lists", &signed).done(place.done.as_deref()),
    })
}

#[derive(Deserialize)]
pub(crate) struct ListName {
    #[serde(default)]
    list: String,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    entries: u64,
}

pub(crate) async fn approve_list(
    State(edge): State<Edge>,
    Posted(signed, form): Posted<ListName>,
) -> Result<Redirect, Refused> {
    let mut client = edge.verification(&signed).await?;
    let request = v1::ApproveHashListRequest {
        list: form.list,
        version: form.version,
        entries: form.entries,
    };
    let answer = edge.ask(client.approve_hash_list(request)).await;
    answer.map_err(|problem| Refused::from(problem).back("/lists", "the lists"))?;
    Ok(Redirect::to("/lists?done=approved"))
}

#[derive(Deserialize)]
pub(crate) struct RuleName {
    #[serde(default)]
    rule: String,
    #[serde(default)]
    version: u32,
}

pub(crate) async fn approve_rule(
    State(edge): State<Edge>,
    Posted(signed, form): Posted<RuleName>,
) -> Result<Redirect, Refused> {
    let mut client = edge.verification(&signed).await?;
    let request = v1::ApproveRuleRequest {
        rule_id: form.rule,
        version: form.version,
    };
    let answer = edge.ask(client.approve_rule(request)).await;
    answer.map_err(|problem| Refused::from(problem).back("/lists", "the rules"))?;
    Ok(Redirect::to("/lists?done=approved"))
}

pub(crate) async fn retire_rule(
    State(edge): State<Edge>,
    Posted(signed, form): Posted<RuleName>,
) -> Result<Redirect, Refused> {
    let mut client = edge.verification(&signed).await?;
    let request = v1::RetireRuleRequest { rule_id: form.rule };
    let answer = edge.ask(client.retire_rule(request)).await;
    answer.map_err(|problem| Refused::from(problem).back("/lists", "the rules"))?;
    Ok(Redirect::to("/lists?done=retired"))
}
