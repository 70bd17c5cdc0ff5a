//! Another address for an account: `/confirm-address/{token}`, opened from a mail to that address.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::account::action_link::{Standing, done, look_at, over};
use crate::web::http::account::action_link_page::Done;
use crate::web::http::account::address_page::ConfirmAddress;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::{StrangerForm, session_of};
use crate::web::http::fields::FieldErrors;
use crate::web::http::flash::Note;
use crate::web::http::respond::{App, add_cookie, see_other, with_form};
use crate::web::http::state::State;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::identity::place::Place;
use crate::web::identity::{Account, Email};
use crate::web::mail::asked::Asked;
use crate::web::membership::action_links::Spent;
use crate::web::membership::self_service::Changed;

/// `GET /confirm-address/{token}`
pub(crate) async fn page(
    app: App,
    request: HttpRequest,
    unverified: Path<String>,
) -> Result<HttpResponse, WebError> {
    match look_at(&app, "confirm-address", &unverified).await?.1 {
        Standing::Good(account, Some(email)) => {
            let needs_password = !is_logged_in(&request, &app, &account).await?;
            with_form(&request, &app.cookies, StatusCode::OK, |csrf| {
                ConfirmAddress::new(account.email.as_str(), email.as_str(), needs_password, csrf)
            })
        }
        Standing::Over(why, account) => over(&request, &app, "confirm-address", &unverified, why, account),
        Standing::Done(what) => done(what),
        Standing::Good(_, None) | Standing::FirstAdministrator => Err(WebError::NotFound),
    }
}

/// A scanner that presses buttons is logged in nowhere and knows no password.
async fn is_logged_in(request: &HttpRequest, app: &State, account: &Account) -> Result<bool, WebError> {
    Ok(session_of(request, app).await?.is_some_and(|who| who.account().id == account.id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    #[serde(default)]
    password: String,
}

/// `POST /confirm-address/{token}`
pub(crate) async fn act(
    app: App,
    request: HttpRequest,
    unverified: Path<String>,
    place: Place,
    form: StrangerForm<Proof>,
) -> Result<HttpResponse, WebError> {
    let administration = &app.administration;
    let now = administration.clock.now();
    let jti = administration.actions.verify(&unverified, now).await?.action.jti;
    let _turn = app.turns.of(jti).await;
    let (link, account, email) = match look_at(&app, "confirm-address", &unverified).await? {
        (link, Standing::Good(account, Some(email))) => (link, account, email),
        (_, Standing::Over(why, account)) => {
            return over(&request, &app, "confirm-address", &unverified, why, account);
        }
        (_, Standing::Done(what)) => return done(what),
        (_, Standing::Good(_, None) | Standing::FirstAdministrator) => return Err(WebError::NotFound),
    };
    if !is_logged_in(&request, &app, &account).await? {
        let attempt = app.throttle.attempt(account.email.key(), place.address, now)?;
        let typed = Password::presented(&form.fields.password);
        if !administration
            .passwords
            .verify(Asker::LogIn(place.address), typed, account.password.as_ref())
            .await?
        {
            let wrong = Some("This is not the password of the account.".to_owned());
            let errors = FieldErrors { password: wrong, ..FieldErrors::default() };
            return again(&account, &email, errors, csrf::token_for(&form.secret));
        }
        app.throttle.succeeded(attempt, now);
    }
    if administration.actions.spend(&link.action, now).await? == Spent::Before {
        return done(Done::AddressChanged);
    }
    let actor = Actor::account(&account, place.address);
    let asked = Some(Asked::new(&place, now));
    match administration.self_service.change_address(&account, &email, &actor, asked, now).await? {
        Changed::Done => {}
        _ => return Err(WebError::LinkOver),
    }
    tracing::info!(account = %account.id, "address changed");
    let mut answer = see_other("/account");
    add_cookie(&mut answer, &app.cookies.set_note(Note::AddressChanged))?;
    Ok(answer)
}

fn again(
    account: &Account,
    email: &Email,
    errors: FieldErrors,
    csrf: String,
) -> Result<HttpResponse, WebError> {
    let page =
        ConfirmAddress { errors, ..ConfirmAddress::new(account.email.as_str(), email.as_str(), true, csrf) };
    Ok(HttpResponse::build(StatusCode::UNPROCESSABLE_ENTITY)
        .content_type("text/html; charset=utf-8")
        .body(page.render()?))
}
