//! Hears the SQL statements that run within a span, so that tests can look at their plans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The beginning of the names of spans in which statements are heard.
const SPANS: &str = "statements of ";

/// The statements that ran, by the name of their span.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<BTreeMap<&'static str, BTreeSet<String>>>>);

impl Statements {
    /// The statements that were heard in spans of this name, which begins with `statements of `.
    pub fn within(&self, span: &str) -> BTreeSet<String> {
        self.0.lock().unwrap().get(span).cloned().unwrap_or_default()
    }
}

struct StatementText(String);

impl Visit for StatementText {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.statement" && !value.is_empty()
            || field.name() == "summary" && self.0.is_empty()
        {
            value.trim().clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Statements {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.name().starts_with(SPANS)
            || (metadata.target() == "sqlx::query" && *metadata.level() <= Level::DEBUG)
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut spans = context.event_scope(event).into_iter().flatten().map(|span| span.name());
        if let Some(span) = spans.find(|name| name.starts_with(SPANS)) {
            let mut text = StatementText(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().entry(span).or_default().insert(text.0);
        }
    }
}

/// SQLite runs statements on threads of its own, so they are heard process-wide.
pub fn statements() -> &'static Statements {
    static HEARING: OnceLock<Statements> = OnceLock::new();
    HEARING.get_or_init(|| {
        let statements = Statements::default();
        let subscriber = tracing_subscriber::registry().with(statements.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        statements
    })
}
