//! What the handlers for a person's own file requests share.

use actix_web::HttpResponse;

use crate::files::FileError;
use crate::id::RequestId;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::flash::FlashMessage;
use crate::web::http::respond::{AppData, blocking, redirect_with_flash, see_other};
use crate::web::requests::{FileRequest, RequestStatus};

/// The state of a request as its owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It takes files.
    Open,
    /// It has as many files or bytes as it allows.
    Full,
    /// Its folder is missing.
    Away,
    /// Its owner may no longer put files into its folder.
    Gone,
    /// It has ended.
    Ended,
    /// It was stopped for good.
    Stopped,
}

impl RequestState {
    /// Returns the state in one or two words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            RequestState::Open => "open",
            RequestState::Full => "limit reached",
            RequestState::Away => "folder missing",
            RequestState::Gone => "no access",
            RequestState::Ended => "ended",
            RequestState::Stopped => "stopped",
        }
    }

    /// Returns whether it takes files.
    pub(crate) fn is_open(self) -> bool {
        self == RequestState::Open
    }

    /// Returns what its owner should know; empty if all is well.
    pub(crate) const fn trouble(self) -> &'static str {
        match self {
            RequestState::Away => {
                "The folder for these files is missing: it was deleted, or moved to where you can’t add files. \
                 Nobody can send anything until it is restored."
            }
            RequestState::Gone => {
                "You may no longer add files to this folder, so nobody can send anything through this request."
            }
            RequestState::Full => {
                "The limit is reached, so no more files are accepted. You can raise it below."
            }
            RequestState::Open | RequestState::Ended | RequestState::Stopped => "",
        }
    }
}

/// Returns the request, if it is this person's.
pub(crate) async fn own_request(app: &AppData, who: &SignedIn, id: &str) -> Result<FileRequest, WebError> {
    let requests = &app.services.requests;
    let request = requests.of_owner(&who.account().id, &RequestId::from_store(id)).await?;
    request.ok_or(WebError::NotFound)
}

/// Returns the states of requests of this person, of which this many files and bytes have arrived.
pub(crate) async fn states_of(
    app: &AppData,
    who: &SignedIn,
    requests: &[(&FileRequest, u64, u64)],
) -> Result<Vec<RequestState>, WebError> {
    let folders: Vec<_> = requests.iter().map(|(request, ..)| request.folder.clone()).collect();
    let (shares, home) = (app.shares.clone(), who.home.clone());
    let is_missing = move |folder: &crate::id::FilePath| {
        // A person's own folder is created by the first file in it.
        home.as_ref() != Some(folder) && matches!(shares.entry(folder), Err(FileError::Missing))
    };
    let missing: Vec<bool> = blocking(move || folders.iter().map(is_missing).collect()).await?;
    let now = app.services.clock.now();
    let state = |((request, files, bytes), is_missing): (&(&FileRequest, u64, u64), bool)| {
        let may_write = app.rights.writable(who.account(), request.folder.clone()).is_some();
        match request.status(now) {
            RequestStatus::Stopped => RequestState::Stopped,
            RequestStatus::Ended | RequestStatus::Ending => RequestState::Ended,
            RequestStatus::Open if !may_write => RequestState::Gone,
            RequestStatus::Open if is_missing => RequestState::Away,
            RequestStatus::Open if *files >= request.max_files || *bytes >= request.max_bytes => {
                RequestState::Full
            }
            RequestStatus::Open => RequestState::Open,
        }
    };
    Ok(requests.iter().zip(missing).map(state).collect())
}

/// Redirects to the request's page, which says what was done, if anything was.
pub(crate) fn redirect_to_request(
    app: &AppData,
    request: &FileRequest,
    message: Option<FlashMessage>,
) -> Result<HttpResponse, WebError> {
    let address = format!("/requests/{}", request.id);
    match message {
        Some(message) => redirect_with_flash(app, &address, message),
        None => Ok(see_other(&address)),
    }
}
