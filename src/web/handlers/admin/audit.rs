//! `/admin/audit`: who did what when, from where.

use actix_web::HttpResponse;
use actix_web::web::Query;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::{App, html};
use super::{Administrator, PAGE, View, pager};
use crate::web::audit::{self, Line};
use crate::web::chain::{self, Verdict};
use crate::web::device;
use crate::web::error::WebError;
use crate::web::pages::Section;
use crate::web::pages::admin::audit::{AuditLog, AuditRow, Check};

/// `GET /admin/audit`; `check` looks through the whole log.
pub(super) async fn list(
    app: App,
    administrator: Administrator,
    view: Option<Query<View>>,
) -> Result<HttpResponse, WebError> {
    let view = view.map(Query::into_inner).unwrap_or_default();
    let db = &app.administration.db;
    let check = match view.check.is_empty() {
        true => None,
        false => Some(words_of(&chain::verify::<Line>(db).await?)),
    };
    let (lines, more) = audit::list(db, view.q.trim(), view.offset(), PAGE).await?;
    let address = format!("/admin/audit?q={}", utf8_percent_encode(&view.q, NON_ALPHANUMERIC));
    html(&AuditLog {
        chrome: administrator.who.chrome("Audit log", Section::Admin),
        rows: lines.into_iter().map(row).collect(),
        pager: pager(&address, view.page, more),
        check,
        query: view.q,
    })
}

fn words_of(verdict: &Verdict) -> Check {
    match verdict {
        Verdict::Whole { lines, digest } => Check {
            whole: true,
            words: format!("All {lines} lines are there, as they were written ({digest})."),
        },
        Verdict::Altered(number) => {
            Check { whole: false, words: format!("Line {number} was altered, or put there by hand.") }
        }
        Verdict::Missing(number) => Check { whole: false, words: format!("Line {number} is missing.") },
    }
}

fn row(line: Line) -> AuditRow {
    let subject = match line.action.as_str() {
        "logged-in" => device::describe(&line.subject),
        _ if line.subject == line.who => String::new(),
        _ => line.subject,
    };
    AuditRow {
        number: line.number,
        at: line.at,
        who: if line.who.is_empty() { line.actor } else { line.who },
        deed: line.action.replace('-', " "),
        subject,
        address: line.address,
    }
}
