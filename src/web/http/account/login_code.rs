//! The second step of a login: the code of the second factor.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::accounts::proof::{LoginProof, PasswordProof};
use crate::web::audit::Actor;
use crate::web::http::account::enter::{Entered, start};
use crate::web::http::account::login::end_session_before;
use crate::web::http::account::login_code_page::LoginCodePage;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::StrangerForm;
use crate::web::http::local_path::LocalPath;
use crate::web::http::respond::{AppData, add_cookie, rerender, see_other, with_form};
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::second_factor::waiting::WaitingLogin;

#[derive(Deserialize)]
pub(crate) struct CodeQuery {
    #[serde(default)]
    next: String,
}

/// `GET /login/code`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    query: Option<Query<CodeQuery>>,
) -> Result<HttpResponse, WebError> {
    let next = query.and_then(|query| LocalPath::parse(&query.next)).unwrap_or_default();
    if waiting(&app, &request).await?.is_none() {
        return Ok(see_other("/login"));
    }
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| LoginCodePage::new(next.as_str(), csrf))
}

/// Returns the login of this browser that waits for its code, and its account's password.
async fn waiting(
    app: &AppState,
    request: &HttpRequest,
) -> Result<Option<(WaitingLogin, PasswordProof)>, WebError> {
    let value = app.cookies.waiting_login(request.headers());
    let Some((login, seal)) = value.and_then(WaitingLogin::parse) else { return Ok(None) };
    let services = &app.services;
    let account = services.accounts.by_id(&login.account).await?.filter(|account| !account.disabled);
    let (key, now) = (services.second_factors.key(), services.clock.now());
    let proof = account.and_then(|account| PasswordProof::by_seal(account, &login, &seal, key, now));
    Ok(proof.map(|proof| (login, proof)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeForm {
    code: String,
    #[serde(default)]
    next: String,
}

/// `POST /login/code`
pub(crate) async fn log_in(
    app: AppData,
    request: HttpRequest,
    place: ClientInfo,
    form: StrangerForm<CodeForm>,
) -> Result<HttpResponse, WebError> {
    let next = LocalPath::parse(&form.fields.next).unwrap_or_default();
    let Some((login, proof)) = waiting(&app, &request).await? else { return Ok(see_other("/login")) };
    let page = LoginCodePage::new(next.as_str(), csrf::token_for(&form.secret));
    let (services, now) = (&app.services, app.services.clock.now());
    let account = proof.account().clone();
    let attempt = match app.throttle.attempt(&guesses_of(account.id.as_str()), place.address, now) {
        Ok(attempt) => attempt,
        Err(early) => {
            app.metrics.count_log_in("throttled");
            tracing::warn!(account = %account.id, address = %place.address, "codes throttled");
            let wait = early.wait.as_secs();
            let page = LoginCodePage { wait_seconds: Some(wait), ..page };
            let mut answer = rerender(StatusCode::TOO_MANY_REQUESTS, &page)?;
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
            return Ok(answer);
        }
    };
    let actor = Actor::account(&account, place.address);
    let factor = services.second_factors.check(&account, &form.fields.code, &actor, now).await?;
    let Some(factor) = factor else {
        app.metrics.count_log_in("refused");
        tracing::info!(account = %account.id, address = %place.address, "code refused");
        let page = LoginCodePage { is_wrong: true, ..page };
        return rerender(StatusCode::FORBIDDEN, &page);
    };
    let entered = match LoginProof::new(proof, &factor) {
        Some(proof) => start(&app, proof, login.remembered, &place).await?,
        None => Entered::Overtaken,
    };
    let Entered::In(_, cookie) = entered else { return Ok(see_other("/login")) };
    app.throttle.succeeded(attempt, now);
    app.metrics.count_log_in("logged-in");
    tracing::info!(account = %account.id, address = %place.address, "logged in with a second factor");
    end_session_before(&app, &request).await?;
    let mut answer = see_other(next.as_str());
    add_cookie(&mut answer, &cookie)?;
    add_cookie(&mut answer, &app.cookies.clear_waiting_login())?;
    Ok(answer)
}

/// Returns the name under which guesses at an account's codes are counted. No address looks like it.
pub(super) fn guesses_of(account: &str) -> String {
    format!("code {account}")
}
