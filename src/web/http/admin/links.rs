//! `/admin/links`: the links of everybody, and what an administrator may do about one.

use actix_web::web::{Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::db::position::Position;
use crate::web::http::admin::administrator::{AdminForm, Administrator};
use crate::web::http::admin::links_page::{AdminLinkPage, AdminLinkRow, AdminLinksPage};
use crate::web::http::admin::pager::PAGE_SIZE;
use crate::web::http::error::WebError;
use crate::web::http::extract::EmptyForm;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::link_state::LinkState;
use crate::web::http::respond::{AppData, html, html_with_flash, redirect_with_flash, see_other};
use crate::web::links::Link;
use crate::web::links::everybody::OwnedLink;

/// The query of a list that is read newest first.
#[derive(Default, Deserialize)]
pub(crate) struct PlaceQuery {
    /// What to search for.
    #[serde(default)]
    pub(crate) q: String,
    /// Where the page begins.
    #[serde(default)]
    after: String,
}

impl PlaceQuery {
    /// Returns where the page begins: at the newest entry, unless the query says otherwise.
    pub(crate) fn position(&self) -> Position {
        self.after.parse().unwrap_or_else(|_| Position::start())
    }

    /// Returns the addresses of the newest and of the next page of the list at `address`.
    pub(crate) fn neighbors(
        &self,
        address: &str,
        next: Option<&Position>,
    ) -> (Option<String>, Option<String>) {
        let list = format!("{address}?q={}", utf8_percent_encode(&self.q, NON_ALPHANUMERIC));
        let older = next.map(|next| format!("{list}&after={next}"));
        ((!self.after.is_empty()).then_some(list), older)
    }
}

/// `GET /admin/links`
pub(crate) async fn list(
    app: AppData,
    administrator: Administrator,
    view: Option<Query<PlaceQuery>>,
) -> Result<HttpResponse, WebError> {
    let view = view.map(Query::into_inner).unwrap_or_default();
    let links = &app.services.links;
    let (found, next) = links.of_everybody(&view.q, &view.position(), PAGE_SIZE).await?;
    let now = app.services.clock.now();
    let row = |owned: &OwnedLink| AdminLinkRow::new(owned, LinkState::of(&owned.listed, now));
    html(&AdminLinksPage {
        chrome: administrator.who.chrome("Links", Section::Admin),
        rows: found.iter().map(row).collect(),
        neighbors: view.neighbors("/admin/links", next.as_ref()),
        query: view.q,
    })
}

/// `GET /admin/links/{id}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    administrator: Administrator,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let owned = find(&app, &id).await?;
    let link = &owned.listed.link;
    let state = LinkState::of(&owned.listed, app.services.clock.now());
    let files = app.services.links.files_of(&[&link.id]).await?;
    let mut page = AdminLinkPage {
        chrome: administrator.who.chrome(link.title.clone(), Section::Admin),
        row: AdminLinkRow::new(&owned, state),
        account: link.owner.to_string(),
        files: files.into_iter().map(|(_, path)| path.as_str().to_owned()).collect(),
        created_at: link.created_at,
        paused: link.paused,
        revoked_at: link.revoked_at,
    };
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn find(app: &AppData, id: &str) -> Result<OwnedLink, WebError> {
    app.services.links.of_anybody(id).await?.ok_or(WebError::NotFound)
}

/// What an administrator does to a link.
enum LinkAction {
    Pause,
    Resume,
    Revoke,
}

/// `POST /admin/links/{id}/pause`
pub(crate) async fn pause(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    act(&app, &id, &form, LinkAction::Pause).await
}

/// `POST /admin/links/{id}/resume`
pub(crate) async fn resume(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    act(&app, &id, &form, LinkAction::Resume).await
}

/// `POST /admin/links/{id}/revoke`: stops sharing for good.
pub(crate) async fn revoke(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    act(&app, &id, &form, LinkAction::Revoke).await
}

async fn act(
    app: &AppData,
    id: &str,
    form: &AdminForm<EmptyForm>,
    action: LinkAction,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let link = find(app, id).await?.listed.link;
    let (changed, message) = perform(app, &link, &form.actor, &action).await?;
    let address = format!("/admin/links/{}", link.id);
    tracing::info!(account = %form.account().id, link = %link.id, changed, "an administrator changed a link");
    match changed {
        true => redirect_with_flash(app, &address, message),
        // It was stopped before, and its page says so.
        false => Ok(see_other(&address)),
    }
}

async fn perform(
    app: &AppData,
    link: &Link,
    actor: &Actor,
    action: &LinkAction,
) -> Result<(bool, FlashMessage), WebError> {
    let (services, now) = (&app.services, app.services.clock.now());
    let (changed, message) = match action {
        LinkAction::Resume => {
            let changed = services.links.set_paused(link, false, actor, now).await?;
            return Ok((changed, FlashMessage::LinkResumed));
        }
        LinkAction::Pause => {
            (services.links.set_paused(link, true, actor, now).await?, FlashMessage::LinkPaused)
        }
        LinkAction::Revoke => (services.links.revoke(link, actor, now).await?, FlashMessage::LinkRevoked),
    };
    let heard = services.revoke_now().await;
    Ok((changed, if heard { message } else { FlashMessage::LinkClosedUndelivered }))
}
