//! Events that are being heard: each goes on in the trace that it came with, although they are applied together.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Side, Work, current};
use crate::log::Envelope;

tokio::task_local! {
    /// By event, what is caused by it.
    static CAUSES: Arc<HashMap<Uuid, String>>;
}

/// The traceparent for what this event causes: within a batch that is being heard the event's own trace, else the work
/// that is being done here.
pub fn of(cause: Option<Uuid>) -> Option<String> {
    let heard = cause.and_then(|id| CAUSES.try_with(|causes| causes.get(&id).cloned()).ok()?);
    heard.or_else(current)
}

/// A batch that is being heard: one piece of work in a trace of its own, linked to one in each event's trace.
pub(crate) struct Heard {
    batch: Work,
    _events: Vec<Work>,
    causes: Arc<HashMap<Uuid, String>>,
}

impl Heard {
    /// None where no event came with a trace.
    pub(crate) fn begin(consumer: &'static str, events: &[Envelope]) -> Option<Self> {
        let traced = events
            .iter()
            .filter_map(|event| Some((event, event.traceparent.as_deref()?)));
        let works: Vec<(Uuid, Work)> = traced
            .map(|(event, traceparent)| {
                let name = format!("{consumer} hears {}", event.kind);
                let work = Work::after(Some(traceparent), Side::Consumer, name);
                work.note("case.id", event.case_id);
                work.note("event.id", event.id);
                work.note("messaging.source", &event.producer);
                (event.id, work)
            })
            .collect();
        let producer = &events.first()?.producer;
        let causes: HashMap<Uuid, String> = works
            .iter()
            .filter_map(|(id, work)| Some((*id, work.traceparent()?)))
            .collect();
        if causes.is_empty() {
            return None;
        }
        let links = causes.values().map(String::as_str);
        let name = format!("{consumer} hears {producer}");
        let batch = Work::linked(links, Side::Consumer, name);
        batch.note("messaging.batch.message_count", events.len());
        Some(Self {
            batch,
            _events: works.into_iter().map(|(_, work)| work).collect(),
            causes: Arc::new(causes),
        })
    }

    pub(crate) async fn scope<F: Future>(&self, doing: F) -> F::Output {
        let doing = CAUSES.scope(Arc::clone(&self.causes), doing);
        self.batch.scope(doing).await
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
    async fn each_event_of_a_batch_goes_on_in_its_own_trace() {
        const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        const TWO: &str = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01";
        let events = [event(1, Some(ONE)), event(2, Some(TWO)), event(3, None)];
        let heard = Heard::begin("ledger", &events).unwrap();
        let seen = heard.scope(async { [1, 2, 3].map(|id| of(Some(Uuid::from_u128(id)))) });
        let [one, two, three] = seen.await;
        assert_eq!((one.as_deref(), two.as_deref()), (Some(ONE), Some(TWO)));
        assert_eq!(three, None);
        assert_eq!(of(Some(Uuid::from_u128(1))), None);
        assert!(Heard::begin("ledger", &events[2..]).is_none());
    }
}
