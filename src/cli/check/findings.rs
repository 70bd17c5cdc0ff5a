//! What `oncelink check` found.

use std::fmt::Write;

use serde::Serialize;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
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

/// One finding.
#[derive(Serialize)]
struct Finding {
    level: Level,
    /// The setting, or what else was looked at.
    subject: String,
    /// What was found.
    text: String,
    /// What to do; `None` if nothing, or if the text says it.
    remedy: Option<String>,
}

impl Finding {
    fn line(&self) -> String {
        let remedy = self.remedy.as_deref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("{}: {}{remedy}", self.subject, self.text)
    }
}

/// The findings, each with its level.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, subject: &str, text: &str) {
        self.add(Level::Ok, subject, text.to_owned(), None);
    }

    pub(super) fn warning(&mut self, subject: &str, text: &str, remedy: &str) {
        self.add(Level::Warning, subject, text.to_owned(), Some(remedy));
    }

    pub(super) fn problem(&mut self, subject: &str, text: &str, remedy: &str) {
        self.add(Level::Problem, subject, text.to_owned(), Some(remedy));
    }

    /// Adds a problem whose error message says how to fix it.
    pub(super) fn error(&mut self, subject: &str, error: &dyn std::error::Error) {
        self.add(Level::Problem, subject, crate::telemetry::chain(error), None);
    }

    fn add(&mut self, level: Level, subject: &str, text: String, remedy: Option<&str>) {
        let (subject, remedy) = (subject.to_owned(), remedy.map(str::to_owned));
        self.0.push(Finding { level, subject, text, remedy });
    }

    pub(super) fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    /// Returns one line for each finding, with its level.
    pub(super) fn to_text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, finding| {
            let _ = writeln!(text, "{:8} {}", finding.level.word(), finding.line());
            text
        })
    }

    /// Returns the lines of warnings and problems.
    pub(super) fn into_remarks(self) -> Vec<String> {
        let remarks = self.0.into_iter().filter(|finding| finding.level != Level::Ok);
        remarks.map(|finding| finding.line()).collect()
    }
}
