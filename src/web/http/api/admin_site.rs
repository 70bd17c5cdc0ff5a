//! `/admin/nodes` and `/admin/audit`: the download services, and the log of who did what.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::audit::{self, AuditLine};
use crate::web::deliveries::overview::{ListedNode, NodeState};
use crate::web::http::api::admin_accounts::offset;
use crate::web::http::api::list::{List, PageQuery, cursor};
use crate::web::http::api::parameters::Parameters;
use crate::web::http::api::respond::json;
use crate::web::http::api::time::Time;
use crate::web::http::error::WebError;
use crate::web::http::program::{AdminScope, Program};
use crate::web::http::respond::AppData;

/// Cursors of the audit log.
const AUDIT: &str = "admin-audit";

/// A download service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeView {
    /// Its name.
    #[schema(example = "eu")]
    name: String,
    /// The address for clients.
    #[schema(example = "https://eu.example.org")]
    public_url: String,
    /// The address at which the web app reaches it; `null` if it isn't in the settings.
    #[schema(example = "http://10.0.0.7:8081")]
    inner_url: Option<String>,
    /// Its share of the tokens; `null` if it isn't in the settings.
    #[schema(example = 1)]
    weight: Option<u32>,
    /// `active`, `no-key`, `removed` or `not-in-settings`.
    #[schema(example = "active")]
    state: &'static str,
    /// Whether it gets tokens now.
    ready: bool,
    /// Why it gets none, as far as it says; `null` if it is ready.
    #[schema(example = "cannot be reached")]
    trouble: Option<&'static str>,
    /// When its key was created.
    key_made_at: Option<Time>,
    /// When it last reported.
    last_report_at: Option<Time>,
    /// How many revocations wait to be delivered to it.
    waiting: u64,
}

/// List the download services
#[utoipa::path(get, path = "/admin/nodes", tag = "admin", operation_id = "listNodes",
    responses((status = 200, body = List<NodeView>)), security(("key" = ["admin"])))]
pub(crate) async fn nodes(app: AppData, _: Program<AdminScope>) -> Result<HttpResponse, WebError> {
    let (services, now) = (&app.services, app.services.clock.now());
    let waiting = services.issued.revocations.waiting().await?;
    let listed = app.deliveries.overview(&services.nodes, &waiting).await?;
    let verdicts = app.nodes.verdicts(&services.nodes, &services.issuer, now).await?;
    let view = |node: ListedNode| {
        let trouble = verdicts.get(&node.name).copied().flatten();
        let reports = node.processes.iter().filter(|one| one.removed_at.is_none()).map(|one| one.seen_at);
        NodeView {
            last_report_at: reports.max().map(Time),
            ready: node.state == NodeState::Active && trouble.is_none(),
            state: node.state.as_str(),
            name: node.name,
            public_url: node.public_url,
            inner_url: node.inner_url,
            weight: node.weight,
            trouble,
            key_made_at: node.key_made_at.map(Time),
            waiting: node.waiting.unsigned_abs(),
        }
    };
    json(&List { items: listed.into_iter().map(view).collect(), next: None })
}

/// A line of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// Its number; the first line is 1.
    #[schema(example = 1234)]
    number: i64,
    /// When it happened.
    at: Time,
    /// The id of the account that did it, or a word for someone without one.
    #[schema(example = "operator")]
    actor: String,
    /// The actor's email address at that time; may be empty.
    #[schema(example = "ada@example.org")]
    who: String,
    /// What was done.
    #[schema(example = "link-made")]
    action: String,
    /// What it was done to.
    subject: String,
    /// The client's address; may be empty.
    #[schema(example = "192.0.2.7")]
    address: String,
}

impl From<AuditLine> for AuditView {
    fn from(line: AuditLine) -> AuditView {
        AuditView {
            number: line.number,
            at: line.at.into(),
            actor: line.actor,
            who: line.who,
            action: line.action,
            subject: line.subject,
            address: line.address,
        }
    }
}

/// List the audit log
///
/// The newest lines first.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", operation_id = "listAudit",
    params(
        ("q" = Option<String>, Query, description = "Only lines that contain this"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; 100 if missing", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<AuditView>)), security(("key" = ["admin"])))]
pub(crate) async fn audit_log(
    app: AppData,
    _: Program<AdminScope>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let parameters = Parameters::of(&request, &["q", "cursor", "limit"])?;
    let page = PageQuery::of(&parameters, AUDIT)?;
    let offset = offset(&page)?;
    let words = parameters.text("q").unwrap_or_default();
    let (lines, more) = audit::list(&app.services.db, words, offset, page.limit).await?;
    let next = more.then(|| cursor(AUDIT, &offset.saturating_add(page.limit).to_string()));
    json(&List { items: lines.into_iter().map(AuditView::from).collect(), next })
}
