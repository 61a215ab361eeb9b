//! Accepts submissions: idempotency, quota, attaching, storing, and the events. One is a batch of one.

mod repeat;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::Invalid;
use domain::event::Body;
use domain::id::{CaseId, Reference, ReportId};
use domain::wire::timestamp;
use domain::word::{AgeBand, Media, ReportChannel};
use platform::batch;
use platform::clock::Clock;
use platform::error::{Kind, Problem};
use platform::log;
use platform::sealed::{Keyring, Purpose};
use prost::Message;
use proto::v1;
use sqlx::PgConnection;
use time::{Date, OffsetDateTime, Time, UtcOffset};
use uuid::Uuid;

use super::attach::{self, Attached};
use super::new_event;
use crate::error::{Error, item_problem};
use crate::store::report::{self, NewReport};
use crate::store::{partner, submission};
use crate::submission::{Item, SealedReport, Submission};

use repeat::{Reply, settle};

/// The accepting command, with what it needs beside the submissions.
#[derive(Clone)]
pub struct Accept {
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
}

/// What is answered to one submission.
pub type Accepted = Result<v1::SubmitReportsResponse, Problem>;

/// What is given for one item, before it is worded for the sender.
pub struct Receipt {
    pub report: ReportId,
    pub reference: Reference,
    pub case: CaseId,
    pub opened: bool,
}

/// An item that is to be stored: which submission, which item in it.
type Place = (usize, usize);

impl batch::Command<Submission> for Accept {
    type Reply = Accepted;
    type Error = Error;

    async fn run(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
    ) -> Result<Vec<Accepted>, Error> {
        let now = self.clock.now(conn).await?;
        let mut replies = self.repeated(conn, batch, now).await?;
        let refused = quotas(conn, batch, &replies, now).await?;
        let mut given_back = Vec::new();
        let places: Vec<Place> = batch
            .iter()
            .enumerate()
            .filter(|(index, _)| replies[*index].is_none())
            .flat_map(|(index, submission)| {
                (0..submission.items.len()).map(move |item| (index, item))
            })
            .filter(|place| !refused.contains_key(place) && good(batch, *place).is_some())
            .collect();
        let receipts = self.store(conn, batch, &places, now).await?;

        let mut answers = Vec::new();
        for (index, submission) in batch.iter().enumerate() {
            if replies[index].is_some() {
                continue;
            }
            if let Some(problem) = none_granted(index, submission, &receipts, &refused) {
                let key = submission.idempotency.as_ref().map(|i| i.key.as_str());
                given_back.extend(key.map(|key| (submission.principal.as_str(), key)));
                replies[index] = Some(Reply::Done(Err(problem)));
                continue;
            }
            let response = word(index, submission, &receipts, &refused, now);
            if let Some(idempotency) = &submission.idempotency {
                let sealed = self.keyring.seal_provider(
                    Purpose::Document,
                    &submission.principal,
                    submission.id,
                    &response.encode_to_vec(),
                );
                answers.push((
                    submission.id,
                    submission.principal.as_str(),
                    idempotency.key.as_str(),
                    sealed.into_bytes(),
                ));
            }
            replies[index] = Some(Reply::Done(Ok(response)));
        }
        if !answers.is_empty() {
            submission::answer(conn, &answers).await?;
        }
        if !given_back.is_empty() {
            submission::give_back(conn, &given_back).await?;
        }
        Ok(settle(replies))
    }
}

impl Accept {
    /// Attaches, seals, inserts and appends. A receipt for each place.
    async fn store(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
        places: &[Place],
        now: OffsetDateTime,
    ) -> Result<HashMap<Place, Receipt>, Error> {
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let items: Vec<&Item> = places
            .iter()
            .filter_map(|place| good(batch, *place))
            .collect();
        let attached = attach::attach(conn, &self.keyring, &items, now).await?;
        let resealed: Vec<Option<SealedReport>> = items
            .iter()
            .zip(&attached)
            .map(|(item, to)| to.key.as_ref().map(|key| item.seal(key, to.case)))
            .collect();
        let mut rows = Vec::with_capacity(items.len());
        let mut events = Vec::with_capacity(items.len());
        let mut receipts = HashMap::with_capacity(items.len());
        for (((place, item), to), resealed) in
            places.iter().zip(&items).zip(&attached).zip(&resealed)
        {
            let submission = &batch[place.0];
            let sealed = resealed.as_ref().unwrap_or(&item.fresh.sealed);
            let opened = to.key.is_none();
            rows.push(row(submission, item, to.case, sealed, now));
            let body = received(submission, item, to, sealed, now);
            events.push(new_event(
                to.case,
                now,
                submission.traceparent.clone(),
                body,
            ));
            receipts.insert(
                *place,
                Receipt {
                    report: item.report,
                    reference: item.reference.clone(),
                    case: to.case,
                    opened,
                },
            );
        }
        report::insert(conn, &rows, now).await?;
        log::append(conn, &events).await?;
        Ok(receipts)
    }
}

fn good(batch: &[Submission], (submission, item): Place) -> Option<&Item> {
    batch[submission].items[item].item.as_ref().ok()
}

fn row<'a>(
    submission: &'a Submission,
    item: &'a Item,
    case: CaseId,
    sealed: &'a SealedReport,
    now: OffsetDateTime,
) -> NewReport<'a> {
    NewReport {
        id: item.report,
        case,
        reference_tag: &item.reference_tag,
        channel: submission.channel,
        partner: submission.partner,
        external_tag: item.external.as_ref().map(|external| &external.tag),
        sealed_external: sealed.external.as_deref(),
        sealed_spelling: &sealed.spelling,
        sealed_item: &sealed.item,
        media: item.media,
        age_band: submission.age_band,
        country: submission.country.as_deref(),
        received_at: item.received_at.unwrap_or(now),
    }
}

fn received(
    submission: &Submission,
    item: &Item,
    to: &Attached,
    sealed: &SealedReport,
    now: OffsetDateTime,
) -> Body {
    Body::ReportReceived(v1::ReportReceived {
        report_id: item.report.to_string(),
        channel: submission.channel.wire(),
        media: item.media.map_or(0, Media::wire),
        age_band: submission.age_band.map_or(0, AgeBand::wire),
        reporter_country: submission.country.clone().unwrap_or_default(),
        received_at: Some(timestamp(item.received_at.unwrap_or(now))),
        wrapped_key: to.wrapped.as_bytes().to_vec().into(),
        sealed_item: sealed.item.clone().into(),
        opened_case: to.key.is_none(),
        partner_id: submission
            .partner
            .map(|id| id.to_string())
            .unwrap_or_default(),
        // Whoever passes on what others saw is no witness of their own; who searched and found does not decide it.
        submitted_by: submission
            .staff
            .filter(|_| submission.channel == ReportChannel::Proactive)
            .map(|subject| subject.to_string())
            .unwrap_or_default(),
    })
}

/// Counts the good items against their partners' quotas of the day; the last ones of a partner are refused first.
/// Partners ascending, before any case is locked.
async fn quotas(
    conn: &mut PgConnection,
    batch: &[Submission],
    replies: &[Option<Reply>],
    now: OffsetDateTime,
) -> Result<HashMap<Place, Problem>, Error> {
    let day: Date = now.to_offset(UtcOffset::UTC).date();
    let mut wanted: BTreeMap<Uuid, Vec<Place>> = BTreeMap::new();
    for (index, submission) in batch.iter().enumerate() {
        let (Some(partner), None) = (submission.partner, &replies[index]) else {
            continue;
        };
        if submission.daily_quota > 0 {
            let places = (0..submission.items.len()).map(|item| (index, item));
            let good = places.filter(|place| good(batch, *place).is_some());
            wanted.entry(partner.uuid()).or_default().extend(good);
        }
    }
    let mut refused = HashMap::new();
    for (partner, places) in wanted {
        let Some(first) = places.first() else {
            continue;
        };
        let partner = domain::id::PartnerId::new(partner);
        let quota = batch[first.0].daily_quota;
        let used = partner::lock_use(conn, partner, day).await?;
        let granted = places.len().min(quota.saturating_sub(used) as usize);
        partner::add_use(conn, partner, day, granted as u32).await?;
        for place in &places[granted..] {
            refused.insert(*place, quota_exceeded(quota, now));
        }
    }
    Ok(refused)
}

/// What is said of a submission for which the day's quota had no room at all. It is no answer to keep under its key:
/// the same submission is to be sent again.
fn none_granted(
    index: usize,
    submission: &Submission,
    receipts: &HashMap<Place, Receipt>,
    refused: &HashMap<Place, Problem>,
) -> Option<Problem> {
    let mut places = (0..submission.items.len()).map(|item| (index, item));
    if places.clone().any(|place| receipts.contains_key(&place)) {
        return None;
    }
    let mut problem = places.find_map(|place| refused.get(&place))?.clone();
    problem.detail = format!(
        "your quota of {} reports a day (UTC) is used; send this again tomorrow, or ask the hotline for more",
        submission.daily_quota
    );
    Some(problem)
}

/// What is said of an item for which there was no room beside its neighbours.
fn quota_exceeded(quota: u32, now: OffsetDateTime) -> Problem {
    let midnight = now.to_offset(UtcOffset::UTC).replace_time(Time::MIDNIGHT) + time::Duration::DAY;
    Problem::new(
        Kind::Exhausted,
        "quota_exceeded",
        format!(
            "your quota of {quota} reports a day (UTC) is used; send this item again tomorrow, with a new idempotency key, or ask the hotline for more"
        ),
    )
    .retry_after((midnight - now).unsigned_abs())
}

/// The answer, in the order of the items.
fn word(
    index: usize,
    submission: &Submission,
    receipts: &HashMap<Place, Receipt>,
    refused: &HashMap<Place, Problem>,
    now: OffsetDateTime,
) -> v1::SubmitReportsResponse {
    let result = |item: usize, parsed: &Result<Item, Invalid>| {
        let place = (index, item);
        let field = format!("items[{item}]");
        match (receipts.get(&place), refused.get(&place), parsed) {
            (Some(receipt), ..) => v1::item_result::Result::Receipt(v1::Receipt {
                report_id: receipt.report.to_string(),
                reference: receipt.reference.to_string(),
                case_id: if submission.sees_cases {
                    receipt.case.to_string()
                } else {
                    String::new()
                },
                // Whether a URL was known already is nothing that the public may learn.
                opened_case: submission.sees_cases && receipt.opened,
                accepted_at: Some(timestamp(now)),
            }),
            (None, Some(problem), _) => {
                v1::item_result::Result::Problem(item_problem(problem.clone(), &field))
            }
            (None, None, Err(invalid)) => v1::item_result::Result::Problem(invalid.clone().into()),
            // Every good item that is not refused has been stored.
            (None, None, Ok(_)) => {
                v1::item_result::Result::Problem(item_problem(Problem::of(Kind::Internal), &field))
            }
        }
    };
    v1::SubmitReportsResponse {
        results: submission
            .items
            .iter()
            .enumerate()
            .map(|(item, parsed)| v1::ItemResult {
                external_id: parsed.external_id.clone(),
                result: Some(result(item, &parsed.item)),
            })
            .collect(),
        repeated: false,
    }
}
