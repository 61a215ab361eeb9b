//! Matches waiting cases against lists and rules that were approved later.

use std::collections::HashMap;

use domain::id::{CaseId, ReportId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, verdict};
use crate::context::CommandContext;
use crate::error::Error;
use crate::matching::{self, MatchKeys};
use crate::store;

/// Matches up to `limit` waiting cases that were last matched against an older version of lists and rules.
/// Returns how many it matched.
pub(crate) async fn rematch(
    conn: &mut PgConnection,
    context: &CommandContext,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let index = context.match_index.current(conn).await?;
    let mut cases = store::queue::lock_unmatched(conn, index.version, limit).await?;
    if cases.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = cases.iter().map(|case| case.id.uuid()).collect();
    let mut keys: HashMap<Uuid, MatchKeys> = HashMap::new();
    for (case, tag) in store::reports::tags_of(conn, &ids).await? {
        let tag =
            <[u8; 32]>::try_from(tag).map_err(|_| Error::bad_row("report_tag", "tag", case))?;
        keys.entry(case).or_default().tags.push(tag);
    }
    let mut with_pdq = HashMap::<Uuid, Vec<(Uuid, Vec<u8>)>>::new();
    for (case, report, sealed) in store::reports::contents_with_pdq(conn, &ids).await? {
        with_pdq.entry(case).or_default().push((report, sealed));
    }

    let mut opened = HashMap::new();
    for case in &mut cases {
        case.matched_version = index.version;
        let id = case.id.uuid();
        let contents = with_pdq.remove(&id).unwrap_or_default();
        match add_pdq_hashes(
            context,
            case.id,
            &case.first_report.wrapped_key,
            &contents,
            keys.entry(id).or_default(),
        )
        .and_then(|()| Ok(context.open(case)?))
        {
            Ok(content) => {
                let keys = keys.entry(id).or_default();
                keys.url = Some(content.url.clone());
                keys.withdrawn_bases.clone_from(&case.withdrawn_bases);
                opened.insert(id, content);
            }
            // A case that cannot be opened must not block the others; analysts still see it in the queue.
            Err(error) => {
                tracing::error!(alarm = "sealed_content", case.id = %id, error.code = error.code(), "a waiting case cannot be opened");
            }
        }
    }
    let matchable: Vec<usize> = (0..cases.len())
        .filter(|position| opened.contains_key(&ids[*position]))
        .collect();
    let matchable_keys: Vec<&MatchKeys> = matchable
        .iter()
        .map(|position| &keys[&ids[*position]])
        .collect();
    let found = matching::find_matches(conn, &index, &matchable_keys).await?;

    let mut out = Outbox::new(now);
    for (position, matched) in matchable.into_iter().zip(found) {
        if let Some(matched) = matched {
            let content = &opened[&ids[position]];
            verdict::apply_match(context, &mut cases[position], content, matched, &mut out)?;
        }
    }
    store::cases::save(conn, &cases).await?;
    out.store(conn).await?;
    Ok(cases.len())
}

/// Adds the PDQ hashes of a case's reports, which are matched by distance and therefore not among the tags.
fn add_pdq_hashes(
    context: &CommandContext,
    case: CaseId,
    wrapped_key: &[u8],
    contents: &[(Uuid, Vec<u8>)],
    keys: &mut MatchKeys,
) -> Result<(), Error> {
    for (report, sealed) in contents {
        let content = context.open_content(case, ReportId::new(*report), wrapped_key, sealed)?;
        keys.add(&context.keyring, &content.hashes);
    }
    Ok(())
}
