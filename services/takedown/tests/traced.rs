//! What the roles export by OTLP: one trace from a report's receipt to its first delivery, over every role and Kafka, and
//! every metric that alerts and dashboards use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as trace;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
struct OtlpReceiver {
    /// Each with the name of its service.
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    /// By their Prometheus names.
    metrics: Arc<Mutex<BTreeSet<String>>>,
}

fn service_name(resource: Option<&Resource>) -> String {
    let attributes = resource.iter().flat_map(|resource| &resource.attributes);
    let name = attributes.filter(|attribute| attribute.key == "service.name");
    let text = name.filter_map(|attribute| Some(format!("{:?}", attribute.value.as_ref()?)));
    let text = text.collect::<String>();
    let name = text.split('"').find(|part| part.starts_with("takedown"));
    name.unwrap_or_default().to_owned()
}

#[tonic::async_trait]
impl trace::trace_service_server::TraceService for OtlpReceiver {
    async fn export(
        &self,
        request: Request<trace::ExportTraceServiceRequest>,
    ) -> Result<Response<trace::ExportTraceServiceResponse>, Status> {
        for from in request.into_inner().resource_spans {
            let service = service_name(from.resource.as_ref());
            let spans = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let mut received = self.spans.lock().unwrap();
            received.extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(trace::ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for OtlpReceiver {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        for from in request.into_inner().resource_metrics {
            let metrics = from.scope_metrics.into_iter().flat_map(|s| s.metrics);
            let mut received = self.metrics.lock().unwrap();
            received.extend(metrics.map(|metric| prometheus_name(&metric)));
        }
        Ok(Response::new(
            metrics::ExportMetricsServiceResponse::default(),
        ))
    }
}

/// OpenTelemetry's specification, "Prometheus and OpenMetrics Compatibility": the unit and the kind are suffixes.
fn prometheus_name(metric: &Metric) -> String {
    let unit = if metric.unit == "s" { "_seconds" } else { "" };
    let kind = match &metric.data {
        Some(Data::Sum(sum)) if sum.is_monotonic => "_total",
        _ => "",
    };
    format!("{}{unit}{kind}", metric.name.replace('.', "_"))
}

/// Every metric that an alert or a dashboard queries.
fn queried_metrics() -> BTreeSet<String> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/files");
    let dashboards = std::fs::read_dir(files.join("dashboards")).unwrap();
    let dashboards = dashboards.map(|file| file.unwrap().path());
    let mut names = BTreeSet::new();
    for file in dashboards.chain([files.join("alerts.yaml")]) {
        let text = std::fs::read_to_string(file).unwrap();
        let identifiers = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let series = identifiers.filter(|identifier| {
            ["takedown_", "rpc_", "http_"]
                .iter()
                .any(|prefix| identifier.starts_with(prefix))
        });
        // A histogram has three series.
        let metric = |series: &str| {
            let suffixes = ["_bucket", "_count", "_sum"];
            let metric = suffixes
                .iter()
                .find_map(|suffix| series.strip_suffix(suffix));
            metric.unwrap_or(series).to_owned()
        };
        names.extend(series.map(metric));
    }
    assert!(names.len() > 15, "{names:?}");
    names
}

impl OtlpReceiver {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = tonic::transport::Server::builder()
            .add_service(trace::trace_service_server::TraceServiceServer::new(
                self.clone(),
            ))
            .add_service(metrics::metrics_service_server::MetricsServiceServer::new(
                self.clone(),
            ))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        address
    }

    /// The spans, as (service, name), of each complete trace that contains a delivery.
    fn delivery_traces(&self) -> Vec<BTreeSet<(String, String)>> {
        let mut traces: BTreeMap<Vec<u8>, Vec<(String, Span)>> = BTreeMap::new();
        for (service, span) in self.spans.lock().unwrap().iter() {
            let spans = traces.entry(span.trace_id.clone()).or_default();
            spans.push((service.clone(), span.clone()));
        }
        let all = traces.into_values().filter(|spans| {
            // Only the root span has no parent in the trace.
            let ids: BTreeSet<&[u8]> = spans.iter().map(|(_, s)| s.span_id.as_slice()).collect();
            let roots = spans
                .iter()
                .filter(|(_, s)| !ids.contains(s.parent_span_id.as_slice()));
            roots.count() == 1
        });
        let names = all.map(|spans| {
            let names = spans
                .into_iter()
                .map(|(service, span)| (service, span.name));
            names.collect::<BTreeSet<_>>()
        });
        let is_delivered = |names: &BTreeSet<(String, String)>| {
            names.iter().any(|(_, name)| name.starts_with("deliver by"))
        };
        names.filter(is_delivered).collect()
    }
}

async fn assert_exported_telemetry(options: &[&str]) {
    let receiver = OtlpReceiver::default();
    let address = receiver.start().await;
    let mut demo = Command::new(env!("CARGO_BIN_EXE_takedown"));
    demo.args(["demo", "--exit", "--reports", "60", "--seed", "5"])
        .args(options)
        .env_remove("DATABASE_URL")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &address)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || demo.status().unwrap());
    assert!(ended.await.unwrap().success());

    let path = [
        (
            "takedown-intake",
            "takedown.v1.IntakeService/StreamReports, one",
        ),
        (
            "takedown-verification",
            "verification receives ReportReceived",
        ),
        ("takedown-dispatch", "dispatch receives CaseActionable"),
        ("takedown-ledger", "ledger receives CaseActionable"),
    ];
    let complete = receiver.delivery_traces().into_iter().filter(|names| {
        path.iter()
            .all(|(service, name)| names.contains(&((*service).into(), (*name).into())))
            && names.iter().any(|(service, name)| {
                service == "takedown-dispatch" && name.starts_with("deliver by")
            })
    });
    assert!(complete.count() > 0, "{:#?}", receiver.delivery_traces());
    // A batch is a trace of its own, linked to the traces of its events.
    let spans = receiver.spans.lock().unwrap();
    let batches = spans
        .iter()
        .filter(|(_, span)| span.name == "verification receives intake");
    assert!(batches.clone().count() > 0);
    assert!(batches.into_iter().all(|(_, span)| !span.links.is_empty()));
    let exported = receiver.metrics.lock().unwrap();
    for name in queried_metrics() {
        assert!(
            exported.contains(&name),
            "no role exports {name}: {exported:#?}"
        );
    }
    // Spans contain ids and fixed names only, never a URL.
    let text = format!("{spans:?}");
    assert!(!text.contains(".example") && !text.contains("://"));
}

mod on_a_broker {
    #[tokio::test(flavor = "multi_thread")]
    async fn one_trace_covers_a_report_from_receipt_to_first_delivery() {
        super::assert_exported_telemetry(&["--bus", "kafka"]).await;
    }
}
