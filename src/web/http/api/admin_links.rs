//! `/admin/links` and `/admin/deliveries`: the links of everybody, and the downloads through them.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::deliveries::everybody;
use crate::web::http::api::deliveries::DeliveryView;
use crate::web::http::api::link_view::word;
use crate::web::http::api::links::REVOKED;
use crate::web::http::api::list::{List, PageQuery, cursor};
use crate::web::http::api::parameters::Parameters;
use crate::web::http::api::respond::json;
use crate::web::http::api::time::Time;
use crate::web::http::error::WebError;
use crate::web::http::link_state::LinkState;
use crate::web::http::program::{AdminScope, Program};
use crate::web::http::respond::AppData;
use crate::web::http::state::AppState;
use crate::web::links::everybody::OwnedLink;

/// Cursors of the list of links …
const LINKS: &str = "admin-links";
/// … and of deliveries.
const DELIVERIES: &str = "admin-deliveries";

/// A link as administrators see it: without its address.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminLinkView {
    /// Its id.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    id: String,
    /// The email address of its owner.
    #[schema(example = "ada@example.org")]
    owner: String,
    /// The title.
    #[schema(example = "The report")]
    title: String,
    /// As of a link of one's own.
    #[schema(example = "open")]
    state: &'static str,
    /// The path of its first file or folder.
    #[schema(example = "/books/report.pdf")]
    file: Option<String>,
    /// How many files and folders it has.
    #[schema(example = 1)]
    files: u32,
    /// How many recipients it has.
    #[schema(example = 1)]
    recipients: u32,
    /// How many times each recipient may download; `null` for no limit.
    #[schema(example = 1)]
    uses: Option<u32>,
    /// How many times all recipients together have downloaded, or are downloading.
    used: u32,
    /// When it ends; `null` for never.
    ends_at: Option<Time>,
    /// When it was made.
    created_at: Time,
    /// When it was revoked.
    revoked_at: Option<Time>,
}

impl AdminLinkView {
    fn of(owned: &OwnedLink, app: &AppState) -> AdminLinkView {
        let (listed, link) = (&owned.listed, &owned.listed.link);
        AdminLinkView {
            id: link.id.to_string(),
            owner: owned.owner.clone(),
            title: link.title.clone(),
            state: word(LinkState::of(listed, app.services.clock.now())),
            file: owned.path.as_ref().map(|path| path.as_str().to_owned()),
            files: listed.files,
            recipients: listed.recipients,
            uses: link.uses_per_recipient,
            used: listed.taken,
            ends_at: link.ends_at.map(Time),
            created_at: link.created_at.into(),
            revoked_at: link.revoked_at.map(Time),
        }
    }
}

/// List the links of everybody
///
/// The newest first.
#[utoipa::path(get, path = "/admin/links", tag = "admin", operation_id = "listAllLinks",
    params(
        ("q" = Option<String>, Query, description = "Only links with this in the title, a path or the owner's address"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; 100 if missing", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<AdminLinkView>)), security(("key" = ["admin"])))]
pub(crate) async fn list(
    app: AppData,
    _: Program<AdminScope>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let parameters = Parameters::of(&request, &["q", "cursor", "limit"])?;
    let page = PageQuery::of(&parameters, LINKS)?;
    let words = parameters.text("q").unwrap_or_default();
    let (found, next) = app.services.links.of_everybody(words, &page.position()?, page.limit).await?;
    let items = found.iter().map(|owned| AdminLinkView::of(owned, &app)).collect();
    json(&List { items, next: next.map(|next| cursor(LINKS, &next.to_string())) })
}

/// Read anybody's link
#[utoipa::path(get, path = "/admin/links/{id}", tag = "admin", operation_id = "readAnyLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = AdminLinkView)), security(("key" = ["admin"])))]
pub(crate) async fn read(
    app: AppData,
    _: Program<AdminScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    json(&AdminLinkView::of(&find(&app, &id).await?, &app))
}

async fn find(app: &AppData, id: &str) -> Result<OwnedLink, WebError> {
    app.services.links.of_anybody(id).await?.ok_or(WebError::NotFound)
}

/// Pause anybody's link
#[utoipa::path(post, path = "/admin/links/{id}/pause", tag = "admin", operation_id = "pauseAnyLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = AdminLinkView)), security(("key" = ["admin"])))]
pub(crate) async fn pause(
    app: AppData,
    program: Program<AdminScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, program, id, true).await
}

/// Resume anybody's link
#[utoipa::path(post, path = "/admin/links/{id}/resume", tag = "admin", operation_id = "resumeAnyLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = AdminLinkView)), security(("key" = ["admin"])))]
pub(crate) async fn resume(
    app: AppData,
    program: Program<AdminScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, program, id, false).await
}

async fn set_paused(
    app: AppData,
    program: Program<AdminScope>,
    id: Path<String>,
    paused: bool,
) -> Result<HttpResponse, WebError> {
    let link = find(&app, &id).await?.listed.link;
    let services = &app.services;
    if !services.links.set_paused(&link, paused, &program.actor(), services.clock.now()).await? {
        return Err(REVOKED.into());
    }
    services.revoke_now().await;
    json(&AdminLinkView::of(&find(&app, &id).await?, &app))
}

/// Revoke anybody's link
///
/// It stops working for good.
#[utoipa::path(post, path = "/admin/links/{id}/revoke", tag = "admin", operation_id = "revokeAnyLink",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = AdminLinkView)), security(("key" = ["admin"])))]
pub(crate) async fn revoke(
    app: AppData,
    program: Program<AdminScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let link = find(&app, &id).await?.listed.link;
    let services = &app.services;
    services.links.revoke(&link, &program.actor(), services.clock.now()).await?;
    services.revoke_now().await;
    tracing::info!(account = %program.account().id, link = %link.id, "an administrator revoked a link");
    json(&AdminLinkView::of(&find(&app, &id).await?, &app))
}

/// A delivery with its link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminDeliveryView {
    /// The id of the link.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    link: String,
    /// The title of the link; `null` if it no longer exists.
    #[schema(example = "The report")]
    title: Option<String>,
    /// The email address of the link's owner; `null` if it no longer exists.
    #[schema(example = "ada@example.org")]
    owner: Option<String>,
    /// The download service that reported it.
    #[schema(example = "https://dl.example.org")]
    node: String,
    /// The delivery.
    delivery: DeliveryView,
}

/// List the deliveries of everybody
///
/// The newest first.
#[utoipa::path(get, path = "/admin/deliveries", tag = "admin", operation_id = "listAllDeliveries",
    params(
        ("of" = Option<String>, Query, description = "Only those of the link with this id, or of the token with this jti"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; 100 if missing", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<AdminDeliveryView>)), security(("key" = ["admin"])))]
pub(crate) async fn deliveries(
    app: AppData,
    _: Program<AdminScope>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let parameters = Parameters::of(&request, &["of", "cursor", "limit"])?;
    let page = PageQuery::of(&parameters, DELIVERIES)?;
    let of = parameters.text("of").unwrap_or_default();
    let (found, next) = everybody::list(&app.services.db, of, &page.position()?, page.limit).await?;
    let items = found.into_iter().map(|owned| AdminDeliveryView {
        link: owned.link,
        title: owned.title,
        owner: owned.owner,
        node: owned.node,
        delivery: owned.delivery.into(),
    });
    json(&List { items: items.collect(), next: next.map(|next| cursor(DELIVERIES, &next.to_string())) })
}
