//! Export of traces and metrics: to an OTLP receiver if the environment names one, and as Prometheus text on
//! request.
//!
//! Configured by OpenTelemetry's own variables (OpenTelemetry specification, "Environment Variable
//! Specification"): OTLP over gRPC is enabled when `OTEL_EXPORTER_OTLP_ENDPOINT` is set; `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*` and `OTEL_METRIC_EXPORT_INTERVAL` have
//! their standard meaning.

use std::time::Duration;

use opentelemetry::global;
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::config::env_var;

/// A batch of 256 events links to each of them; the default limit is 128.
const MAX_LINKS_PER_SPAN: u32 = 512;
/// Time limit for flushing at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error(
    "traces and metrics cannot be exported; check OTEL_EXPORTER_OTLP_ENDPOINT and related variables: {0}"
)]
pub struct ExportError(String);

/// The exporters of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    registry: Registry,
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
}

impl Telemetry {
    /// Starts exporting for the whole process, on the current runtime. Instruments that were used before are
    /// not exported.
    ///
    /// # Errors
    /// When an exporter cannot be created from the environment.
    pub fn start(service: &str) -> Result<Self, ExportError> {
        let export_error = |error: &dyn std::error::Error| ExportError(error.to_string());
        let resource = resource(service);
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .map_err(|error| export_error(&error))?;
        let mut metrics = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(reader);
        let mut traces = None;
        if is_otlp_on() {
            let exporter = MetricExporter::builder().with_tonic().build();
            metrics =
                metrics.with_periodic_exporter(exporter.map_err(|error| export_error(&error))?);
            let exporter = SpanExporter::builder().with_tonic().build();
            let provider = SdkTracerProvider::builder()
                .with_resource(resource)
                .with_max_links_per_span(MAX_LINKS_PER_SPAN)
                .with_batch_exporter(exporter.map_err(|error| export_error(&error))?)
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

    /// The metrics in Prometheus text format.
    pub fn metrics(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to a vector cannot fail, and OpenTelemetry rejects names that Prometheus cannot encode.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }

    /// Flushes the exporters.
    pub async fn end(self) {
        let flushing = tokio::task::spawn_blocking(move || {
            if let Some(traces) = &self.traces {
                let _ = traces.shutdown_with_timeout(FLUSH_TIMEOUT);
            }
            let _ = self.metrics.shutdown_with_timeout(FLUSH_TIMEOUT);
        });
        // An unreachable receiver delays the shutdown by the timeout only.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT * 2, flushing).await;
    }
}

/// An empty endpoint counts as none.
fn is_otlp_on() -> bool {
    env_var("OTEL_EXPORTER_OTLP_ENDPOINT").is_some_and(|endpoint| !endpoint.is_empty())
}

fn resource(service: &str) -> Resource {
    let builder = Resource::builder();
    match env_var("OTEL_SERVICE_NAME") {
        Some(_) => builder.build(),
        None => builder.with_service_name(service.to_owned()).build(),
    }
}
