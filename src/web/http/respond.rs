//! How handlers answer: pages, redirects, flash messages, and forms shown again with what is wrong. Refusals
//! are errors; [`crate::web::http::problem`] makes their answers.

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, Route, guard};
use askama::Template;

use crate::access::note_issued;
use crate::web::forms::idempotency::EarlierResult;
use crate::web::http::cookies::Cookies;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Flash;
use crate::web::http::state::AppState;
use crate::web::tokens::issuer::IssuedToken;

static CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// The app's state, as handlers take it.
pub(crate) type AppData = Data<AppState>;

/// Returns a route for GET, and for HEAD, which gets the same headers.
pub(crate) fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Responds with a page.
pub(crate) fn html(page: &impl Template) -> Result<HttpResponse, WebError> {
    rerender(StatusCode::OK, page)
}

/// Responds with a page that loads a script of ours.
pub(crate) fn html_with_script(app: &AppState, page: &impl Template) -> Result<HttpResponse, WebError> {
    Ok(allow_script(app, html(page)?))
}

/// Responds with a page that shows the flash message which the browser brings, if any, for the last time.
pub(crate) fn html_with_flash<P: Template>(
    app: &AppState,
    request: &HttpRequest,
    page: impl FnOnce(Option<Flash>) -> P,
) -> Result<HttpResponse, WebError> {
    let message = app.cookies.flash(request.headers());
    without_flash(app, message, html(&page(message.map(FlashMessage::flash)))?)
}

/// Lets the page of an answer load scripts of ours.
pub(crate) fn allow_script(app: &AppState, mut answer: HttpResponse) -> HttpResponse {
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, app.script_policy.clone());
    answer
}

/// Removes a flash message from the browser that the page of this answer shows.
pub(crate) fn without_flash(
    app: &AppState,
    message: Option<FlashMessage>,
    mut answer: HttpResponse,
) -> Result<HttpResponse, WebError> {
    if message.is_some() {
        add_cookie(&mut answer, &app.cookies.clear_flash())?;
    }
    Ok(answer)
}

/// Responds with a page of that status, such as a form shown again with what was typed and what is wrong with
/// it.
pub(crate) fn rerender(status: StatusCode, page: &impl Template) -> Result<HttpResponse, WebError> {
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(page.render()?))
}

/// Responds with a form shown again because a field is not valid.
pub(crate) fn unprocessable(page: &impl Template) -> Result<HttpResponse, WebError> {
    rerender(StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// Redirects to a page of ours.
pub(crate) fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("location", address)).finish()
}

/// Redirects to a page that shows a flash message.
pub(crate) fn redirect_with_flash(
    app: &AppState,
    to: &str,
    message: FlashMessage,
) -> Result<HttpResponse, WebError> {
    let mut answer = see_other(to);
    add_cookie(&mut answer, &app.cookies.set_flash(message))?;
    Ok(answer)
}

/// Redirects to a page that shows a flash message about `count` files and folders.
pub(crate) fn redirect_with_count(
    app: &AppState,
    to: &str,
    message: FlashMessage,
    count: usize,
) -> Result<HttpResponse, WebError> {
    let mut answer = see_other(to);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    add_cookie(&mut answer, &app.cookies.set_counted_flash(message, count))?;
    Ok(answer)
}

/// Redirects the sender of a form that was sent before to where it led then.
pub(crate) fn redirect_again(app: &AppState, before: &EarlierResult) -> Result<HttpResponse, WebError> {
    match before.note.as_deref().map(str::parse::<FlashMessage>) {
        Some(Ok(message)) => redirect_with_flash(app, &before.location, message),
        _ => Ok(see_other(&before.location)),
    }
}

/// Redirects to the download service, without revealing the page that the browser comes from.
pub(crate) fn redirect_to_download(issued: &IssuedToken) -> HttpResponse {
    let mut answer = see_other(&issued.address);
    note_issued(&mut answer, issued.jti);
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// Responds with a page whose form can be sent without a login, and gives the browser the secret behind the
/// form. The page's address may contain a link, so it is not revealed to other sites.
pub(crate) fn with_form<P: Template>(
    request: &HttpRequest,
    cookies: &Cookies,
    status: StatusCode,
    page: impl FnOnce(String) -> P,
) -> Result<HttpResponse, WebError> {
    let (secret, cookie) = cookies.form_or_new(request.headers())?;
    let mut answer = rerender(status, &page(csrf::token_for(&secret)))?;
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Some(cookie) = cookie {
        add_cookie(&mut answer, &cookie)?;
    }
    Ok(answer)
}

/// Adds a cookie to an answer.
pub(crate) fn add_cookie(answer: &mut HttpResponse, cookie: &Cookie<'_>) -> Result<(), WebError> {
    answer.add_cookie(cookie).map_err(|error| WebError::Internal(error.to_string().into()))
}

/// Makes the browser of a person who logs out forget the pages, and the names of files whose upload is not
/// finished. Some browsers show earlier pages again for Back, whatever their `Cache-Control` says.
pub(crate) fn clear_site_data(answer: &mut HttpResponse) {
    let value = HeaderValue::from_static("\"cache\", \"storage\"");
    answer.headers_mut().insert(CLEAR_SITE_DATA.clone(), value);
}

/// Runs blocking file I/O on the blocking pool.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WebError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| WebError::Unavailable(error.into()))
}
