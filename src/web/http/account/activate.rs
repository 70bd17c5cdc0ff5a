//! `/activate/{token}`: activates the first administrator, an account that somebody signed up for, or an
//! invitation. A GET shows the form and changes nothing; the POST acts, once.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::secret::Secret;
use crate::token::ActionGrant;
use crate::web::accounts::store::AddOutcome;
use crate::web::audit::Actor;
use crate::web::http::account::action_link::{ActionLinkStatus, done_page, lock, status_of};
use crate::web::http::account::action_link_page::CompletedAction;
use crate::web::http::account::activate_page::{ActivatePage, Activation};
use crate::web::http::account::enter::enter;
use crate::web::http::account::password::{is_own_password, new_password};
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::StrangerForm;
use crate::web::http::fields::{FieldErrors, parse_field};
use crate::web::http::flash::FlashMessage;
use crate::web::http::respond::{AppData, redirect_with_flash, unprocessable, with_form};
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::identity::{Account, AccountStage, Email, NewAccount, PersonName};
use crate::web::membership::action_links::SpendOutcome;
use crate::web::membership::self_service::{ChangeOutcome, browser_mark};

/// `GET /activate/{token}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    unverified: Path<String>,
) -> Result<HttpResponse, WebError> {
    let activation = match status_of(&app, "activate", &unverified).await?.1 {
        ActionLinkStatus::FirstAdministrator => Activation::FirstAdministrator,
        status => match status.usable_or_page(&request, &app, "activate", &unverified)? {
            Ok(link) => activation(&link.account, app.cookies.form(request.headers()).as_ref()),
            Err(page) => return Ok(page),
        },
    };
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| empty_page(&app, activation, csrf))
}

fn empty_page(app: &AppState, activation: Activation, csrf: String) -> ActivatePage {
    ActivatePage::new(activation, app.services.password_min, csrf)
}

/// Returns what the form asks for when the link to `account` is opened in the browser with that secret.
/// Scanners open links and press buttons, but have neither the browser that signed up nor the password.
fn activation(account: &Account, browser: Option<&Secret>) -> Activation {
    let email = account.email.as_str().to_owned();
    if account.stage() == AccountStage::Invited {
        return Activation::Invitation { email, name: account.name.as_str().to_owned() };
    }
    let mark = browser.map(|secret| browser_mark(&secret.digest()));
    match mark.is_some() && mark == account.signup_browser {
        true => Activation::Confirm { email },
        false => Activation::Password { email },
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivateForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    password_again: String,
}

/// `POST /activate/{token}`
pub(crate) async fn act(
    app: AppData,
    request: HttpRequest,
    unverified: Path<String>,
    place: ClientInfo,
    form: StrangerForm<ActivateForm>,
) -> Result<HttpResponse, WebError> {
    let _lock = lock(&app, &unverified).await?;
    let (link, status) = status_of(&app, "activate", &unverified).await?;
    let visit = Visit { app: &app, action: &link.action, place: &place, form: &form };
    if let ActionLinkStatus::FirstAdministrator = status {
        return visit.first_administrator().await;
    }
    let account = match status.usable_or_page(&request, &app, "activate", &unverified)? {
        Ok(link) => link.account,
        Err(page) => return Ok(page),
    };
    match activation(&account, Some(&form.secret)) {
        Activation::Invitation { .. } => visit.invitation(&account).await,
        Activation::Confirm { .. } => visit.confirmed(&account).await,
        _ => visit.with_password(&account).await,
    }
}

/// A form that was sent to a usable link.
struct Visit<'v> {
    app: &'v AppState,
    action: &'v ActionGrant,
    place: &'v ClientInfo,
    form: &'v StrangerForm<ActivateForm>,
}

impl Visit<'_> {
    async fn first_administrator(&self) -> Result<HttpResponse, WebError> {
        let services = &self.app.services;
        let fields = &self.form.fields;
        let mut errors = FieldErrors::default();
        let email = parse_field::<Email>(&fields.email, &mut errors.email);
        if let Some(email) = &email
            && services.accounts.by_email(email).await?.is_some()
        {
            errors.email = Some("There is an account with this address already.".to_owned());
        }
        let name = parse_field::<PersonName>(&fields.name, &mut errors.name);
        let password = self.password(&[&fields.email, &fields.name], &mut errors);
        let (Some(email), Some(name), Some(password), false) = (email, name, password, errors.any()) else {
            return self.rerender_form(Activation::FirstAdministrator, errors);
        };
        let typed = Password::presented(&fields.password);
        let stored = services.passwords.hash(Asker::Visitor(self.place.address), password).await?;
        let now = services.clock.now();
        if services.actions.spend(self.action, now).await? == SpendOutcome::Before {
            return done_page(CompletedAction::Activated);
        }
        let (admin, groups, password) = (true, BTreeSet::new(), Some(stored));
        let new = NewAccount { email, name, admin, groups, password };
        match services.accounts.add_first_administrator(new, self.place.address, now).await? {
            AddOutcome::New(account) => {
                tracing::info!(account = %account.id, "the first administrator was created");
                enter(self.app, &account, typed, self.place).await
            }
            AddOutcome::NotTheFirst => done_page(CompletedAction::Activated),
            // The account was created since we looked. The link is used up; a restart prints another one.
            AddOutcome::EmailTaken => Err(WebError::LinkOver),
        }
    }

    async fn invitation(&self, account: &Account) -> Result<HttpResponse, WebError> {
        let services = &self.app.services;
        let fields = &self.form.fields;
        let mut errors = FieldErrors::default();
        let name = parse_field::<PersonName>(&fields.name, &mut errors.name);
        let password = self.password(&[account.email.as_str(), &fields.name], &mut errors);
        let (Some(name), Some(password)) = (name, password) else {
            let email = account.email.as_str().to_owned();
            return self.rerender_form(Activation::Invitation { email, name: fields.name.clone() }, errors);
        };
        let typed = Password::presented(&fields.password);
        let stored = services.passwords.hash(Asker::Visitor(self.place.address), password).await?;
        let now = services.clock.now();
        if services.actions.spend(self.action, now).await? == SpendOutcome::Before {
            return done_page(CompletedAction::PasswordChosen);
        }
        let actor = Actor::account(account, self.place.address);
        let service = &services.self_service;
        match service.accept_invitation(account, &name, &stored, &actor, now).await? {
            ChangeOutcome::Done => {
                tracing::info!(account = %account.id, "invitation accepted");
                match services.accounts.by_id(&account.id).await? {
                    Some(account) => enter(self.app, &account, typed, self.place).await,
                    None => Err(WebError::LinkOver),
                }
            }
            _ => Err(WebError::LinkOver),
        }
    }

    /// The browser that signed up: it needs no further proof, and is redirected to the login page.
    async fn confirmed(&self, account: &Account) -> Result<HttpResponse, WebError> {
        if let Some(page) = self.activate(account).await? {
            return Ok(page);
        }
        redirect_with_flash(self.app, "/login", FlashMessage::Activated)
    }

    /// Another browser: the person proves with the password that they are the one who signed up.
    async fn with_password(&self, account: &Account) -> Result<HttpResponse, WebError> {
        let typed = Password::presented(&self.form.fields.password);
        let address = self.place.address;
        if !is_own_password(self.app, account, typed.clone(), address, Asker::LogIn(address)).await? {
            let wrong = "This is not the password that was chosen at sign-up.".to_owned();
            let errors = FieldErrors { password: Some(wrong), ..FieldErrors::default() };
            let email = account.email.as_str().to_owned();
            return self.rerender_form(Activation::Password { email }, errors);
        }
        if let Some(page) = self.activate(account).await? {
            return Ok(page);
        }
        enter(self.app, account, typed, self.place).await
    }

    /// Activates the account; returns a page when it was activated before.
    async fn activate(&self, account: &Account) -> Result<Option<HttpResponse>, WebError> {
        let services = &self.app.services;
        let now = services.clock.now();
        if services.actions.spend(self.action, now).await? == SpendOutcome::Before {
            return done_page(CompletedAction::Activated).map(Some);
        }
        let actor = Actor::account(account, self.place.address);
        match services.self_service.activate(account, &actor, now).await? {
            ChangeOutcome::Done => {
                tracing::info!(account = %account.id, "account activated");
                Ok(None)
            }
            _ => Err(WebError::LinkOver),
        }
    }

    fn password(&self, own: &[&str], errors: &mut FieldErrors) -> Option<Password> {
        let fields = &self.form.fields;
        let min = self.app.services.password_min;
        new_password(min, &fields.password, &fields.password_again, own, errors)
    }

    fn rerender_form(&self, activation: Activation, errors: FieldErrors) -> Result<HttpResponse, WebError> {
        let fields = &self.form.fields;
        unprocessable(&ActivatePage {
            email: fields.email.clone(),
            name: fields.name.clone(),
            errors,
            ..empty_page(self.app, activation, csrf::token_for(&self.form.secret))
        })
    }
}
