//! Confirms a new email address of an account: `/confirm-address/{token}`, opened from a mail to that
//! address.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::account::action_link::{UsableLink, done_page, lock, status_of};
use crate::web::http::account::action_link_page::CompletedAction;
use crate::web::http::account::address_page::ConfirmAddressPage;
use crate::web::http::account::password::is_own_password;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::{StrangerForm, session_of};
use crate::web::http::fields::FieldErrors;
use crate::web::http::flash::FlashMessage;
use crate::web::http::respond::{AppData, redirect_with_flash, unprocessable, with_form};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::membership::action_links::SpendOutcome;
use crate::web::membership::self_service::ChangeOutcome;

/// `GET /confirm-address/{token}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    unverified: Path<String>,
) -> Result<HttpResponse, WebError> {
    let (_, status) = status_of(&app, "confirm-address", &unverified).await?;
    let (account, email) = match status.usable_or_page(&request, &app, "confirm-address", &unverified)? {
        Ok(UsableLink { account, email }) => (account, email.ok_or(WebError::NotFound)?),
        Err(page) => return Ok(page),
    };
    let needs_password = !is_logged_in(&request, &app, &account).await?;
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| {
        ConfirmAddressPage::new(account.email.as_str(), email.as_str(), needs_password, csrf)
    })
}

/// Returns whether the account is logged in here. A scanner that presses buttons isn't logged in anywhere and
/// doesn't know the password.
async fn is_logged_in(request: &HttpRequest, app: &AppState, account: &Account) -> Result<bool, WebError> {
    Ok(session_of(request, app).await?.is_some_and(|who| who.account().id == account.id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmAddressForm {
    #[serde(default)]
    password: String,
}

/// `POST /confirm-address/{token}`
pub(crate) async fn act(
    app: AppData,
    request: HttpRequest,
    unverified: Path<String>,
    place: ClientInfo,
    form: StrangerForm<ConfirmAddressForm>,
) -> Result<HttpResponse, WebError> {
    let services = &app.services;
    let now = services.clock.now();
    let _lock = lock(&app, &unverified).await?;
    let (link, status) = status_of(&app, "confirm-address", &unverified).await?;
    let (account, email) = match status.usable_or_page(&request, &app, "confirm-address", &unverified)? {
        Ok(UsableLink { account, email }) => (account, email.ok_or(WebError::NotFound)?),
        Err(page) => return Ok(page),
    };
    if !is_logged_in(&request, &app, &account).await? {
        let typed = Password::presented(&form.fields.password);
        let asker = Asker::LogIn(place.address);
        if !is_own_password(&app, &account, typed, place.address, asker).await? {
            let wrong = Some("This is not the password of the account.".to_owned());
            let errors = FieldErrors { password: wrong, ..FieldErrors::default() };
            let csrf = csrf::token_for(&form.secret);
            let page = ConfirmAddressPage::new(account.email.as_str(), email.as_str(), true, csrf);
            return unprocessable(&ConfirmAddressPage { errors, ..page });
        }
    }
    if services.actions.spend(&link.action, now).await? == SpendOutcome::Before {
        return done_page(CompletedAction::AddressChanged);
    }
    let actor = Actor::account(&account, place.address);
    let asked = Some(RequestOrigin::new(&place, now));
    match services.self_service.change_address(&account, &email, &actor, asked, now).await? {
        ChangeOutcome::Done => {}
        _ => return Err(WebError::LinkOver),
    }
    tracing::info!(account = %account.id, "address changed");
    redirect_with_flash(&app, "/account", FlashMessage::AddressChanged)
}
