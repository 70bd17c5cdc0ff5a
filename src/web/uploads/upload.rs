//! An upload, and its purpose.

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::arrivals::ExpectedFile;
use crate::web::audit::Actor;
use crate::web::identity::AccountId;
use crate::web::shares::name::FileName;
use crate::web::shares::rights::Writable;
use crate::web::uploads::id::UploadId;
use crate::web::uploads::sender::{UploadGuest, UploadOwner};
use crate::words::words;

/// The purpose of an upload.
#[derive(Clone, Debug)]
pub enum UploadPurpose {
    /// A file.
    File {
        /// The destination folder.
        folder: Writable,
        /// Subfolders of it, which are created when the upload is complete if they don't exist.
        below: Vec<FileName>,
        /// The file's name. If it is taken by then, the file gets a numbered name.
        name: FileName,
    },
    /// A part of another upload.
    Part {
        /// A folder of the share that stores it until then.
        at: Writable,
    },
}

/// A request for a new upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its purpose.
    pub purpose: UploadPurpose,
    /// In bytes; `None` if not known yet.
    pub size: Option<u64>,
    /// The client's metadata, which is returned to it unchanged.
    pub metadata: String,
    /// The file of a link that it becomes, if a link waits for it.
    pub expected: Option<ExpectedFile>,
}

impl NewUpload {
    /// Returns the folder that it goes to; of a part, the folder that gives it its room.
    pub fn place(&self) -> &Writable {
        match &self.purpose {
            UploadPurpose::File { folder, .. } => folder,
            UploadPurpose::Part { at } => at,
        }
    }
}

words! {
    /// The progress of an upload.
    pub enum UploadStage {
        /// Bytes are missing.
        Running = "running",
        /// The file is about to get its name.
        Publishing = "publishing",
        /// The file has its name.
        Done = "done",
    }
}

/// An upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The account that it belongs to; for a guest's, the account that asked for it.
    pub account: AccountId,
    /// The guest of a file request who sends it.
    pub guest: Option<UploadGuest>,
    /// The name with the folders above it, as a guest sent it; empty for the upload of an account.
    pub sent_as: String,
    /// Who is sending it and from where, for the audit log.
    pub sender: Actor,
    /// The share that stores its bytes.
    pub share: String,
    /// The destination folder.
    pub folder: FilePath,
    /// The name that the file will get; `None` for a part of another upload.
    pub name: Option<FileName>,
    /// The size in bytes, if known.
    pub size: Option<u64>,
    /// How many bytes have been received.
    pub offset: u64,
    /// The client's metadata.
    pub metadata: String,
    /// Whether it is a part, or is joined from parts.
    pub joining: Joining,
    /// Its progress.
    pub stage: UploadStage,
    /// The path of the file; set when it is about to be published.
    pub path: Option<FilePath>,
    /// When it will be removed unless more bytes arrive.
    pub expires_at: Timestamp,
    /// The file of a link that it becomes, if a link waits for it.
    pub expected: Option<ExpectedFile>,
    pub(super) unchecked_from: Option<u64>,
    pub(super) version: Option<String>,
    pub(super) sha256: Option<String>,
}

/// Whether an upload is a part, or is joined from parts. In text form, the value of `Upload-Concat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Neither.
    Whole,
    /// A part of another one.
    Part,
    /// Joined from the parts listed in this header.
    Joined(String),
}

impl Joining {
    /// Returns the header; empty if there was none.
    pub fn as_str(&self) -> &str {
        match self {
            Joining::Whole => "",
            Joining::Part => "partial",
            Joining::Joined(header) => header,
        }
    }
}

impl From<String> for Joining {
    fn from(header: String) -> Joining {
        match header.as_str() {
            "" => Joining::Whole,
            "partial" => Joining::Part,
            _ => Joining::Joined(header),
        }
    }
}

impl Upload {
    /// Returns whether it belongs to `owner`.
    pub fn is_of(&self, owner: &UploadOwner) -> bool {
        match (owner, &self.guest) {
            (UploadOwner::Account(account), None) => *account == self.account,
            (UploadOwner::Guest(id), Some(guest)) => *id == guest.id,
            _ => false,
        }
    }

    /// Returns whether all bytes have been received.
    pub fn is_whole(&self) -> bool {
        self.size == Some(self.offset)
    }
}
