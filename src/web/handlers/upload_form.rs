//! The plain form for uploads, for browsers without scripts: `POST /files-upload`, `multipart/form-data`
//! with the fields `csrf` and `folder` and then any number of `file`. Each file goes the way that all
//! uploads go; what breaks off here can't be continued and leaves nothing.

use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;

use super::{App, see_other};
use crate::files::name::FileName;
use crate::id::FilePath;
use crate::web::csrf;
use crate::web::error::WebError;
use crate::web::extract::{SignedIn, session_of};
use crate::web::pages::row::address;
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

/// `POST /files-upload`: 303 to the folder when all files are there.
pub(super) async fn upload(app: App, request: HttpRequest, body: Payload) -> Result<HttpResponse, WebError> {
    let who = session_of(&request, &app).await?.ok_or(WebError::NotSignedIn)?;
    if !csrf::same_origin(request.headers(), &app.public_url) {
        return Err(WebError::ForeignForm);
    }
    let form = Multipart::new(request.headers(), body);
    // Goes on when the browser is gone, to clear away what did not arrive whole.
    let taking = actix_web::rt::spawn(async move { take(&app, &request, &who, form).await });
    let folder = taking.await.map_err(|_| StorageError::Interrupted)??;
    Ok(see_other(&address(&folder)))
}

async fn take(
    app: &App,
    request: &HttpRequest,
    who: &SignedIn,
    mut form: Multipart,
) -> Result<FilePath, WebError> {
    let Some(id) = app.cookies.session(request.headers()) else { return Err(WebError::NotSignedIn) };
    // Before anything else of the form is looked at.
    let token = expect(&mut form, "csrf").await?.ok_or(WebError::ForeignForm)?;
    if !csrf::matches(&id, &token) {
        return Err(WebError::ForeignForm);
    }
    let folder = expect(&mut form, "folder").await?.ok_or(WebError::Invalid("the form lacks the folder"))?;
    let folder: FilePath = folder.parse().map_err(|_| StorageError::Missing)?;
    let folder = app.rights.writable(who.account(), folder).ok_or(StorageError::Missing)?;
    let mut files = 0;
    while let Some(field) = next(&mut form).await? {
        if field.name() != Some("file") {
            return Err(WebError::Invalid("the form has a field too many"));
        }
        let name =
            field.content_disposition().and_then(|it| it.get_filename()).unwrap_or_default().to_owned();
        // What a browser sends where no file was chosen.
        if name.is_empty() {
            continue;
        }
        files += 1;
        if files > MOST_FILES {
            return Err(WebError::Invalid("the form has too many files"));
        }
        one(app, request, who, &folder, &name, field).await?;
    }
    match files {
        0 => Err(WebError::Invalid("the form has no file")),
        _ => Ok(folder.path().clone()),
    }
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
    let Some(mut field) = next(form).await? else { return Ok(None) };
    if field.name() != Some(name) {
        return Ok(None);
    }
    let reading = tokio::time::timeout(TEXT_TIMEOUT, field.bytes(MOST_TEXT));
    let bytes = reading.await.map_err(|_| WebError::Slow)?.map_err(|_| WebError::TooLarge)?;
    let bytes = bytes.map_err(|_| WebError::Invalid("the form broke off"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| WebError::Invalid("the form is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

async fn next(form: &mut Multipart) -> Result<Option<Field>, WebError> {
    match tokio::time::timeout(TEXT_TIMEOUT, form.next()).await {
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
