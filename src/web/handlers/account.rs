//! A person's own account.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::login::add_cookie;
use super::{App, html, see_other};
use crate::web::cookies::Note;
use crate::web::error::WebError;
use crate::web::extract::{CsrfForm, SignedIn};
use crate::web::pages::account::{Account as AccountPage, FieldErrors};
use crate::web::pages::{Flash, FlashKind, Section};
use crate::web::passwords::Password;
use crate::web::sessions::{NewSession, Place};
use crate::web::state::State;

/// `GET /account`
pub(super) async fn page(app: App, request: HttpRequest, who: SignedIn) -> Result<HttpResponse, WebError> {
    let mut page = page_of(&app, &who, FieldErrors::default());
    let note = app.cookies.note(request.headers());
    page.chrome.flash = note.map(|Note::PasswordChanged| Flash {
        kind: FlashKind::Done,
        text: "Your password is changed. Any other browser that was logged in has to log in again."
            .to_owned(),
    });
    let mut answer = html(&page)?;
    if note.is_some() {
        add_cookie(&mut answer, &app.cookies.clear_note())?;
    }
    Ok(answer)
}

fn page_of(app: &State, who: &SignedIn, errors: FieldErrors) -> AccountPage {
    let account = who.account();
    AccountPage {
        chrome: who.chrome("Your account", Section::Account),
        name: account.name.as_str().to_owned(),
        email: account.email.as_str().to_owned(),
        admin: account.admin,
        groups: account.groups.iter().cloned().collect(),
        created: account.created_at,
        password_min: app.administration.password_min,
        errors,
    }
}

#[derive(Deserialize)]
pub(super) struct PasswordChange {
    current_password: String,
    password: String,
    password_again: String,
}

/// `POST /account/password`: ends all sessions of the account and starts a new one here.
pub(super) async fn change_password(
    app: App,
    place: Place,
    form: CsrfForm<PasswordChange>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields } = form;
    let mut errors = FieldErrors::default();
    let new =
        new_password(app.administration.password_min, &fields.password, &fields.password_again, &mut errors);
    // As fresh as the database has it: the password may have been changed elsewhere just now.
    let account = app.administration.accounts.by_id(&who.account().id).await?.ok_or(WebError::NotSignedIn)?;
    let now = app.administration.clock.now();
    // Whoever holds a stolen session must not be able to guess the password at leisure.
    let attempt = app.throttle.attempt(account.email.key(), place.address, now)?;
    let current = Password::presented(&fields.current_password);
    if !app.administration.passwords.verify(current, account.password.as_ref()).await? {
        errors.current_password = Some("This is not your current password.".to_owned());
    } else {
        app.throttle.succeeded(attempt, now);
    }
    let (Some(new), false) = (new, errors.any()) else {
        let page = page_of(&app, &who, errors).render()?;
        let answer = HttpResponse::build(StatusCode::UNPROCESSABLE_ENTITY)
            .content_type("text/html; charset=utf-8")
            .body(page);
        return Ok(answer);
    };
    let stored = app.administration.passwords.hash(new).await?;
    if !app.administration.accounts.set_password(&account, &stored).await? {
        return Err(WebError::NotSignedIn);
    }
    let new = NewSession { account: &account.id, password: &stored, remembered: false, place: &place };
    let id = app.sessions.start(&new, now).await?.ok_or(WebError::NotSignedIn)?;
    tracing::info!(account = %account.id, "password changed");
    let mut answer = see_other("/account");
    add_cookie(&mut answer, &app.cookies.set_session(&id))?;
    add_cookie(&mut answer, &app.cookies.set_note(Note::PasswordChanged))?;
    Ok(answer)
}

/// The password that somebody chose, or what is wrong with it.
pub(super) fn new_password(
    least: usize,
    password: &str,
    again: &str,
    errors: &mut FieldErrors,
) -> Option<Password> {
    if password != again {
        errors.password_again = Some("The two passwords differ.".to_owned());
    }
    match Password::new(password, least) {
        Ok(password) => errors.password_again.is_none().then_some(password),
        Err(weak) => {
            errors.password = Some(sentence(&weak));
            None
        }
    }
}

/// An error's message as a sentence for the page.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
