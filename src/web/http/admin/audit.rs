//! `/admin/audit`: who did what, when and from where.

use actix_web::HttpResponse;
use actix_web::web::Query;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::web::audit::chain::{self, ChainVerdict};
use crate::web::audit::{self, AuditLine};
use crate::web::deliveries::log::DeliveryLogLine as Step;
use crate::web::http::admin::administrator::Administrator;
use crate::web::http::admin::audit_page::{AuditPage, AuditRow, LogCheck};
use crate::web::http::admin::pager::{ListQuery, PAGE_SIZE, Pager};
use crate::web::http::error::WebError;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html};
use crate::web::identity::device;

/// `GET /admin/audit`; `check` verifies the whole log and that of deliveries.
pub(crate) async fn list(
    app: AppData,
    administrator: Administrator,
    view: Option<Query<ListQuery>>,
) -> Result<HttpResponse, WebError> {
    let view = view.map(Query::into_inner).unwrap_or_default();
    let (db, key) = (&app.services.db, Some(&app.services.links.key));
    let checks = match view.check.is_empty() {
        true => Vec::new(),
        false => vec![
            words_of("Audit log", &chain::verify::<AuditLine>(db, key).await?),
            words_of("Deliveries", &chain::verify::<Step>(db, key).await?),
        ],
    };
    let (lines, more) = audit::list(db, view.q.trim(), view.offset(), PAGE_SIZE).await?;
    let address = format!("/admin/audit?q={}", utf8_percent_encode(&view.q, NON_ALPHANUMERIC));
    html(&AuditPage {
        chrome: administrator.who.chrome("Audit log", Section::Admin),
        rows: lines.into_iter().map(row).collect(),
        pager: Pager::new(&address, view.page, more),
        checks,
        query: view.q,
    })
}

fn words_of(log: &str, verdict: &ChainVerdict) -> LogCheck {
    let (whole, words) = match verdict {
        ChainVerdict::Whole { lines: 0, .. } => (true, "nothing is recorded yet.".to_owned()),
        ChainVerdict::Whole { lines, digest } => {
            let lines = crate::human::counted(u64::try_from(*lines).unwrap_or(0), "line");
            (true, format!("intact, {lines}. Keep this digest to prove it later: {digest}"))
        }
        ChainVerdict::Altered(number) => (false, format!("line {number} was altered, or inserted by hand.")),
        ChainVerdict::Missing(number) => (false, format!("line {number} is missing.")),
    };
    LogCheck { whole, words: format!("{log}: {words}") }
}

fn row(line: AuditLine) -> AuditRow {
    let subject = match line.action.as_str() {
        "logged-in" => device::describe(&line.subject),
        _ if line.subject == line.who => String::new(),
        _ => line.subject,
    };
    AuditRow {
        number: line.number,
        at: line.at,
        who: if line.who.is_empty() { line.actor } else { line.who },
        action: line.action.replace('-', " "),
        subject,
        address: line.address,
    }
}
