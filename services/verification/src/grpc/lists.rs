//! Calls about hash lists and rules.

use domain::Invalid;
use domain::id::RuleId;
use proto::v1;
use tonic::Request;

use super::{Grpc, parse, show, transact};
use crate::commands::lists::{self, Line};
use crate::commands::rules::{self, Proposal};
use crate::error::Error;
use crate::matching::rules::Pattern;
use crate::store;

/// Entries in one call.
const MAX_ENTRIES: usize = 10_000;

impl Grpc {
    pub(super) async fn import_hashes(
        &self,
        request: Request<v1::ImportHashesRequest>,
    ) -> Result<v1::ImportHashesResponse, Error> {
        let (person, request) = self.admit(request)?;
        let list = parse::list_name(&request.list)?;
        if request.entries.is_empty() {
            return Err(Invalid::missing("entries").into());
        }
        if request.entries.len() > MAX_ENTRIES {
            return Err(parse::too_many("entries", "a call takes at most 10,000 entries").into());
        }
        let mut lines: Vec<Line> = Vec::with_capacity(request.entries.len());
        let mut problems: Vec<v1::ItemProblem> = Vec::new();
        for (place, entry) in request.entries.iter().enumerate() {
            match parse::line(place, entry) {
                Ok(line) => lines.push(line),
                Err(invalid) => problems.push(invalid.within(&format!("entries[{place}]")).into()),
            }
        }
        let imported = transact!(self, |conn, _now| lists::import(
            conn,
            &self.means,
            &person,
            &list,
            &lines
        ))?;
        problems.extend(imported.contradicting.iter().map(|place| {
            v1::ItemProblem::from(Invalid::new(
                "hash_contradicts",
                format!("entries[{place}]"),
                "the open version says something else of this hash; correct it in a later version",
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
        let (person, request) = self.admit(request)?;
        let list = parse::list_name(&request.list)?;
        let version = parse::version(request.version)?;
        let entries = i64::try_from(request.entries)
            .ok()
            .filter(|entries| *entries > 0)
            .ok_or_else(|| Invalid::missing("entries"))?;
        transact!(self, |conn, now| lists::approve(
            conn, &person, now, &list, version, entries
        ))?;
        self.approved.ring();
        Ok(v1::ApproveHashListResponse {})
    }

    pub(super) async fn list_hash_lists(
        &self,
        request: Request<v1::ListHashListsRequest>,
    ) -> Result<v1::ListHashListsResponse, Error> {
        self.admit(request)?;
        let mut conn = self.pool.acquire().await?;
        let lists = store::lists::all(&mut conn).await?;
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
        let (person, request) = self.admit(request)?;
        let rule = request.rule.ok_or_else(|| Invalid::missing("rule"))?;
        let finding = match rule.verdict {
            Some(v1::rule::Verdict::Actionable(category)) => Some(Ok(category)),
            Some(v1::rule::Verdict::NotActionable(reason)) => Some(Err(reason)),
            None => None,
        };
        let of = match rule.rule_id.as_str() {
            "" => None,
            id => Some(id.parse::<RuleId>().map_err(|e| e.within("rule"))?),
        };
        let pattern = Pattern::parse(&rule.host, &rule.path_prefix)?;
        let finding = parse::finding(finding).map_err(|e| e.within("rule"))?;
        let reason = parse::rule_reason(&rule.reason)?;
        let shown = transact!(self, |conn, now| rules::propose(
            conn,
            &self.means,
            &person,
            now,
            Proposal {
                of,
                pattern: pattern.clone(),
                finding,
                reason: reason.clone(),
            }
        ))?;
        Ok(v1::ProposeRuleResponse {
            rule: Some(show::rule(&shown)),
        })
    }

    pub(super) async fn approve_rule(
        &self,
        request: Request<v1::ApproveRuleRequest>,
    ) -> Result<v1::ApproveRuleResponse, Error> {
        let (person, request) = self.admit(request)?;
        let id: RuleId = request.rule_id.parse()?;
        let version = parse::version(request.version)?;
        let shown = transact!(self, |conn, now| rules::approve(
            conn,
            &self.means,
            &person,
            now,
            id,
            version
        ))?;
        self.approved.ring();
        Ok(v1::ApproveRuleResponse {
            rule: Some(show::rule(&shown)),
        })
    }

    pub(super) async fn retire_rule(
        &self,
        request: Request<v1::RetireRuleRequest>,
    ) -> Result<v1::RetireRuleResponse, Error> {
        let (person, request) = self.admit(request)?;
        let id: RuleId = request.rule_id.parse()?;
        let shown = transact!(self, |conn, now| rules::retire(
            conn,
            &self.means,
            &person,
            now,
            id
        ))?;
        self.approved.ring();
        Ok(v1::RetireRuleResponse {
            rule: Some(show::rule(&shown)),
        })
    }

    pub(super) async fn list_rules(
        &self,
        request: Request<v1::ListRulesRequest>,
    ) -> Result<v1::ListRulesResponse, Error> {
        self.admit(request)?;
        let mut conn = self.pool.acquire().await?;
        let rules = rules::list(&mut conn, &self.means).await?;
        Ok(v1::ListRulesResponse {
            rules: rules.iter().map(show::rule).collect(),
        })
    }
}
