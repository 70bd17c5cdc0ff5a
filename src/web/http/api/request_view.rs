//! A file request as the API shows it to its owner.

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::db::columns::digest_to_column;
use crate::web::http::api::time::Time;
use crate::web::http::api::version::tag;
use crate::web::http::state::AppState;
use crate::web::requests::find::ListedRequest;
use crate::web::requests::received::ReceivedFile;
use crate::web::requests::{FileRequest, RequestStatus};

/// A file request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestView {
    /// Its id.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    id: String,
    /// Its address for guests.
    #[schema(example = "https://files.example.org/r/0a1b2c3d4e5f6g7h8i9j")]
    url: String,
    /// The title.
    #[schema(example = "Your photos")]
    title: String,
    /// The message to the guests.
    note: String,
    /// `open`, `full`, `ended` or `stopped`.
    #[schema(example = "open")]
    state: &'static str,
    /// The path of the folder that the files go to.
    #[schema(example = "/books/incoming")]
    folder: String,
    /// Maximum number of bytes of all files together.
    max_bytes: u64,
    /// Maximum number of files.
    max_files: u64,
    /// The size of the files that have arrived, in bytes.
    bytes: u64,
    /// How many files have arrived.
    files: u64,
    /// When it ends.
    ends_at: Time,
    /// Whether guests must enter a password.
    has_password: bool,
    /// Whether the account gets an email when files arrive.
    notify: bool,
    /// When it was made.
    created_at: Time,
    /// When it was stopped.
    stopped_at: Option<Time>,
}

impl RequestView {
    /// Shows a file request.
    pub(crate) fn of(listed: &ListedRequest, app: &AppState, now: Timestamp) -> RequestView {
        let request = &listed.request;
        let is_full = listed.files >= request.max_files || listed.bytes >= request.max_bytes;
        RequestView {
            id: request.id.to_string(),
            url: app.services.requests.address(&app.public_url, request),
            title: request.title.clone(),
            note: request.note.clone(),
            state: match request.status(now) {
                RequestStatus::Open if is_full => "full",
                RequestStatus::Open => "open",
                RequestStatus::Ending | RequestStatus::Ended => "ended",
                RequestStatus::Stopped => "stopped",
            },
            folder: request.folder.as_str().to_owned(),
            max_bytes: request.max_bytes,
            max_files: request.max_files,
            bytes: listed.bytes,
            files: listed.files,
            ends_at: request.ends_at.into(),
            has_password: request.password.is_some(),
            notify: request.notify,
            created_at: request.created_at.into(),
            stopped_at: request.stopped_at.map(Time),
        }
    }
}

/// Returns the entity tag of a file request: of everything that its owner sets.
pub(crate) fn request_tag(request: &FileRequest) -> String {
    let password = request.password.as_ref().map(|password| Digest::of(password.as_str().as_bytes()));
    tag(&(
        (request.id.as_str(), &request.title, &request.note, request.folder.as_str()),
        (request.max_bytes, request.max_files, request.ends_at, request.notify, request.stopped_at),
        password.map(|digest| digest_to_column(&digest)),
    ))
}

/// A file that has arrived.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceivedView {
    /// The name with folders, as its sender gave it.
    #[schema(example = "holiday/beach.jpg")]
    name: String,
    /// Where it was put.
    #[schema(example = "/books/incoming/holiday/beach.jpg")]
    path: Option<String>,
    /// What its sender calls themselves; may be empty.
    #[schema(example = "Bob")]
    from: String,
    /// Its size in bytes.
    size: u64,
    /// When it arrived.
    arrived_at: Time,
}

impl From<ReceivedFile> for ReceivedView {
    fn from(file: ReceivedFile) -> ReceivedView {
        ReceivedView {
            name: file.name,
            path: file.path.map(|path| path.as_str().to_owned()),
            from: file.from,
            size: file.size,
            arrived_at: file.at.into(),
        }
    }
}
