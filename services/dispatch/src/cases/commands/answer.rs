//! Answers of providers to their notices. A claim of removal is checked, not believed; a pause is granted
//! within the policy's bounds. A repeated answer, or one to a notice that has ended, succeeds without an
//! event.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::enums::{
    Answer, ContentStatus, DeliveryChannel, HostMoveSource, NoticeState, ReviewReason, Rung,
};
use domain::id::{CaseId, NoticeId, ProviderId};
use domain::wire::timestamp;
use platform::error::Problem;
use platform::sealed::Purpose;
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::Error;
use crate::cases::lifecycle::notice::{Command, NoticeTransition};
use crate::cases::store;
use crate::directory::Provider;

/// Maximum host redirections followed per episode.
const MAX_MOVES: usize = 8;

/// One parsed answer of a provider.
#[derive(Clone)]
pub struct ProviderAnswer {
    pub notice_id: NoticeId,
    /// The provider that sent it, which must be the notice's addressee.
    pub provider_id: ProviderId,
    pub answer: Answer,
    /// Requested with `need_time`.
    pub until: Option<OffsetDateTime>,
    /// Sent with `not_ours` and `moved`: a provider id, a domain or an address.
    pub named: Option<String>,
    pub text: Option<String>,
    pub channel: DeliveryChannel,
}

/// State of the notice after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerReply {
    pub state: NoticeState,
}

/// Applies answers in order. Each has its own result; one that is refused does not affect the others.
pub async fn apply_answers(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    answers: &[ProviderAnswer],
) -> Result<Vec<Result<AnswerReply, Problem>>, Error> {
    let ids: Vec<Uuid> = answers
        .iter()
        .map(|received| received.notice_id.uuid())
        .collect();
    let providers: Vec<&str> = answers
        .iter()
        .map(|received| received.provider_id.as_str())
        .collect();
    let owned: BTreeMap<NoticeId, CaseId> = store::owned_notices(conn, &ids, &providers)
        .await?
        .into_iter()
        .collect();
    let mut batch = CaseBatch::load(conn, deps, now, owned.values().copied()).await?;
    let with_text = answers
        .iter()
        .filter(|received| received.text.is_some())
        .filter_map(|received| owned.get(&received.notice_id).copied());
    batch.load_seals(conn, with_text).await?;
    let mut replies = Vec::with_capacity(answers.len());
    for received in answers {
        let reply = match batch.find(&owned, received.notice_id) {
            // Another answer of the batch may have loaded this notice for its true addressee.
            Some((cx, case, n)) if case.notice(n).provider_id == received.provider_id => {
                Ok(AnswerReply {
                    state: apply_answer(case, cx, n, received)?,
                })
            }
            _ => Err(Error::not_found("notice").into()),
        };
        replies.push(reply);
    }
    batch.store(conn).await?;
    Ok(replies)
}

fn apply_answer(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    received: &ProviderAnswer,
) -> Result<NoticeState, Error> {
    match case.apply(n, Command::Answer(received.answer)) {
        NoticeTransition::ChangeTo(_) => {}
        NoticeTransition::RecordOnly if case.notice(n).preserved_at.is_none() => {}
        NoticeTransition::RecordOnly
        | NoticeTransition::NoChange
        | NoticeTransition::Ended
        | NoticeTransition::Refused => {
            return Ok(case.notice(n).state);
        }
    }
    case.cancel(n);
    record_answer(case, cx, n, received)?;
    let named = named_provider(case, cx, n, received);
    let granted = match received.answer {
        Answer::NeedTime => case.pause_ladder(cx, received.until),
        Answer::NeedInformation | Answer::Disputed => case.pause_ladder(cx, None),
        Answer::Acknowledged
        | Answer::Removed
        | Answer::Unavailable
        | Answer::Moved
        | Answer::NotOurs
        | Answer::Preserved
        | Answer::NoAction => None,
    };
    let until = granted.filter(|_| received.answer == Answer::NeedTime);
    let notice = case.notice_mut(n);
    notice.granted_until = until;
    // Only the first provider that it names counts: otherwise one notice could spread a URL to many
    // providers.
    let names_provider = named.is_some() && notice.named_provider.is_none();
    notice.follow_up_done &= !names_provider;
    if names_provider {
        notice.named_provider = named.as_ref().map(|p| p.id.clone());
    }
    let body = Body::NoticeAnswered(v1::NoticeAnswered {
        notice: Some(case.notice_key(n)),
        answer: received.answer.wire(),
        answered_at: Some(timestamp(cx.now)),
        until: until.map(timestamp),
        named_provider_id: named.as_ref().map(|p| p.id.to_string()).unwrap_or_default(),
        channel: received.channel.wire(),
    });
    case.emit(cx, body);
    follow_up(case, cx, n, received)?;
    if granted.is_none() && received.answer != Answer::Disputed {
        // A pause that the policy does not grant leaves the deadlines running: the answer counts as an
        // acknowledgement.
        case.apply(n, Command::Resume);
    }
    case.resume_unless_paused(cx);
    Ok(case.notice(n).state)
}

fn record_answer(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    received: &ProviderAnswer,
) -> Result<(), Error> {
    let now = cx.now;
    let id = case.notice(n).id.uuid();
    let note = match &received.text {
        Some(text) => Some(case.seal_text(cx, Purpose::Note, id, text)?),
        None => None,
    };
    let claims = matches!(received.answer, Answer::Removed | Answer::Unavailable);
    let notice = case.notice_mut(n);
    notice.answer = Some(received.answer);
    notice.acknowledged_at.get_or_insert(now);
    if note.is_some() {
        notice.note = note;
    }
    if received.answer == Answer::Preserved {
        notice.preserved_at.get_or_insert(now);
    }
    if claims {
        notice.removal_claimed_at.get_or_insert(now);
    }
    let row = case.case_mut();
    row.acknowledged_at.get_or_insert(now);
    row.ladder.record_answer();
    if claims {
        row.removal_claimed_at.get_or_insert(now);
    }
    Ok(())
}

/// The provider that the answer names, if the directory knows it and it is not the addressee itself.
fn named_provider(
    case: &LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    received: &ProviderAnswer,
) -> Option<Arc<Provider>> {
    match received.answer {
        Answer::NotOurs | Answer::Moved => cx
            .directory
            .by_text(received.named.as_deref()?)
            .filter(|provider| provider.id != case.notice(n).provider_id)
            .map(Arc::clone),
        Answer::Acknowledged
        | Answer::Removed
        | Answer::Unavailable
        | Answer::Preserved
        | Answer::NeedInformation
        | Answer::NeedTime
        | Answer::Disputed
        | Answer::NoAction => None,
    }
}

/// Acts on an answer while the case is to be removed; a held case only records it.
fn follow_up(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    received: &ProviderAnswer,
) -> Result<(), Error> {
    let is_current = case.notice(n).episode == case.case().episode;
    match received.answer {
        Answer::Removed | Answer::Unavailable if is_current => case.start_claim_check(cx),
        Answer::Disputed => {
            let id = case.notice(n).id;
            let note = received.text.as_deref();
            case.request_review(cx, ReviewReason::Disputed, Some(id), note)?;
        }
        Answer::NotOurs | Answer::Moved | Answer::NoAction if is_current => {
            move_past_addressee(case, cx, n)?;
        }
        Answer::Acknowledged
        | Answer::Removed
        | Answer::Unavailable
        | Answer::Preserved
        | Answer::NeedInformation
        | Answer::NeedTime
        | Answer::NotOurs
        | Answer::Moved
        | Answer::NoAction => {}
    }
    Ok(())
}

/// Moves past an addressee that will not remove the material, once per notice. During a police hold
/// nothing happens: the release calls this again.
pub(super) fn move_past_addressee(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
) -> Result<(), Error> {
    let notice = case.notice(n);
    let is_online = matches!(
        case.case().content_status,
        ContentStatus::Online | ContentStatus::Exhausted
    );
    if !is_online || notice.follow_up_done || notice.episode != case.case().episode {
        return Ok(());
    }
    match notice.state {
        NoticeState::NotOurs | NoticeState::Moved => {
            let named = notice
                .named_provider
                .as_ref()
                .and_then(|id| cx.directory.get(id));
            let named = named.map(Arc::clone);
            case.notice_mut(n).follow_up_done = true;
            find_next_host(case, cx, n, named)?;
        }
        NoticeState::NoAction => {
            case.notice_mut(n).follow_up_done = true;
            if !case.fire_early(cx, Rung::Upstream) {
                case.notify_next_in_chain(cx, n);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The addressee does not host the URL: notifies the named provider, else the origin behind a CDN, else
/// the next party in the escalation chain; if there is none, requests a review.
fn find_next_host(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    n: NoticeIdx,
    named: Option<Arc<Provider>>,
) -> Result<(), Error> {
    let from = case.notice(n).provider_id.clone();
    let hops = case
        .current_notices()
        .filter(|n| case.notice(*n).named_provider.is_some());
    if hops.count() > MAX_MOVES {
        // Hosts that point at each other without end need a person.
        return case.request_review(cx, ReviewReason::NoContact, Some(case.notice(n).id), None);
    }
    if let Some(to) = named.as_ref().filter(|to| !case.is_notified(&to.id)) {
        move_to(case, cx, &from, to, HostMoveSource::Answered);
        return Ok(());
    }
    // The named provider already has an open notice.
    if named.is_some_and(|to| {
        case.newest_notice_to(&to.id)
            .is_some_and(|b| crate::cases::lifecycle::notice::is_open(case.notice(b).state))
    }) {
        return Ok(());
    }
    let origin = cx
        .directory
        .get(&from)
        .and_then(|provider| cx.directory.get(provider.origin.as_ref()?))
        .filter(|origin| !case.is_notified(&origin.id))
        .map(Arc::clone);
    if let Some(origin) = origin {
        move_to(case, cx, &from, &origin, HostMoveSource::Resolved);
        return Ok(());
    }
    let others_open = case
        .newest_by_provider()
        .into_iter()
        .any(|b| crate::cases::lifecycle::notice::is_open(case.notice(b).state));
    if case.notify_next_in_chain(cx, n) || others_open {
        return Ok(());
    }
    case.request_review(cx, ReviewReason::NoContact, Some(case.notice(n).id), None)
}

/// Moves the case to another host; its deadlines and history stay.
fn move_to(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    from: &ProviderId,
    to: &Provider,
    source: HostMoveSource,
) {
    case.case_mut().moves += 1;
    case.emit(
        cx,
        Body::HostMoved(v1::HostMoved {
            from_provider_id: from.to_string(),
            to_provider_id: to.id.to_string(),
            source: source.wire(),
        }),
    );
    case.open_step(cx, to, Rung::Host, None);
}
