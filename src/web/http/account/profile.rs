//! A person's own account: name, password, address, and the end of it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use crate::web::audit::{Actor, Deed};
use crate::web::http::account::enter::enter_at;
use crate::web::http::account::profile_page::{AccountForm, Profile};
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::fields::FieldErrors;
use crate::web::http::flash::Note;
use crate::web::http::layout::Section;
use crate::web::http::respond::{App, add_cookie, html, see_other, sentence, without_flash};
use crate::web::http::state::State;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::identity::place::Place;
use crate::web::identity::{Account, Email, PersonName};
use crate::web::mail::Kind;
use crate::web::mail::asked::Asked;
use crate::web::membership::notices::Subscription;
use crate::web::membership::self_service::Changed;
use crate::web::throttle::Cause;

/// `GET /account`
pub(crate) async fn page(app: App, request: HttpRequest, who: SignedIn) -> Result<HttpResponse, WebError> {
    let mut page = page_of(&app, &who).await?;
    let note = app.cookies.note(request.headers());
    page.chrome.flash = note.map(Note::flash);
    let answer = html(&page)?;
    without_flash(&app, note, answer)
}

async fn page_of(app: &State, who: &SignedIn) -> Result<Profile, WebError> {
    let account = who.account();
    let administration = &app.administration;
    let pending = administration.self_service.requested_address(&account.id).await?;
    let last_admin = account.admin && administration.accounts.is_last_administrator(&account.id).await?;
    Ok(Profile {
        chrome: who.chrome("Your account", Section::Account),
        name: account.name.as_str().to_owned(),
        email: account.email.as_str().to_owned(),
        admin: account.admin,
        groups: account.groups.iter().cloned().collect(),
        created: account.created_at,
        password_min: administration.password_min,
        pending_email: pending.map(|email| email.as_str().to_owned()),
        last_admin,
        wants_notices: !administration.notices.are_off(&account.id, Kind::Taken).await?,
        typed_name: account.name.as_str().to_owned(),
        typed_email: String::new(),
        errors_for: AccountForm::None,
        errors: FieldErrors::default(),
    })
}

/// The page once more, with what was wrong in one of its forms.
async fn again(
    app: &State,
    who: &SignedIn,
    form: AccountForm,
    errors: FieldErrors,
    typed: impl FnOnce(&mut Profile),
) -> Result<HttpResponse, WebError> {
    let mut page = page_of(app, who).await?;
    page.errors_for = form;
    page.errors = errors;
    typed(&mut page);
    Ok(HttpResponse::build(StatusCode::UNPROCESSABLE_ENTITY)
        .content_type("text/html; charset=utf-8")
        .body(page.render()?))
}

/// To the account's page, which says what was done.
fn noted(app: &State, note: Note) -> Result<HttpResponse, WebError> {
    let mut answer = see_other("/account");
    add_cookie(&mut answer, &app.cookies.set_note(note))?;
    Ok(answer)
}

/// Whoever holds a stolen session must not be able to do what can't be undone, nor to guess the
/// password at leisure: the account, as fresh as the database has it, if the password is its own.
async fn proven(
    app: &State,
    who: &SignedIn,
    password: &str,
    place: &Place,
) -> Result<(Account, bool), WebError> {
    let administration = &app.administration;
    let account = administration.accounts.by_id(&who.account().id).await?.ok_or(WebError::NotSignedIn)?;
    let now = administration.clock.now();
    let attempt = app.throttle.attempt(account.email.key(), place.address, now)?;
    let asker = Asker::Account(account.id.clone());
    let is_own = administration
        .passwords
        .verify(asker, Password::presented(password), account.password.as_ref())
        .await?;
    if is_own {
        app.throttle.succeeded(attempt, now);
    }
    Ok((account, is_own))
}

const WRONG_PASSWORD: &str = "This is not your current password.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameChange {
    name: String,
}

/// `POST /account/name`
pub(crate) async fn change_name(app: App, form: CsrfForm<NameChange>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    match fields.name.parse::<PersonName>() {
        Ok(name) => {
            app.administration.self_service.rename(&who.account().id, &name).await?;
            noted(&app, Note::NameChanged)
        }
        Err(wrong) => {
            let errors = FieldErrors { name: Some(sentence(&wrong)), ..FieldErrors::default() };
            again(&app, &who, AccountForm::Name, errors, |page| page.typed_name = fields.name).await
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    current_password: String,
    password: String,
    password_again: String,
}

/// `POST /account/password`: ends all sessions of the account and starts a new one here.
pub(crate) async fn change_password(
    app: App,
    place: Place,
    form: CsrfForm<PasswordChange>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let administration = &app.administration;
    let mut errors = FieldErrors::default();
    let own = [who.account().email.as_str(), who.account().name.as_str()];
    let least = administration.password_min;
    let new = new_password(least, &fields.password, &fields.password_again, &own, &mut errors);
    let (account, is_own) = proven(&app, &who, &fields.current_password, &place).await?;
    if !is_own {
        errors.current_password = Some(WRONG_PASSWORD.to_owned());
    }
    let (Some(new), false) = (new, errors.any()) else {
        return again(&app, &who, AccountForm::Password, errors, |_| {}).await;
    };
    let typed = Password::presented(&fields.password);
    let stored = administration.passwords.hash(Asker::Account(account.id.clone()), new).await?;
    let now = administration.clock.now();
    let actor = Actor::account(&account, place.address);
    let service = &administration.self_service;
    let asked = Asked::new(&place, now);
    let changed =
        service.change_password(&account, &stored, &actor, Deed::PasswordChanged, asked, now).await?;
    if changed != Changed::Done {
        return Err(WebError::NotSignedIn);
    }
    tracing::info!(account = %account.id, "password changed");
    let account = administration.accounts.by_id(&account.id).await?.ok_or(WebError::NotSignedIn)?;
    let mut answer = enter_at(&app, &account, typed, &place, "/account").await?;
    add_cookie(&mut answer, &app.cookies.set_note(Note::PasswordChanged))?;
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressChange {
    email: String,
    current_password: String,
}

/// `POST /account/email`: a mail to the new address asks to confirm it. Whether somebody else has
/// that address shows nowhere.
pub(crate) async fn change_address(
    app: App,
    place: Place,
    form: CsrfForm<AddressChange>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let mut errors = FieldErrors::default();
    let email = fields.email.parse::<Email>().map_err(|wrong| errors.email = Some(sentence(&wrong))).ok();
    if email.as_ref().is_some_and(|email| email.as_str() == who.account().email.as_str()) {
        errors.email = Some("This is the address that you have.".to_owned());
    }
    let (account, is_own) = proven(&app, &who, &fields.current_password, &place).await?;
    if !is_own {
        errors.current_password = Some(WRONG_PASSWORD.to_owned());
    }
    let (Some(email), false) = (email, errors.any()) else {
        let typed = |page: &mut Profile| page.typed_email = fields.email;
        return again(&app, &who, AccountForm::Email, errors, typed).await;
    };
    let now = app.administration.clock.now();
    let mail = app.throttle.mail(Cause::Address, email.key(), now);
    let actor = Actor::account(&account, place.address);
    app.administration.self_service.request_address(&account, &email, mail, &actor, now).await?;
    noted(&app, Note::AddressRequested)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /account/email/cancel`
pub(crate) async fn keep_address(app: App, form: CsrfForm<Nothing>) -> Result<HttpResponse, WebError> {
    let Nothing {} = form.fields;
    app.administration.self_service.keep_address(&form.who.account().id).await?;
    noted(&app, Note::AddressKept)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticeChoice {
    downloads: Option<String>,
}

/// `POST /account/notices`
pub(crate) async fn change_notices(app: App, form: CsrfForm<NoticeChoice>) -> Result<HttpResponse, WebError> {
    let of = Subscription { account: form.who.account().id.clone(), kind: Kind::Taken };
    let notices = &app.administration.notices;
    match form.fields.downloads {
        Some(_) => {
            notices.turn_on(&of).await?;
            noted(&app, Note::NoticesOn)
        }
        None => {
            notices.turn_off(&of, app.administration.clock.now()).await?;
            noted(&app, Note::NoticesOff)
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Farewell {
    current_password: String,
}

/// `POST /account/delete`
pub(crate) async fn delete(
    app: App,
    place: Place,
    form: CsrfForm<Farewell>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let (account, is_own) = proven(&app, &who, &fields.current_password, &place).await?;
    if !is_own {
        let errors =
            FieldErrors { current_password: Some(WRONG_PASSWORD.to_owned()), ..FieldErrors::default() };
        return again(&app, &who, AccountForm::Delete, errors, |_| {}).await;
    }
    let now = app.administration.clock.now();
    let actor = Actor::account(&account, place.address);
    match app.administration.account_admin.delete(&account, &actor, now).await? {
        Changed::Done => {}
        Changed::LastAdministrator => {
            let only = "You are the only administrator: make somebody else one first.".to_owned();
            let errors = FieldErrors { form: Some(only), ..FieldErrors::default() };
            return again(&app, &who, AccountForm::Delete, errors, |_| {}).await;
        }
        Changed::Overtaken | Changed::EmailTaken => return Err(WebError::NotSignedIn),
    }
    app.administration.revoke_now().await;
    tracing::info!(account = %account.id, "account deleted by its owner");
    let mut answer = see_other("/login");
    add_cookie(&mut answer, &app.cookies.clear_session())?;
    add_cookie(&mut answer, &app.cookies.set_note(Note::AccountDeleted))?;
    Ok(answer)
}

/// The password that somebody chose, or what is wrong with it. `own` is what he is known by, which
/// others would guess first.
pub(crate) fn new_password(
    least: usize,
    password: &str,
    again: &str,
    own: &[&str],
    errors: &mut FieldErrors,
) -> Option<Password> {
    if password != again {
        errors.password_again = Some("The two passwords differ.".to_owned());
    }
    match Password::for_person(password, least, own) {
        Ok(password) => errors.password_again.is_none().then_some(password),
        Err(weak) => {
            errors.password = Some(sentence(&weak));
            None
        }
    }
}
