//! Calls about hash lists and rules.

use domain::Invalid;
use domain::id::RuleId;
use proto::v1;
use tonic::Request;

use super::{Grpc, parse, to_proto, transact};
use crate::commands::hash_lists::{self, ImportEntry};
use crate::commands::rules::{self, RuleProposal};
use crate::error::Error;
use crate::matching::rules::RulePattern;
use crate::store;

/// Entries per call.
const MAX_ENTRIES: usize = 10_000;

impl Grpc {
    pub(super) async fn import_hashes(
        &self,
        request: Request<v1::ImportHashesRequest>,
    ) -> Result<v1::ImportHashesResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let list = parse::list_name(&request.list)?;
        if request.entries.is_empty() {
            return Err(Invalid::missing("entries").into());
        }
        if request.entries.len() > MAX_ENTRIES {
            return Err(parse::too_many("entries", "a call takes at most 10,000 entries").into());
        }
        let mut entries: Vec<ImportEntry> = Vec::with_capacity(request.entries.len());
        let mut problems: Vec<v1::ItemProblem> = Vec::new();
        for (index, entry) in request.entries.iter().enumerate() {
            match parse::import_entry(index, entry) {
                Ok(entry) => entries.push(entry),
                Err(invalid) => problems.push(invalid.within(&format!("entries[{index}]")).into()),
            }
        }
        let imported = transact!(self, |conn, _now| hash_lists::import(
            conn,
            &self.context,
            &person,
            &list,
            &entries
        ))?;
        problems.extend(imported.contradicting.iter().map(|index| {
            v1::ItemProblem::from(Invalid::new(
                "hash_contradicts",
                format!("entries[{index}]"),
                "the open version has another verdict on this hash; correct it in a later version",
            ))
        }));
        Ok(v1::ImportHashesResponse {
            added: imported.added,
            known: imported.known,
            problems,
            version: imported.version as u32,
        })
    }

    pub(super) async fn approve_hash_list(
        &self,
        request: Request<v1::ApproveHashListRequest>,
    ) -> Result<v1::ApproveHashListResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let list = parse::list_name(&request.list)?;
        let version = parse::version(request.version)?;
        let entries = i64::try_from(request.entries)
            .ok()
            .filter(|entries| *entries > 0)
            .ok_or_else(|| Invalid::missing("entries"))?;
        transact!(self, |conn, now| hash_lists::approve(
            conn, &person, now, &list, version, entries
        ))?;
        self.approved.notify();
        Ok(v1::ApproveHashListResponse {})
    }

    pub(super) async fn list_hash_lists(
        &self,
        request: Request<v1::ListHashListsRequest>,
    ) -> Result<v1::ListHashListsResponse, Error> {
        self.authenticate(request)?;
        let mut conn = self.pool.acquire().await?;
        let lists = store::hash_lists::all(&mut conn).await?;
        let lists = lists
            .into_iter()
            .map(|row| v1::HashList {
                list: row.list,
                version: row.version as u32,
                entries: row.entries as u64,
                approved_by: row.approved_by.map(|by| by.to_string()).unwrap_or_default(),
                imported_by: row
                    .imported_by
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
            .collect();
        Ok(v1::ListHashListsResponse { lists })
    }

    pub(super) async fn propose_rule(
        &self,
        request: Request<v1::ProposeRuleRequest>,
    ) -> Result<v1::ProposeRuleResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let rule = request.rule.ok_or_else(|| Invalid::missing("rule"))?;
        let verdict = match rule.verdict {
            Some(v1::rule::Verdict::Actionable(category)) => Some(Ok(category)),
            Some(v1::rule::Verdict::NotActionable(reason)) => Some(Err(reason)),
            None => None,
        };
        let rule_id = match rule.rule_id.as_str() {
            "" => None,
            id => Some(id.parse::<RuleId>().map_err(|e| e.within("rule"))?),
        };
        let pattern = RulePattern::parse(&rule.host, &rule.path_prefix)?;
        let verdict = parse::case_verdict(verdict).map_err(|e| e.within("rule"))?;
        let reason = parse::rule_reason(&rule.reason)?;
        let rule = transact!(self, |conn, now| rules::propose(
            conn,
            &self.context,
            &person,
            now,
            RuleProposal {
                rule: rule_id,
                pattern: pattern.clone(),
                verdict,
                reason: reason.clone(),
            }
        ))?;
        Ok(v1::ProposeRuleResponse {
            rule: Some(to_proto::rule(&rule)),
        })
    }

    pub(super) async fn approve_rule(
        &self,
        request: Request<v1::ApproveRuleRequest>,
    ) -> Result<v1::ApproveRuleResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: RuleId = request.rule_id.parse()?;
        let version = parse::version(request.version)?;
        let rule = transact!(self, |conn, now| rules::approve(
            conn,
            &self.context,
            &person,
            now,
            id,
            version
        ))?;
        self.approved.notify();
        Ok(v1::ApproveRuleResponse {
            rule: Some(to_proto::rule(&rule)),
        })
    }

    pub(super) async fn retire_rule(
        &self,
        request: Request<v1::RetireRuleRequest>,
    ) -> Result<v1::RetireRuleResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: RuleId = request.rule_id.parse()?;
        let rule = transact!(self, |conn, now| rules::retire(
            conn,
            &self.context,
            &person,
            now,
            id
        ))?;
        self.approved.notify();
        Ok(v1::RetireRuleResponse {
            rule: Some(to_proto::rule(&rule)),
        })
    }

    pub(super) async fn list_rules(
        &self,
        request: Request<v1::ListRulesRequest>,
    ) -> Result<v1::ListRulesResponse, Error> {
        self.authenticate(request)?;
        let mut conn = self.pool.acquire().await?;
        let rules = rules::list(&mut conn, &self.context).await?;
        Ok(v1::ListRulesResponse {
            rules: rules.iter().map(to_proto::rule).collect(),
        })
    }
}
