//! The plain form for uploads, for browsers without scripts: `POST /files-upload`, `multipart/form-data` with
//! the fields `csrf` and `folder` (percent-encoded), perhaps `then` (`link`: the form for a link to the files comes
//! next), and then any number of `file`. Each file becomes an
//! ordinary upload, but one that breaks off can't be continued and leaves nothing. The page says which files
//! arrived, however the form ended.

use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::id::FilePath;
use crate::web::arrivals::LinkFate;
use crate::web::audit::Actor;
use crate::web::forms::record::IdempotencyKey;
use crate::web::http::accept::prefers_json;
use crate::web::http::body::{FORM_WITH_FILES, content_type};
use crate::web::http::client::client_address;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::{SignedIn, must_be_ours, session_of};
use crate::web::http::files::access::may_continue_upload;
use crate::web::http::files::row::ShownFolder;
use crate::web::http::files::upload_page::{ArrivedFile, RefusedFile, UploadPage};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::multipart::{TEXT_TIMEOUT, expect, next, text_of};
use crate::web::http::paths::{decoded_path, encoded_path, folder_address};
use crate::web::http::respond::{AppData, redirect_with_flash, rerender, see_other};
use crate::web::shares::error::StorageError;
use crate::web::shares::name::FileName;
use crate::web::shares::rights::Writable;
use crate::web::uploads::intake::UploadBody;
use crate::web::uploads::{NewUpload, UploadPurpose};

/// Maximum number of files in one form.
const FILES_MAX: usize = 1_000;

/// Maximum number of files that a link can name one by one.
const NAMED_MAX: usize = 100;

/// Maximum length of an address that names them.
const ADDRESS_MAX: usize = 6 * 1024;

/// The maximum time for the rest of a refused file to arrive, before the files after it are given up.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// The outcome of a form's files.
struct UploadOutcome {
    folder: FilePath,
    arrived: Vec<ArrivedFile>,
    refused: Vec<RefusedFile>,
    /// The status of the first refusal.
    status: Option<StatusCode>,
    /// Whether the form broke off.
    broke_off: bool,
    /// Whether the files are to become a link.
    makes_link: bool,
}

/// `POST /files-upload`: 303 to the folder when all files are there under their own names; otherwise a
/// page that says which are not, and why, and what others are called now.
pub(crate) async fn upload(
    app: AppData,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, WebError> {
    let who = session_of(&request, &app).await?.ok_or(WebError::NotSignedIn)?;
    must_be_ours(&request, &app)?;
    if !content_type(request.headers()).eq_ignore_ascii_case(FORM_WITH_FILES) {
        return Err(WebError::NotAForm);
    }
    let form = Multipart::new(request.headers(), body);
    // A program can list the folder itself.
    let reads_pages = !prefers_json(request.headers());
    let outcome = take(&app, &request, &who, form).await?;
    let as_named = !reads_pages || outcome.arrived.iter().all(|file| file.renamed.is_none());
    let is_whole = outcome.refused.is_empty() && outcome.status.is_none();
    let link = outcome.makes_link.then(|| link_address(&outcome)).flatten();
    if let Some(link) = link.as_deref().filter(|_| is_whole && as_named) {
        return Ok(see_other(link));
    }
    if is_whole && !outcome.arrived.is_empty() && as_named {
        return redirect_with_flash(&app, &folder_address(&outcome.folder), FlashMessage::Uploaded);
    }
    let page = UploadPage {
        chrome: who.form_chrome("Upload", Section::Files),
        folder: ShownFolder::new(outcome.folder, who.home.as_ref()),
        arrived: outcome.arrived,
        refused: outcome.refused,
        broke_off: outcome.broke_off,
        link,
    };
    let nothing = if page.arrived.is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    rerender(outcome.status.unwrap_or(nothing), &page)
}

/// Returns the address of the form for a link to what arrived; `None` if that is too much for an address. The
/// folder would be no substitute, because there may be more in it.
fn link_address(outcome: &UploadOutcome) -> Option<String> {
    if outcome.arrived.is_empty() || outcome.arrived.len() > NAMED_MAX {
        return None;
    }
    let name = |file: &ArrivedFile| file.renamed.clone().unwrap_or_else(|| file.name.clone());
    let field = |file: &ArrivedFile| {
        let path = encoded_path(&outcome.folder.join(&name(file)).ok()?);
        Some(format!("file_encoded={}", utf8_percent_encode(&path, NON_ALPHANUMERIC)))
    };
    let fields = outcome.arrived.iter().map(field).collect::<Option<Vec<_>>>()?.join("&");
    (fields.len() <= ADDRESS_MAX).then(|| format!("/links/new?{fields}"))
}

async fn take(
    app: &AppData,
    request: &HttpRequest,
    who: &SignedIn,
    mut form: Multipart,
) -> Result<UploadOutcome, WebError> {
    let Some(id) = app.cookies.session(request.headers()) else { return Err(WebError::NotSignedIn) };
    // Checked before anything else in the form is read.
    let token = expect(&mut form, "csrf").await?.ok_or(WebError::ForeignForm)?;
    if !csrf::matches(&id, &token) {
        return Err(WebError::ForeignForm);
    }
    let folder = expect(&mut form, "folder").await?.ok_or(WebError::Invalid("the form lacks the folder"))?;
    let folder = app.rights.writable(who.account(), decoded_path(&folder).ok_or(StorageError::Missing)?);
    let folder = folder.ok_or(StorageError::Missing)?;
    let (mut arrived, mut refused, mut status, mut broke_off) = (Vec::new(), Vec::new(), None, false);
    let mut makes_link = false;
    loop {
        let patience = if refused.is_empty() { TEXT_TIMEOUT } else { REST_TIMEOUT };
        let field = match next(&mut form, patience).await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            // The outcome of the files is more important to the person than the error.
            Err(error) if !(arrived.is_empty() && refused.is_empty()) => {
                status.get_or_insert(error.status_code());
                broke_off = true;
                break;
            }
            Err(error) => return Err(error),
        };
        if field.name() == Some("then") && arrived.is_empty() && refused.is_empty() && !makes_link {
            makes_link = text_of(field).await? == "link";
            continue;
        }
        if field.name() != Some("file") {
            let error = WebError::Invalid("the form has an unexpected field");
            if arrived.is_empty() {
                return Err(error);
            }
            status.get_or_insert(error.status_code());
            broke_off = true;
            break;
        }
        let name =
            field.content_disposition().and_then(|it| it.get_filename()).unwrap_or_default().to_owned();
        // Browsers send this when no file was chosen.
        if name.is_empty() {
            continue;
        }
        let number = arrived.len() + refused.len();
        if number >= FILES_MAX {
            status.get_or_insert(StatusCode::BAD_REQUEST);
            broke_off = true;
            break;
        }
        let of_form = (token.as_str(), number);
        match store(app, request, who, &folder, &name, field, of_form).await {
            Ok(stored) => {
                let renamed = Some(stored).filter(|stored| *stored != name);
                arrived.push(ArrivedFile { name, renamed });
            }
            // There is nothing to report except the failure.
            Err(error) if error.status().is_server_error() && number == 0 => return Err(error.into()),
            Err(error) => {
                if error.status().is_server_error() {
                    tracing::error!(cause = crate::telemetry::chain(&error), "an uploaded file failed");
                }
                status.get_or_insert(error.status());
                refused.push(RefusedFile { name, why: reason(&error) });
                if !is_about_one_file(&error) {
                    broke_off = true;
                    break;
                }
            }
        }
    }
    Ok(UploadOutcome { folder: folder.path().clone(), arrived, refused, status, broke_off, makes_link })
}

/// Returns why a file did not arrive. Unlike with tus, nothing of it is kept.
fn reason(error: &StorageError) -> String {
    match error {
        StorageError::BrokeOff => "The connection broke off before the file was complete.".to_owned(),
        StorageError::SessionEnded => "You are not logged in any more.".to_owned(),
        error => error.sentence(),
    }
}

/// Returns whether an error is about one file only, so that the files after it may still be stored.
const fn is_about_one_file(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Name(_)
            | StorageError::TooLong
            | StorageError::TooLarge { .. }
            | StorageError::AccountQuota { .. }
            | StorageError::ShareQuota { .. }
            | StorageError::NoRoom
    )
}

/// Stores a file and returns its name, which is a new one if its own was taken.
async fn store(
    app: &AppData,
    request: &HttpRequest,
    who: &SignedIn,
    folder: &Writable,
    name: &str,
    field: Field,
    (token, number): (&str, usize),
) -> Result<String, StorageError> {
    let purpose =
        UploadPurpose::File { folder: folder.clone(), below: Vec::new(), name: FileName::uploaded(name)? };
    let new = NewUpload { purpose, size: None, metadata: String::new(), expected: None };
    let now = app.services.clock.now();
    app.throttle.act(&who.account().id, now).map_err(|_| StorageError::TooMany)?;
    let sender = Actor::account(who.account(), client_address(app, request));
    let begun = app.uploads.begin(&sender, new, now).await?;
    let may_go_on = async || may_continue_upload(app, request, folder.path()).await;
    let incoming = UploadBody { body: field, checksum: None, may_go_on };
    let finishing = async {
        let upload = app.uploads.append(&begun, 0, incoming, now).await?;
        // The same file of the same form was stored before, as after a double click.
        let what = format!("{}\n{number}\n{name}\n{}", folder.path(), upload.offset);
        let sent = IdempotencyKey::new(request.path(), token, what.as_bytes());
        let once = app.sent_forms.begin(sent).await?;
        if let Some(before) = once.before() {
            let stored = before.location.rsplit('/').next().unwrap_or(name).to_owned();
            app.uploads.abandon(&upload, LinkFate::Waits).await?;
            return Ok(stored);
        }
        let upload = app.uploads.set_size(&upload, upload.offset).await?;
        let upload = app.uploads.find(&upload.account, &upload.id, now).await?;
        let stored = upload.path.as_ref().map_or(name, FilePath::name).to_owned();
        let path = upload.path.as_ref().map(FilePath::as_str).unwrap_or_default();
        once.done(path, "", now).await?;
        Ok(stored)
    };
    match finishing.await {
        Ok(stored) => Ok(stored),
        Err(error) => {
            app.uploads.abandon(&begun, LinkFate::Waits).await?;
            Err(error)
        }
    }
}
