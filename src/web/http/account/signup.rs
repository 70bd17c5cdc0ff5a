//! Signing up: `/signup`, and the page that asks people to check their email.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::config::Signup;
use crate::web::audit::Actor;
use crate::web::http::account::password::new_password;
use crate::web::http::account::signup_page::{MailSentPage, SentKind, SignUpPage};
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::{StrangerForm, session_of};
use crate::web::http::fields::{FieldErrors, parse_field};
use crate::web::http::respond::{AppData, html, redirect_again, see_other, unprocessable, with_form};
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::Asker;
use crate::web::identity::{Email, PersonName};
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::membership::self_service::{SignUpRequest, browser_mark};
use crate::web::throttle::MailCause;

/// `GET /signup`
pub(crate) async fn page(app: AppData, request: HttpRequest) -> Result<HttpResponse, WebError> {
    if session_of(&request, &app).await?.is_some() {
        return Ok(see_other("/files/"));
    }
    must_be_open(&app)?;
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| empty_page(&app, csrf))
}

fn empty_page(app: &AppState, csrf: String) -> SignUpPage {
    SignUpPage::new(app.services.password_min, app.signup.domains.clone(), csrf::with_id(&csrf))
}

/// Refuses a request where not everyone may sign up.
fn must_be_open(app: &AppState) -> Result<(), WebError> {
    match app.signup.mode {
        Signup::Open => Ok(()),
        mode => Err(WebError::SignUpClosed { by_invitation: mode == Signup::Invite }),
    }
}

/// The address of the page that says that a mail is on its way.
const SENT: &str = "/mail-sent?for=sign-up";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUpForm {
    email: String,
    name: String,
    password: String,
    password_again: String,
}

/// `POST /signup`. Text and time of the answer are the same whether or not there is an account.
pub(crate) async fn sign_up(
    app: AppData,
    place: ClientInfo,
    form: StrangerForm<SignUpForm>,
) -> Result<HttpResponse, WebError> {
    must_be_open(&app)?;
    let once = app.sent_forms.begin(form.sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let services = &app.services;
    let fields = form.fields;
    let mut errors = FieldErrors::default();
    let email = parse_field::<Email>(&fields.email, &mut errors.email);
    if email.as_ref().is_some_and(|email| !app.signup.admits(email)) {
        errors.email = Some(format!("Sign up with an address at {}.", app.signup.domains.join(" or ")));
    }
    let name = parse_field::<PersonName>(&fields.name, &mut errors.name);
    let own = [fields.email.as_str(), fields.name.as_str()];
    let min = services.password_min;
    let password = new_password(min, &fields.password, &fields.password_again, &own, &mut errors);
    let (Some(email), Some(name), Some(password), false) = (email, name, password, errors.any()) else {
        let csrf = csrf::token_for(&form.secret);
        let (email, name) = (fields.email, fields.name);
        return unprocessable(&SignUpPage { email, name, errors, ..empty_page(&app, csrf) });
    };
    let now = services.clock.now();
    app.throttle.request(place.address, now)?;
    let password = services.passwords.hash(Asker::Visitor(place.address), password).await?;
    // Without a new mail, the older sign-up must stay: its link is the one that arrived.
    if app.throttle.mail(MailCause::SignUp, email.key(), now) {
        let new = SignUpRequest {
            email,
            name,
            password,
            browser: browser_mark(&form.secret.digest()),
            forget_at: now.plus(app.signup.unactivated_max),
            asked: RequestOrigin::new(&place, now),
        };
        services.self_service.sign_up(&new, &Actor::stranger(place.address), now).await?;
    }
    once.done(SENT, "", now).await?;
    Ok(see_other(SENT))
}

#[derive(Deserialize)]
pub(crate) struct MailSentQuery {
    #[serde(rename = "for", default)]
    kind: String,
}

/// `GET /mail-sent`
pub(crate) async fn mail_sent(
    app: AppData,
    query: Option<Query<MailSentQuery>>,
) -> Result<HttpResponse, WebError> {
    let kind = query.map(|query| query.into_inner().kind).unwrap_or_default();
    let kind = match kind.as_str() {
        "sign-up" => SentKind::SignUp,
        "forgot" => SentKind::Forgot,
        _ => SentKind::Link,
    };
    html(&MailSentPage::new(kind, app.test_mailer.is_outbox()))
}
