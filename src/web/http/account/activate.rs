//! `/activate/{token}`: the first administrator, an account that somebody signed up for, an
//! invitation. A GET shows a form, however often it is asked; the POST acts, once.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use crate::secret::Secret;
use crate::token::Action;
use crate::web::accounts::store::Added;
use crate::web::audit::Actor;
use crate::web::http::account::action_link::{Standing, done, look_at, over};
use crate::web::http::account::action_link_page::Done;
use crate::web::http::account::enter::enter;
use crate::web::http::account::login_page::{Activate, Activation};
use crate::web::http::account::profile::new_password;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::StrangerForm;
use crate::web::http::fields::FieldErrors;
use crate::web::http::flash::Note;
use crate::web::http::respond::{App, add_cookie, see_other, sentence, with_form};
use crate::web::http::state::State;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::identity::place::Place;
use crate::web::identity::{Account, Email, NewAccount, PersonName, Stage};
use crate::web::membership::action_links::Spent;
use crate::web::membership::self_service::{Changed, browser_mark};

/// `GET /activate/{token}`
pub(crate) async fn page(
    app: App,
    request: HttpRequest,
    unverified: Path<String>,
) -> Result<HttpResponse, WebError> {
    let activation = match look_at(&app, "activate", &unverified).await?.1 {
        Standing::FirstAdministrator => Activation::FirstAdministrator,
        Standing::Good(account, _) => activation(&account, app.cookies.form(request.headers()).as_ref()),
        Standing::Over(why, account) => return over(&request, &app, "activate", &unverified, why, account),
        Standing::Done(what) => return done(what),
    };
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| blank(&app, activation, csrf))
}

fn blank(app: &State, activation: Activation, csrf: String) -> Activate {
    Activate::new(activation, app.administration.password_min, csrf)
}

/// What is asked of whoever opens the link to `account` in the browser with that secret. Scanners
/// open links and press buttons; they have neither the browser that signed up nor the password.
fn activation(account: &Account, browser: Option<&Secret>) -> Activation {
    let email = account.email.as_str().to_owned();
    if account.stage() == Stage::Invited {
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
pub(crate) struct Filled {
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
    app: App,
    request: HttpRequest,
    unverified: Path<String>,
    place: Place,
    form: StrangerForm<Filled>,
) -> Result<HttpResponse, WebError> {
    let administration = &app.administration;
    let jti = administration.actions.verify(&unverified, administration.clock.now()).await?.action.jti;
    let _turn = app.turns.of(jti).await;
    let (link, standing) = look_at(&app, "activate", &unverified).await?;
    let visit = Visit { app: &app, action: &link.action, place: &place, form: &form };
    match standing {
        Standing::FirstAdministrator => visit.first_administrator().await,
        Standing::Good(account, _) => match activation(&account, Some(&form.secret)) {
            Activation::Invitation { .. } => visit.invitation(&account).await,
            Activation::Confirm { .. } => visit.confirmed(&account).await,
            _ => visit.with_password(&account).await,
        },
        Standing::Over(why, account) => over(&request, &app, "activate", &unverified, why, account),
        Standing::Done(what) => done(what),
    }
}

/// A form that came with a link that can act.
struct Visit<'v> {
    app: &'v State,
    action: &'v Action,
    place: &'v Place,
    form: &'v StrangerForm<Filled>,
}

impl Visit<'_> {
    async fn first_administrator(&self) -> Result<HttpResponse, WebError> {
        let administration = &self.app.administration;
        let fields = &self.form.fields;
        let mut errors = FieldErrors::default();
        let email = fields.email.parse::<Email>();
        let email = email.map_err(|wrong| errors.email = Some(sentence(&wrong))).ok();
        if let Some(email) = &email
            && administration.accounts.by_email(email).await?.is_some()
        {
            errors.email = Some("There is an account with this address already.".to_owned());
        }
        let name = self.name(&mut errors);
        let password = self.password(&[&fields.email, &fields.name], &mut errors);
        let (Some(email), Some(name), Some(password), false) = (email, name, password, errors.any()) else {
            return self.again(Activation::FirstAdministrator, errors);
        };
        let typed = Password::presented(&fields.password);
        let stored = administration.passwords.hash(Asker::Visitor(self.place.address), password).await?;
        let now = administration.clock.now();
        if administration.actions.spend(self.action, now).await? == Spent::Before {
            return done(Done::Activated);
        }
        let (admin, groups, password) = (true, BTreeSet::new(), Some(stored));
        let new = NewAccount { email, name, admin, groups, password };
        match administration.accounts.add_first_administrator(new, self.place.address, now).await? {
            Added::New(account) => {
                tracing::info!(account = %account.id, "the first administrator is made");
                enter(self.app, &account, typed, self.place).await
            }
            Added::NotTheFirst => done(Done::Activated),
            // Somebody made this very account since we looked; the link is spent, a restart prints another.
            Added::EmailTaken => Err(WebError::LinkOver),
        }
    }

    async fn invitation(&self, account: &Account) -> Result<HttpResponse, WebError> {
        let administration = &self.app.administration;
        let fields = &self.form.fields;
        let mut errors = FieldErrors::default();
        let name = self.name(&mut errors);
        let password = self.password(&[account.email.as_str(), &fields.name], &mut errors);
        let (Some(name), Some(password)) = (name, password) else {
            let email = account.email.as_str().to_owned();
            return self.again(Activation::Invitation { email, name: fields.name.clone() }, errors);
        };
        let typed = Password::presented(&fields.password);
        let stored = administration.passwords.hash(Asker::Visitor(self.place.address), password).await?;
        let now = administration.clock.now();
        if administration.actions.spend(self.action, now).await? == Spent::Before {
            return done(Done::PasswordChosen);
        }
        let actor = Actor::account(account, self.place.address);
        let service = &administration.self_service;
        match service.accept_invitation(account, &name, &stored, &actor, now).await? {
            Changed::Done => {
                tracing::info!(account = %account.id, "invitation accepted");
                match administration.accounts.by_id(&account.id).await? {
                    Some(account) => enter(self.app, &account, typed, self.place).await,
                    None => Err(WebError::LinkOver),
                }
            }
            _ => Err(WebError::LinkOver),
        }
    }

    /// The browser that signed up: nothing more is asked, and it logs in with its password.
    async fn confirmed(&self, account: &Account) -> Result<HttpResponse, WebError> {
        if let Some(refused) = self.activate(account).await? {
            return Ok(refused);
        }
        let mut answer = see_other("/login");
        add_cookie(&mut answer, &self.app.cookies.set_note(Note::Activated))?;
        Ok(answer)
    }

    /// Another browser: it shows by the password that the same person signed up.
    async fn with_password(&self, account: &Account) -> Result<HttpResponse, WebError> {
        let administration = &self.app.administration;
        let now = administration.clock.now();
        let attempt = self.app.throttle.attempt(account.email.key(), self.place.address, now)?;
        let typed = Password::presented(&self.form.fields.password);
        if !administration
            .passwords
            .verify(Asker::LogIn(self.place.address), typed.clone(), account.password.as_ref())
            .await?
        {
            let wrong = "This is not the password that was chosen at sign-up.".to_owned();
            let errors = FieldErrors { password: Some(wrong), ..FieldErrors::default() };
            return self.again(Activation::Password { email: account.email.as_str().to_owned() }, errors);
        }
        self.app.throttle.succeeded(attempt, now);
        if let Some(refused) = self.activate(account).await? {
            return Ok(refused);
        }
        enter(self.app, account, typed, self.place).await
    }

    /// Activates the account; an answer when that was done before.
    async fn activate(&self, account: &Account) -> Result<Option<HttpResponse>, WebError> {
        let administration = &self.app.administration;
        let now = administration.clock.now();
        if administration.actions.spend(self.action, now).await? == Spent::Before {
            return done(Done::Activated).map(Some);
        }
        let actor = Actor::account(account, self.place.address);
        match administration.self_service.activate(account, &actor, now).await? {
            Changed::Done => {
                tracing::info!(account = %account.id, "account activated");
                Ok(None)
            }
            _ => Err(WebError::LinkOver),
        }
    }

    fn name(&self, errors: &mut FieldErrors) -> Option<PersonName> {
        let name = self.form.fields.name.parse::<PersonName>();
        name.map_err(|wrong| errors.name = Some(sentence(&wrong))).ok()
    }

    fn password(&self, own: &[&str], errors: &mut FieldErrors) -> Option<Password> {
        let fields = &self.form.fields;
        let least = self.app.administration.password_min;
        new_password(least, &fields.password, &fields.password_again, own, errors)
    }

    fn again(&self, activation: Activation, errors: FieldErrors) -> Result<HttpResponse, WebError> {
        let fields = &self.form.fields;
        let page = Activate {
            email: fields.email.clone(),
            name: fields.name.clone(),
            errors,
            ..blank(self.app, activation, csrf::token_for(&self.form.secret))
        };
        Ok(HttpResponse::build(StatusCode::UNPROCESSABLE_ENTITY)
            .content_type("text/html; charset=utf-8")
            .body(page.render()?))
    }
}
