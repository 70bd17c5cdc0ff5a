//! Where a person is logged in: `/account/sessions`.

use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::account::sessions_page::SessionsPage;
use crate::web::http::client::ClientAddress;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html_with_flash, redirect_with_flash};
use crate::web::http::session_row::session_row;
use crate::web::sessions::SessionSelection;

const PAGE: &str = "/account/sessions";

/// `GET /account/sessions`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let now = app.services.clock.now();
    let own = URL_SAFE_NO_PAD.encode(who.session.digest.as_bytes());
    let listed = app.sessions.of(&who.account().id, now).await?;
    let rows = listed.into_iter().map(|listed| session_row(listed, Some(&own))).collect();
    let mut chrome = who.chrome("Where you are logged in", Section::Account);
    html_with_flash(&app, &request, |flash| {
        chrome.flash = flash;
        SessionsPage { chrome, rows, now }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionForm {
    name: String,
}

/// `POST /account/sessions/end`: ends one of the person's own sessions.
pub(crate) async fn end(
    app: AppData,
    address: ClientAddress,
    form: CsrfForm<SessionForm>,
) -> Result<HttpResponse, WebError> {
    match end_some(&app, address, &form.who, SessionSelection::Named(&form.fields.name)).await? {
        0 => Err(WebError::NotFound),
        _ => redirect_with_flash(&app, PAGE, FlashMessage::SessionsEnded),
    }
}

/// `POST /account/sessions/end-others`
pub(crate) async fn end_others(
    app: AppData,
    address: ClientAddress,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    end_some(&app, address, &form.who, SessionSelection::AllBut(&form.who.session.digest)).await?;
    redirect_with_flash(&app, PAGE, FlashMessage::SessionsEnded)
}

async fn end_some(
    app: &AppData,
    address: ClientAddress,
    who: &SignedIn,
    which: SessionSelection<'_>,
) -> Result<u64, WebError> {
    let actor = Actor::account(who.account(), address.0);
    Ok(app.sessions.end_selected(who.account(), which, &actor, app.services.clock.now()).await?)
}
