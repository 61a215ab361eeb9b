//! What providers say of their notices. A claim is checked and not believed; a pause is granted within bounds; a
//! repeated answer is success without a second event, and so is one that comes after the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::{CaseId, NoticeId, ProviderId};
use domain::wire::timestamp;
use domain::word::{Answer, DeliveryChannel, LiveState, NoticeState, ReviewReason, Rung};
use platform::error::Problem;
use platform::sealed::Purpose;
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rules;
use super::dossier::{Context, Dossier};
use super::work::Work;
use crate::directory::Provider;
use crate::lifecycle::notice::{Command, Outcome};
use crate::{Error, store};

/// So often a case follows those who are named, in one episode.
const MOVES: usize = 8;

/// One answer, parsed.
#[derive(Clone)]
pub struct AnswerItem {
    pub notice_id: NoticeId,
    /// Whose notice it must be.
    pub provider_id: ProviderId,
    pub answer: Answer,
    /// With `need_time`.
    pub until: Option<OffsetDateTime>,
    /// With `not_ours` and `moved`: a provider, a name or an address.
    pub named: Option<String>,
    pub text: Option<String>,
    pub channel: DeliveryChannel,
}

/// Where the notice stands after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerReply {
    pub state: NoticeState,
}

/// Takes answers, in order; each is judged on its own.
pub async fn answer(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    items: &[AnswerItem],
) -> Result<Vec<Result<AnswerReply, Problem>>, Error> {
    let ids: Vec<Uuid> = items.iter().map(|item| item.notice_id.uuid()).collect();
    let providers: Vec<&str> = items.iter().map(|item| item.provider_id.as_str()).collect();
    let owned: BTreeMap<NoticeId, CaseId> = store::owned_notices(conn, &ids, &providers)
        .await?
        .into_iter()
        .collect();
    let mut work = Work::load(conn, rules, now, owned.values().copied()).await?;
    let with_words = items
        .iter()
        .filter(|item| item.text.is_some())
        .filter_map(|item| owned.get(&item.notice_id).copied());
    work.load_seals(conn, with_words).await?;
    let mut replies = Vec::with_capacity(items.len());
    for item in items {
        let reply = match work.find(&owned, item.notice_id) {
            // Another item of the batch may own it under another provider's name.
            Some((cx, dossier, n)) if dossier.notices[n].provider_id == item.provider_id => {
                Ok(AnswerReply {
                    state: dossier.answered(cx, n, item)?,
                })
            }
            _ => Err(Error::not_found("notice").into()),
        };
        replies.push(reply);
    }
    work.store(conn).await?;
    Ok(replies)
}

impl Dossier {
    fn answered(
        &mut self,
        cx: &Context<'_>,
        n: usize,
        item: &AnswerItem,
    ) -> Result<NoticeState, Error> {
        match self.put(n, Command::Answer(item.answer)) {
            Outcome::To(_) => {}
            Outcome::Record if self.notices[n].preserved_at.is_none() => {}
            Outcome::Record | Outcome::Repeat | Outcome::Over | Outcome::Refused => {
                return Ok(self.notices[n].state);
            }
        }
        self.cancel(n);
        self.stamp(cx, n, item)?;
        let named = self.named(cx, n, item);
        let granted = match item.answer {
            Answer::NeedTime => self.pause(cx, item.until),
            Answer::NeedInformation | Answer::Disputed => self.pause(cx, None),
            Answer::Acknowledged
            | Answer::Removed
            | Answer::Unavailable
            | Answer::Moved
            | Answer::NotOurs
            | Answer::Preserved
            | Answer::NoAction => None,
        };
        let until = granted.filter(|_| item.answer == Answer::NeedTime);
        let notice = self.notice_mut(n);
        notice.until = until;
        // The first whom it names counts: a notice does not spread a URL to one provider after another.
        let news = named.is_some() && notice.named.is_none();
        notice.followed &= !news;
        if news {
            notice.named = named.as_ref().map(|p| p.id.clone());
        }
        let body = Body::NoticeAnswered(v1::NoticeAnswered {
            notice: Some(self.key(n)),
            answer: item.answer.wire(),
            answered_at: Some(timestamp(cx.now)),
            until: until.map(timestamp),
            named_provider_id: named.as_ref().map(|p| p.id.to_string()).unwrap_or_default(),
            channel: item.channel.wire(),
        });
        self.say(cx, body);
        self.follow(cx, n, item)?;
        if granted.is_none() && item.answer != Answer::Disputed {
            // What the policy does not grant stops nothing: they are taken at their acknowledgement.
            self.put(n, Command::Resume);
        }
        self.resume_when_answered(cx);
        Ok(self.notices[n].state)
    }

    fn stamp(&mut self, cx: &Context<'_>, n: usize, item: &AnswerItem) -> Result<(), Error> {
        let now = cx.now;
        let id = self.notices[n].id.uuid();
        let note = match &item.text {
            Some(text) => Some(self.seal_text(cx, Purpose::Note, id, text)?),
            None => None,
        };
        let claims = matches!(item.answer, Answer::Removed | Answer::Unavailable);
        let notice = self.notice_mut(n);
        notice.answer = Some(item.answer);
        notice.acknowledged_at.get_or_insert(now);
        if note.is_some() {
            notice.note = note;
        }
        if item.answer == Answer::Preserved {
            notice.preserved_at.get_or_insert(now);
        }
        if claims {
            notice.removal_claimed_at.get_or_insert(now);
        }
        let case = self.case_mut();
        case.acknowledged_at.get_or_insert(now);
        case.hurried_to = None;
        if claims {
            case.removal_claimed_at.get_or_insert(now);
        }
        Ok(())
    }

    /// Whom the provider named, if the directory knows them and they are somebody else.
    fn named(&self, cx: &Context<'_>, n: usize, item: &AnswerItem) -> Option<Arc<Provider>> {
        match item.answer {
            Answer::NotOurs | Answer::Moved => cx
                .directory
                .named(item.named.as_deref()?)
                .filter(|provider| provider.id != self.notices[n].provider_id)
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

    /// What an answer leads to, while the case is to be removed; a held case only records it.
    fn follow(&mut self, cx: &Context<'_>, n: usize, item: &AnswerItem) -> Result<(), Error> {
        let current = self.notices[n].episode == self.case.episode;
        match item.answer {
            Answer::Removed | Answer::Unavailable if current => self.claim(cx),
            Answer::Disputed => {
                let id = self.notices[n].id;
                let words = item.text.as_deref();
                self.ask_review(cx, ReviewReason::Disputed, Some(id), words)?;
            }
            Answer::NotOurs | Answer::Moved | Answer::NoAction if current => {
                self.follow_answer(cx, n)?;
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

    /// Goes past an addressee that will not remove it, once; during a hold that waits for its end.
    pub(super) fn follow_answer(&mut self, cx: &Context<'_>, n: usize) -> Result<(), Error> {
        let notice = &self.notices[n];
        let live = matches!(self.case.live, LiveState::Up | LiveState::Exhausted);
        if !live || notice.followed || notice.episode != self.case.episode {
            return Ok(());
        }
        match notice.state {
            NoticeState::NotOurs | NoticeState::Moved => {
                let named = notice.named.as_ref().and_then(|id| cx.directory.get(id));
                let named = named.map(Arc::clone);
                self.notice_mut(n).followed = true;
                self.follow_host(cx, n, named)?;
            }
            NoticeState::NoAction => {
                self.notice_mut(n).followed = true;
                if !self.pull_forward(cx, Rung::Upstream) {
                    self.next_in_chain(cx, n);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// It is elsewhere: whoever was named is told at once, else the origin behind a CDN, else the next in the chain,
    /// else a person must find out.
    fn follow_host(
        &mut self,
        cx: &Context<'_>,
        n: usize,
        named: Option<Arc<Provider>>,
    ) -> Result<(), Error> {
        let from = self.notices[n].provider_id.clone();
        let hops = self.current().filter(|n| self.notices[*n].named.is_some());
        if hops.count() > MOVES {
            // Hosts that point at each other without end are for a person to look at.
            return self.ask_review(cx, ReviewReason::NoContact, Some(self.notices[n].id), None);
        }
        if let Some(to) = named.as_ref().filter(|to| !self.is_noticed(&to.id)) {
            self.move_to(cx, &from, to, "answered");
            return Ok(());
        }
        // Named and told already: there is nothing to add.
        if named.is_some_and(|to| {
            self.branch_of(&to.id)
                .is_some_and(|b| crate::lifecycle::notice::is_open(self.notices[b].state))
        }) {
            return Ok(());
        }
        let origin = cx
            .directory
            .get(&from)
            .and_then(|provider| cx.directory.get(provider.origin.as_ref()?))
            .filter(|origin| !self.is_noticed(&origin.id))
            .map(Arc::clone);
        if let Some(origin) = origin {
            self.move_to(cx, &from, &origin, "resolved");
            return Ok(());
        }
        let others = self
            .branches()
            .into_iter()
            .any(|b| crate::lifecycle::notice::is_open(self.notices[b].state));
        if self.next_in_chain(cx, n) || others {
            return Ok(());
        }
        self.ask_review(cx, ReviewReason::NoContact, Some(self.notices[n].id), None)
    }

    /// The case moves to another host, with its clock and history.
    fn move_to(&mut self, cx: &Context<'_>, from: &ProviderId, to: &Provider, how: &str) {
        self.case_mut().moves += 1;
        self.say(
            cx,
            Body::HostMoved(v1::HostMoved {
                from_provider_id: from.to_string(),
                to_provider_id: to.id.to_string(),
                how: how.to_owned(),
            }),
        );
        self.open_step(cx, to, Rung::Host, None);
    }
}
