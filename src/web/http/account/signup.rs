//! Asking for an account: `/signup`, and the page that says to look for a mail.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use crate::config::Signup;
use crate::web::audit::Actor;
use crate::web::http::account::profile::new_password;
use crate::web::http::account::signup_page::{MailSent, SentKind, SignUp as SignUpPage, SignUpClosed};
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::{StrangerForm, session_of};
use crate::web::http::fields::FieldErrors;
use crate::web::http::respond::{App, html, redirect_again, see_other, sentence, with_form};
use crate::web::http::state::State;
use crate::web::identity::passwords::Asker;
use crate::web::identity::place::Place;
use crate::web::identity::{Email, PersonName};
use crate::web::mail::asked::Asked;
use crate::web::membership::self_service::{SignUp, browser_mark};
use crate::web::throttle::Cause;

/// `GET /signup`
pub(crate) async fn page(app: App, request: HttpRequest) -> Result<HttpResponse, WebError> {
    if session_of(&request, &app).await?.is_some() {
        return Ok(see_other("/files/"));
    }
    if app.signup.mode != Signup::Open {
        return closed(&app);
    }
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| blank(&app, csrf))
}

fn blank(app: &State, csrf: String) -> SignUpPage {
    SignUpPage::new(app.administration.password_min, app.signup.domains.clone(), csrf::with_id(&csrf))
}

fn closed(app: &State) -> Result<HttpResponse, WebError> {
    let page = SignUpClosed::new(app.signup.mode == Signup::Invite).render()?;
    Ok(HttpResponse::Forbidden().content_type("text/html; charset=utf-8").body(page))
}

/// The page that says that a mail is on its way.
const SENT: &str = "/mail-sent?for=sign-up";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    email: String,
    name: String,
    password: String,
    password_again: String,
}

/// `POST /signup`. Text and time of the answer are the same whether or not there is an account.
pub(crate) async fn sign_up(
    app: App,
    place: Place,
    form: StrangerForm<Wish>,
) -> Result<HttpResponse, WebError> {
    if app.signup.mode != Signup::Open {
        return closed(&app);
    }
    let once = app.sent_forms.begin(form.sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let administration = &app.administration;
    let wish = form.fields;
    let mut errors = FieldErrors::default();
    let email = wish.email.parse::<Email>().map_err(|wrong| errors.email = Some(sentence(&wrong))).ok();
    if email.as_ref().is_some_and(|email| !app.signup.admits(email)) {
        errors.email = Some(format!("Sign up with an address at {}.", app.signup.domains.join(" or ")));
    }
    let name = wish.name.parse::<PersonName>().map_err(|wrong| errors.name = Some(sentence(&wrong))).ok();
    let own = [wish.email.as_str(), wish.name.as_str()];
    let least = administration.password_min;
    let password = new_password(least, &wish.password, &wish.password_again, &own, &mut errors);
    let (Some(email), Some(name), Some(password), false) = (email, name, password, errors.any()) else {
        let csrf = csrf::token_for(&form.secret);
        let page = SignUpPage { email: wish.email, name: wish.name, errors, ..blank(&app, csrf) };
        return Ok(HttpResponse::build(StatusCode::UNPROCESSABLE_ENTITY)
            .content_type("text/html; charset=utf-8")
            .body(page.render()?));
    };
    let now = administration.clock.now();
    app.throttle.request(place.address, now)?;
    let password = administration.passwords.hash(Asker::Visitor(place.address), password).await?;
    // Without a mail the older request must stand, for its link is the one that arrived.
    if app.throttle.mail(Cause::SignUp, email.key(), now) {
        let new = SignUp {
            email,
            name,
            password,
            browser: browser_mark(&form.secret.digest()),
            forget_at: now.plus(app.signup.unactivated_max),
            asked: Asked::new(&place, now),
        };
        administration.self_service.sign_up(&new, &Actor::stranger(place.address), now).await?;
    }
    once.done(SENT, "", now).await?;
    Ok(see_other(SENT))
}

#[derive(Deserialize)]
pub(crate) struct Reason {
    #[serde(rename = "for", default)]
    kind: String,
}

/// `GET /mail-sent`
pub(crate) async fn mail_sent(app: App, query: Option<Query<Reason>>) -> Result<HttpResponse, WebError> {
    let kind = query.map(|query| query.into_inner().kind).unwrap_or_default();
    let kind = match kind.as_str() {
        "sign-up" => SentKind::SignUp,
        "forgot" => SentKind::Forgot,
        _ => SentKind::Link,
    };
    html(&MailSent::new(kind, app.outbox))
}
