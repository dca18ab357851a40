//! Traces for an OpenTelemetry collector: a span for each request, with a span for each of its steps inside.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Config;
use crate::error::{Error, Result};

/// Sends the spans from a thread of its own. Dropping it sends the last ones.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending traces; `None` if no collector is configured.
    ///
    /// # Errors
    /// The address is not valid.
    pub(crate) fn start(config: &Config) -> Result<Option<Self>> {
        let Some(address) = &config.telemetry.otlp else { return Ok(None) };
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(address);
        let exporter = exporter.build().map_err(|e| Error::Setting(format!("telemetry.otlp {address:?}: {e}")))?;
        let party = KeyValue::new("service.instance.id", config.role().to_string());
        let resource = Resource::builder().with_service_name("mpc-party").with_attribute(party).build();
        Ok(Some(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())))
    }

    /// Takes this program's spans; those of its libraries mean nothing to operators.
    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO);
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("mpc-party")).with_filter(own)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
