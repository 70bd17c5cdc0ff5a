//! The plain form for uploads, for browsers without scripts: `POST /files-upload`, `multipart/form-data`
//! with the fields `csrf` and `folder` (percent-encoded) and then any number of `file`. Each file goes
//! the way that all uploads go; what breaks off here can't be continued and leaves nothing.

use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;

use super::App;
use super::manage::{again, decoded, noted};
use crate::files::name::FileName;
use crate::id::FilePath;
use crate::web::csrf;
use crate::web::error::WebError;
use crate::web::extract::{SignedIn, must_be_ours, session_of};
use crate::web::note::Note;
use crate::web::pages::Section;
use crate::web::pages::row::address;
use crate::web::pages::upload::{Refused, Upload};
use crate::web::rights::Writable;
use crate::web::storage::StorageError;
use crate::web::uploads::intake::Incoming;
use crate::web::uploads::{NewUpload, Purpose};

/// Most bytes of a field that is no file.
const MOST_TEXT: usize = 8 * 1024;

/// How long such a field, or the head of the next one, may take to arrive.
const TEXT_TIMEOUT: Duration = Duration::from_secs(30);

/// Most files of one form.
const MOST_FILES: usize = 1_000;

/// How long the rest of a refused file may take to arrive, before those after it are given up.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of a form's files.
struct Outcome {
    folder: FilePath,
    arrived: Vec<String>,
    refused: Vec<Refused>,
    /// The status of the first refusal.
    status: Option<StatusCode>,
}

/// `POST /files-upload`: 303 to the folder when all files are there; otherwise a page that says which
/// are not, and why.
pub(super) async fn upload(app: App, request: HttpRequest, body: Payload) -> Result<HttpResponse, WebError> {
    let who = session_of(&request, &app).await?.ok_or(WebError::NotSignedIn)?;
    must_be_ours(&request, &app)?;
    let form = Multipart::new(request.headers(), body);
    // Goes on when the browser is gone, to clear away what did not arrive whole.
    let (state, sender) = (app.clone(), who.clone());
    let taking = actix_web::rt::spawn(async move { take(&state, &request, &sender, form).await });
    let outcome = taking.await.map_err(|_| StorageError::Interrupted)??;
    if outcome.refused.is_empty() && !outcome.arrived.is_empty() {
        return noted(&app, &address(&outcome.folder), Note::Uploaded);
    }
    let page = Upload {
        chrome: who.chrome("Upload", Section::Files),
        folder: outcome.folder,
        arrived: outcome.arrived,
        refused: outcome.refused,
    };
    again(outcome.status.unwrap_or(StatusCode::BAD_REQUEST), &page)
}

async fn take(
    app: &App,
    request: &HttpRequest,
    who: &SignedIn,
    mut form: Multipart,
) -> Result<Outcome, WebError> {
    let Some(id) = app.cookies.session(request.headers()) else { return Err(WebError::NotSignedIn) };
    // Before anything else of the form is looked at.
    let token = expect(&mut form, "csrf").await?.ok_or(WebError::ForeignForm)?;
    if !csrf::matches(&id, &token) {
        return Err(WebError::ForeignForm);
    }
    let folder = expect(&mut form, "folder").await?.ok_or(WebError::Invalid("the form lacks the folder"))?;
    let folder = app.rights.writable(who.account(), decoded(&folder).ok_or(StorageError::Missing)?);
    let folder = folder.ok_or(StorageError::Missing)?;
    let (mut arrived, mut refused, mut status) = (Vec::new(), Vec::new(), None);
    loop {
        let patience = if refused.is_empty() { TEXT_TIMEOUT } else { REST_TIMEOUT };
        let field = match next(&mut form, patience).await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            // What was refused is worth more to the person than that there was more to come.
            Err(_) if !refused.is_empty() => break,
            Err(error) => return Err(error),
        };
        if field.name() != Some("file") {
            return Err(WebError::Invalid("the form has a field too many"));
        }
        let name =
            field.content_disposition().and_then(|it| it.get_filename()).unwrap_or_default().to_owned();
        // What a browser sends where no file was chosen.
        if name.is_empty() {
            continue;
        }
        if arrived.len() + refused.len() >= MOST_FILES {
            return Err(WebError::Invalid("the form has too many files"));
        }
        match one(app, request, who, &folder, &name, field).await {
            Ok(()) => arrived.push(name),
            Err(error) if is_about_one_file(&error) => {
                status.get_or_insert(error.status());
                refused.push(Refused { name, why: error.sentence() });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Outcome { folder: folder.path().clone(), arrived, refused, status })
}

/// Whether the files after one that is refused so may still be taken.
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

async fn one(
    app: &App,
    request: &HttpRequest,
    who: &SignedIn,
    folder: &Writable,
    name: &str,
    field: Field,
) -> Result<(), StorageError> {
    let purpose =
        Purpose::File { folder: folder.clone(), below: Vec::new(), name: FileName::uploaded(name)? };
    let new = NewUpload { purpose, size: None, metadata: String::new() };
    let now = app.administration.clock.now();
    let begun = app.uploads.begin(&who.account().id, new, now).await?;
    let may_go_on = async || !matches!(session_of(request, app).await, Ok(None));
    let incoming = Incoming { body: field, checksum: None, may_go_on };
    let finishing = async {
        let upload = app.uploads.append(&begun, 0, incoming, now).await?;
        let upload = app.uploads.set_size(&upload, upload.offset).await?;
        app.uploads.find(&upload.account, &upload.id, now).await
    };
    if let Err(error) = finishing.await {
        app.uploads.abandon(&begun).await?;
        return Err(error);
    }
    Ok(())
}

/// The text of the next field, which must have this name; `None` where it has another.
async fn expect(form: &mut Multipart, name: &str) -> Result<Option<String>, WebError> {
    let Some(mut field) = next(form, TEXT_TIMEOUT).await? else { return Ok(None) };
    if field.name() != Some(name) {
        return Ok(None);
    }
    let reading = tokio::time::timeout(TEXT_TIMEOUT, field.bytes(MOST_TEXT));
    let bytes = reading.await.map_err(|_| WebError::Slow)?.map_err(|_| WebError::TooLarge)?;
    let bytes = bytes.map_err(|_| WebError::Invalid("the form broke off"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| WebError::Invalid("the form is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

async fn next(form: &mut Multipart, patience: Duration) -> Result<Option<Field>, WebError> {
    match tokio::time::timeout(patience, form.next()).await {
        Ok(Some(Ok(field))) => Ok(Some(field)),
        Ok(Some(Err(
            actix_multipart::MultipartError::ContentTypeMissing
            | actix_multipart::MultipartError::ContentTypeParse
            | actix_multipart::MultipartError::ContentTypeIncompatible,
        ))) => Err(WebError::NoForm),
        Ok(Some(Err(_))) => Err(WebError::Invalid("the form cannot be read")),
        Ok(None) => Ok(None),
        Err(_) => Err(WebError::Slow),
    }
}
