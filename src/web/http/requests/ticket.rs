//! `POST /r/{code}`: a guest says who they are, proves that they know the password if there is one, and gets a
//! ticket: a browser as a cookie that scripts can't read, a program in the answer.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use crate::secret::Secret;
use crate::web::http::accept::prefers_json;
use crate::web::http::client::ClientAddress;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::OpenForm;
use crate::web::http::guest::GuestTicket;
use crate::web::http::press_error::PressError;
use crate::web::http::requests::public_request::{GuestErrors, PublicRequest, open, show};
use crate::web::http::respond::{AppData, add_cookie, see_other};
use crate::web::identity::PersonName;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::requests::FileRequest;

/// How much longer than the request a browser keeps its ticket, so that its owner can extend the request.
const KEPT_LONGER: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
}

/// `POST /r/{code}`
pub(crate) async fn give(
    app: AppData,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<TicketForm>,
) -> Result<HttpResponse, WebError> {
    let view = open(&app, &request, &code).await?;
    let now = app.services.clock.now();
    app.throttle.ticket(&view.request.id, address.0, now)?;
    let TicketForm { name, password } = form.fields;
    let as_json = prefers_json(request.headers());
    let refuse = async |view: PublicRequest, errors: GuestErrors, status: StatusCode| {
        show(&app, &request, &code, view, false, status, (name.clone(), errors)).await
    };
    let named = match parse_name(&name) {
        Ok(named) => named,
        Err(_) if as_json => return Err(WebError::Invalid("the name is not valid")),
        Err(error) => {
            let errors = GuestErrors { name: Some(error), ..GuestErrors::default() };
            return refuse(view, errors, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
    };
    let ticket = match view.ticket.clone() {
        Some(ticket) => {
            if let Some(name) = &named {
                app.services.requests.rename_guest(&ticket.guest.id, name).await?;
            }
            ticket
        }
        None => {
            let mark = form.secret.as_ref();
            if let Some(error) = check_password(&app, &view.request, &password, address, mark).await? {
                if as_json {
                    return Err(error.into());
                }
                let errors =
                    GuestErrors { password: Some(error.sentence().to_owned()), ..GuestErrors::default() };
                return refuse(view, errors, error.status()).await;
            }
            admit(&app, view.request, named.as_ref()).await?
        }
    };
    let mut answer = match (as_json, form.is_of_a_page) {
        (true, true) => {
            HttpResponse::Ok().json(json!({ "request": ticket.request.id, "csrf": ticket.csrf() }))
        }
        (true, false) => HttpResponse::Created().json(json!({
            "request": ticket.request.id, "ticket": ticket.ticket().reveal(), "uploads": "/uploads",
        })),
        (false, _) => see_other(&format!("/r/{code}")),
    };
    if form.is_of_a_page || !as_json {
        set_ticket(&app, &mut answer, &ticket)?;
    }
    Ok(answer)
}

/// Makes a ticket for a new guest.
pub(crate) async fn admit(
    app: &AppData,
    request: FileRequest,
    name: Option<&PersonName>,
) -> Result<GuestTicket, WebError> {
    let (guest, ticket) = app.services.requests.admit(&request, name, app.services.clock.now()).await?;
    Ok(GuestTicket::new(guest, request, ticket))
}

/// Gives a ticket to the browser.
pub(crate) fn set_ticket(
    app: &AppData,
    answer: &mut HttpResponse,
    ticket: &GuestTicket,
) -> Result<(), WebError> {
    let left = ticket.request.ends_at.since(app.services.clock.now());
    let cookie =
        app.cookies.set_ticket(&ticket.request.id, ticket.ticket(), left.saturating_add(KEPT_LONGER));
    add_cookie(answer, &cookie)
}

/// Parses what a guest calls themselves; nothing if they don't say. The error is a sentence for them.
pub(crate) fn parse_name(text: &str) -> Result<Option<PersonName>, String> {
    match text.trim() {
        "" => Ok(None),
        name => name.parse().map(Some).map_err(|_| {
            "Use a name of up to 100 characters, without web addresses, or leave this empty.".to_owned()
        }),
    }
}

async fn check_password(
    app: &AppData,
    request: &FileRequest,
    password: &str,
    address: ClientAddress,
    browser: Option<&Secret>,
) -> Result<Option<PressError>, WebError> {
    let Some(stored) = &request.password else { return Ok(None) };
    if password.is_empty() {
        return Ok(Some(PressError::NoPassword));
    }
    let now = app.services.clock.now();
    let mark = browser.map(csrf::token_for);
    let attempt = app.throttle.guess_request(&request.id, address.0, mark.as_deref(), now)?;
    let presented = Password::presented(password);
    if !app.services.passwords.verify(Asker::Visitor(address.0), presented, Some(stored)).await? {
        return Ok(Some(PressError::WrongPassword));
    }
    app.throttle.succeeded(attempt, now);
    Ok(None)
}
