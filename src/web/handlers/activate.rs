//! Action links. A GET shows a form, however often it is asked; the POST acts, once.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::account::{new_password, sentence};
use super::login::add_cookie;
use super::{App, html, see_other};
use crate::token::Action;
use crate::web::account::{Account, AccountId, Email, NewAccount, PersonName};
use crate::web::accounts::Added;
use crate::web::actions::{Purpose, Spent, fits};
use crate::web::csrf;
use crate::web::error::WebError;
use crate::web::extract::StrangerForm;
use crate::web::pages::account::{Activate, Activated, Activation, FieldErrors};
use crate::web::passwords::Password;
use crate::web::sessions::{NewSession, Place};
use crate::web::state::State;

/// What a link is good for now.
enum Task {
    FirstAdministrator,
    SetPassword(Box<Account>),
    /// Nothing any more: it did its work.
    Done,
}

impl Task {
    fn activation(&self) -> Activation {
        match self {
            Task::SetPassword(account) => {
                Activation::SetPassword { email: account.email.as_str().to_owned() }
            }
            Task::FirstAdministrator | Task::Done => Activation::FirstAdministrator,
        }
    }
}

/// `GET /activate/{token}`
pub(super) async fn page(
    app: App,
    request: HttpRequest,
    unverified: Path<String>,
) -> Result<HttpResponse, WebError> {
    let (_, task) = look_at(&app, &unverified).await?;
    if matches!(task, Task::Done) {
        return html(&Activated::new(true));
    }
    let (secret, cookie) = match app.cookies.form(request.headers()) {
        Some(secret) => (secret, None),
        None => {
            let (secret, cookie) = app.cookies.new_form()?;
            (secret, Some(cookie))
        }
    };
    let form = Activate::new(task.activation(), app.administration.password_min, csrf::token_for(&secret));
    let mut answer = html(&form)?;
    if let Some(cookie) = cookie {
        add_cookie(&mut answer, &cookie)?;
    }
    Ok(answer)
}

#[derive(Deserialize)]
pub(super) struct Filled {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    password: String,
    password_again: String,
}

/// `POST /activate/{token}`
pub(super) async fn act(
    app: App,
    unverified: Path<String>,
    place: Place,
    form: StrangerForm<Filled>,
) -> Result<HttpResponse, WebError> {
    let _alone = app.activating.lock().await;
    let (action, task) = look_at(&app, &unverified).await?;
    let fields = form.fields;
    let mut errors = FieldErrors::default();
    let password =
        new_password(app.administration.password_min, &fields.password, &fields.password_again, &mut errors);
    let activation = task.activation();
    let done = match task {
        Task::Done => None,
        Task::FirstAdministrator => {
            let person = person(&app, &fields, &mut errors).await?;
            match (person, password) {
                (Some((email, name)), Some(password)) => {
                    first_administrator(&app, &action, email, name, password, &place).await?
                }
                _ => return again(&app, activation, &fields, errors, &csrf::token_for(&form.secret)),
            }
        }
        Task::SetPassword(account) => match password {
            Some(password) => set_password(&app, &action, &account, password, &place).await?,
            None => return again(&app, activation, &fields, errors, &csrf::token_for(&form.secret)),
        },
    };
    match done {
        Some(answer) => Ok(answer),
        None => html(&Activated::new(true)),
    }
}

/// What the link is good for. A link of which nothing is left to do by its own work is
/// [`Task::Done`]; one that was overtaken by something else is refused.
async fn look_at(app: &State, unverified: &str) -> Result<(Action, Task), WebError> {
    let action = app.administration.actions.verify(unverified, app.administration.clock.now())?;
    let purpose = Purpose::of(&action).ok_or(WebError::NotFound)?;
    let accounts = &app.administration.accounts;
    let task = match purpose {
        _ if app.administration.actions.is_spent(&action).await? => Task::Done,
        Purpose::FirstAdministrator if accounts.has_administrator().await? => Task::Done,
        Purpose::FirstAdministrator => Task::FirstAdministrator,
        Purpose::SetPassword => {
            let account = accounts.by_id(&AccountId::from_store(&action.subject)).await?;
            let account = account.filter(|account| !account.disabled && fits(&action, account));
            Task::SetPassword(Box::new(account.ok_or(WebError::LinkOver)?))
        }
    };
    Ok((action, task))
}

/// Address and name that somebody gave, or what is wrong with them.
async fn person(
    app: &State,
    fields: &Filled,
    errors: &mut FieldErrors,
) -> Result<Option<(Email, PersonName)>, WebError> {
    let email = fields.email.parse::<Email>().map_err(|wrong| errors.email = Some(sentence(&wrong))).ok();
    let name = fields.name.parse::<PersonName>().map_err(|wrong| errors.name = Some(sentence(&wrong))).ok();
    let (Some(email), Some(name)) = (email, name) else { return Ok(None) };
    if app.administration.accounts.by_email(&email).await?.is_some() {
        errors.email = Some("There is an account with this address already.".to_owned());
        return Ok(None);
    }
    Ok(Some((email, name)))
}

async fn first_administrator(
    app: &State,
    action: &Action,
    email: Email,
    name: PersonName,
    password: Password,
    place: &Place,
) -> Result<Option<HttpResponse>, WebError> {
    let administration = &app.administration;
    let stored = administration.passwords.hash(password).await?;
    let now = administration.clock.now();
    if administration.actions.spend(action, now).await? == Spent::Before {
        return Ok(None);
    }
    let new = NewAccount {
        email,
        name,
        admin: true,
        groups: std::collections::BTreeSet::new(),
        password: Some(stored.clone()),
    };
    match administration.accounts.add_first_administrator(new, now).await? {
        Added::New(account) => {
            tracing::info!(account = %account.id, "the first administrator is made");
            logged_in(app, &account, &stored, place).await.map(Some)
        }
        Added::NotTheFirst => Ok(None),
        // Somebody made this very account since we looked; the link is spent, a restart prints another.
        Added::EmailTaken => Err(WebError::LinkOver),
    }
}

async fn set_password(
    app: &State,
    action: &Action,
    account: &Account,
    password: Password,
    place: &Place,
) -> Result<Option<HttpResponse>, WebError> {
    let administration = &app.administration;
    let stored = administration.passwords.hash(password).await?;
    if administration.actions.spend(action, administration.clock.now()).await? == Spent::Before {
        return Ok(None);
    }
    if !administration.accounts.set_password(account, &stored).await? {
        return Err(WebError::LinkOver);
    }
    tracing::info!(account = %account.id, "password chosen by an action link");
    logged_in(app, account, &stored, place).await.map(Some)
}

/// Whoever has just chosen the password need not type it again.
async fn logged_in(
    app: &State,
    account: &Account,
    stored: &crate::web::passwords::StoredPassword,
    place: &Place,
) -> Result<HttpResponse, WebError> {
    let new = NewSession { account: &account.id, password: stored, remembered: false, place };
    let started = app.sessions.start(&new, app.administration.clock.now()).await?;
    let mut answer = see_other("/files/");
    if let Some(id) = started {
        add_cookie(&mut answer, &app.cookies.set_session(&id))?;
    }
    Ok(answer)
}

fn again(
    app: &State,
    activation: Activation,
    fields: &Filled,
    errors: FieldErrors,
    csrf: &str,
) -> Result<HttpResponse, WebError> {
    let page = Activate {
        email: fields.email.clone(),
        name: fields.name.clone(),
        errors,
        ..Activate::new(activation, app.administration.password_min, csrf)
    };
    Ok(HttpResponse::build(StatusCode::UNPROCESSABLE_ENTITY)
        .content_type("text/html; charset=utf-8")
        .body(page.render()?))
}
