//! Permanent failure of a delivery channel: the provider's next channel takes over the same notice. If none
//! is left, the notice has bounced, and the next party in the escalation chain is notified at once.

use domain::enums::{ContentStatus, DeliveryChannel};
use proto::v1;
use proto::v1::event::Body;

use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::cases::lifecycle::notice::{Command, NoticeTransition};

impl LockedCase {
    /// Handles the permanent failure of `channel` for a notice.
    pub(super) fn reroute(
        &mut self,
        cx: &BatchContext<'_>,
        n: NoticeIdx,
        channel: DeliveryChannel,
        reason: &str,
    ) {
        let notice = self.notice(n);
        // The failure has no effect if another delivery channel took over, or if the first message arrived by
        // an earlier attempt. A later message is due whether or not the first one arrived.
        let is_first = notice.sequence == 1;
        if notice.channel != channel || (is_first && notice.delivered_at.is_some()) {
            return;
        }
        let id = notice.provider_id.clone();
        // A first message tries channels unused in this episode; a later one may use a channel that an
        // earlier step used.
        let used = if is_first {
            self.channels_tried_with(&id)
        } else {
            notice.channels_tried
        };
        let channels_tried = used.with(channel);
        let next = cx.directory.get(&id).and_then(|provider| {
            provider
                .channels()
                .into_iter()
                .find(|next| !channels_tried.contains(*next))
        });
        if let Some(next) = next {
            self.apply(n, Command::Reroute);
            let notice = self.notice_mut(n);
            notice.channel = next;
            notice.channels_tried = notice.channels_tried.with(next);
            if self.may_be_sent(n) {
                self.enqueue(n);
            }
            return;
        }
        match self.apply(n, Command::Bounce) {
            NoticeTransition::ChangeTo(_) | NoticeTransition::RecordOnly => {}
            NoticeTransition::NoChange | NoticeTransition::Ended | NoticeTransition::Refused
                if is_first =>
            {
                return;
            }
            // The notice keeps its state; the alarm shows that a later message could not be delivered.
            NoticeTransition::NoChange | NoticeTransition::Ended | NoticeTransition::Refused => {
                tracing::error!(alarm = "message_undeliverable", notice.id = %self.notice(n).id, notice.message = %self.notice(n).message, "no delivery channel is left for a message about a notice");
            }
        }
        self.cancel(n);
        let body = Body::NoticeBounced(v1::NoticeBounced {
            notice: Some(self.notice_key(n)),
            channel: channel.wire(),
            reason: reason.to_owned(),
        });
        self.emit(cx, body);
        if is_first
            && matches!(
                self.case().content_status,
                ContentStatus::Online | ContentStatus::Exhausted
            )
        {
            self.notify_next_in_chain(cx, n);
        }
    }

    /// See [`crate::cases::lifecycle::may_be_sent`].
    pub(super) fn may_be_sent(&self, n: NoticeIdx) -> bool {
        let notice = self.notice(n);
        crate::cases::lifecycle::may_be_sent(
            self.case().content_status,
            notice.state,
            notice.escalated_to,
            notice.message,
        )
    }
}
