//! Traces of received events: each event continues its own trace, although a batch is applied as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Side, Span, current_traceparent};
use crate::envelope::Envelope;

tokio::task_local! {
    /// Traceparent by event id, for what the event causes.
    static CAUSES: Arc<HashMap<Uuid, String>>;
}

/// The traceparent for what an event causes: within a received batch the event's own trace, otherwise the
/// current span.
pub fn traceparent_of(cause: Option<Uuid>) -> Option<String> {
    let received = cause.and_then(|id| CAUSES.try_with(|causes| causes.get(&id).cloned()).ok()?);
    received.or_else(current_traceparent)
}

/// A received batch: one span in a trace of its own, linked to one span in each event's trace.
pub(crate) struct ReceivedBatch {
    batch: Span,
    _event_spans: Vec<Span>,
    causes: Arc<HashMap<Uuid, String>>,
}

impl ReceivedBatch {
    /// Returns None when no event carries a trace.
    pub(crate) fn start(consumer: &'static str, events: &[Envelope]) -> Option<Self> {
        let traced = events
            .iter()
            .filter_map(|event| Some((event, event.traceparent.as_deref()?)));
        let spans: Vec<(Uuid, Span)> = traced
            .map(|(event, traceparent)| {
                let name = format!("{consumer} receives {}", event.kind);
                let span = Span::child_of(Some(traceparent), Side::Consumer, name);
                span.set_attribute("case.id", event.case_id);
                span.set_attribute("event.id", event.id);
                span.set_attribute("messaging.source", &event.producer);
                (event.id, span)
            })
            .collect();
        let producer = &events.first()?.producer;
        let causes: HashMap<Uuid, String> = spans
            .iter()
            .filter_map(|(id, span)| Some((*id, span.traceparent()?)))
            .collect();
        if causes.is_empty() {
            return None;
        }
        let links = causes.values().map(String::as_str);
        let name = format!("{consumer} receives {producer}");
        let batch = Span::linked_to(links, Side::Consumer, name);
        batch.set_attribute("messaging.batch.message_count", events.len());
        Some(Self {
            batch,
            _event_spans: spans.into_iter().map(|(_, span)| span).collect(),
            causes: Arc::new(causes),
        })
    }

    pub(crate) async fn scope<F: Future>(&self, future: F) -> F::Output {
        let future = CAUSES.scope(Arc::clone(&self.causes), future);
        self.batch.scope(future).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use time::OffsetDateTime;

    use super::*;

    fn event(id: u128, traceparent: Option<&str>) -> Envelope {
        Envelope {
            producer: "intake".into(),
            shard: 0,
            position: 1,
            id: Uuid::from_u128(id),
            case_id: Uuid::nil(),
            kind: "ReportReceived".into(),
            caused_by: None,
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            traceparent: traceparent.map(str::to_owned),
            payload: Bytes::new(),
        }
    }

    #[tokio::test]
    async fn each_event_of_a_batch_continues_its_own_trace() {
        const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        const TWO: &str = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01";
        let events = [event(1, Some(ONE)), event(2, Some(TWO)), event(3, None)];
        let received = ReceivedBatch::start("ledger", &events).unwrap();
        let traceparents =
            received.scope(async { [1, 2, 3].map(|id| traceparent_of(Some(Uuid::from_u128(id)))) });
        let [one, two, three] = traceparents.await;
        assert_eq!((one.as_deref(), two.as_deref()), (Some(ONE), Some(TWO)));
        assert_eq!(three, None);
        assert_eq!(traceparent_of(Some(Uuid::from_u128(1))), None);
        assert!(ReceivedBatch::start("ledger", &events[2..]).is_none());
    }
}
