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
        // Another channel came first, or the notice itself has arrived by an earlier attempt: this failure concerns
        // nobody. A later message is owed whatever became of the first.
        let first = notice.sequence == 1;
        if notice.channel != channel || (first && notice.delivered_at.is_some()) {
            return;
        }
        let id = notice.provider_id.clone();
        // What is left for a first message is what nobody has tried; a later one may go where an earlier step arrived.
        let used = if first { self.tried(&id) } else { notice.tried };
        let tried = used | bit(channel);
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
            Outcome::Repeat | Outcome::Over | Outcome::Refused if first => return,
            // The notice stands as it is; that nobody could be told the rest is for a person to see.
            Outcome::Repeat | Outcome::Over | Outcome::Refused => {
                tracing::error!(alarm = "message_undeliverable", notice.id = %self.notices[n].id, notice.message = %self.notices[n].message, "no channel is left for a message about a notice");
            }
        }
        self.cancel(n);
        let body = Body::NoticeBounced(v1::NoticeBounced {
            notice: Some(self.key(n)),
            channel: channel.wire(),
            reason: reason.to_owned(),
        });
        self.say(cx, body);
        if first && matches!(self.case.live, LiveState::Up | LiveState::Exhausted) {
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
