//! Guests of file requests: the ticket that a request presents, and whether the file request behind it takes
//! files now. A browser presents the ticket as a cookie, and says in the header `Upload-Request` which request
//! it is about; a program presents it in the header `Upload-Ticket`, which no foreign page can send.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

use crate::files::FileError;
use crate::id::RequestId;
use crate::secret::Secret;
use crate::web::audit::Actor;
use crate::web::http::client::client_address;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::problem::closed_request_page::ClosedRequest;
use crate::web::http::respond::{AppData, blocking};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::requests::guests::Guest;
use crate::web::requests::{FileRequest, RequestStatus};
use crate::web::shares::rights::Writable;
use crate::web::uploads::sender::{Sender, UploadGuest};

/// A ticket as it was presented, not checked yet.
#[derive(Clone, Debug)]
pub(crate) struct PresentedTicket {
    ticket: Secret,
    /// Whether it came in a cookie, which a browser sends with requests of foreign pages, too.
    is_cookie: bool,
}

/// A guest who presented a valid ticket.
#[derive(Clone, Debug)]
pub(crate) struct GuestTicket {
    /// The guest.
    pub(crate) guest: Guest,
    /// Their request.
    pub(crate) request: FileRequest,
    ticket: Secret,
}

/// A request that takes files: whose it is, and where the files go.
#[derive(Clone, Debug)]
pub(crate) struct OpenRequest {
    /// The account that asks for files.
    pub(crate) owner: Account,
    /// The folder.
    pub(crate) folder: Writable,
}

impl PresentedTicket {
    /// Returns the ticket that a request for the upload protocol presents; `None` if it is not from a guest.
    pub(crate) fn of_upload(request: &HttpRequest, app: &AppState) -> Option<PresentedTicket> {
        let headers = request.headers();
        if let Some(ticket) = text(headers, "upload-ticket") {
            return Some(PresentedTicket { ticket: Secret::presented(ticket), is_cookie: false });
        }
        let id = RequestId::from_store(text(headers, "upload-request")?);
        // A browser without the cookie is still a guest, not the account that may be logged in there.
        let ticket = app.cookies.ticket(headers, &id).unwrap_or_else(|| Secret::presented(""));
        Some(PresentedTicket { ticket, is_cookie: true })
    }

    /// Returns whether the request comes from a page of ours, or from a program.
    pub(crate) fn is_from_our_page(&self, request: &HttpRequest, app: &AppState) -> bool {
        if !self.is_cookie {
            return true;
        }
        let token = text(request.headers(), "x-csrf-token");
        csrf::same_origin(request.headers(), &app.public_url)
            && token.is_some_and(|token| csrf::matches(&self.ticket, token))
    }

    /// Returns the guest whose ticket it is; `None` if it isn't valid.
    pub(crate) async fn check(self, app: &AppState) -> Result<Option<GuestTicket>, WebError> {
        let requests = &app.services.requests;
        let Some(guest) = requests.guest(&self.ticket).await? else { return Ok(None) };
        let request = requests.by_id(&guest.request).await?;
        Ok(request.map(|request| GuestTicket { guest, request, ticket: self.ticket }))
    }
}

/// Returns the guest whose ticket for this request the browser presents.
pub(crate) async fn guest_of(
    request: &HttpRequest,
    app: &AppState,
    of: &FileRequest,
) -> Result<Option<GuestTicket>, WebError> {
    let Some(ticket) = app.cookies.ticket(request.headers(), &of.id) else { return Ok(None) };
    let found = PresentedTicket { ticket, is_cookie: true }.check(app).await?;
    Ok(found.filter(|found| found.request.id == of.id))
}

impl GuestTicket {
    /// Makes what a new guest presents.
    pub(crate) const fn new(guest: Guest, request: FileRequest, ticket: Secret) -> GuestTicket {
        GuestTicket { guest, request, ticket }
    }

    /// Returns the ticket.
    pub(crate) const fn ticket(&self) -> &Secret {
        &self.ticket
    }

    /// Returns the token for requests of our page with this ticket.
    pub(crate) fn csrf(&self) -> String {
        csrf::token_for(&self.ticket)
    }

    /// Returns the guest as an upload knows them.
    pub(crate) fn upload_guest(&self) -> UploadGuest {
        UploadGuest { id: self.guest.id.clone(), request: self.request.id.clone() }
    }

    /// Returns the guest as the sender of an upload.
    pub(crate) fn sender(&self, app: &AppState, request: &HttpRequest) -> Sender {
        Sender {
            actor: Actor::guest(client_address(app, request)),
            account: self.request.owner.clone(),
            guest: Some(self.upload_guest()),
        }
    }

    /// Returns whether the guest may go on sending a file.
    pub(crate) async fn may_go_on(&self, app: &AppState) -> bool {
        let presented = PresentedTicket { ticket: self.ticket.clone(), is_cookie: false };
        match presented.check(app).await {
            Ok(Some(found)) => !matches!(standing(app, &found.request, true).await, Ok(Err(_))),
            Ok(None) => false,
            // The database is unavailable now. The upload continues, because this is checked again soon.
            Err(_) => true,
        }
    }
}

/// Returns whether a request takes files now, judged by its terms and by what its owner may do; `has_begun` for
/// a file that was begun before. Reads no disk.
pub(crate) async fn standing(
    app: &AppState,
    request: &FileRequest,
    has_begun: bool,
) -> Result<Result<OpenRequest, ClosedRequest>, WebError> {
    match request.status(app.services.clock.now()) {
        RequestStatus::Stopped => return Ok(Err(ClosedRequest::Stopped)),
        RequestStatus::Ended => return Ok(Err(ClosedRequest::Ended)),
        RequestStatus::Ending if !has_begun => return Ok(Err(ClosedRequest::Ended)),
        RequestStatus::Ending | RequestStatus::Open => {}
    }
    let owner = app.services.accounts.by_id(&request.owner).await?.filter(|owner| !owner.disabled);
    // A request never allows more than its owner may do now.
    let open = owner.and_then(|owner| {
        let folder = app.rights.writable(&owner, request.folder.clone())?;
        Some(OpenRequest { owner, folder })
    });
    Ok(open.ok_or(ClosedRequest::Gone))
}

/// Returns the same for a new file, which also needs the folder.
pub(crate) async fn open_for_new(
    app: &AppData,
    request: &FileRequest,
) -> Result<Result<OpenRequest, ClosedRequest>, WebError> {
    let open = match standing(app, request, false).await? {
        Ok(open) => open,
        Err(why) => return Ok(Err(why)),
    };
    // A person's own folder is created by the first file in it.
    if open.folder.home() == Some(open.folder.path()) {
        return Ok(Ok(open));
    }
    let (shares, folder) = (app.shares.clone(), open.folder.path().clone());
    match blocking(move || shares.entry(&folder)).await? {
        Ok(_) => Ok(Ok(open)),
        Err(FileError::Missing) => Ok(Err(ClosedRequest::Away)),
        Err(error) => Err(error.into()),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
