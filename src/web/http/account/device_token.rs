//! `POST /device/code` and `/device/token`: a device begins a login, and asks whether a person has allowed it
//! (RFC 8628 sections 3.1 to 3.5). Errors have the form of RFC 6749 section 5.2.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::web::api_keys::{KeyForm, MakeKeyOutcome};
use crate::web::audit::Actor;
use crate::web::device_logins::{Answer, DeviceLogin, DeviceLoginError, DeviceLogins, INTERVAL, WAITS};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::WebError;
use crate::web::http::extract::OpenForm;
use crate::web::http::respond::AppData;
use crate::web::identity::AccountId;

/// The grant that a device asks for.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// After how many days the key of a device expires.
const DAYS: &str = "365";

/// What a device sends to begin. Unknown fields are ignored (RFC 6749 section 3.1).
#[derive(Deserialize)]
pub(crate) struct StartForm {
    #[serde(default)]
    scope: String,
    /// What the device calls itself.
    #[serde(default)]
    name: String,
}

/// `POST /device/code`
pub(crate) async fn start(
    app: AppData,
    address: ClientAddress,
    form: OpenForm<StartForm>,
) -> Result<HttpResponse, WebError> {
    let (services, now) = (&app.services, app.services.clock.now());
    app.throttle.device(address.0, now)?;
    let Some(scopes) = DeviceLogins::scopes(&form.fields.scope) else {
        return Ok(refuse(
            "invalid_scope",
            "Ask for files:read, files:write, links, requests, tokens or webhooks.",
        ));
    };
    let started = services.device_logins.start(&form.fields.name, address.0.to_string(), scopes, now).await;
    let started = match started {
        Ok(started) => started,
        Err(DeviceLoginError::Query(error)) => return Err(error.into()),
        Err(DeviceLoginError::Random(error)) => return Err(error.into()),
        Err(DeviceLoginError::TooMany) => {
            let body = error("temporarily_unavailable", "Too many devices are waiting. Try again later.");
            let mut busy = HttpResponse::ServiceUnavailable();
            return Ok(busy.insert_header((RETRY_AFTER, WAITS.as_secs())).json(body));
        }
    };
    let page = format!("{}/device", app.public_url);
    let body = json!({
        "device_code": started.device_code.reveal(),
        "user_code": started.user_code.to_string(),
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?code={}", started.user_code),
        "expires_in": WAITS.as_secs(),
        "interval": INTERVAL,
    });
    Ok(answer(StatusCode::OK, body))
}

/// What a device asks with.
#[derive(Deserialize)]
pub(crate) struct AskForm {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    device_code: String,
}

/// `POST /device/token`
pub(crate) async fn ask(app: AppData, form: OpenForm<AskForm>) -> Result<HttpResponse, WebError> {
    if form.fields.grant_type != GRANT {
        return Ok(refuse("unsupported_grant_type", "Only logins of devices are supported."));
    }
    let (logins, now) = (&app.services.device_logins, app.services.clock.now());
    match logins.ask(&form.fields.device_code, now).await? {
        Answer::Pending => Ok(refuse("authorization_pending", "Nobody has allowed it yet.")),
        Answer::TooOften => Ok(refuse("slow_down", "Ask less often.")),
        Answer::Refused => Ok(refuse("access_denied", "The login was refused.")),
        Answer::Expired => Ok(refuse("expired_token", "The login has expired, or never existed.")),
        Answer::Allowed(account, login) => issue(&app, &account, &login).await,
    }
}

/// Makes the key of a device that was allowed.
async fn issue(app: &AppData, account: &AccountId, login: &DeviceLogin) -> Result<HttpResponse, WebError> {
    let (services, now) = (&app.services, app.services.clock.now());
    let expired = || refuse("expired_token", "The account that allowed it can't have more keys.");
    let Some(account) = services.accounts.by_id(account).await? else { return Ok(expired()) };
    let form = KeyForm {
        name: login.name.clone(),
        scopes: login.scopes,
        days: DAYS.to_owned(),
        ..KeyForm::default()
    };
    let Ok(terms) = form.check(&BTreeSet::new(), false, now) else { return Ok(expired()) };
    let actor = match login.address.parse() {
        Ok(address) => Actor::account(&account, address),
        Err(_) => return Ok(expired()),
    };
    match services.api_keys.make(&account, &terms, &actor, now).await? {
        MakeKeyOutcome::Made(id, key) => {
            tracing::info!(account = %account.id, key = %id, scopes = %terms.scopes, "API key made for a device");
            let scope = terms.scopes.to_string();
            let body = json!({ "access_token": key.reveal(), "token_type": "Bearer", "scope": scope });
            Ok(answer(StatusCode::OK, body))
        }
        MakeKeyOutcome::TooMany | MakeKeyOutcome::NotAllowed => Ok(expired()),
    }
}

fn error(code: &str, description: &str) -> Value {
    json!({ "error": code, "error_description": description })
}

fn refuse(code: &str, description: &str) -> HttpResponse {
    answer(StatusCode::BAD_REQUEST, error(code, description))
}

/// Nothing of it may be kept by a cache (RFC 6749 section 5.1).
fn answer(status: StatusCode, body: Value) -> HttpResponse {
    HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(body)
}
