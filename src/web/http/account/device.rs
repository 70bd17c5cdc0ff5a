//! `/device`: a person allows a device to log in with a key of its own.

use actix_web::HttpResponse;
use actix_web::web::Query;
use serde::Deserialize;

use crate::web::device_logins::{DeviceLogin, UserCode};
use crate::web::http::account::api_keys_page::in_words;
use crate::web::http::account::device_page::{AskingDevice, DevicePage, DeviceStep};
use crate::web::http::account::password::is_own_password;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html, unprocessable};
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};

const TITLE: &str = "Log in a device";

#[derive(Deserialize)]
pub(crate) struct DeviceQuery {
    #[serde(default)]
    code: String,
}

/// `GET /device`: asks for the code; with one in the address, shows the device. A look at a code that isn't there counts
/// as a guess.
pub(crate) async fn page(
    app: AppData,
    who: SignedIn,
    query: Option<Query<DeviceQuery>>,
) -> Result<HttpResponse, WebError> {
    let typed = query.map(|query| query.into_inner().code).unwrap_or_default();
    if typed.is_empty() {
        return html(&page_of(&who, DeviceStep::Code { typed, error: None }));
    }
    match asking(&app, &who, &typed).await? {
        Some((_, login)) => {
            let step = decision(&who, &typed, &login, None);
            html(&page_of(&who, step))
        }
        None => unprocessable(&page_of(&who, unknown(typed))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideForm {
    code: String,
    #[serde(default)]
    current_password: String,
    /// `allow` or `refuse`.
    decision: String,
}

/// `POST /device`: allows or refuses a device.
pub(crate) async fn decide(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<DecideForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let Some((code, login)) = asking(&app, &who, &fields.code).await? else {
        return unprocessable(&page_of(&who, unknown(fields.code)));
    };
    let is_allowed = match fields.decision.as_str() {
        "allow" => true,
        "refuse" => false,
        _ => return Err(WebError::NotAForm),
    };
    let account = app.services.accounts.by_id(&who.account().id).await?.ok_or(WebError::NotSignedIn)?;
    if is_allowed {
        let asker = Asker::Account(account.id.clone());
        let typed = Password::presented(&fields.current_password);
        if !is_own_password(&app, &account, typed, place.address, asker).await? {
            let error = Some("This is not your current password.".to_owned());
            return unprocessable(&page_of(&who, decision(&who, &fields.code, &login, error)));
        }
    }
    let now = app.services.clock.now();
    if !app.services.device_logins.decide(&code, &account.id, is_allowed, now).await? {
        return unprocessable(&page_of(&who, unknown(fields.code)));
    }
    tracing::info!(account = %account.id, is_allowed, "a device's login was decided");
    html(&page_of(&who, DeviceStep::Done { is_allowed }))
}

/// Returns the login that waits with this code. Each code that isn't there counts.
async fn asking(
    app: &AppData,
    who: &SignedIn,
    typed: &str,
) -> Result<Option<(UserCode, DeviceLogin)>, WebError> {
    let now = app.services.clock.now();
    app.throttle.may_type_device_code(&who.account().id, now)?;
    let Ok(code) = typed.parse::<UserCode>() else { return Ok(None) };
    let found = app.services.device_logins.waiting(&code, now).await?;
    if found.is_none() {
        app.throttle.device_code(&who.account().id, now)?;
    }
    Ok(found.map(|login| (code, login)))
}

fn page_of(who: &SignedIn, step: DeviceStep) -> DevicePage {
    DevicePage { chrome: who.form_chrome(TITLE, Section::Account), step }
}

fn decision(who: &SignedIn, typed: &str, login: &DeviceLogin, error: Option<String>) -> DeviceStep {
    let code = typed.parse::<UserCode>().map(|code| code.to_string()).unwrap_or_default();
    let device = AskingDevice {
        code,
        name: login.name.clone(),
        address: login.address.clone(),
        allows: in_words(login.scopes),
    };
    DeviceStep::Decide { device, email: who.account().email.as_str().to_owned(), error }
}

fn unknown(typed: String) -> DeviceStep {
    let error =
        Some("There is no such code, or it has expired. Run the command again for a new one.".to_owned());
    DeviceStep::Code { typed, error }
}
