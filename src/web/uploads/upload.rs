//! An upload, and what it is to become.

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::identity::AccountId;
use crate::web::shares::name::FileName;
use crate::web::shares::rights::Writable;
use crate::web::uploads::id::UploadId;
use crate::words::words;

/// What an upload is to become.
#[derive(Clone, Debug)]
pub enum UploadPurpose {
    /// A file.
    File {
        /// The folder that it goes to.
        folder: Writable,
        /// Folders below that one, made when the upload is whole if they are missing.
        below: Vec<FileName>,
        /// Its name. Where it is taken then, the file gets the next one that is free.
        name: FileName,
    },
    /// A part of another upload.
    Part {
        /// A folder of the share that is to hold it meanwhile.
        at: Writable,
    },
}

/// An upload that somebody wants to begin.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// What it is to become.
    pub purpose: UploadPurpose,
    /// Bytes; `None` where they are not known yet.
    pub size: Option<u64>,
    /// What the client said of it, to be repeated to it.
    pub metadata: String,
}

words! {
    /// How far an upload is.
    pub enum UploadStage {
        /// Bytes are missing.
        Running = "running",
        /// The file is about to get its name.
        Publishing = "publishing",
        /// It stands under its name.
        Done = "done",
    }
}

/// An upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Whose it is.
    pub account: AccountId,
    /// Who sends it, from where, for the audit log.
    pub sender: Actor,
    /// The share that holds its bytes.
    pub share: String,
    /// The folder that it goes to.
    pub folder: FilePath,
    /// The name that it is to have there; `None` for a part of another upload.
    pub name: Option<FileName>,
    /// Bytes, if that is known.
    pub size: Option<u64>,
    /// How many of them are there.
    pub offset: u64,
    /// What the client said of it.
    pub metadata: String,
    /// Whether it is joined from parts, or a part.
    pub joining: Joining,
    /// How far it is.
    pub stage: UploadStage,
    /// The file path that it got, once it is done.
    pub path: Option<FilePath>,
    /// When it will be forgotten unless bytes come.
    pub expires_at: Timestamp,
    pub(super) unchecked_from: Option<u64>,
    pub(super) version: Option<String>,
    pub(super) sha256: Option<String>,
}

/// Whether an upload is joined from parts, or a part; in words, those of `Upload-Concat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Neither.
    Whole,
    /// A part of another one.
    Part,
    /// Joined, as this header says.
    Joined(String),
}

impl Joining {
    /// The header; empty where there was none.
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
    /// Whether all its bytes are there.
    pub fn is_whole(&self) -> bool {
        self.size == Some(self.offset)
    }
}
