//! Logging in and out.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::{App, html, see_other};
use crate::web::account::Email;
use crate::web::csrf;
use crate::web::error::WebError;
use crate::web::extract::{CsrfForm, StrangerForm, session_of};
use crate::web::local_path::LocalPath;
use crate::web::pages::account::Login;
use crate::web::passwords::Password;
use crate::web::sessions::{NewSession, Place};

#[derive(Deserialize)]
pub(super) struct Destination {
    #[serde(default)]
    next: String,
}

/// `GET /login`
pub(super) async fn page(
    app: App,
    request: HttpRequest,
    query: Option<Query<Destination>>,
) -> Result<HttpResponse, WebError> {
    let next = query.and_then(|query| LocalPath::parse(&query.next)).unwrap_or_default();
    if session_of(&request, &app).await?.is_some() {
        return Ok(see_other(next.as_str()));
    }
    match app.cookies.form(request.headers()) {
        Some(secret) => html(&Login::new(next.as_str(), csrf::token_for(&secret))),
        None => {
            let (secret, cookie) = app.cookies.new_form()?;
            let mut answer = html(&Login::new(next.as_str(), csrf::token_for(&secret)))?;
            add_cookie(&mut answer, &cookie)?;
            Ok(answer)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`. Text and time of the answer are the same whether or not the account exists.
pub(super) async fn log_in(
    app: App,
    request: HttpRequest,
    place: Place,
    form: StrangerForm<Credentials>,
) -> Result<HttpResponse, WebError> {
    let Credentials { email, password, next } = form.fields;
    let next = LocalPath::parse(&next).unwrap_or_default();
    let again = Login { email: email.clone(), ..Login::new(next.as_str(), csrf::token_for(&form.secret)) };
    let now = app.administration.clock.now();
    let parsed = email.parse::<Email>().ok();
    let key = parsed.as_ref().map_or(email.as_str(), Email::key);
    let attempt = match app.throttle.attempt(key, place.address, now) {
        Ok(attempt) => attempt,
        Err(early) => {
            tracing::warn!(address = %place.address, wait = early.wait.as_secs(), "log-in slowed down");
            return refused(
                &Login { wait_seconds: Some(early.wait.as_secs()), ..again },
                Some(early.wait.as_secs()),
            );
        }
    };
    let account = match &parsed {
        Some(email) => app.administration.accounts.by_email(email).await?.filter(|account| !account.disabled),
        None => None,
    };
    let stored = account.as_ref().and_then(|account| account.password.as_ref());
    let verified = app.administration.passwords.verify(Password::presented(&password), stored).await?;
    let id = match (&account, stored) {
        (Some(account), Some(stored)) if verified => {
            let new = NewSession { account: &account.id, password: stored, remembered: false, place: &place };
            app.sessions.start(&new, now).await?
        }
        _ => None,
    };
    let (Some(account), Some(id)) = (account, id) else {
        tracing::info!(address = %place.address, "log-in refused");
        let error = Some("E-mail address or password is wrong.".to_owned());
        return refused(&Login { error, ..again }, None);
    };
    app.throttle.succeeded(attempt, now);
    // What the browser held before, perhaps planted by somebody else, ends here.
    if let Some(before) = app.cookies.session(request.headers()) {
        app.sessions.end(&before.digest()).await?;
    }
    tracing::info!(account = %account.id, address = %place.address, "logged in");
    let mut answer = see_other(next.as_str());
    add_cookie(&mut answer, &app.cookies.set_session(&id))?;
    Ok(answer)
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

/// `POST /logout`
pub(super) async fn log_out(app: App, form: CsrfForm<Nothing>) -> Result<HttpResponse, WebError> {
    let Nothing {} = form.fields;
    app.sessions.end(&form.who.session.digest).await?;
    tracing::info!(account = %form.who.account().id, "logged out");
    let mut answer = see_other("/login");
    add_cookie(&mut answer, &app.cookies.clear_session())?;
    Ok(answer)
}

/// The page again, with why.
fn refused(page: &Login, wait: Option<u64>) -> Result<HttpResponse, WebError> {
    let status = if wait.is_some() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
    let mut answer = HttpResponse::build(status);
    if let Some(wait) = wait {
        answer.insert_header((RETRY_AFTER, wait));
    }
    Ok(answer.content_type("text/html; charset=utf-8").body(page.render()?))
}

/// Sends a cookie along.
pub(super) fn add_cookie(
    answer: &mut HttpResponse,
    cookie: &actix_web::cookie::Cookie<'_>,
) -> Result<(), WebError> {
    answer.add_cookie(cookie).map_err(|error| WebError::Internal(error.to_string().into()))
}
