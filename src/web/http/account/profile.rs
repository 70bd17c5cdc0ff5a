//! A person's own account: its name, its password, its email address, and deleting it.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::audit::{Actor, AuditEvent};
use crate::web::http::account::enter::enter_at;
use crate::web::http::account::password::{is_own_password, new_password};
use crate::web::http::account::profile_page::{AccountForm, ProfilePage};
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, SignedIn};
use crate::web::http::fields::{FieldErrors, parse_field};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{
    AppData, add_cookie, clear_site_data, html_with_flash, redirect_with_flash, see_other, unprocessable,
};
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::identity::{Account, Email, PersonName};
use crate::web::mail::MailKind;
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::membership::notices::Subscription;
use crate::web::membership::self_service::ChangeOutcome;
use crate::web::throttle::MailCause;

/// `GET /account`
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

async fn page_of(app: &AppState, who: &SignedIn) -> Result<ProfilePage, WebError> {
    let account = who.account();
    let services = &app.services;
    let pending = services.self_service.requested_address(&account.id).await?;
    let last_admin = account.admin && services.accounts.is_last_administrator(&account.id).await?;
    Ok(ProfilePage {
        chrome: who.chrome("Your account", Section::Account),
        name: account.name.as_str().to_owned(),
        email: account.email.as_str().to_owned(),
        admin: account.admin,
        groups: account.groups.iter().cloned().collect(),
        created: account.created_at,
        password_min: services.password_min,
        pending_email: pending.map(|email| email.as_str().to_owned()),
        last_admin,
        wants_download_notices: !services.notices.are_off(&account.id, MailKind::Taken).await?,
        typed_name: account.name.as_str().to_owned(),
        typed_email: String::new(),
        errors_for: AccountForm::None,
        errors: FieldErrors::default(),
    })
}

/// Shows the page again with what was wrong in one of its forms.
async fn rerender_form(
    app: &AppState,
    who: &SignedIn,
    form: AccountForm,
    errors: FieldErrors,
    typed: impl FnOnce(&mut ProfilePage),
) -> Result<HttpResponse, WebError> {
    let mut page = page_of(app, who).await?;
    page.errors_for = form;
    page.errors = errors;
    typed(&mut page);
    unprocessable(&page)
}

/// Returns the account as it is in the database now, and whether the password is its current one. Someone
/// with a stolen session must not be able to do what can't be undone, or to guess the password unhindered.
async fn proven(
    app: &AppState,
    who: &SignedIn,
    password: &str,
    place: &ClientInfo,
) -> Result<(Account, bool), WebError> {
    let account = app.services.accounts.by_id(&who.account().id).await?;
    let account = account.ok_or(WebError::NotSignedIn)?;
    let (typed, asker) = (Password::presented(password), Asker::Account(account.id.clone()));
    let is_own = is_own_password(app, &account, typed, place.address, asker).await?;
    Ok((account, is_own))
}

const WRONG_PASSWORD: &str = "This is not your current password.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameForm {
    name: String,
}

/// `POST /account/name`
pub(crate) async fn change_name(app: AppData, form: CsrfForm<NameForm>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let mut errors = FieldErrors::default();
    let Some(name) = parse_field::<PersonName>(&fields.name, &mut errors.name) else {
        let typed = |page: &mut ProfilePage| page.typed_name = fields.name;
        return rerender_form(&app, &who, AccountForm::Name, errors, typed).await;
    };
    app.services.self_service.rename(&who.account().id, &name).await?;
    redirect_with_flash(&app, "/account", FlashMessage::NameChanged)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordForm {
    current_password: String,
    password: String,
    password_again: String,
}

/// `POST /account/password`: ends all sessions of the account and starts a new one here.
pub(crate) async fn change_password(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<PasswordForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let services = &app.services;
    let mut errors = FieldErrors::default();
    let own = [who.account().email.as_str(), who.account().name.as_str()];
    let min = services.password_min;
    let new = new_password(min, &fields.password, &fields.password_again, &own, &mut errors);
    let (account, is_own) = proven(&app, &who, &fields.current_password, &place).await?;
    if !is_own {
        errors.current_password = Some(WRONG_PASSWORD.to_owned());
    }
    let (Some(new), false) = (new, errors.any()) else {
        return rerender_form(&app, &who, AccountForm::Password, errors, |_| {}).await;
    };
    let typed = Password::presented(&fields.password);
    let stored = services.passwords.hash(Asker::Account(account.id.clone()), new).await?;
    let now = services.clock.now();
    let actor = Actor::account(&account, place.address);
    let service = &services.self_service;
    let asked = RequestOrigin::new(&place, now);
    let changed =
        service.change_password(&account, &stored, &actor, AuditEvent::PasswordChanged, asked, now).await?;
    if changed != ChangeOutcome::Done {
        return Err(WebError::NotSignedIn);
    }
    tracing::info!(account = %account.id, "password changed");
    let account = services.accounts.by_id(&account.id).await?.ok_or(WebError::NotSignedIn)?;
    let mut answer = enter_at(&app, &account, typed, &place, "/account").await?;
    add_cookie(&mut answer, &app.cookies.set_flash(FlashMessage::PasswordChanged))?;
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressForm {
    email: String,
    current_password: String,
}

/// `POST /account/email`: a mail to the new address asks to confirm it. The answer does not reveal whether
/// another account has that address.
pub(crate) async fn change_address(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<AddressForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let mut errors = FieldErrors::default();
    let email = parse_field::<Email>(&fields.email, &mut errors.email);
    if email.as_ref().is_some_and(|email| email.as_str() == who.account().email.as_str()) {
        errors.email = Some("This is already your address.".to_owned());
    }
    let (account, is_own) = proven(&app, &who, &fields.current_password, &place).await?;
    if !is_own {
        errors.current_password = Some(WRONG_PASSWORD.to_owned());
    }
    let (Some(email), false) = (email, errors.any()) else {
        let typed = |page: &mut ProfilePage| page.typed_email = fields.email;
        return rerender_form(&app, &who, AccountForm::Email, errors, typed).await;
    };
    let now = app.services.clock.now();
    let mail = app.throttle.mail(MailCause::Address, email.key(), now);
    let actor = Actor::account(&account, place.address);
    app.services.self_service.request_address(&account, &email, mail, &actor, now).await?;
    redirect_with_flash(&app, "/account", FlashMessage::AddressRequested)
}

/// `POST /account/email/cancel`
pub(crate) async fn keep_address(app: AppData, form: CsrfForm<EmptyForm>) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    app.services.self_service.keep_address(&form.who.account().id).await?;
    redirect_with_flash(&app, "/account", FlashMessage::AddressKept)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticesForm {
    downloads: Option<String>,
}

/// `POST /account/notices`
pub(crate) async fn change_notices(
    app: AppData,
    form: CsrfForm<NoticesForm>,
) -> Result<HttpResponse, WebError> {
    let of = Subscription { account: form.who.account().id.clone(), kind: MailKind::Taken };
    let notices = &app.services.notices;
    match form.fields.downloads {
        Some(_) => {
            notices.turn_on(&of).await?;
            redirect_with_flash(&app, "/account", FlashMessage::NoticesOn)
        }
        None => {
            notices.turn_off(&of, app.services.clock.now()).await?;
            redirect_with_flash(&app, "/account", FlashMessage::NoticesOff)
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteForm {
    current_password: String,
}

/// `POST /account/delete`
pub(crate) async fn delete(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<DeleteForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let (account, is_own) = proven(&app, &who, &fields.current_password, &place).await?;
    if !is_own {
        let errors =
            FieldErrors { current_password: Some(WRONG_PASSWORD.to_owned()), ..FieldErrors::default() };
        return rerender_form(&app, &who, AccountForm::Delete, errors, |_| {}).await;
    }
    let now = app.services.clock.now();
    let actor = Actor::account(&account, place.address);
    match app.services.account_admin.delete(&account, &actor, now).await? {
        ChangeOutcome::Done => {}
        ChangeOutcome::LastAdministrator => {
            let only = "You are the only administrator. Make someone else an administrator first.".to_owned();
            let errors = FieldErrors { form: Some(only), ..FieldErrors::default() };
            return rerender_form(&app, &who, AccountForm::Delete, errors, |_| {}).await;
        }
        ChangeOutcome::Overtaken | ChangeOutcome::EmailTaken => return Err(WebError::NotSignedIn),
    }
    app.services.revoke_now().await;
    tracing::info!(account = %account.id, "account deleted by its owner");
    let mut answer = see_other("/login");
    clear_site_data(&mut answer);
    add_cookie(&mut answer, &app.cookies.clear_session())?;
    add_cookie(&mut answer, &app.cookies.set_flash(FlashMessage::AccountDeleted))?;
    Ok(answer)
}
