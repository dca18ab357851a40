//! The log on standard error, and traces beside it.

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::config::{Config, LogFormat};
use crate::error::{Error, Result};

/// A running log. Keep it until the process ends: dropping it sends the last traces.
pub(crate) struct Log {
    #[cfg(feature = "otel")]
    _traces: Option<super::traces::Traces>,
}

impl Log {
    /// Starts the log of the process, once.
    ///
    /// # Errors
    /// The key of the configuration that is wrong.
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let level = &config.log.level;
        let filter = EnvFilter::try_new(level).map_err(|e| Error::Setting(format!("log.level {level:?}: {e}")))?;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.log.format {
            LogFormat::Json => lines.json().with_current_span(true).boxed(),
            LogFormat::Pretty => {
                let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
                lines.with_target(false).with_ansi(colours).boxed()
            }
        };
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
        let failed = Error::system("cannot start the log");

        #[cfg(feature = "otel")]
        {
            let traces = super::traces::Traces::start(config)?;
            let layer = traces.as_ref().map(super::traces::Traces::layer);
            subscriber.with(layer).try_init().map_err(failed)?;
            Ok(Self { _traces: traces })
        }
        #[cfg(not(feature = "otel"))]
        {
            if config.telemetry.otlp.is_some() {
                let reason = "telemetry.otlp is set, but this program sends no traces: build it with `--features otel`, or remove \
                              the key";
                return Err(Error::Setting(reason.into()));
            }
            subscriber.try_init().map_err(failed)?;
            Ok(Self {})
        }
    }
}
