//! What decides cases without an analyst: hash lists and rules. Each is approved by a person other than its author.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use proto::v1;
use serde::Deserialize;

use super::{StaffNames, render};
use crate::edge::Edge;
use crate::form::{QueryParams, RefusedForm, SubmittedForm};
use crate::format::{format_count, label, wire_name};
use crate::frame::Frame;
use crate::page_error::{PageError, RawForm};
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "lists.html")]
struct ListsPage {
    frame: Frame,
    lists: Vec<HashListRow>,
    rules: Vec<RuleRow>,
    may_approve: bool,
}

struct HashListRow {
    name: String,
    version: u32,
    entries: String,
    /// The number of entries as it is sent back with an approval.
    entry_count: u64,
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
    is_retired: bool,
    /// Only the newest version of a rule can be approved or retired.
    is_newest: bool,
}

#[derive(Deserialize)]
pub(crate) struct ListsQuery {
    done: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    QueryParams(query): QueryParams<ListsQuery>,
) -> Result<Html<String>, PageError> {
    read_page(&edge, &signed_in, query.done.as_deref(), None).await
}

/// The page of a form that was sent to its own address, loaded again.
pub(crate) async fn redirect(_: SignedIn) -> Redirect {
    Redirect::to("/lists")
}

async fn read_page(
    edge: &Edge,
    signed_in: &SignedIn,
    done: Option<&str>,
    refused: Option<RefusedForm>,
) -> Result<Html<String>, PageError> {
    let mut client = edge.verification(signed_in).await?;
    let mut second_client = client.clone();
    let (lists, rules, names) = futures::join!(
        edge.call(client.list_hash_lists(v1::ListHashListsRequest {})),
        edge.call(second_client.list_rules(v1::ListRulesRequest {})),
        StaffNames::read(edge, signed_in),
    );
    let names = names?;
    let rules = rules?.rules;
    let mut newest: HashMap<String, u32> = HashMap::new();
    for rule in &rules {
        let version = newest.entry(rule.rule_id.clone()).or_default();
        *version = rule.version.max(*version);
    }
    render(&ListsPage {
        lists: lists?
            .lists
            .into_iter()
            .map(|list| HashListRow::from_proto(list, &names))
            .collect(),
        rules: rules
            .into_iter()
            .map(|rule| {
                let is_newest = newest.get(&rule.rule_id) == Some(&rule.version);
                RuleRow::from_proto(rule, is_newest, &names)
            })
            .collect(),
        may_approve: signed_in.staff.is_supervisor,
        frame: Frame::new("/lists", signed_in)
            .with_done(done)
            .with_refused(refused, "/lists"),
    })
}

/// Subjects with commas, as the proto has them, by name.
fn people(names: &StaffNames, subjects: &str) -> String {
    let subjects: Vec<String> = subjects
        .split(", ")
        .filter(|subject| !subject.is_empty())
        .map(str::to_owned)
        .collect();
    names.join(&subjects)
}

impl HashListRow {
    fn from_proto(list: v1::HashList, names: &StaffNames) -> Self {
        Self {
            entries: format_count(list.entries),
            entry_count: list.entries,
            imported_by: people(names, &list.imported_by),
            approved_by: people(names, &list.approved_by),
            version: list.version,
            name: list.list,
        }
    }
}

impl RuleRow {
    fn from_proto(rule: v1::Rule, is_newest: bool, names: &StaffNames) -> Self {
        Self {
            pattern: format!("{}{}", rule.host.replace('.', "[.]"), rule.path_prefix),
            verdict: match rule.verdict {
                Some(v1::rule::Verdict::Actionable(category)) => {
                    format!("Category {}", wire_name!(Category, category))
                }
                Some(v1::rule::Verdict::NotActionable(reason)) => {
                    label(wire_name!(NotActionableReason, reason))
                }
                None => String::new(),
            },
            reason: rule.reason,
            proposed_by: people(names, &rule.proposed_by),
            approved_by: people(names, &rule.approved_by),
            is_retired: rule.retired_at.is_some(),
            is_newest,
            version: rule.version,
            id: rule.rule_id,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct ListApprovalForm {
    #[serde(default)]
    list: String,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    entries: u64,
}

pub(crate) async fn approve_list(
    State(edge): State<Edge>,
    form: SubmittedForm<ListApprovalForm>,
) -> Result<Response, PageError> {
    let result = async {
        let mut client = edge.verification(&form.signed_in).await?;
        let request = v1::ApproveHashListRequest {
            list: form.fields.list.clone(),
            version: form.fields.version,
            entries: form.fields.entries,
        };
        edge.call(client.approve_hash_list(request)).await?;
        Ok(())
    }
    .await;
    respond(&edge, &form.signed_in, form.raw, result, "approved").await
}

#[derive(Deserialize)]
pub(crate) struct RuleForm {
    #[serde(default)]
    rule: String,
    #[serde(default)]
    version: u32,
}

pub(crate) async fn approve_rule(
    State(edge): State<Edge>,
    form: SubmittedForm<RuleForm>,
) -> Result<Response, PageError> {
    let result = async {
        let mut client = edge.verification(&form.signed_in).await?;
        let request = v1::ApproveRuleRequest {
            rule_id: form.fields.rule.clone(),
            version: form.fields.version,
        };
        edge.call(client.approve_rule(request)).await?;
        Ok(())
    }
    .await;
    respond(&edge, &form.signed_in, form.raw, result, "approved").await
}

pub(crate) async fn retire_rule(
    State(edge): State<Edge>,
    form: SubmittedForm<RuleForm>,
) -> Result<Response, PageError> {
    let result = async {
        let mut client = edge.verification(&form.signed_in).await?;
        let request = v1::RetireRuleRequest {
            rule_id: form.fields.rule.clone(),
        };
        edge.call(client.retire_rule(request)).await?;
        Ok(())
    }
    .await;
    respond(&edge, &form.signed_in, form.raw, result, "retired").await
}

/// The page: with what was done, or with the refusal.
async fn respond(
    edge: &Edge,
    signed_in: &SignedIn,
    raw: RawForm,
    result: Result<(), PageError>,
    done: &str,
) -> Result<Response, PageError> {
    match result {
        Ok(()) => Ok(Redirect::to(&format!("/lists?done={done}")).into_response()),
        Err(error) => {
            let refused = RefusedForm::new("lists", raw, error)?;
            let page = read_page(edge, signed_in, None, Some(refused.clone())).await;
            refused.into_response(page)
        }
    }
}
