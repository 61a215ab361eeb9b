//! Telemetry. Logs: JSON lines for machines, short lines for a terminal, always on stderr. Traces and
//! metrics: see [`Telemetry`].
//!
//! Our own crates log at the requested level; libraries never log below a warning, because at `debug` they
//! would print URLs and headers. A panic is logged with its location, never with its message, which may quote
//! user data.

mod export;
mod json_lines;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Directive, EnvFilter};
use tracing_subscriber::fmt::format::JsonFields;

pub use export::{ExportError, Telemetry};

use json_lines::JsonLines;

/// Format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `Human` if stderr is a terminal, otherwise `Json`.
    #[default]
    Auto,
    Json,
    Human,
}

/// Starts logging for this process; a second call has no effect.
///
/// `crates` log at `level`, and platform always does.
pub fn init(format: LogFormat, level: LevelFilter, crates: &[&str]) {
    let filter = filter(level, crates);
    let human = match format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Human => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if human {
        builder.compact().with_target(false).try_init()
    } else {
        let json = tracing_subscriber::fmt::format::format()
            .json()
            .flatten_event(true);
        builder
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines(json.with_span_list(false)))
            .try_init()
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// The level in `TAKEDOWN_LOG`, or `info`.
pub fn level_from_environment() -> LevelFilter {
    crate::config::env_var("TAKEDOWN_LOG")
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO)
}

fn filter(level: LevelFilter, crates: &[&str]) -> EnvFilter {
    let library_level = level.min(LevelFilter::WARN);
    crates.iter().chain(&["platform"]).fold(
        EnvFilter::default().add_directive(library_level.into()),
        |filter, name| match format!("{name}={level}").parse::<Directive>() {
            Ok(directive) => filter.add_directive(directive),
            Err(_) => filter,
        },
    )
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    tracing::error!(
        panic.location = location.as_deref(),
        panic.thread = thread.name(),
        "a task panicked"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LevelFilter, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(level, &["intake"]))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn libraries_log_warnings_and_errors_only() {
        let text = logged(LevelFilter::TRACE, || {
            tracing::debug!(target: "intake::grpc", "ours");
            tracing::info!(target: "hyper::client", "theirs");
            tracing::warn!(target: "hyper::client", "their warning");
        });
        assert!(text.contains("ours") && text.contains("their warning"));
        assert!(!text.contains("theirs"));
    }

    #[test]
    fn a_panic_is_logged_without_its_message() {
        let text = logged(LevelFilter::INFO, || {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(log_panic));
            let _ = std::panic::catch_unwind(|| panic!("https://host.example/secret"));
            std::panic::set_hook(previous);
        });
        assert!(text.contains("a task panicked") && text.contains("telemetry/mod.rs"));
        assert!(!text.contains("secret"));
    }
}
