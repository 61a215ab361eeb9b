//! Traces a report from its receipt to the first delivery, across calls, event logs and Kafka (W3C Trace
//! Context).
//!
//! All spans are created through this module. They carry ids and fixed strings, never data that a user
//! sent, and no library adds spans. Without an exporter nothing is recorded and events carry no trace.

mod call;
mod received;

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    FutureExt as _, Link, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub(crate) use call::TraceLayer;
pub use call::inject;
pub(crate) use received::ReceivedBatch;
pub use received::traceparent_of;

const HEADER: &str = "traceparent";
/// Length of a version 00 traceparent (W3C Trace Context, section 3.2).
const TRACEPARENT_LENGTH: usize = 55;

/// A span. It ends when its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Span(Context);

impl Span {
    /// Starts a span below the one that this traceparent names, or a new trace when there is none.
    pub fn child_of(traceparent: Option<&str>, side: Side, name: impl Into<String>) -> Self {
        Self::start(&parent_context(traceparent), side, name.into(), Vec::new())
    }

    /// Starts a new trace with links to the spans that these traceparents name.
    pub fn linked_to<'a>(
        traceparents: impl Iterator<Item = &'a str>,
        side: Side,
        name: impl Into<String>,
    ) -> Self {
        let links = traceparents
            .map(|text| span_context(&parent_context(Some(text))))
            .filter(SpanContext::is_valid)
            .map(Link::with_context)
            .collect();
        Self::start(&Context::new(), side, name.into(), links)
    }

    fn start(parent: &Context, side: Side, name: String, links: Vec<Link>) -> Self {
        let tracer = global::tracer("takedown");
        let span = tracer
            .span_builder(name)
            .with_kind(side.into())
            .with_links(links)
            .start_with_context(&tracer, parent);
        Self(parent.with_span(span))
    }

    /// Sets an attribute; the value is an id or a fixed string.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "attribute values are small, or references"
    )]
    pub fn set_attribute(&self, key: &'static str, value: impl ToString) {
        self.0
            .span()
            .set_attribute(KeyValue::new(key, value.to_string()));
    }

    /// Marks the span as failed; `code` is a stable error code.
    pub fn set_error(&self, code: impl Into<String>) {
        self.0.span().set_status(Status::error(code.into()));
    }

    /// Whether the span is recorded.
    pub fn is_recording(&self) -> bool {
        self.0.span().is_recording()
    }

    pub fn traceparent(&self) -> Option<String> {
        to_traceparent(&span_context(&self.0))
    }

    /// Runs a future within the span.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        future.with_context(self.0.clone()).await
    }
}

/// Which side of a call or message the span is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We serve a call.
    Server,
    /// We make a call.
    Client,
    /// We consume an event.
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

/// The traceparent of the current span.
pub fn current_traceparent() -> Option<String> {
    to_traceparent(&span_context(&Context::current()))
}

/// The trace id and span id of the current span, for a log line.
pub(crate) fn current_ids() -> Option<(String, String)> {
    let context = span_context(&Context::current());
    let ids = || {
        (
            context.trace_id().to_string(),
            context.span_id().to_string(),
        )
    };
    context.is_valid().then(ids)
}

/// An invalid traceparent is ignored; it has no effect besides telemetry.
fn parent_context(traceparent: Option<&str>) -> Context {
    let Some(text) = traceparent.filter(|text| text.len() == TRACEPARENT_LENGTH) else {
        return Context::new();
    };
    let carrier = HashMap::from([(HEADER.to_owned(), text.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

fn span_context(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

fn to_traceparent(context: &SpanContext) -> Option<String> {
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
    async fn without_an_exporter_the_trace_continues_and_no_span_is_recorded() {
        assert_eq!(current_traceparent(), None);
        let span = Span::child_of(Some(ONE), Side::Server, "call");
        assert_eq!(span.traceparent().as_deref(), Some(ONE));
        assert!(!span.is_recording());
        assert_eq!(
            span.scope(async { current_traceparent() }).await.as_deref(),
            Some(ONE)
        );
        assert_eq!(
            Span::child_of(None, Side::Server, "call").traceparent(),
            None
        );
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        for text in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "https://host.example/a/page/of/the/same/length/as/those",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let span = Span::child_of(Some(text), Side::Client, "call");
            assert_eq!(span.traceparent(), None, "{text}");
        }
    }
}
