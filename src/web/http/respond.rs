//! What handlers answer with.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, Route, guard};
use askama::Template;

use crate::secret::Secret;
use crate::web::forms::sent::Before;
use crate::web::http::cookies::Cookies;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::flash::Note;
use crate::web::http::state::State;

/// What handlers work with.
pub(crate) type App = Data<State>;

/// GET, and HEAD, which gets the same headers.
pub(crate) fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

pub(crate) fn html(page: &impl Template) -> Result<HttpResponse, WebError> {
    rerender(StatusCode::OK, page)
}

/// A page that loads a script of ours.
pub(crate) fn html_with_script(app: &State, page: &impl Template) -> Result<HttpResponse, WebError> {
    let mut answer = html(page)?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, app.script_policy.clone());
    Ok(answer)
}

/// An answer whose page shows the note, if there was one, for the last time.
pub(crate) fn without_flash(
    app: &State,
    note: Option<Note>,
    mut answer: HttpResponse,
) -> Result<HttpResponse, WebError> {
    if note.is_some() {
        add_cookie(&mut answer, &app.cookies.clear_note())?;
    }
    Ok(answer)
}

pub(crate) fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("location", address)).finish()
}

/// The answer to a form that was sent before: what it made is there, and that is where it leads.
pub(crate) fn redirect_again(app: &State, before: &Before) -> Result<HttpResponse, WebError> {
    match before.note.as_deref().and_then(|note| note.parse().ok()) {
        Some(note) => redirect_with_flash(app, &before.location, note),
        None => Ok(see_other(&before.location)),
    }
}

/// The page once more, with what was typed and what is wrong with it.
pub(crate) fn rerender(status: StatusCode, page: &impl Template) -> Result<HttpResponse, WebError> {
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(page.render()?))
}

/// On to a page that says what was done.
pub(crate) fn redirect_with_flash(app: &State, to: &str, note: Note) -> Result<HttpResponse, WebError> {
    let mut answer = see_other(to);
    add_cookie(&mut answer, &app.cookies.set_note(note))?;
    Ok(answer)
}

/// A page with a form for somebody who need not be logged in: sees to the secret behind it. The
/// address of the page may hold a link, which is nobody else's business.
pub(crate) fn with_form<P: Template>(
    request: &HttpRequest,
    cookies: &Cookies,
    status: StatusCode,
    page: impl FnOnce(String) -> P,
) -> Result<HttpResponse, WebError> {
    let (secret, cookie) = form_secret(request, cookies)?;
    let page = page(csrf::token_for(&secret)).render()?;
    let mut answer = HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((REFERRER_POLICY, "same-origin"))
        .body(page);
    if let Some(cookie) = cookie {
        add_cookie(&mut answer, &cookie)?;
    }
    Ok(answer)
}

fn form_secret(
    request: &HttpRequest,
    cookies: &Cookies,
) -> Result<(Secret, Option<actix_web::cookie::Cookie<'static>>), WebError> {
    Ok(match cookies.form(request.headers()) {
        Some(secret) => (secret, None),
        None => {
            let (secret, cookie) = cookies.new_form()?;
            (secret, Some(cookie))
        }
    })
}

/// Sends a cookie along.
pub(crate) fn add_cookie(
    answer: &mut HttpResponse,
    cookie: &actix_web::cookie::Cookie<'_>,
) -> Result<(), WebError> {
    answer.add_cookie(cookie).map_err(|error| WebError::Internal(error.to_string().into()))
}

/// Runs what waits for the disk where that stops nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WebError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| WebError::Unavailable(error.into()))
}

/// An error's message as a sentence for the page.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
