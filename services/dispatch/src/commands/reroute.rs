//! A channel that failed for good: the provider's next channel takes the same notice; when none is left it has bounced,
//! and the next provider in the chain is told at once.

use domain::word::{DeliveryChannel, LiveState};
use proto::v1;
use proto::v1::event::Body;

use super::dossier::{Context, Dossier};
use super::episode::bit;
use crate::lifecycle::notice::{Command, Outcome};

impl Dossier {
    pub(super) fn unreachable(
        &mut self,
        cx: &Context<'_>,
        n: usize,
        channel: DeliveryChannel,
        reason: &str,
    ) {
        let notice = &self.notices[n];
        // An answer, another channel or the end came first: this failure concerns nobody.
        if notice.channel != channel || notice.delivered_at.is_some() {
            return;
        }
        let id = notice.provider_id.clone();
        let tried = self.tried(&id) | bit(channel);
        let next = cx.directory.get(&id).and_then(|provider| {
            provider
                .channels()
                .into_iter()
                .find(|next| tried & bit(*next) == 0)
        });
        if let Some(next) = next {
            self.put(n, Command::Reroute);
            let notice = self.notice_mut(n);
            notice.channel = next;
            notice.tried |= bit(next);
            if self.may_leave(n) {
                self.enqueue(n);
            }
            return;
        }
        match self.put(n, Command::Bounce) {
            Outcome::To(_) | Outcome::Record => {}
            Outcome::Repeat | Outcome::Over | Outcome::Refused => return,
        }
        self.cancel(n);
        let body = Body::NoticeBounced(v1::NoticeBounced {
            notice: Some(self.key(n)),
            channel: channel.wire(),
            reason: reason.to_owned(),
        });
        self.say(cx, body);
        if matches!(self.case.live, LiveState::Up | LiveState::Exhausted) {
            self.next_in_chain(cx, n);
        }
    }

    pub(super) fn may_leave(&self, n: usize) -> bool {
        let notice = &self.notices[n];
        crate::lifecycle::may_leave(
            self.case.live,
            notice.state,
            notice.escalated_to,
            notice.message,
        )
    }
}
