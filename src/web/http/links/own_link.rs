//! What the handlers for a person's own links share.

use actix_web::HttpResponse;

use crate::files::FileError;
use crate::id::{FilePath, LinkId};
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::flash::FlashMessage;
use crate::web::http::respond::{AppData, blocking, redirect_with_flash, see_other};
use crate::web::links::Link;

/// Returns the link, if it is this person's.
pub(crate) async fn own_link(app: &AppData, who: &SignedIn, id: &str) -> Result<Link, WebError> {
    let link = app.services.links.of_owner(&who.account().id, &LinkId::from_store(id)).await?;
    link.ok_or(WebError::NotFound)
}

/// Redirects to the link's page, which says what was done, if anything was.
pub(crate) fn redirect_to_link(
    app: &AppData,
    link: &Link,
    message: Option<FlashMessage>,
) -> Result<HttpResponse, WebError> {
    let address = format!("/links/{}", link.id);
    match message {
        Some(message) => redirect_with_flash(app, &address, message),
        None => Ok(see_other(&address)),
    }
}

/// Returns those of the files and folders that are no longer where they were, or that this person may no longer
/// read.
pub(crate) async fn missing_of(
    app: &AppData,
    who: &SignedIn,
    files: Vec<FilePath>,
) -> Result<Vec<FilePath>, WebError> {
    let shares = app.shares.clone();
    let (readable, mut lost): (Vec<FilePath>, Vec<FilePath>) =
        files.into_iter().partition(|file| app.rights.readable(who.account(), file.clone()).is_some());
    let is_missing = move |file: &FilePath| matches!(shares.entry(file), Err(FileError::Missing));
    let missing: Vec<FilePath> = blocking(move || readable.into_iter().filter(is_missing).collect()).await?;
    lost.extend(missing);
    Ok(lost)
}
