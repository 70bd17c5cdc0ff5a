//! Logging in and out.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::config::Signup;
use crate::human;
use crate::web::accounts::proof::PasswordProof;
use crate::web::audit::Actor;
use crate::web::http::account::enter::{Entered, begin, code_page};
use crate::web::http::account::login_page::LoginPage;
use crate::web::http::client::ClientAddress;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, StrangerForm, session_of};
use crate::web::http::flash::FlashMessage;
use crate::web::http::local_path::LocalPath;
use crate::web::http::respond::{
    AppData, add_cookie, clear_site_data, rerender, see_other, with_form, without_flash,
};
use crate::web::http::state::AppState;
use crate::web::identity::Email;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};

#[derive(Deserialize)]
pub(crate) struct LoginQuery {
    #[serde(default)]
    next: String,
}

/// `GET /login`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    query: Option<Query<LoginQuery>>,
) -> Result<HttpResponse, WebError> {
    let next = query.and_then(|query| LocalPath::parse(&query.next)).unwrap_or_default();
    if session_of(&request, &app).await?.is_some() {
        return Ok(see_other(next.as_str()));
    }
    let message = app.cookies.flash(request.headers());
    let answer = with_form(&request, &app.cookies, StatusCode::OK, |csrf| {
        let mut page = empty_page(&app, &next, csrf);
        // A kept form is more important than an older message.
        page.came_from_form = next.as_str().starts_with("/unsent/");
        page.chrome.flash = message.filter(|_| !page.came_from_form).map(FlashMessage::flash);
        page
    })?;
    without_flash(&app, message, answer)
}

fn empty_page(app: &AppState, next: &LocalPath, csrf: String) -> LoginPage {
    LoginPage {
        open: app.signup.mode == Signup::Open,
        remember: app.remember.map(|kept| human::span(kept.as_secs())),
        ..LoginPage::new(next.as_str(), csrf)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginForm {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
    /// Present when the box is ticked.
    remember: Option<String>,
}

/// `POST /login`. Text and time of the answer are the same whether or not the account exists.
pub(crate) async fn log_in(
    app: AppData,
    request: HttpRequest,
    place: ClientInfo,
    form: StrangerForm<LoginForm>,
) -> Result<HttpResponse, WebError> {
    let LoginForm { email, password, next, remember } = form.fields;
    let next = LocalPath::parse(&next).unwrap_or_default();
    let remembered = app.remember.filter(|_| remember.is_some());
    let page = LoginPage {
        email: email.clone(),
        remembered: remember.is_some(),
        ..empty_page(&app, &next, csrf::token_for(&form.secret))
    };
    let now = app.services.clock.now();
    let parsed = email.parse::<Email>().ok();
    let key = parsed.as_ref().map_or(email.as_str(), Email::key);
    let attempt = match app.throttle.attempt(key, place.address, now) {
        Ok(attempt) => attempt,
        Err(early) => {
            app.metrics.count_log_in("throttled");
            tracing::warn!(address = %place.address, wait = early.wait.as_secs(), "login throttled");
            let wait = early.wait.as_secs();
            let page = LoginPage { wait_seconds: Some(wait), ..page };
            let mut answer = rerender(StatusCode::TOO_MANY_REQUESTS, &page)?;
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
            return Ok(answer);
        }
    };
    let account = match &parsed {
        Some(email) => app.services.accounts.by_email(email).await?.filter(|account| !account.disabled),
        None => None,
    };
    let passwords = &app.services.passwords;
    let proof = PasswordProof::by_password(
        account,
        Password::presented(&password),
        passwords,
        Asker::LogIn(place.address),
    )
    .await?;
    let entered = match proof {
        Some(proof) => begin(&app, proof, remembered.is_some(), &place).await?,
        None => Entered::Overtaken,
    };
    let (mut answer, cookie) = match entered {
        Entered::Overtaken => {
            app.metrics.count_log_in("refused");
            tracing::info!(address = %place.address, "login refused");
            let error = Some("Incorrect email address or password.".to_owned());
            return rerender(StatusCode::FORBIDDEN, &LoginPage { error, ..page });
        }
        Entered::Waiting(cookie) => (see_other(&code_page(&next)), cookie),
        Entered::In(proof, cookie) => {
            app.metrics.count_log_in("logged-in");
            tracing::info!(account = %proof.account().id, address = %place.address, "logged in");
            (see_other(next.as_str()), cookie)
        }
    };
    app.throttle.succeeded(attempt, now);
    end_session_before(&app, &request).await?;
    add_cookie(&mut answer, &cookie)?;
    Ok(answer)
}

/// The session that the browser had before, perhaps planted by someone else, ends with a login.
pub(crate) async fn end_session_before(app: &AppState, request: &HttpRequest) -> Result<(), WebError> {
    if let Some(before) = app.cookies.session(request.headers()) {
        app.sessions.end(&before.digest()).await?;
    }
    Ok(())
}

/// `POST /logout`
pub(crate) async fn log_out(
    app: AppData,
    address: ClientAddress,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let actor = Actor::account(form.who.account(), address.0);
    app.sessions.log_out(&form.who.session, &actor, app.services.clock.now()).await?;
    tracing::info!(account = %form.who.account().id, "logged out");
    let mut answer = see_other("/login");
    add_cookie(&mut answer, &app.cookies.clear_session())?;
    clear_site_data(&mut answer);
    Ok(answer)
}
