//! The plain form of a file request, for browsers without scripts: `POST /r/{code}/files`,
//! `multipart/form-data` with the fields `csrf` and `name` and then any number of `file`. Each file becomes an
//! ordinary upload of the guest, but one that breaks off can't be continued and leaves nothing.

use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::http::StatusCode;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::web::arrivals::LinkFate;
use crate::web::forms::record::IdempotencyKey;
use crate::web::http::body::{FORM_WITH_FILES, content_type};
use crate::web::http::client::ClientAddress;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::must_be_ours;
use crate::web::http::flash::FlashMessage;
use crate::web::http::guest::{GuestTicket, OpenRequest};
use crate::web::http::layout::Chrome;
use crate::web::http::multipart::{TEXT_TIMEOUT, expect, next};
use crate::web::http::requests::guest_form_page::{GuestFormPage, UnsentFile};
use crate::web::http::requests::public_request::{GuestErrors, PublicRequest, open, show};
use crate::web::http::requests::ticket::{admit, parse_name, set_ticket};
use crate::web::http::respond::{AppData, redirect_with_flash, rerender};
use crate::web::shares::error::{RequestLimit, StorageError};
use crate::web::shares::name::FileName;
use crate::web::uploads::intake::UploadBody;
use crate::web::uploads::{NewUpload, UploadPurpose};

/// Maximum number of files in one form.
const FILES_MAX: usize = 1_000;

/// The maximum time for the rest of a refused file to arrive, before the files after it are given up.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// The outcome of a form's files.
#[derive(Default)]
struct Outcome {
    arrived: Vec<String>,
    unsent: Vec<UnsentFile>,
    /// The status of the first refusal.
    status: Option<StatusCode>,
    /// Whether the form broke off.
    broke_off: bool,
}

/// `POST /r/{code}/files`: 303 to the page when all files have arrived; otherwise a page that says which did not,
/// and why.
pub(crate) async fn send(
    app: AppData,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    body: Payload,
) -> Result<HttpResponse, WebError> {
    must_be_ours(&request, &app)?;
    if !content_type(request.headers()).eq_ignore_ascii_case(FORM_WITH_FILES) {
        return Err(WebError::NotAForm);
    }
    let view = open(&app, &request, &code).await?;
    let mut form = Multipart::new(request.headers(), body);
    // Before anything else in the form is read.
    let token = expect(&mut form, "csrf").await?.ok_or(WebError::ForeignForm)?;
    // A browser that keeps no cookies sends our token without the secret that belongs to it.
    let secret = app.cookies.form(request.headers());
    if !secret.as_ref().is_none_or(|secret| csrf::matches(secret, &token)) {
        return Err(WebError::ForeignForm);
    }
    let name = expect(&mut form, "name").await?.ok_or(WebError::Invalid("the form lacks the name"))?;
    let again = async |view: PublicRequest, errors: GuestErrors, status: StatusCode| {
        show(&app, &request, &code, view, false, status, (name.clone(), errors)).await
    };
    let named = match parse_name(&name) {
        Ok(named) => named,
        Err(error) => {
            let errors = GuestErrors { name: Some(error), ..GuestErrors::default() };
            return again(view, errors, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
    };
    let PublicRequest { request: asked, open, ticket } = view;
    let ticket = match ticket {
        Some(ticket) => {
            if let Some(name) = named.filter(|name| name.as_str() != ticket.guest.name) {
                app.services.requests.rename_guest(&ticket.guest.id, &name).await?;
            }
            ticket
        }
        // The page shows the form only after the password.
        None if asked.password.is_some() => {
            let errors = GuestErrors {
                password: Some("Enter the password first, then choose the files again.".to_owned()),
                ..GuestErrors::default()
            };
            let view = PublicRequest { request: asked, open, ticket: None };
            return again(view, errors, StatusCode::FORBIDDEN).await;
        }
        None => {
            app.throttle.ticket(&asked.id, address.0, app.services.clock.now())?;
            admit(&app, asked, named.as_ref()).await?
        }
    };
    let outcome = take(&app, &request, &ticket, &open, &mut form, &token).await?;
    let mut answer = match outcome.unsent.is_empty() && !outcome.broke_off && !outcome.arrived.is_empty() {
        true => redirect_with_flash(&app, &format!("/r/{code}"), FlashMessage::FilesSent)?,
        false => {
            let status = outcome.status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            let page = GuestFormPage {
                chrome: Chrome::public(ticket.request.title.clone()),
                action: format!("/r/{code}"),
                arrived: outcome.arrived,
                unsent: outcome.unsent,
                broke_off: outcome.broke_off,
            };
            rerender(status, &page)?
        }
    };
    set_ticket(&app, &mut answer, &ticket)?;
    Ok(answer)
}

async fn take(
    app: &AppData,
    request: &HttpRequest,
    ticket: &GuestTicket,
    open: &OpenRequest,
    form: &mut Multipart,
    token: &str,
) -> Result<Outcome, WebError> {
    let mut outcome = Outcome::default();
    loop {
        let patience = if outcome.unsent.is_empty() { TEXT_TIMEOUT } else { REST_TIMEOUT };
        let field = match next(form, patience).await {
            Ok(Some(field)) => field,
            Ok(None) => return Ok(outcome),
            // What has become of the files is more important to the person than the error.
            Err(_) if !(outcome.arrived.is_empty() && outcome.unsent.is_empty()) => {
                outcome.broke_off = true;
                return Ok(outcome);
            }
            Err(error) => return Err(error),
        };
        if field.name() != Some("file") {
            return Err(WebError::Invalid("the form has an unexpected field"));
        }
        let name =
            field.content_disposition().and_then(|it| it.get_filename()).unwrap_or_default().to_owned();
        // Browsers send this when no file was chosen.
        if name.is_empty() {
            continue;
        }
        let number = outcome.arrived.len() + outcome.unsent.len();
        if number >= FILES_MAX {
            outcome.broke_off = true;
            return Ok(outcome);
        }
        match store(app, request, ticket, open, &name, field, (token, number)).await {
            Ok(()) => outcome.arrived.push(name),
            Err(error) => {
                let error = error.for_guest();
                if error.status().is_server_error() {
                    tracing::error!(cause = crate::telemetry::chain(&error), "a guest's file failed");
                }
                outcome.status.get_or_insert(error.status());
                // The next file may be shorter, or have another name.
                let goes_on = matches!(
                    error,
                    StorageError::Name(_)
                        | StorageError::TooLong
                        | StorageError::TooLarge { .. }
                        | StorageError::Request(RequestLimit::Bytes | RequestLimit::Space)
                );
                outcome.unsent.push(UnsentFile { name, why: reason(&error) });
                if !goes_on {
                    outcome.broke_off = true;
                    return Ok(outcome);
                }
            }
        }
    }
}

/// Returns why a file did not arrive. Unlike with the script, nothing of it is kept.
fn reason(error: &StorageError) -> String {
    match error {
        StorageError::BrokeOff => "The connection broke off before the file was complete.".to_owned(),
        error => error.sentence(),
    }
}

async fn store(
    app: &AppData,
    request: &HttpRequest,
    ticket: &GuestTicket,
    open: &OpenRequest,
    name: &str,
    field: Field,
    (token, number): (&str, usize),
) -> Result<(), StorageError> {
    let purpose = UploadPurpose::File {
        folder: open.folder.clone(),
        below: Vec::new(),
        name: FileName::uploaded(name)?,
    };
    let new = NewUpload { purpose, size: None, metadata: String::new(), expected: None };
    let now = app.services.clock.now();
    app.throttle.guest_upload(&ticket.request.id, now).map_err(|_| StorageError::TooMany)?;
    let sender = ticket.sender(app, request);
    let begun = app.uploads.begin(&sender, new, now).await?;
    let may_go_on = async || ticket.may_go_on(app).await;
    let incoming = UploadBody { body: field, checksum: None, may_go_on };
    let finishing = async {
        let upload = app.uploads.append(&begun, 0, incoming, now).await?;
        // The same file of the same form was stored before, as after a double click.
        let what = format!("{}\n{number}\n{name}\n{}", ticket.guest.id, upload.offset);
        let sent = IdempotencyKey::new(request.path(), token, what.as_bytes());
        let once = app.sent_forms.begin(sent).await?;
        if once.before().is_some() {
            return app.uploads.abandon(&upload, LinkFate::Waits).await;
        }
        let upload = app.uploads.set_size(&upload, upload.offset).await?;
        app.uploads.find(sender.owner(), &upload.id, now).await?;
        Ok(once.done(request.path(), "", now).await?)
    };
    let finished = finishing.await;
    if finished.is_err() {
        app.uploads.abandon(&begun, LinkFate::Waits).await?;
    }
    finished
}
