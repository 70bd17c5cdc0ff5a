//! What an archive is requested of, for whom, and by whom.

use crate::archive::digest_text;
use crate::secret::Digest;
use crate::web::shares::rights::Readable;

/// Whether an archive includes hidden files of folders (those with names that begin with a dot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HiddenFiles {
    /// They are included.
    Included,
    /// They are left out, because few people know that they have them.
    LeftOut,
}

/// Who will read an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveReaders {
    /// Someone who knows the files and folders by their names.
    Owner,
    /// Recipients of a link, who don't see a name that nobody chose.
    Recipients,
}

/// A request for an archive of files and folders.
#[derive(Clone, Debug)]
pub struct ArchiveOrder {
    /// The files and folders.
    pub places: Vec<Readable>,
    /// Who will read it.
    pub readers: ArchiveReaders,
    /// Whether hidden files are included.
    pub hidden: HiddenFiles,
    /// Who requests it: the same requester with the same request waits for the same archive.
    pub requester: String,
    /// The client, of whose archives one is made at a time.
    pub client: String,
}

impl ArchiveOrder {
    /// Returns the id under which it is made.
    pub fn id(&self) -> ArchiveJobId {
        let mut text = format!("{}\n{:?} {:?}", self.requester, self.readers, self.hidden);
        for place in &self.places {
            // Paths contain no NUL.
            text.push('\0');
            text.push_str(place.path().as_str());
        }
        ArchiveJobId(digest_text(&Digest::of(text.as_bytes())))
    }
}

/// Identifies an archive that is being made. Nobody can guess it who doesn't know who requested what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveJobId(String);

impl ArchiveJobId {
    /// Reads an id from a request. It may be any text.
    pub fn presented(text: &str) -> ArchiveJobId {
        ArchiveJobId(text.to_owned())
    }

    /// Returns its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
