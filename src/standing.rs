//! The standing of a store or database: how far it has come. A restore from a backup is noticed because the
//! store is then behind what others remember of it.
//!
//! Only standings of the same store are compared. A missing store was not restored; one that is older than
//! remembered was. A restored store continues until it is ahead of what is remembered, so each opening begins
//! a *branch* with a random name: a remembered standing must belong to one of the store's branches.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Maximum number of stores remembered in one file; those not heard of for the longest time are dropped
/// first.
const REMEMBERED: usize = 16;

/// How far a store has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Identifies this store; created with it.
    pub id: String,
    /// Increases when the store starts over with a new fence, so that forgotten records no longer matter.
    pub epoch: u64,
    /// The name of its current branch.
    pub branch: String,
    /// Increases as records are added, but not with every record.
    pub position: u64,
}

/// The records between two openings of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// A random name, unique to this history.
    pub name: String,
    /// Its first position.
    pub from: u64,
}

/// How many branches of a store are kept; standings from earlier ones can't be compared.
pub const BRANCHES: usize = 4096;

impl Standing {
    /// Returns whether this is the same store at an earlier time than `other`.
    pub fn is_behind(&self, other: &Standing) -> bool {
        self.id == other.id && (self.epoch, self.position) < (other.epoch, other.position)
    }

    /// Returns whether this store, with these branches in order, was restored to a state before `remembered`,
    /// or to another history.
    pub fn was_put_back(&self, branches: &[Branch], remembered: &Standing) -> bool {
        if self.id != remembered.id {
            return false;
        }
        if self.epoch != remembered.epoch {
            // In a later epoch, nothing issued before it began is valid.
            return self.epoch < remembered.epoch;
        }
        match branches.iter().position(|branch| branch.name == remembered.branch) {
            Some(at) => {
                let next = branches.get(at.saturating_add(1));
                let last = next.map_or(self.position, |next| next.from.saturating_sub(1));
                remembered.position > last
            }
            None => branches.first().is_none_or(|first| remembered.position >= first.from),
        }
    }
}

/// The remembered standings of other stores, in a file that is separate from those stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedStandings {
    /// The latest standing of each store; the most recently reported one is last.
    #[serde(default)]
    stores: Vec<Standing>,
    /// The standing of the web app's database, as the web app reported it.
    #[serde(default)]
    database: Option<String>,
}

impl RememberedStandings {
    /// Reads the file `path`; empty if it doesn't exist.
    ///
    /// # Errors
    /// If the file can't be read or is damaged.
    pub fn read(path: &Path) -> io::Result<RememberedStandings> {
        match fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(RememberedStandings::default()),
            Err(e) => Err(e),
        }
    }

    /// Replaces the file `path` with this, durably.
    ///
    /// # Errors
    /// If the disk fails; the file then has its old or its new content.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &serde_json::to_vec(self)?)
    }

    /// Returns the latest standing of the store with this id.
    pub fn of(&self, id: &str) -> Option<&Standing> {
        self.stores.iter().find(|known| known.id == id)
    }

    /// Remembers a standing instead of the previous one, with which the store was already compared. Returns
    /// whether that changed anything.
    pub fn note(&mut self, standing: &Standing) -> bool {
        if self.of(&standing.id) == Some(standing) {
            return false;
        }
        self.stores.retain(|known| known.id != standing.id);
        self.stores.push(standing.clone());
        let surplus = self.stores.len().saturating_sub(REMEMBERED);
        self.stores.drain(..surplus);
        true
    }

    /// Returns the latest standing of the web app's database.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Remembers the standing of the web app's database. Returns whether that changed anything.
    pub fn note_database(&mut self, word: &str) -> bool {
        let changed = self.database.as_deref() != Some(word);
        self.database = Some(word.to_owned());
        changed
    }
}

/// Writes a small file atomically and durably, readable by its owner only.
///
/// # Errors
/// If the disk fails; the file then has its old or its new content.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = Path::new(&fresh);
    // A file left by a crash may have any mode.
    match fs::remove_file(fresh) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(fresh, path)?;
    sync_folder_of(path)
}

/// Makes the name of `path` durable.
///
/// # Errors
/// If its folder can't be synced.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &str, epoch: u64, position: u64) -> Standing {
        Standing { id: id.to_owned(), epoch, branch: "one".to_owned(), position }
    }

    fn on(branch: &str, position: u64) -> Standing {
        Standing { branch: branch.to_owned(), ..at("a", 1, position) }
    }

    #[test]
    fn only_the_same_store_at_an_earlier_moment_is_behind() {
        assert!(at("a", 1, 5).is_behind(&at("a", 1, 6)));
        assert!(at("a", 1, 9).is_behind(&at("a", 2, 0)));
        assert!(!at("a", 1, 5).is_behind(&at("a", 1, 5)));
        assert!(!at("a", 2, 0).is_behind(&at("a", 1, 9)));
        assert!(!at("b", 1, 5).is_behind(&at("a", 1, 6)));
    }

    #[test]
    fn a_store_that_was_put_back_is_found_out_however_far_it_went_since() {
        let branch = |name: &str, from| Branch { name: name.to_owned(), from };
        let branches = [branch("one", 10), branch("two", 20), branch("three", 25)];
        let here = on("three", 900);
        for remembered in [on("one", 19), on("two", 20), on("two", 24), on("three", 900), on("lost", 9)] {
            assert!(!here.was_put_back(&branches, &remembered), "{remembered:?}");
        }
        for remembered in [on("one", 20), on("two", 25), on("three", 901), on("lost", 10), on("lost", 9000)] {
            assert!(here.was_put_back(&branches, &remembered), "{remembered:?}");
        }
        assert!(here.was_put_back(&[], &on("one", 1)));
        assert!(here.was_put_back(&branches, &at("a", 2, 0)));
        assert!(!here.was_put_back(&branches, &at("a", 0, 9000)));
        assert!(!here.was_put_back(&branches, &at("b", 2, 9000)));
    }

    #[test]
    fn a_memory_keeps_the_latest_of_each_and_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        assert_eq!(RememberedStandings::read(&path).unwrap(), RememberedStandings::default());
        let mut memory = RememberedStandings::default();
        assert!(memory.note(&at("a", 1, 5)));
        assert!(!memory.note(&at("a", 1, 5)));
        assert!(memory.note(&at("a", 1, 6)));
        assert!(memory.note_database("word") && !memory.note_database("word"));
        memory.write(&path).unwrap();
        assert_eq!(RememberedStandings::read(&path).unwrap(), memory);
        assert_eq!(memory.of("a"), Some(&at("a", 1, 6)));
        for other in 0..REMEMBERED {
            memory.note(&at(&format!("other {other}"), 0, 0));
        }
        assert_eq!((memory.of("a"), memory.stores.len()), (None, REMEMBERED));
        fs::write(&path, "{").unwrap();
        assert!(RememberedStandings::read(&path).is_err());
    }
}
