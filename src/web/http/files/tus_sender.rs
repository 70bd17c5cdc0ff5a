//! Who sends an upload over the upload protocol: a person who is logged in, a program with an API key, or a guest of a
//! file request.

use actix_web::HttpRequest;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::client::client_address;
use crate::web::http::error::WebError;
use crate::web::http::extract::{SignedIn, of_our_page, session_of};
use crate::web::http::guest::{GuestTicket, OpenRequest, PresentedTicket, open_for_new, standing};
use crate::web::http::paths::API;
use crate::web::http::program::{FilesWrite, Program};
use crate::web::http::respond::AppData;
use crate::web::http::tus_error::TusError;
use crate::web::shares::error::StorageError;
use crate::web::uploads::NewUpload;
use crate::web::uploads::sender::{Sender, UploadOwner};

/// Who sends an upload.
pub(crate) enum UploadSender {
    /// A person who is logged in.
    Account(Box<SignedIn>),
    /// A program with an API key.
    Program(Box<Program<FilesWrite>>),
    /// A guest with a ticket.
    Guest(Box<GuestTicket>),
}

impl UploadSender {
    /// Returns who sends a request. One that presents a ticket is a guest's, even if someone is logged in.
    pub(crate) async fn of(
        request: &HttpRequest,
        app: &AppData,
        changes_something: bool,
    ) -> Result<UploadSender, TusError> {
        if let Some(presented) = PresentedTicket::of_upload(request, app) {
            let is_ours = presented.is_from_our_page(request, app);
            let guest = presented.check(app).await.map_err(unavailable)?.ok_or(TusError::NoTicket)?;
            if changes_something && !is_ours {
                return Err(TusError::Foreign);
            }
            return Ok(UploadSender::Guest(Box::new(guest)));
        }
        let signed_in = session_of(request, app).await.map_err(unavailable)?;
        let who = signed_in.ok_or(TusError::NotSignedIn)?;
        if changes_something && !of_our_page(request, app) {
            return Err(TusError::Foreign);
        }
        Ok(UploadSender::Account(Box::new(who)))
    }

    /// Returns who its uploads belong to.
    pub(crate) fn owner(&self) -> UploadOwner {
        match self {
            UploadSender::Account(who) => (&who.account().id).into(),
            UploadSender::Program(program) => (&program.account().id).into(),
            UploadSender::Guest(guest) => (&guest.upload_guest()).into(),
        }
    }

    /// Returns the sender of a new upload.
    pub(crate) fn sender(&self, app: &AppData, request: &HttpRequest) -> Sender {
        match self {
            UploadSender::Account(who) => {
                (&Actor::account(who.account(), client_address(app, request))).into()
            }
            UploadSender::Program(program) => (&program.actor()).into(),
            UploadSender::Guest(guest) => guest.sender(app, request),
        }
    }

    /// Returns the address below which it finds its uploads.
    pub(crate) const fn base(&self) -> &'static str {
        match self {
            UploadSender::Program(_) => API,
            UploadSender::Account(_) | UploadSender::Guest(_) => "",
        }
    }

    /// Returns a new upload, if the sender's key covers its folder.
    pub(crate) fn covered(&self, new: NewUpload) -> Result<NewUpload, StorageError> {
        match self {
            UploadSender::Program(program) if !program.key().covers(new.place().path()) => {
                Err(StorageError::Missing)
            }
            _ => Ok(new),
        }
    }

    /// Returns whether the sender's key covers the folder of an upload that has begun.
    pub(crate) fn covers(&self, folder: &FilePath) -> bool {
        match self {
            UploadSender::Program(program) => program.key().covers(folder),
            UploadSender::Account(_) | UploadSender::Guest(_) => true,
        }
    }

    /// Counts one more upload.
    pub(crate) fn admit(&self, app: &AppData, now: Timestamp) -> Result<(), TusError> {
        let admitted = match self {
            UploadSender::Account(who) => app.throttle.act(&who.account().id, now),
            UploadSender::Program(program) => app.throttle.act(&program.account().id, now),
            UploadSender::Guest(guest) => app.throttle.guest_upload(&guest.request.id, now),
        };
        admitted.map_err(|early| TusError::TooEarly(early.wait))
    }

    /// Returns the open request of a guest; `None` for an account. `has_begun` for a file that was begun before.
    pub(crate) async fn open(&self, app: &AppData, has_begun: bool) -> Result<Option<OpenRequest>, TusError> {
        let UploadSender::Guest(guest) = self else { return Ok(None) };
        let open = match has_begun {
            true => standing(app, &guest.request, true).await,
            false => open_for_new(app, &guest.request).await,
        };
        match open {
            Ok(Ok(open)) => Ok(Some(open)),
            Ok(Err(why)) => Err(StorageError::Request(why.limit()).into()),
            Err(WebError::Storage(error)) => Err(error.into()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Returns an error as this sender may know it: guests learn nothing about the folder, and nothing about the
    /// quota of the account that asked them.
    pub(crate) fn told(&self, error: TusError) -> TusError {
        match (self, error) {
            (UploadSender::Guest(_), TusError::Storage(error)) => TusError::Storage(error.for_guest()),
            (_, error) => error,
        }
    }
}

/// Logs why the session or the ticket can't be found, and refuses the request for now.
fn unavailable(error: WebError) -> TusError {
    tracing::error!(cause = crate::telemetry::chain(&error), "cannot find the sender of an upload");
    TusError::Storage(StorageError::Interrupted)
}
