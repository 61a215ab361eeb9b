//! What an OTLP receiver is told of a report: one trace from its receipt to the first delivery, over every role and Kafka.

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

/// What came, each with the name of the service that it came from.
#[derive(Clone, Default)]
struct Receiver {
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    /// As Prometheus names them.
    metrics: Arc<Mutex<BTreeSet<String>>>,
}

fn service(resource: Option<&Resource>) -> String {
    let attributes = resource.iter().flat_map(|resource| &resource.attributes);
    let name = attributes.filter(|attribute| attribute.key == "service.name");
    let text = name.filter_map(|attribute| Some(format!("{:?}", attribute.value.as_ref()?)));
    let text = text.collect::<String>();
    let word = text.split('"').find(|word| word.starts_with("takedown"));
    word.unwrap_or_default().to_owned()
}

#[tonic::async_trait]
impl trace::trace_service_server::TraceService for Receiver {
    async fn export(
        &self,
        request: Request<trace::ExportTraceServiceRequest>,
    ) -> Result<Response<trace::ExportTraceServiceResponse>, Status> {
        for from in request.into_inner().resource_spans {
            let service = service(from.resource.as_ref());
            let spans = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let mut kept = self.spans.lock().unwrap();
            kept.extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(trace::ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        for from in request.into_inner().resource_metrics {
            let metrics = from.scope_metrics.into_iter().flat_map(|s| s.metrics);
            let mut kept = self.metrics.lock().unwrap();
            kept.extend(metrics.map(|metric| prometheus_name(&metric)));
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

/// Every metric that an alert or a dashboard asks for.
fn asked_for() -> BTreeSet<String> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/files");
    let dashboards = std::fs::read_dir(files.join("dashboards")).unwrap();
    let dashboards = dashboards.map(|file| file.unwrap().path());
    let mut names = BTreeSet::new();
    for file in dashboards.chain([files.join("alerts.yaml")]) {
        let text = std::fs::read_to_string(file).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics = words.filter(|word| {
            ["takedown_", "rpc_", "http_"]
                .iter()
                .any(|start| word.starts_with(start))
        });
        // A histogram has three series.
        let whole = |word: &str| {
            let parts = ["_bucket", "_count", "_sum"];
            let part = parts.iter().find_map(|part| word.strip_suffix(part));
            part.unwrap_or(word).to_owned()
        };
        names.extend(metrics.map(whole));
    }
    assert!(names.len() > 15, "{names:?}");
    names
}

impl Receiver {
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

    /// (service, name) of each span by trace, for traces in which something was delivered.
    fn delivered(&self) -> Vec<BTreeSet<(String, String)>> {
        let mut traces: BTreeMap<Vec<u8>, Vec<(String, Span)>> = BTreeMap::new();
        for (service, span) in self.spans.lock().unwrap().iter() {
            let one = traces.entry(span.trace_id.clone()).or_default();
            one.push((service.clone(), span.clone()));
        }
        let all = traces.into_values().filter(|spans| {
            // Every span but the first follows from another one of the trace.
            let ids: BTreeSet<&[u8]> = spans.iter().map(|(_, s)| s.span_id.as_slice()).collect();
            let heads = spans
                .iter()
                .filter(|(_, s)| !ids.contains(s.parent_span_id.as_slice()));
            heads.count() == 1
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

async fn is_told_of_a_report(form: &[&str]) {
    let receiver = Receiver::default();
    let address = receiver.start().await;
    let mut demo = Command::new(env!("CARGO_BIN_EXE_takedown"));
    demo.args(["demo", "--exit", "--reports", "60", "--seed", "5"])
        .args(form)
        .env_remove("DATABASE_URL")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &address)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || demo.status().unwrap());
    assert!(ended.await.unwrap().success());

    let way = [
        (
            "takedown-intake",
            "takedown.v1.IntakeService/StreamReports, one",
        ),
        ("takedown-verification", "verification hears ReportReceived"),
        ("takedown-dispatch", "dispatch hears CaseActionable"),
        ("takedown-ledger", "ledger hears CaseActionable"),
    ];
    let whole = receiver.delivered().into_iter().filter(|names| {
        way.iter()
            .all(|(service, name)| names.contains(&((*service).into(), (*name).into())))
            && names.iter().any(|(service, name)| {
                service == "takedown-dispatch" && name.starts_with("deliver by")
            })
    });
    assert!(whole.count() > 0, "{:#?}", receiver.delivered());
    // A batch is a trace of its own, and says what it has to do with.
    let spans = receiver.spans.lock().unwrap();
    let batches = spans
        .iter()
        .filter(|(_, span)| span.name == "verification hears intake");
    assert!(batches.clone().count() > 0);
    assert!(batches.into_iter().all(|(_, span)| !span.links.is_empty()));
    let exported = receiver.metrics.lock().unwrap();
    for name in asked_for() {
        assert!(
            exported.contains(&name),
            "no role exports {name}: {exported:#?}"
        );
    }
    // Spans carry ids and our own words alone.
    let told = format!("{spans:?}");
    assert!(!told.contains(".example") && !told.contains("://"));
}

mod on_a_broker {
    #[tokio::test(flavor = "multi_thread")]
    async fn one_trace_goes_from_the_receipt_to_the_first_delivery() {
        super::is_told_of_a_report(&["--bus", "kafka"]).await;
    }
}
