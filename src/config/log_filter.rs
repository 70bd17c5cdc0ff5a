//! The log filter of `log.level`: a level for everything, and levels for single modules.

use tracing_subscriber::filter::Targets;

use crate::config::LogSettings;

impl LogSettings {
    /// The levels, from the least verbose.
    pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// Returns the filter, or `None` if `level` is neither a level nor a filter.
    pub fn filter(&self) -> Option<Targets> {
        self.level.split(',').map(directive).collect::<Option<Vec<_>>>()?.join(",").parse().ok()
    }
}

/// Returns one part of a filter without spaces. The library parses a misspelled level as the name of a module,
/// and the name of a span as part of that name; no module of ours opens a span.
fn directive(part: &str) -> Option<String> {
    let (module, level) = part.rsplit_once('=').map_or((None, part), |(module, level)| (Some(module), level));
    let level = level.trim().to_ascii_lowercase();
    let names_span = |module: &str| module.contains('[') && !module.contains("[{");
    if !LogSettings::LEVELS.contains(&level.as_str()) || module.is_some_and(names_span) {
        return None;
    }
    Some(module.map_or(level.clone(), |module| format!("{}={level}", module.trim())))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;
    use crate::config::LogFormat;

    fn filter(level: &str) -> Option<Targets> {
        LogSettings { level: level.to_owned(), format: LogFormat::Text }.filter()
    }

    #[test]
    fn levels_and_modules_are_read_in_any_spelling() {
        let expected = Targets::new().with_default(LevelFilter::INFO);
        assert_eq!(filter("INFO"), Some(expected.clone()));
        let expected = expected.with_target("oncelink::download", LevelFilter::DEBUG);
        assert_eq!(filter("info,oncelink::download=debug"), Some(expected.clone()));
        assert_eq!(filter(" info , oncelink::download = Debug "), Some(expected));
        assert!(filter("oncelink[{jti}]=info").is_some());
    }

    #[test]
    fn what_is_neither_is_refused() {
        for level in
            ["", "loud", "info,", "info,oncelink", "oncelink=loud", "a=b=info", "oncelink[page]=info", "3"]
        {
            assert_eq!(filter(level), None, "{level}");
        }
    }
}
