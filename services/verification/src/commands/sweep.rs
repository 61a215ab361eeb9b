//! Matching what waits against lists and rules that were approved later.

use std::collections::HashMap;

use domain::id::{CaseId, ReportId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, verdict};
use crate::error::Error;
use crate::matching::{self, Marks};
use crate::means::Means;
use crate::store;

/// Matches up to `limit` waiting cases that were last matched against older knowledge. Returns how many it looked at.
pub(crate) async fn rematch(
    conn: &mut PgConnection,
    means: &Means,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let held = means.library.current(conn).await?;
    let mut cases = store::queue::lock_unmatched(conn, held.epoch, limit).await?;
    if cases.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = cases.iter().map(|case| case.id.uuid()).collect();
    let mut marks: HashMap<Uuid, Marks> = HashMap::new();
    for (case, tag) in store::reports::tags_of(conn, &ids).await? {
        let tag =
            <[u8; 32]>::try_from(tag).map_err(|_| Error::bad_row("report_tag", "tag", case))?;
        marks.entry(case).or_default().tags.push(tag);
    }
    let mut near = HashMap::<Uuid, Vec<(Uuid, Vec<u8>)>>::new();
    for (case, report, sealed) in store::reports::near_items_of(conn, &ids).await? {
        near.entry(case).or_default().push((report, sealed));
    }

    let mut open = HashMap::new();
    for case in &mut cases {
        case.matched_epoch = held.epoch;
        let id = case.id.uuid();
        let items = near.remove(&id).unwrap_or_default();
        match look(
            means,
            case.id,
            &case.item.wrapped_key,
            &items,
            marks.entry(id).or_default(),
        )
        .and_then(|()| Ok(means.open(case)?))
        {
            Ok(item) => {
                let marks = marks.entry(id).or_default();
                marks.url = Some(item.url.clone());
                marks.withdrawn.clone_from(&case.withdrawn);
                open.insert(id, item);
            }
            // One case that does not open must not keep the others from being matched; people still see it waiting.
            Err(error) => {
                tracing::error!(alarm = "sealed_item", case.id = %id, error.code = error.code(), "a waiting case does not open");
            }
        }
    }
    let asked: Vec<usize> = (0..cases.len())
        .filter(|place| open.contains_key(&ids[*place]))
        .collect();
    let asked_marks: Vec<&Marks> = asked.iter().map(|place| &marks[&ids[*place]]).collect();
    let found = matching::known(conn, &held, &asked_marks).await?;

    let mut out = Outbox::new(now);
    for (place, known) in asked.into_iter().zip(found) {
        if let Some(known) = known {
            let item = &open[&ids[place]];
            verdict::apply_known(means, &mut cases[place], item, known, &mut out)?;
        }
    }
    store::cases::save(conn, &cases).await?;
    out.write(conn).await?;
    Ok(cases.len())
}

/// Adds the near-matched hashes of a case's reports.
fn look(
    means: &Means,
    case: CaseId,
    wrapped_key: &[u8],
    items: &[(Uuid, Vec<u8>)],
    marks: &mut Marks,
) -> Result<(), Error> {
    for (report, sealed) in items {
        let open = means.open_item(case, ReportId::new(*report), wrapped_key, sealed)?;
        marks.add(&means.keyring, &open.hashes);
    }
    Ok(())
}
