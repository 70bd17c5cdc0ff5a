//! What a person may do with a path in a form: the checks that all handlers for files share. A person without
//! the right gets the same answer as for a path that does not exist.

use actix_web::HttpRequest;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{SignedIn, session_of};
use crate::web::http::program::{FilesWrite, Program};
use crate::web::http::respond::AppData;
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::shares::rights::{Manageable, Writable};

/// Counts a change against the person's budget. Returns who makes it, for the audit log, and when.
pub(crate) fn begin_change(
    app: &AppState,
    who: &SignedIn,
    place: &ClientInfo,
) -> Result<(Actor, Timestamp), WebError> {
    let now = app.services.clock.now();
    app.throttle.act(&who.account().id, now)?;
    Ok((Actor::account(who.account(), place.address), now))
}

/// Returns the folder as one that the person may write to.
pub(crate) fn writable(
    app: &AppState,
    who: &SignedIn,
    folder: Option<FilePath>,
) -> Result<Writable, WebError> {
    folder.and_then(|folder| app.rights.writable(who.account(), folder)).ok_or(WebError::NotFound)
}

/// Returns the file or folder as one that the person may manage.
pub(crate) fn manageable(
    app: &AppState,
    who: &SignedIn,
    path: Option<FilePath>,
) -> Result<Manageable, WebError> {
    path.and_then(|path| app.rights.manageable(who.account(), path)).ok_or(WebError::NotFound)
}

/// Returns whether the key of a program that sends an upload still works and may still write to its folder. Asking
/// doesn't count against the key's limit.
pub(crate) async fn may_continue_program(app: &AppData, request: &HttpRequest, folder: &FilePath) -> bool {
    match Program::<FilesWrite>::still(request, app).await {
        Ok(Some(program)) => program.writable(&app.rights, folder.clone()).is_some(),
        Ok(None) => false,
        // The database is unavailable now. The upload continues, because this is checked again soon.
        Err(_) => true,
    }
}

/// Returns whether the sender of an upload is still logged in and may still write to its folder.
pub(crate) async fn may_continue_upload(app: &AppData, request: &HttpRequest, folder: &FilePath) -> bool {
    match session_of(request, app).await {
        Ok(who) => who.is_some_and(|who| app.rights.writable(who.account(), folder.clone()).is_some()),
        // The database is unavailable now. The upload continues, because this is checked again soon.
        Err(_) => true,
    }
}
