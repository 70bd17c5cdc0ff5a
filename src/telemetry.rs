//! Sets up logging: where log lines go and how they look. Tokens, resume keys and passwords are never logged.

use std::io;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::config::{LogFormat, LogSettings};

/// The log can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not a valid filter. The settings check it, so only other callers can cause this.
    #[error("`{level}` is not a valid log level")]
    Level {
        /// The level.
        level: String,
    },
    /// The log was set up before.
    #[error("the log is already set up")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Formats an error and its causes, separated by colons: one line for the log or the terminal, never for a
/// client. A cause that the error before it already quotes isn't repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Maximum number of log lines waiting to be written. If the reader of standard error hangs, log lines are
/// dropped, so that downloads aren't delayed.
const BUFFERED_LINES: usize = 16_384;

/// The HTTP library logs an error for each invalid request, which anyone can send, although nobody has to act
/// on it. To see these errors, name `actix_http` in the level.
const STRANGERS: &str = "actix_http";
const STRANGERS_MODULE: &str = "actix_http::h1::dispatcher";

/// Logs at each start how many workers it has, which is rarely useful.
const WORKERS: &str = "actix_server";

/// Sends log lines to standard error. A separate thread writes them, so that a slow terminal never delays a
/// transfer. Dropping the guard writes the remaining lines.
///
/// # Errors
/// See [`TelemetryError`].
pub fn start(settings: &LogSettings) -> Result<(WorkerGuard, LogLevel), TelemetryError> {
    let (writer, guard) = writer();
    let (subscriber, level) = with_level(settings, writer)?;
    subscriber.try_init().map_err(TelemetryError::Twice)?;
    log_panics();
    Ok((guard, level))
}

/// Changes which lines are logged.
pub struct LogLevel(reload::Handle<Targets, Registry>);

impl LogLevel {
    /// Logs from now on what `log.level` says; the format stays. An invalid level, which the settings refuse, changes
    /// nothing.
    pub fn set(&self, settings: &LogSettings) {
        let Ok(filter) = filter(settings) else { return };
        // Only fails if the log is gone.
        let _ = self.0.reload(filter);
    }
}

/// Logs every panic as an error, in addition to the default output. Nothing else would report a panic in a
/// task that nobody waits for.
fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        let (thread, place) = (std::thread::current(), panic.location());
        let (file, line) = place.map_or(("", 0), |place| (place.file(), place.line()));
        tracing::error!(thread = thread.name(), file, line, "a thread panicked; please report this bug");
    }));
}

fn writer() -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().buffered_lines_limit(BUFFERED_LINES).thread_name("log").finish(io::stderr())
}

/// Returns the subscriber for the settings, writing to `writer`; tests use their own.
///
/// # Errors
/// If the level is not a valid filter.
pub fn subscriber<W>(settings: &LogSettings, writer: W) -> Result<BoxedSubscriber, TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    with_level(settings, writer).map(|(subscriber, _)| subscriber)
}

fn filter(settings: &LogSettings) -> Result<Targets, TelemetryError> {
    let mut filter =
        settings.filter().ok_or_else(|| TelemetryError::Level { level: settings.level.clone() })?;
    if !settings.level.contains(STRANGERS) {
        filter = filter.with_target(STRANGERS_MODULE, LevelFilter::OFF);
    }
    if settings.level.eq_ignore_ascii_case("info") {
        filter = filter.with_target(WORKERS, LevelFilter::WARN);
    }
    Ok(filter)
}

type BoxedSubscriber = Box<dyn tracing::Subscriber + Send + Sync>;

fn with_level<W>(settings: &LogSettings, writer: W) -> Result<(BoxedSubscriber, LogLevel), TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(settings)?);
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(writer);
    let subscriber: BoxedSubscriber = match settings.format {
        // Colors are for terminals, and behind the appender it is unknown whether there is one.
        LogFormat::Text => Box::new(filtered.with(lines.with_ansi(false))),
        LogFormat::Json => Box::new(filtered.with(lines.json().flatten_event(true).with_current_span(false))),
    };
    Ok((subscriber, LogLevel(handle)))
}

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::sync::Arc;

    use super::*;

    fn written(level: &str, format: LogFormat, say: impl FnOnce()) -> String {
        let lines = Arc::new(tempfile::tempfile().unwrap());
        let settings = LogSettings { level: level.to_owned(), format };
        let subscriber = subscriber(&settings, lines.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, say);
        (&*lines).rewind().unwrap();
        io::read_to_string(&*lines).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_on_top() {
        let line = written("info", LogFormat::Json, || tracing::warn!(jti = "a\nb", "replay refused"));
        assert_eq!(line.lines().count(), 1, "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["jti"], "a\nb");
        assert_eq!(object["message"], "replay refused");
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }

    #[test]
    fn a_line_below_the_level_is_not_written() {
        for (level, count) in [("warn", 1), ("info", 2), ("off", 0), ("error,oncelink=info", 2)] {
            let lines = written(level, LogFormat::Text, || {
                tracing::warn!("one");
                tracing::info!("two");
                tracing::debug!("three");
            });
            assert_eq!(lines.lines().count(), count, "{level}: {lines}");
        }
    }

    /// Without this hint, libraries would format lines that are then dropped.
    #[test]
    fn libraries_know_the_highest_level_that_is_written() {
        let settings = LogSettings { level: "warn,oncelink=info".to_owned(), format: LogFormat::Json };
        let subscriber = subscriber(&settings, io::sink).unwrap();
        assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
    }

    #[test]
    fn a_stranger_who_sends_nonsense_writes_no_error() {
        for (level, count) in [("info", 0), ("info,actix_http=warn", 1)] {
            let lines = written(level, LogFormat::Text, || {
                tracing::error!(target: "actix_http::h1::dispatcher", "stream error: request parse error");
            });
            assert_eq!(lines.lines().count(), count, "{level}: {lines}");
        }
    }

    #[test]
    fn a_chain_names_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the key")]
        struct Unreadable(#[source] io::Error);
        let error = Unreadable(io::Error::other("the disk is gone"));
        assert_eq!(chain(&error), "cannot read the key: the disk is gone");
    }

    #[test]
    fn a_panic_is_an_error_in_the_log_and_does_not_quote_what_may_be_a_secret() {
        log_panics();
        let line = written("info", LogFormat::Text, || {
            assert!(std::panic::catch_unwind(|| std::panic::panic_any("eyJ")).is_err());
        });
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("ERROR") && line.contains("telemetry.rs") && !line.contains("eyJ"), "{line}");
    }
}
