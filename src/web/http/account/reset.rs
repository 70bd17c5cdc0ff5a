//! A forgotten password: `/forgot` sends a link, `/reset/{token}` takes another password.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use crate::web::audit::{Actor, Deed};
use crate::web::http::account::action_link::{Standing, done, look_at, over};
use crate::web::http::account::action_link_page::Done;
use crate::web::http::account::profile::new_password;
use crate::web::http::account::reset_page::{Forgot, Reset};
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::StrangerForm;
use crate::web::http::fields::FieldErrors;
use crate::web::http::flash::Note;
use crate::web::http::respond::{App, add_cookie, redirect_again, see_other, sentence, with_form};
use crate::web::identity::Email;
use crate::web::identity::passwords::Asker;
use crate::web::identity::place::Place;
use crate::web::mail::asked::Asked;
use crate::web::membership::action_links::Spent;
use crate::web::membership::self_service::Changed;

/// The page that says that a mail is on its way.
const SENT: &str = "/mail-sent?for=forgot";

/// `GET /forgot`
pub(crate) async fn forgot_page(app: App, request: HttpRequest) -> Result<HttpResponse, WebError> {
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| Forgot::new(csrf::with_id(&csrf)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    email: String,
}

/// `POST /forgot`. Text and time of the answer are the same whether or not there is an account.
pub(crate) async fn forgot(
    app: App,
    place: Place,
    form: StrangerForm<Whose>,
) -> Result<HttpResponse, WebError> {
    let once = app.sent_forms.begin(form.sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let email = match form.fields.email.parse::<Email>() {
        Ok(email) => email,
        Err(wrong) => {
            let errors = FieldErrors { email: Some(sentence(&wrong)), ..FieldErrors::default() };
            let csrf = csrf::with_id(&csrf::token_for(&form.secret));
            let page = Forgot { email: form.fields.email, errors, ..Forgot::new(csrf) };
            return unprocessable(&page);
        }
    };
    let now = app.administration.clock.now();
    app.throttle.request(place.address, now)?;
    if app.throttle.forgot_mail(email.key(), place.address, now) {
        app.administration.self_service.forgot(&email, Asked::new(&place, now), now).await?;
    }
    once.done(SENT, "", now).await?;
    Ok(see_other(SENT))
}

/// `GET /reset/{token}`
pub(crate) async fn page(
    app: App,
    request: HttpRequest,
    unverified: Path<String>,
) -> Result<HttpResponse, WebError> {
    match look_at(&app, "reset", &unverified).await?.1 {
        Standing::Good(account, _) => with_form(&request, &app.cookies, StatusCode::OK, |csrf| {
            Reset::new(account.email.as_str(), app.administration.password_min, csrf)
        }),
        Standing::Over(why, account) => over(&request, &app, "reset", &unverified, why, account),
        Standing::Done(what) => done(what),
        Standing::FirstAdministrator => Err(WebError::NotFound),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    password: String,
    password_again: String,
}

/// `POST /reset/{token}`: the new password is there, all sessions are over, and its owner logs in.
pub(crate) async fn act(
    app: App,
    request: HttpRequest,
    unverified: Path<String>,
    place: Place,
    form: StrangerForm<Choice>,
) -> Result<HttpResponse, WebError> {
    let administration = &app.administration;
    let jti = administration.actions.verify(&unverified, administration.clock.now()).await?.action.jti;
    let _turn = app.turns.of(jti).await;
    let (link, account) = match look_at(&app, "reset", &unverified).await? {
        (link, Standing::Good(account, _)) => (link, account),
        (_, Standing::Over(why, account)) => {
            return over(&request, &app, "reset", &unverified, why, account);
        }
        (_, Standing::Done(what)) => return done(what),
        (_, Standing::FirstAdministrator) => return Err(WebError::NotFound),
    };
    let mut errors = FieldErrors::default();
    let own = [account.email.as_str(), account.name.as_str()];
    let least = administration.password_min;
    let fields = &form.fields;
    let Some(password) = new_password(least, &fields.password, &fields.password_again, &own, &mut errors)
    else {
        let csrf = csrf::token_for(&form.secret);
        return unprocessable(&Reset { errors, ..Reset::new(account.email.as_str(), least, csrf) });
    };
    let stored = administration.passwords.hash(Asker::Visitor(place.address), password).await?;
    let now = administration.clock.now();
    if administration.actions.spend(&link.action, now).await? == Spent::Before {
        return done(Done::PasswordChosen);
    }
    let actor = Actor::account(&account, place.address);
    let service = &administration.self_service;
    let asked = Asked::new(&place, now);
    let changed = service.change_password(&account, &stored, &actor, Deed::PasswordReset, asked, now).await?;
    if changed != Changed::Done {
        return Err(WebError::LinkOver);
    }
    tracing::info!(account = %account.id, "password reset by a mailed link");
    let mut answer = see_other("/login");
    add_cookie(&mut answer, &app.cookies.clear_session())?;
    add_cookie(&mut answer, &app.cookies.set_note(Note::PasswordReset))?;
    Ok(answer)
}

fn unprocessable(page: &impl Template) -> Result<HttpResponse, WebError> {
    Ok(HttpResponse::build(StatusCode::UNPROCESSABLE_ENTITY)
        .content_type("text/html; charset=utf-8")
        .body(page.render()?))
}
