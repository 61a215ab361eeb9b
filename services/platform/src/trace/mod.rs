//! One trace from a receipt to the first delivery, over calls, event logs and Kafka (W3C Trace Context).
//!
//! Spans are begun here and nowhere else: they carry ids and our own words, never what somebody sent, and no library adds
//! any. Where nobody exports them, nothing is recorded and events carry no trace.

mod call;
mod heard;

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    FutureExt as _, Link, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub(crate) use call::TraceLayer;
pub use call::put;
pub(crate) use heard::Heard;
pub use heard::of;

const HEADER: &str = "traceparent";
/// As W3C has it, version 00.
const LENGTH: usize = 55;

/// A piece of work. It ends when the last clone of it is dropped.
#[derive(Debug, Clone)]
pub struct Work(Context);

impl Work {
    /// Work that follows from what this traceparent names, else from nothing.
    pub fn after(traceparent: Option<&str>, side: Side, name: impl Into<String>) -> Self {
        Self::begin(&parent(traceparent), side, name.into(), Vec::new())
    }

    /// A trace of its own, which says what it has to do with.
    pub fn linked<'a>(
        traceparents: impl Iterator<Item = &'a str>,
        side: Side,
        name: impl Into<String>,
    ) -> Self {
        let links = traceparents
            .map(|text| span_context(&parent(Some(text))))
            .filter(SpanContext::is_valid)
            .map(Link::with_context)
            .collect();
        Self::begin(&Context::new(), side, name.into(), links)
    }

    fn begin(parent: &Context, side: Side, name: String, links: Vec<Link>) -> Self {
        let tracer = global::tracer("takedown");
        let span = tracer
            .span_builder(name)
            .with_kind(side.into())
            .with_links(links)
            .start_with_context(&tracer, parent);
        Self(parent.with_span(span))
    }

    /// An id or a word of ours.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is noted is small, or a reference"
    )]
    pub fn note(&self, key: &'static str, value: impl ToString) {
        self.0
            .span()
            .set_attribute(KeyValue::new(key, value.to_string()));
    }

    /// It did not come to its effect; `code` is a stable one.
    pub fn failed(&self, code: impl Into<String>) {
        self.0.span().set_status(Status::error(code.into()));
    }

    /// Whether anybody will see it.
    pub fn is_seen(&self) -> bool {
        self.0.span().is_recording()
    }

    pub fn traceparent(&self) -> Option<String> {
        text(&span_context(&self.0))
    }

    /// Does this within the work.
    pub async fn scope<F: Future>(&self, doing: F) -> F::Output {
        doing.with_context(self.0.clone()).await
    }
}

/// Which side of a call or a message the work is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We are called.
    Server,
    /// We call.
    Client,
    /// An event is heard.
    Consumer,
}

impl From<Side> for SpanKind {
    fn from(side: Side) -> Self {
        match side {
            Side::Server => Self::Server,
            Side::Client => Self::Client,
            Side::Consumer => Self::Consumer,
        }
    }
}

/// Of the work that is being done here.
pub fn current() -> Option<String> {
    text(&span_context(&Context::current()))
}

/// The ids of the trace and of the work that is being done here, for a log line.
pub(crate) fn current_ids() -> Option<(String, String)> {
    let here = span_context(&Context::current());
    let ids = || (here.trace_id().to_string(), here.span_id().to_string());
    here.is_valid().then(ids)
}

/// Whatever is no traceparent is passed over: it only says where to look.
fn parent(traceparent: Option<&str>) -> Context {
    let Some(text) = traceparent.filter(|text| text.len() == LENGTH) else {
        return Context::new();
    };
    let carrier = HashMap::from([(HEADER.to_owned(), text.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

fn span_context(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

fn text(context: &SpanContext) -> Option<String> {
    let flags = context.trace_flags().to_u8() & 1;
    context.is_valid().then(|| {
        format!(
            "00-{}-{}-{flags:02x}",
            context.trace_id(),
            context.span_id()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn without_an_exporter_a_trace_goes_on_and_nothing_is_begun() {
        assert_eq!(current(), None);
        let work = Work::after(Some(ONE), Side::Server, "call");
        assert_eq!(work.traceparent().as_deref(), Some(ONE));
        assert!(!work.is_seen());
        assert_eq!(work.scope(async { current() }).await.as_deref(), Some(ONE));
        assert_eq!(Work::after(None, Side::Server, "call").traceparent(), None);
    }

    #[test]
    fn what_is_no_traceparent_is_passed_over() {
        for text in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "https://host.example/a/page/of/the/same/length/as/those",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let work = Work::after(Some(text), Side::Client, "call");
            assert_eq!(work.traceparent(), None, "{text}");
        }
    }
}
