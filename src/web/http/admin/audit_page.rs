//! The page of the audit log.

use askama::Template;

use crate::clock::Timestamp;
use crate::web::http::admin::pager::Pager;
use crate::web::http::layout::{Chrome, Section};

/// A line of the log.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// Its number.
    pub number: i64,
    /// When it was.
    pub at: Timestamp,
    /// Who did it.
    pub who: String,
    /// What was done, in words.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// From where.
    pub address: String,
}

/// The result of verifying a log.
#[derive(Clone, Debug)]
pub struct LogCheck {
    /// Whether it is intact.
    pub whole: bool,
    /// The result in words.
    pub words: String,
}

/// `GET /admin/audit`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/audit.html")]
pub struct AuditPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The search.
    pub query: String,
    /// The lines, the newest first.
    pub rows: Vec<AuditRow>,
    /// The links to the other pages.
    pub pager: Pager,
    /// The results for each log, if verifying was asked for.
    pub checks: Vec<LogCheck>,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let row = AuditRow {
        number: 7,
        at: Timestamp::from_secs(1_790_000_000),
        who: "lin@example.org<script>".to_owned(),
        action: "logged in".to_owned(),
        subject: "Firefox <b>".to_owned(),
        address: "2001:db8::1".to_owned(),
    };
    let page = AuditPage {
        chrome: Chrome::sample("Audit log", Section::Admin),
        query: "li\"n".to_owned(),
        rows: vec![row],
        pager: Pager { newer: Some("/admin/audit".to_owned()), older: None },
        checks: vec![LogCheck { whole: true, words: "Every line is there.".to_owned() }],
    };
    let broken = LogCheck { whole: false, words: "Line 3 is missing.".to_owned() };
    let bad = AuditPage { rows: Vec::new(), checks: vec![broken], ..page.clone() };
    Ok(vec![("admin-audit", page.render()?), ("admin-audit-broken", bad.render()?)])
}
