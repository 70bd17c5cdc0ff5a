//! `/links`: the account's links.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use crate::id::LinkId;
use crate::web::http::api::body::ProgramBody;
use crate::web::http::api::link_body::{LinkChangeBody, NewLinkBody, refusal};
use crate::web::http::api::link_view::{LinkView, link_tag};
use crate::web::http::api::list::{List, PageQuery, cursor};
use crate::web::http::api::parameters::Parameters;
use crate::web::http::api::respond::{created, json, versioned};
use crate::web::http::api::version::{Precondition, if_match};
use crate::web::http::api_error::ApiError;
use crate::web::http::error::WebError;
use crate::web::http::link_making::{LinkMaking, LinkOrder, TermsChange, change_link, make_link};
use crate::web::http::program::{LinksScope, Program};
use crate::web::http::respond::AppData;
use crate::web::links::Link;
use crate::web::links::change::{EditBase, EditOutcome};
use crate::web::links::summaries::LinkSummary;
use crate::web::links::terms::LinkForm;

/// Cursors of the list.
const LIST: &str = "links";

/// A link that was revoked can't be changed.
pub(crate) const REVOKED: ApiError =
    ApiError::Conflict { slug: "link-revoked", detail: "This link was revoked, which is final." };

/// List the links
///
/// The account's links, the newest first. A key that is limited to shares sees only links whose files are all there.
#[utoipa::path(get, path = "/links", tag = "links", operation_id = "listLinks",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; 100 if missing", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<LinkView>)), security(("key" = ["links"])))]
pub(crate) async fn list(
    app: AppData,
    program: Program<LinksScope>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let page = PageQuery::of(&Parameters::of(&request, &["cursor", "limit"])?, LIST)?;
    let links = &app.services.links;
    let (found, next) = links.page(&program.account().id, &page.position()?, page.limit).await?;
    let now = app.services.clock.now();
    let seen = found.iter().filter(|summary| program.covers(&summary.listed.link.files));
    let items: Vec<LinkView> = seen.map(|summary| LinkView::of(summary, &app, now)).collect();
    json(&List { items, next: next.map(|next| cursor(LIST, &next.to_string())) })
}

/// Make a link
#[utoipa::path(post, path = "/links", tag = "links", operation_id = "makeLink", request_body = NewLinkBody,
    responses((status = 201, body = LinkView)), security(("key" = ["links"])))]
pub(crate) async fn make(
    app: AppData,
    body: ProgramBody<LinksScope, NewLinkBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, key } = body;
    let now = app.services.clock.now();
    let once = app.request_keys.begin(key, now).await?;
    if let Some(before) = once.before() {
        let id = before.rsplit('/').next().unwrap_or_default();
        return answer(&app, &program, id, true).await;
    }
    let files = fields.paths()?;
    if !program.covers(&files) {
        return Err(WebError::NotFound);
    }
    let mail = fields.mail;
    let typed = fields.form(&app.services.links.limits.current(), now)?;
    let owner = program.account();
    let order = LinkOrder { owner, files: &files, typed: &typed, mail, record: once.record() };
    match make_link(&app, &order, &program.actor(), now).await? {
        LinkMaking::Made(id) => answer(&app, &program, id.as_str(), true).await,
        LinkMaking::Invalid(errors) => Err(refusal(*errors).into()),
        // Another process is faster; its answer can be had in a moment.
        LinkMaking::Before => Err(ApiError::IdempotencyKeyRunning.into()),
        LinkMaking::NotAllowed => Err(ApiError::KeyInvalid.into()),
    }
}

/// Read a link
#[utoipa::path(get, path = "/links/{id}", tag = "links", operation_id = "readLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = LinkView)), security(("key" = ["links"])))]
pub(crate) async fn read(
    app: AppData,
    program: Program<LinksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    answer(&app, &program, &id, false).await
}

/// Change the terms of a link
///
/// What is missing stays as it is. If the terms become stricter, downloads that were begun under the old ones are
/// stopped.
#[utoipa::path(patch, path = "/links/{id}", tag = "links", operation_id = "changeLink", request_body = LinkChangeBody,
    params(
        ("id" = String, Path, description = "The link's id"),
        ("If-Match" = String, Header, description = "The `ETag` of the link as you read it, or `*`"),
    ),
    responses((status = 200, body = LinkView)), security(("key" = ["links"])))]
pub(crate) async fn change(
    app: AppData,
    request: HttpRequest,
    id: Path<String>,
    body: ProgramBody<LinksScope, LinkChangeBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, .. } = body;
    let link = find(&app, &program, &id).await?.listed.link;
    let base = match if_match(&request, &link_tag(&link))? {
        Precondition::Any => EditBase::Any,
        Precondition::Present => EditBase::Seen,
    };
    let (typed, remove) = fields.form(LinkForm::of(&link), app.services.clock.now())?;
    let actor = program.actor();
    match change_link(&app, (program.account(), &actor), (&link, base), &typed, remove).await? {
        TermsChange::Done(EditOutcome::Changed) => answer(&app, &program, &id, false).await,
        TermsChange::Done(EditOutcome::Revoked) => Err(REVOKED.into()),
        TermsChange::Done(EditOutcome::Outdated) => Err(ApiError::VersionChanged.into()),
        TermsChange::Invalid(errors) => Err(refusal(*errors).into()),
    }
}

/// Pause a link
///
/// Nobody can download until it is resumed, and downloads that run are stopped.
#[utoipa::path(post, path = "/links/{id}/pause", tag = "links", operation_id = "pauseLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = LinkView)), security(("key" = ["links"])))]
pub(crate) async fn pause(
    app: AppData,
    program: Program<LinksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, program, id, true).await
}

/// Resume a link
#[utoipa::path(post, path = "/links/{id}/resume", tag = "links", operation_id = "resumeLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = LinkView)), security(("key" = ["links"])))]
pub(crate) async fn resume(
    app: AppData,
    program: Program<LinksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, program, id, false).await
}

async fn set_paused(
    app: AppData,
    program: Program<LinksScope>,
    id: Path<String>,
    paused: bool,
) -> Result<HttpResponse, WebError> {
    let link = find(&app, &program, &id).await?.listed.link;
    let (services, now) = (&app.services, app.services.clock.now());
    app.throttle.link(&program.account().id, now)?;
    if !services.links.set_paused(&link, paused, &program.actor(), now).await? {
        return Err(REVOKED.into());
    }
    services.revoke_now().await;
    answer(&app, &program, &id, false).await
}

/// Revoke a link
///
/// It stops working for good, and downloads that run are stopped. Revoking it again changes nothing.
#[utoipa::path(post, path = "/links/{id}/revoke", tag = "links", operation_id = "revokeLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = LinkView)), security(("key" = ["links"])))]
pub(crate) async fn revoke(
    app: AppData,
    program: Program<LinksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let link = find(&app, &program, &id).await?.listed.link;
    let services = &app.services;
    services.links.revoke(&link, &program.actor(), services.clock.now()).await?;
    services.revoke_now().await;
    tracing::info!(account = %program.account().id, link = %link.id, "link revoked");
    answer(&app, &program, &id, false).await
}

/// Returns a link of the account that the key covers.
pub(crate) async fn find(
    app: &AppData,
    program: &Program<LinksScope>,
    id: &str,
) -> Result<LinkSummary, WebError> {
    let found = app.services.links.summary(&program.account().id, &LinkId::from_store(id)).await?;
    found.filter(|summary| program.covers(&summary.listed.link.files)).ok_or(WebError::NotFound)
}

/// Returns the same without the counts.
pub(crate) async fn find_link(
    app: &AppData,
    program: &Program<LinksScope>,
    id: &str,
) -> Result<Link, WebError> {
    let found = app.services.links.of_owner(&program.account().id, &LinkId::from_store(id)).await?;
    found.filter(|link| program.covers(&link.files)).ok_or(WebError::NotFound)
}

/// Responds with a link as it is now.
async fn answer(
    app: &AppData,
    program: &Program<LinksScope>,
    id: &str,
    is_new: bool,
) -> Result<HttpResponse, WebError> {
    let summary = find(app, program, id).await?;
    let tag = link_tag(&summary.listed.link);
    let view = LinkView::of(&summary, app, app.services.clock.now());
    match is_new {
        true => created(&view, &format!("/links/{}", summary.listed.link.id), Some(&tag)),
        false => versioned(&view, &tag),
    }
}
