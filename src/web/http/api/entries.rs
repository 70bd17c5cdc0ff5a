//! Files and folders as the API shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::files::{EntryKind, FolderEntry};
use crate::id::FilePath;
use crate::web::http::api::time::Time;
use crate::web::http::program::Program;
use crate::web::shares::rights::Rights;

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// A file or folder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryView {
    /// Its path.
    #[schema(example = "/books/report.pdf")]
    path: String,
    /// Its name.
    #[schema(example = "report.pdf")]
    name: String,
    /// Whether it is a file or a folder.
    kind: Kind,
    /// Its size in bytes; `null` for a folder.
    #[schema(example = 48_213)]
    size: Option<u64>,
    /// When it was last modified; `null` for an own folder that doesn't exist yet.
    modified_at: Option<Time>,
    /// What the account may do with it: `read`, `write` (also upload) or `manage` (also rename, move and delete).
    #[schema(example = "manage")]
    right: &'static str,
}

impl EntryView {
    /// Shows an entry that the program may read.
    pub(crate) fn of<S>(entry: &FolderEntry, program: &Program<S>, rights: &Rights) -> EntryView {
        let (kind, size) = match entry.kind {
            EntryKind::File(version) => (Kind::File, Some(version.len)),
            EntryKind::Folder => (Kind::Folder, None),
        };
        EntryView {
            modified_at: Some(entry.modified.into()),
            kind,
            size,
            ..EntryView::absent(&entry.path, program, rights)
        }
    }

    /// Shows a folder that will be created when something is put there.
    pub(crate) fn absent<S>(path: &FilePath, program: &Program<S>, rights: &Rights) -> EntryView {
        EntryView {
            path: path.as_str().to_owned(),
            name: path.name().to_owned(),
            kind: Kind::Folder,
            size: None,
            modified_at: None,
            right: rights.highest(program.account(), path).map_or("read", |right| right.word()),
        }
    }
}

/// A folder to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFolder {
    /// The path of the folder to make it in.
    #[schema(example = "/books")]
    pub(crate) folder: String,
    /// Its name.
    #[schema(example = "2026")]
    pub(crate) name: String,
}

/// A change of a file or folder: one of the two members.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryChange {
    /// Its new name.
    #[schema(example = "report-2026.pdf")]
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The path of the folder to move it to.
    #[schema(example = "/books/2026")]
    #[serde(default)]
    pub(crate) folder: Option<String>,
}
