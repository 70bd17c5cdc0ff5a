//! What `oncelink check` found.

use std::fmt::Write;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    Warning,
    Problem,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        }
    }
}

/// The findings, each with its level.
#[derive(Default)]
pub(super) struct Findings(Vec<(Level, String)>);

impl Findings {
    pub(super) fn ok(&mut self, subject: &str, text: &str) {
        self.0.push((Level::Ok, format!("{subject}: {text}")));
    }

    pub(super) fn warning(&mut self, subject: &str, text: &str, remedy: &str) {
        self.0.push((Level::Warning, format!("{subject}: {text}; {remedy}")));
    }

    pub(super) fn problem(&mut self, subject: &str, text: &str, remedy: &str) {
        self.0.push((Level::Problem, format!("{subject}: {text}; {remedy}")));
    }

    /// Adds a problem whose error message says how to fix it.
    pub(super) fn error(&mut self, subject: &str, error: &dyn std::error::Error) {
        self.0.push((Level::Problem, format!("{subject}: {}", crate::telemetry::chain(error))));
    }

    pub(super) fn worst(&self) -> Level {
        self.0.iter().map(|(level, _)| *level).max().unwrap_or(Level::Ok)
    }

    /// Returns one line for each finding, with its level.
    pub(super) fn to_text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (level, line)| {
            let _ = writeln!(text, "{:8} {line}", level.word());
            text
        })
    }

    /// Returns the lines of warnings and problems.
    pub(super) fn into_remarks(self) -> Vec<String> {
        let remarks = self.0.into_iter().filter(|(level, _)| *level != Level::Ok);
        remarks.map(|(_, line)| line).collect()
    }
}
