//! A person's second factor: `/account/second-factor`.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::audit::{Actor, AuditEvent};
use crate::web::http::account::login_code::guesses_of;
use crate::web::http::account::password::is_own_password;
use crate::web::http::account::second_factor_page::{
    FactorForm, FactorView, RecoveryCodesPage, SecondFactorPage,
};
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::fields::FieldErrors;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::qr;
use crate::web::http::respond::{
    AppData, html, html_with_flash, redirect_with_flash, see_other, unprocessable,
};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::second_factor::{FactorState, RecoveryCode};

const PAGE: &str = "/account/second-factor";
const WRONG_PASSWORD: &str = "This is not your current password.";
const WRONG_CODE: &str = "This code is wrong or was used before. Wait for the next one in your app.";

/// `GET /account/second-factor`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let mut page = page_of(&app, &who).await?;
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn page_of(app: &AppState, who: &SignedIn) -> Result<SecondFactorPage, WebError> {
    let factors = &app.services.second_factors;
    let view = match factors.state(&who.account().id).await? {
        FactorState::Off => FactorView::Off,
        FactorState::On { since, codes_left } => FactorView::On { since, codes_left },
        FactorState::Begun => match factors.being_set_up(who.account(), &app.brand.name).await? {
            Some(new) => FactorView::Begun {
                qr: qr::of(new.address.reveal()),
                address: new.address.reveal().to_owned(),
                secret: new.secret.reveal().to_owned(),
            },
            None => FactorView::Off,
        },
    };
    Ok(SecondFactorPage {
        chrome: who.chrome("Second factor", Section::Account),
        email: who.account().email.as_str().to_owned(),
        is_required: app.admins_need_factor && who.account().admin,
        view,
        errors_for: FactorForm::None,
        errors: FieldErrors::default(),
    })
}

async fn rerender_form(
    app: &AppState,
    who: &SignedIn,
    errors_for: FactorForm,
    errors: FieldErrors,
) -> Result<HttpResponse, WebError> {
    unprocessable(&SecondFactorPage { errors_for, errors, ..page_of(app, who).await? })
}

/// Returns the account as it is in the database now.
async fn current(app: &AppState, who: &SignedIn) -> Result<Account, WebError> {
    app.services.accounts.by_id(&who.account().id).await?.ok_or(WebError::NotSignedIn)
}

async fn has_password(
    app: &AppState,
    account: &Account,
    typed: &str,
    place: &ClientInfo,
) -> Result<bool, WebError> {
    let asker = Asker::Account(account.id.clone());
    is_own_password(app, account, Password::presented(typed), place.address, asker).await
}

/// Returns whether a code is right, which uses it up. Each call counts as a guess.
async fn has_code(
    app: &AppState,
    account: &Account,
    typed: &str,
    place: &ClientInfo,
) -> Result<bool, WebError> {
    let now = app.services.clock.now();
    let attempt = app.throttle.attempt(&guesses_of(account.id.as_str()), place.address, now)?;
    let actor = Actor::account(account, place.address);
    let is_right = app.services.second_factors.check(account, typed, &actor, now).await?.is_some();
    if is_right {
        app.throttle.succeeded(attempt, now);
    }
    Ok(is_right)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginForm {
    current_password: String,
}

/// `POST /account/second-factor`: creates a new secret, which the page then shows.
pub(crate) async fn begin(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<BeginForm>,
) -> Result<HttpResponse, WebError> {
    let account = current(&app, &form.who).await?;
    if !has_password(&app, &account, &form.fields.current_password, &place).await? {
        let errors =
            FieldErrors { current_password: Some(WRONG_PASSWORD.to_owned()), ..FieldErrors::default() };
        return rerender_form(&app, &form.who, FactorForm::Begin, errors).await;
    }
    app.services.second_factors.begin(&account.id).await?;
    Ok(see_other(PAGE))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeForm {
    code: String,
}

/// `POST /account/second-factor/confirm`: turns it on, and shows the recovery codes, once.
pub(crate) async fn confirm(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<CodeForm>,
) -> Result<HttpResponse, WebError> {
    let account = current(&app, &form.who).await?;
    let now = app.services.clock.now();
    let attempt = app.throttle.attempt(&guesses_of(account.id.as_str()), place.address, now)?;
    let actor = Actor::account(&account, place.address);
    match app.services.second_factors.confirm(&account, &form.fields.code, &actor, now).await? {
        Some(codes) => {
            app.throttle.succeeded(attempt, now);
            tracing::info!(account = %account.id, "second factor turned on");
            show_codes(&form.who, &codes, true)
        }
        None => {
            let errors = FieldErrors { code: Some(WRONG_CODE.to_owned()), ..FieldErrors::default() };
            rerender_form(&app, &form.who, FactorForm::Confirm, errors).await
        }
    }
}

/// `POST /account/second-factor/codes`: replaces the recovery codes, and shows the new ones, once.
pub(crate) async fn renew_codes(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<CodeForm>,
) -> Result<HttpResponse, WebError> {
    let account = current(&app, &form.who).await?;
    if !has_code(&app, &account, &form.fields.code, &place).await? {
        let errors = FieldErrors { code: Some(WRONG_CODE.to_owned()), ..FieldErrors::default() };
        return rerender_form(&app, &form.who, FactorForm::Codes, errors).await;
    }
    let (actor, now) = (Actor::account(&account, place.address), app.services.clock.now());
    match app.services.second_factors.renew_codes(&account, &actor, now).await? {
        Some(codes) => show_codes(&form.who, &codes, false),
        None => Ok(see_other(PAGE)),
    }
}

fn show_codes(who: &SignedIn, codes: &[RecoveryCode], is_new: bool) -> Result<HttpResponse, WebError> {
    html(&RecoveryCodesPage {
        chrome: who.chrome("Recovery codes", Section::Account),
        codes: codes.iter().map(RecoveryCode::shown).collect(),
        is_new,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OffForm {
    current_password: String,
    code: String,
}

/// `POST /account/second-factor/off`
pub(crate) async fn turn_off(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<OffForm>,
) -> Result<HttpResponse, WebError> {
    let account = current(&app, &form.who).await?;
    let mut errors = FieldErrors::default();
    if !has_password(&app, &account, &form.fields.current_password, &place).await? {
        errors.current_password = Some(WRONG_PASSWORD.to_owned());
    // Only then, because a code is used up by the check.
    } else if !has_code(&app, &account, &form.fields.code, &place).await? {
        errors.code = Some(WRONG_CODE.to_owned());
    }
    if errors.any() {
        return rerender_form(&app, &form.who, FactorForm::Off, errors).await;
    }
    let (actor, now) = (Actor::account(&account, place.address), app.services.clock.now());
    let factors = &app.services.second_factors;
    factors.remove(&account, &actor, AuditEvent::SecondFactorOff, now).await?;
    tracing::info!(account = %account.id, "second factor turned off");
    redirect_with_flash(&app, PAGE, FlashMessage::SecondFactorOff)
}
