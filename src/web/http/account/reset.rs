//! A forgotten password: `/forgot` mails a link, and `/reset/{token}` sets a new password.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::audit::{Actor, AuditEvent};
use crate::web::http::account::action_link::{done_page, lock, status_of};
use crate::web::http::account::action_link_page::CompletedAction;
use crate::web::http::account::password::new_password;
use crate::web::http::account::reset_page::{ForgotPage, ResetPage};
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::StrangerForm;
use crate::web::http::fields::{FieldErrors, parse_field};
use crate::web::http::flash::FlashMessage;
use crate::web::http::respond::{AppData, add_cookie, redirect_again, see_other, unprocessable, with_form};
use crate::web::identity::Email;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::Asker;
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::membership::action_links::SpendOutcome;
use crate::web::membership::self_service::ChangeOutcome;

/// The address of the page that says that a mail is on its way.
const SENT: &str = "/mail-sent?for=forgot";

/// `GET /forgot`
pub(crate) async fn forgot_page(app: AppData, request: HttpRequest) -> Result<HttpResponse, WebError> {
    with_form(&request, &app.cookies, StatusCode::OK, |csrf| ForgotPage::new(csrf::with_id(&csrf)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgotForm {
    email: String,
}

/// `POST /forgot`. Text and time of the answer are the same whether or not there is an account.
pub(crate) async fn forgot(
    app: AppData,
    place: ClientInfo,
    form: StrangerForm<ForgotForm>,
) -> Result<HttpResponse, WebError> {
    let once = app.sent_forms.begin(form.sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let mut errors = FieldErrors::default();
    let Some(email) = parse_field::<Email>(&form.fields.email, &mut errors.email) else {
        let csrf = csrf::with_id(&csrf::token_for(&form.secret));
        return unprocessable(&ForgotPage { email: form.fields.email, errors, ..ForgotPage::new(csrf) });
    };
    let now = app.services.clock.now();
    app.throttle.request(place.address, now)?;
    if app.throttle.forgot_mail(email.key(), place.address, now) {
        app.services.self_service.forgot(&email, RequestOrigin::new(&place, now), now).await?;
    }
    once.done(SENT, "", now).await?;
    Ok(see_other(SENT))
}

/// `GET /reset/{token}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    unverified: Path<String>,
) -> Result<HttpResponse, WebError> {
    let (_, status) = status_of(&app, "reset", &unverified).await?;
    match status.usable_or_page(&request, &app, "reset", &unverified)? {
        Ok(link) => with_form(&request, &app.cookies, StatusCode::OK, |csrf| {
            ResetPage::new(link.account.email.as_str(), app.services.password_min, csrf)
        }),
        Err(page) => Ok(page),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetForm {
    password: String,
    password_again: String,
}

/// `POST /reset/{token}`: sets the new password and ends all sessions; its owner has to log in.
pub(crate) async fn act(
    app: AppData,
    request: HttpRequest,
    unverified: Path<String>,
    place: ClientInfo,
    form: StrangerForm<ResetForm>,
) -> Result<HttpResponse, WebError> {
    let services = &app.services;
    let _lock = lock(&app, &unverified).await?;
    let (link, status) = status_of(&app, "reset", &unverified).await?;
    let account = match status.usable_or_page(&request, &app, "reset", &unverified)? {
        Ok(link) => link.account,
        Err(page) => return Ok(page),
    };
    let mut errors = FieldErrors::default();
    let own = [account.email.as_str(), account.name.as_str()];
    let min = services.password_min;
    let fields = &form.fields;
    let Some(password) = new_password(min, &fields.password, &fields.password_again, &own, &mut errors)
    else {
        let csrf = csrf::token_for(&form.secret);
        return unprocessable(&ResetPage { errors, ..ResetPage::new(account.email.as_str(), min, csrf) });
    };
    let stored = services.passwords.hash(Asker::Visitor(place.address), password).await?;
    let now = services.clock.now();
    if services.actions.spend(&link.action, now).await? == SpendOutcome::Before {
        return done_page(CompletedAction::PasswordChosen);
    }
    let actor = Actor::account(&account, place.address);
    let service = &services.self_service;
    let asked = RequestOrigin::new(&place, now);
    let changed =
        service.change_password(&account, &stored, &actor, AuditEvent::PasswordReset, asked, now).await?;
    if changed != ChangeOutcome::Done {
        return Err(WebError::LinkOver);
    }
    tracing::info!(account = %account.id, "password reset by a mailed link");
    let mut answer = see_other("/login");
    add_cookie(&mut answer, &app.cookies.clear_session())?;
    add_cookie(&mut answer, &app.cookies.set_flash(FlashMessage::PasswordReset))?;
    Ok(answer)
}
