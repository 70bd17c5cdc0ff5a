//! Where a person is logged in: `/account/sessions`.

use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::account::sessions_page::Sessions;
use crate::web::http::error::WebError;
use crate::web::http::extract::{ClientAddress, CsrfForm, SignedIn};
use crate::web::http::flash::Note;
use crate::web::http::layout::Section;
use crate::web::http::respond::{App, add_cookie, html, see_other, without_flash};
use crate::web::http::session_row::session_row;
use crate::web::sessions::Which;

/// `GET /account/sessions`
pub(crate) async fn page(app: App, request: HttpRequest, who: SignedIn) -> Result<HttpResponse, WebError> {
    let now = app.administration.clock.now();
    let own = URL_SAFE_NO_PAD.encode(who.session.digest.as_bytes());
    let listed = app.sessions.of(&who.account().id, now).await?;
    let rows = listed.into_iter().map(|listed| session_row(listed, Some(&own))).collect();
    let mut chrome = who.chrome("Where you are logged in", Section::Account);
    let note = app.cookies.note(request.headers());
    chrome.flash = note.map(Note::flash);
    let answer = html(&Sessions { chrome, rows, now })?;
    without_flash(&app, note, answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chosen {
    name: String,
}

/// `POST /account/sessions/end`: one of one's own.
pub(crate) async fn end(
    app: App,
    address: ClientAddress,
    form: CsrfForm<Chosen>,
) -> Result<HttpResponse, WebError> {
    match end_some(&app, address, &form.who, Which::Named(&form.fields.name)).await? {
        0 => Err(WebError::NotFound),
        _ => noted(&app),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /account/sessions/end-others`
pub(crate) async fn end_others(
    app: App,
    address: ClientAddress,
    form: CsrfForm<Nothing>,
) -> Result<HttpResponse, WebError> {
    let Nothing {} = form.fields;
    end_some(&app, address, &form.who, Which::AllBut(&form.who.session.digest)).await?;
    noted(&app)
}

async fn end_some(
    app: &App,
    address: ClientAddress,
    who: &SignedIn,
    which: Which<'_>,
) -> Result<u64, WebError> {
    let actor = Actor::account(who.account(), address.0);
    Ok(app.sessions.end_some(who.account(), which, &actor, app.administration.clock.now()).await?)
}

fn noted(app: &App) -> Result<HttpResponse, WebError> {
    let mut answer = see_other("/account/sessions");
    add_cookie(&mut answer, &app.cookies.set_note(Note::SessionsEnded))?;
    Ok(answer)
}
