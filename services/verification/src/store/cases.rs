//! The SQL of `assessment`: rows in, rows out, locked by case id. No decisions.

use domain::id::{CaseId, DecisionId, HoldId, ReportId, Subject};
use domain::word::{AssessmentState, Media, ReviewReason};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{array_text, finding, parsed};
use crate::case::{Case, Claim, Decision, HashKinds, Hold, Item, Proof, Spent};
use crate::error::Error;
use crate::lifecycle::{Desk, Rest, State};

macro_rules! columns {
    () => {
        "case_id, state, desk, held_from, reports, reports_withdrawn, self_reported, under_13, hash_kinds, claimed_by,
        claim_token, claimed_until, claim_attempts, spent_token, spent_verdict, not_for, first_by, first_category,
        decision_id, category, reason, basis, approvers, decided_at, proof_body, proof_signature, proof_key_id,
        proof_expires_at, review, for_supervisor, dispatch_closed, hold_id, hold_until, matched_epoch, version, cause,
        submitted_by, withdrawn, announce_due, dispatch_opened, media, received_at, wrapped_key, sealed_item, report_id,
        traceparent"
    };
}
pub(super) use columns;

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    case_id: Uuid,
    state: String,
    desk: Option<String>,
    held_from: Option<String>,
    reports: i32,
    reports_withdrawn: i32,
    self_reported: bool,
    under_13: bool,
    hash_kinds: i16,
    claimed_by: Option<Uuid>,
    claim_token: Option<Uuid>,
    claimed_until: Option<OffsetDateTime>,
    claim_attempts: i32,
    spent_token: Option<Uuid>,
    spent_verdict: Option<String>,
    not_for: Vec<Uuid>,
    first_by: Option<Uuid>,
    first_category: Option<String>,
    decision_id: Option<Uuid>,
    category: Option<String>,
    reason: Option<String>,
    basis: Option<String>,
    approvers: Vec<Uuid>,
    decided_at: Option<OffsetDateTime>,
    proof_body: Option<Vec<u8>>,
    proof_signature: Option<Vec<u8>>,
    proof_key_id: Option<String>,
    proof_expires_at: Option<OffsetDateTime>,
    review: Option<String>,
    for_supervisor: bool,
    dispatch_closed: bool,
    hold_id: Option<Uuid>,
    hold_until: Option<OffsetDateTime>,
    matched_epoch: i64,
    version: i64,
    cause: Uuid,
    submitted_by: Vec<Uuid>,
    withdrawn: Vec<String>,
    announce_due: bool,
    dispatch_opened: bool,
    media: Option<String>,
    received_at: OffsetDateTime,
    wrapped_key: Vec<u8>,
    sealed_item: Vec<u8>,
    report_id: Uuid,
    traceparent: Option<String>,
}

impl TryFrom<Row> for Case {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let id = row.case_id;
        let bad = |column| Error::bad_row("assessment", column, id);
        let state = state(&row.state, row.desk.as_deref(), row.held_from.as_deref())
            .ok_or_else(|| bad("state"))?;
        let decision = match (row.decision_id, row.basis, row.decided_at) {
            (Some(decision), Some(basis), Some(at)) => Some(Decision {
                id: DecisionId::new(decision),
                finding: finding(row.category.as_deref(), row.reason.as_deref())
                    .ok_or_else(|| bad("category"))?,
                basis,
                approvers: row.approvers,
                at,
            }),
            (None, None, None) => None,
            _ => return Err(bad("decision_id")),
        };
        let proof = match (
            row.proof_body,
            row.proof_signature,
            row.proof_key_id,
            row.proof_expires_at,
        ) {
            (Some(body), Some(signature), Some(key_id), Some(expires_at)) => Some(Proof {
                body,
                signature,
                key_id,
                expires_at,
            }),
            (None, None, None, None) => None,
            _ => return Err(bad("proof_body")),
        };
        let claim = match (row.claimed_by, row.claim_token, row.claimed_until) {
            (Some(by), Some(token), Some(until)) => Some(Claim {
                by: Subject::new(by),
                token,
                until,
            }),
            (None, None, None) => None,
            _ => return Err(bad("claim_token")),
        };
        Ok(Self {
            id: CaseId::new(id),
            state,
            version: row.version,
            item: Item {
                report: ReportId::new(row.report_id),
                media: row
                    .media
                    .map(|text| parsed::<Media>(&text, "assessment", "media", id))
                    .transpose()?,
                received_at: row.received_at,
                traceparent: row.traceparent,
                wrapped_key: row.wrapped_key,
                sealed: row.sealed_item,
            },
            reports: row.reports,
            withdrawn_reports: row.reports_withdrawn,
            self_reported: row.self_reported,
            under_13: row.under_13,
            hash_kinds: HashKinds(row.hash_kinds),
            claim,
            attempts: row.claim_attempts,
            spent: row
                .spent_token
                .zip(row.spent_verdict)
                .map(|(token, verdict)| Spent { token, verdict }),
            submitted_by: row.submitted_by,
            not_for: row.not_for,
            withdrawn: row.withdrawn,
            first: match (row.first_by, row.first_category) {
                (Some(by), Some(category)) => Some((
                    Subject::new(by),
                    parsed(&category, "assessment", "first_category", id)?,
                )),
                _ => None,
            },
            decision,
            proof,
            review: row
                .review
                .map(|text| parsed::<ReviewReason>(&text, "assessment", "review", id))
                .transpose()?,
            for_supervisor: row.for_supervisor,
            dispatch_closed: row.dispatch_closed,
            dispatch_opened: row.dispatch_opened,
            announce_due: row.announce_due,
            hold: row.hold_id.map(|hold| Hold {
                id: HoldId::new(hold),
                until: row.hold_until,
            }),
            matched_epoch: row.matched_epoch,
            cause: row.cause,
        })
    }
}

pub(super) fn state(word: &str, desk: Option<&str>, held_from: Option<&str>) -> Option<State> {
    match word.parse().ok()? {
        AssessmentState::Claimed => Some(State::Claimed(match desk? {
            "first" => Desk::First,
            "second" => Desk::Second,
            "review" => Desk::Review,
            _ => return None,
        })),
        AssessmentState::PoliceHold => rest(held_from?.parse().ok()?).map(State::Held),
        word => rest(word).map(State::At),
    }
}

fn rest(word: AssessmentState) -> Option<Rest> {
    match word {
        AssessmentState::Queued => Some(Rest::Queued),
        AssessmentState::AwaitingSecond => Some(Rest::AwaitingSecond),
        AssessmentState::UnderReview => Some(Rest::UnderReview),
        AssessmentState::Actionable => Some(Rest::Actionable),
        AssessmentState::NotActionable => Some(Rest::NotActionable),
        AssessmentState::NeedsInformation => Some(Rest::NeedsInformation),
        AssessmentState::Withdrawn => Some(Rest::Withdrawn),
        AssessmentState::Claimed | AssessmentState::PoliceHold => None,
    }
}

fn desk(state: State) -> Option<&'static str> {
    match state {
        State::Claimed(Desk::First) => Some("first"),
        State::Claimed(Desk::Second) => Some("second"),
        State::Claimed(Desk::Review) => Some("review"),
        State::At(_) | State::Held(_) => None,
    }
}

fn held_from(state: State) -> Option<&'static str> {
    match state {
        State::Held(rest) => Some(rest.word().as_str()),
        State::At(_) | State::Claimed(_) => None,
    }
}

pub(super) fn cases(rows: Vec<Row>) -> Result<Vec<Case>, Error> {
    rows.into_iter().map(Case::try_from).collect()
}

/// Locks these cases, ascending; those that are not there are missing from the answer.
pub(crate) async fn lock(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Case>, Error> {
    let rows = sqlx::query_as(concat!(
        "-- lock
        select ",
        columns!(),
        " from assessment where case_id = any ($1) order by case_id for update"
    ))
    .bind(ids)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

pub(crate) async fn find(conn: &mut PgConnection, id: CaseId) -> Result<Option<Case>, Error> {
    let row: Option<Row> = sqlx::query_as(concat!(
        "-- find
        select ",
        columns!(),
        " from assessment where case_id = $1"
    ))
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?;
    row.map(Case::try_from).transpose()
}

/// Binds the columns that change, in the order of `mutable!`.
macro_rules! bind_mutable {
    ($query:expr, $cases:expr) => {{
        let cases: &[Case] = $cases;
        macro_rules! each {
            ($of:expr) => {
                cases.iter().map($of).collect::<Vec<_>>()
            };
        }
        $query
            .bind(each!(|c| c.id.uuid()))
            .bind(each!(|c| c.state.word().as_str()))
            .bind(each!(|c| desk(c.state)))
            .bind(each!(|c| held_from(c.state)))
            .bind(each!(Case::priority))
            .bind(each!(|c| c.reports))
            .bind(each!(|c| c.withdrawn_reports))
            .bind(each!(|c| c.self_reported))
            .bind(each!(|c| c.under_13))
            .bind(each!(|c| c.hash_kinds.0))
            .bind(each!(|c| c.claim.map(|claim| claim.by.uuid())))
            .bind(each!(|c| c.claim.map(|claim| claim.token)))
            .bind(each!(|c| c.claim.map(|claim| claim.until)))
            .bind(each!(|c| c.attempts))
            .bind(each!(|c| c.spent.as_ref().map(|spent| spent.token)))
            .bind(each!(|c| c
                .spent
                .as_ref()
                .map(|spent| spent.verdict.as_str())))
            .bind(each!(|c| array_text(&c.not_for)))
            .bind(each!(|c| c.first.map(|(by, _)| by.uuid())))
            .bind(each!(|c| c.first.map(|(_, category)| category.as_str())))
            .bind(each!(|c| c.decision.as_ref().map(|d| d.id.uuid())))
            .bind(each!(|c| c
                .decision
                .as_ref()
                .and_then(|d| d.finding.category())
                .map(|w| w.as_str())))
            .bind(each!(|c| c
                .decision
                .as_ref()
                .and_then(|d| d.finding.reason())
                .map(|w| w.as_str())))
            .bind(each!(|c| c.decision.as_ref().map(|d| d.basis.as_str())))
            .bind(each!(|c| c.decision.as_ref().map_or_else(
                || array_text::<Uuid>(&[]),
                |d| array_text(&d.approvers)
            )))
            .bind(each!(|c| c.decision.as_ref().map(|d| d.at)))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.body.as_slice())))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.signature.as_slice())))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.key_id.as_str())))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.expires_at)))
            .bind(each!(|c| c.review.map(|w| w.as_str())))
            .bind(each!(|c| c.for_supervisor))
            .bind(each!(|c| c.dispatch_closed))
            .bind(each!(|c| c.hold.map(|hold| hold.id.uuid())))
            .bind(each!(|c| c.hold.and_then(|hold| hold.until)))
            .bind(each!(|c| c.matched_epoch))
            .bind(each!(|c| c.version))
            .bind(each!(|c| c.cause))
            .bind(each!(|c| array_text(&c.submitted_by)))
            .bind(each!(|c| array_text(&c.withdrawn)))
            .bind(each!(|c| c.announce_due))
            .bind(each!(|c| c.dispatch_opened))
    }};
}

/// The columns that change, as arrays of parameters.
macro_rules! mutable {
    () => {
        "$1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::boolean[],
            $9::boolean[], $10::smallint[], $11::uuid[], $12::uuid[], $13::timestamptz[], $14::integer[], $15::uuid[],
            $16::text[], $17::text[], $18::uuid[], $19::text[], $20::uuid[], $21::text[], $22::text[], $23::text[],
            $24::text[], $25::timestamptz[], $26::bytea[], $27::bytea[], $28::text[], $29::timestamptz[], $30::text[],
            $31::boolean[], $32::boolean[], $33::uuid[], $34::timestamptz[], $35::bigint[], $36::bigint[],
            $37::uuid[], $38::text[], $39::text[], $40::boolean[], $41::boolean[]"
    };
}

macro_rules! mutable_names {
    () => {
        "case_id, state, desk, held_from, priority, reports, reports_withdrawn, self_reported, under_13, hash_kinds,
            claimed_by, claim_token, claimed_until, claim_attempts, spent_token, spent_verdict, not_for, first_by,
            first_category, decision_id, category, reason, basis, approvers, decided_at, proof_body, proof_signature,
            proof_key_id, proof_expires_at, review, for_supervisor, dispatch_closed, hold_id, hold_until,
            matched_epoch, version, cause, submitted_by, withdrawn, announce_due, dispatch_opened"
    };
}

/// Inserts new cases, sorted by id. Returns how many were new: another transaction may have opened one meanwhile.
pub(crate) async fn open(conn: &mut PgConnection, cases: &[Case]) -> sqlx::Result<usize> {
    if cases.is_empty() {
        return Ok(0);
    }
    let query = sqlx::query(concat!(
        "-- open
        insert into assessment (",
        mutable_names!(),
        ", media, received_at, wrapped_key, sealed_item, report_id, traceparent)
        select n.case_id, n.state, n.desk, n.held_from, n.priority, n.reports, n.reports_withdrawn, n.self_reported,
            n.under_13, n.hash_kinds, n.claimed_by, n.claim_token, n.claimed_until, n.claim_attempts, n.spent_token,
            n.spent_verdict, n.not_for::uuid[], n.first_by, n.first_category, n.decision_id, n.category, n.reason,
            n.basis, n.approvers::uuid[], n.decided_at, n.proof_body, n.proof_signature, n.proof_key_id,
            n.proof_expires_at, n.review, n.for_supervisor, n.dispatch_closed, n.hold_id, n.hold_until,
            n.matched_epoch, n.version, n.cause, n.submitted_by::uuid[], n.withdrawn::text[], n.announce_due,
            n.dispatch_opened, n.media, n.received_at, n.wrapped_key, n.sealed_item, n.report_id, n.traceparent
        from unnest(",
        mutable!(),
        ", $42::text[], $43::timestamptz[], $44::bytea[], $45::bytea[], $46::uuid[], $47::text[]) as n (",
        mutable_names!(),
        ", media, received_at, wrapped_key, sealed_item, report_id, traceparent)
        order by n.case_id
        on conflict (case_id) do nothing"
    ));
    let done = bind_mutable!(query, cases)
        .bind(
            cases
                .iter()
                .map(|c| c.item.media.map(Media::as_str))
                .collect::<Vec<_>>(),
        )
        .bind(cases.iter().map(|c| c.item.received_at).collect::<Vec<_>>())
        .bind(
            cases
                .iter()
                .map(|c| c.item.wrapped_key.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.item.sealed.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.item.report.uuid())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.item.traceparent.as_deref())
                .collect::<Vec<_>>(),
        )
        .execute(conn)
        .await?;
    Ok(done.rows_affected() as usize)
}

/// Notes that dispatch has opened these cases, locking them ascending; most have been noted before.
pub(crate) async fn opened(conn: &mut PgConnection, cases: &[Uuid]) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- opened
        with fresh as (
            select case_id from assessment where case_id = any ($1) and not dispatch_opened
            order by case_id for update)
        update assessment a set dispatch_opened = true from fresh f where a.case_id = f.case_id",
    )
    .bind(cases)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes locked cases back, each once.
pub(crate) async fn save(conn: &mut PgConnection, cases: &[Case]) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(concat!(
        "-- save
        update assessment a set state = n.state, desk = n.desk, held_from = n.held_from, priority = n.priority,
            reports = n.reports, reports_withdrawn = n.reports_withdrawn, self_reported = n.self_reported,
            under_13 = n.under_13, hash_kinds = n.hash_kinds, claimed_by = n.claimed_by, claim_token = n.claim_token,
            claimed_until = n.claimed_until, claim_attempts = n.claim_attempts, spent_token = n.spent_token,
            spent_verdict = n.spent_verdict, not_for = n.not_for::uuid[], first_by = n.first_by,
            first_category = n.first_category, decision_id = n.decision_id, category = n.category, reason = n.reason,
            basis = n.basis, approvers = n.approvers::uuid[], decided_at = n.decided_at, proof_body = n.proof_body,
            proof_signature = n.proof_signature, proof_key_id = n.proof_key_id, proof_expires_at = n.proof_expires_at,
            review = n.review, for_supervisor = n.for_supervisor, dispatch_closed = n.dispatch_closed,
            hold_id = n.hold_id, hold_until = n.hold_until, matched_epoch = n.matched_epoch, version = n.version,
            cause = n.cause, submitted_by = n.submitted_by::uuid[], withdrawn = n.withdrawn::text[],
            announce_due = n.announce_due, dispatch_opened = n.dispatch_opened
        from unnest(",
        mutable!(),
        ") as n (",
        mutable_names!(),
        ")
        where a.case_id = n.case_id"
    ));
    let hit = bind_mutable!(query, cases)
        .execute(conn)
        .await?
        .rows_affected();
    if hit == cases.len() as u64 {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol(format!(
            "saved {hit} cases instead of {}",
            cases.len()
        )))
    }
}
