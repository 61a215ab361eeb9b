//! Where traces and metrics go: to an OTLP receiver where the environment names one, and to whoever asks for the metrics.
//!
//! Configured by OpenTelemetry's own variables (its specification, "Environment Variable Specification"): OTLP over gRPC is
//! on when `OTEL_EXPORTER_OTLP_ENDPOINT` is set; `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`,
//! `OTEL_BSP_*` and `OTEL_METRIC_EXPORT_INTERVAL` mean what they mean everywhere.

use std::time::Duration;

use opentelemetry::global;
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::config::variable;

/// A batch of 256 events links to each of them; the default is half of it.
const LINKS: u32 = 512;
/// For what is still to be sent at the end.
const FLUSH: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error(
    "traces and metrics cannot be exported; check OTEL_EXPORTER_OTLP_ENDPOINT and its kin: {0}"
)]
pub struct ExportError(String);

/// What is exported of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    registry: Registry,
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
}

impl Telemetry {
    /// Starts exporting for the whole process, within its runtime. Instruments that were used before are not seen.
    pub fn start(service: &str) -> Result<Self, ExportError> {
        let wrong = |error: &dyn std::error::Error| ExportError(error.to_string());
        let resource = resource(service);
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .map_err(|error| wrong(&error))?;
        let mut metrics = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(reader);
        let mut traces = None;
        if is_otlp_on() {
            let exporter = MetricExporter::builder().with_tonic().build();
            metrics = metrics.with_periodic_exporter(exporter.map_err(|error| wrong(&error))?);
            let exporter = SpanExporter::builder().with_tonic().build();
            let provider = SdkTracerProvider::builder()
                .with_resource(resource)
                .with_max_links_per_span(LINKS)
                .with_batch_exporter(exporter.map_err(|error| wrong(&error))?)
                .build();
            global::set_tracer_provider(provider.clone());
            traces = Some(provider);
        }
        let metrics = metrics.build();
        global::set_meter_provider(metrics.clone());
        Ok(Self {
            registry,
            traces,
            metrics,
        })
    }

    /// In Prometheus' text format.
    pub fn metrics(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // A vector takes everything; a family that cannot be written would be a name that no instrument may have.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }

    /// Sends what is left.
    pub async fn end(self) {
        let ending = tokio::task::spawn_blocking(move || {
            if let Some(traces) = &self.traces {
                let _ = traces.shutdown_with_timeout(FLUSH);
            }
            let _ = self.metrics.shutdown_with_timeout(FLUSH);
        });
        // A receiver that is away costs its patience and no more.
        let _ = tokio::time::timeout(FLUSH * 2, ending).await;
    }
}

/// An endpoint that is set to nothing is none.
fn is_otlp_on() -> bool {
    variable("OTEL_EXPORTER_OTLP_ENDPOINT").is_some_and(|endpoint| !endpoint.is_empty())
}

fn resource(service: &str) -> Resource {
    let builder = Resource::builder();
    match variable("OTEL_SERVICE_NAME") {
        Some(_) => builder.build(),
        None => builder.with_service_name(service.to_owned()).build(),
    }
}
