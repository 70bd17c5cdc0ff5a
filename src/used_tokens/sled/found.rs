//! What is on disk when the store is opened, and everything that is wrong with it.
//!
//! Only reads. Checks each part, and that the parts belong together and are in sequence. `recovery` decides
//! what happens then.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::used_tokens::UsedToken;
use crate::used_tokens::sled::database::{SledDatabase, SledDatabaseError};
use crate::used_tokens::sled::files::{FoundSentinel, Sentinel, sentinel_path};
use crate::used_tokens::sled::index::JtiIndex;
use crate::used_tokens::sled::journal::{FoundSegment, SegmentError, read_segment, segment_of};
use crate::used_tokens::sled::manifest::StoreManifest;
use crate::used_tokens::sled::opening::{StoreOpenError, failed};
use crate::used_tokens::sled::record::Slot;

/// What was found in the store's folder.
pub(super) struct FoundStore {
    witness: FoundSentinel,
    pub(super) segments: [FoundSegment; 2],
    pub(super) database: FoundDatabase,
}

/// What was found in place of the database.
pub(super) enum FoundDatabase {
    Missing,
    Damaged { why: String, salvage: Vec<UsedToken> },
    Whole(Box<SledDatabase>, Arc<JtiIndex>),
}

impl FoundStore {
    /// Reads everything in `dir`.
    pub(super) fn read(dir: &Path) -> Result<FoundStore, StoreOpenError> {
        let journal = failed("read its journal");
        Ok(FoundStore {
            witness: Sentinel::read(&sentinel_path(dir)).map_err(failed("read its witness"))?,
            segments: [read_segment(dir, 0).map_err(&journal)?, read_segment(dir, 1).map_err(&journal)?],
            database: open_database(dir)?,
        })
    }

    /// Returns whether there was never a store here, as far as can be seen.
    pub(super) fn is_empty(&self) -> bool {
        let missing = |segment: &FoundSegment| matches!(segment.doubts.as_slice(), [SegmentError::Missing]);
        matches!(self.witness, FoundSentinel::Missing)
            && matches!(self.database, FoundDatabase::Missing)
            && self.segments.iter().all(missing)
    }

    /// Returns the database's manifest, if the database itself can be trusted.
    pub(super) fn manifest(&self) -> Option<StoreManifest> {
        match &self.database {
            FoundDatabase::Whole(database, _) => Some(database.manifest()),
            FoundDatabase::Missing | FoundDatabase::Damaged { .. } => None,
        }
    }

    /// Returns everything that is wrong with what was found, for the operator.
    pub(super) fn integrity_errors(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for (number, segment) in self.segments.iter().enumerate() {
            doubts.extend(segment.doubts.iter().map(|doubt| format!("journal {number}: {doubt}")));
        }
        match &self.database {
            FoundDatabase::Missing => doubts.push("the database is missing".to_owned()),
            FoundDatabase::Damaged { why, .. } => doubts.push(format!("the database is damaged: {why}")),
            FoundDatabase::Whole(..) => {}
        }
        let witness = match &self.witness {
            FoundSentinel::Missing => Err("the witness next to the folder is missing"),
            FoundSentinel::Damaged => Err("the witness next to the folder is damaged"),
            FoundSentinel::Copied => Err("the witness next to the folder was restored from a copy"),
            FoundSentinel::Original(witness) => Ok(witness),
        };
        match (witness, self.manifest()) {
            (Err(doubt), _) => doubts.push(doubt.to_owned()),
            (Ok(witness), Some(manifest)) => {
                if witness.store != manifest.store {
                    doubts.push("the witness belongs to another store".to_owned());
                } else if witness.starts > manifest.starts || witness.generation > manifest.generation {
                    doubts
                        .push("the store is older than its witness: it was restored from a copy".to_owned());
                }
            }
            (Ok(_), None) => {}
        }
        if let Some(manifest) = self.manifest() {
            let others = |segment: &FoundSegment| segment.store.is_some_and(|store| store != manifest.store);
            if self.segments.iter().any(others) {
                doubts.push("journal and database belong to different stores".to_owned());
            } else if !self.continues(&manifest) {
                doubts.push("journal and database are from different times: one was restored".to_owned());
            }
        }
        let [even, odd] = &self.segments;
        if even.slots != odd.slots {
            doubts.push("the journal's files have different sizes".to_owned());
        }
        doubts
    }

    /// Returns whether the newest generations in the journal follow the database.
    fn continues(&self, manifest: &StoreManifest) -> bool {
        let settled = manifest.generation;
        let [even, odd] = &self.segments;
        // A segment of the first format that a start has settled is about to be recreated.
        let generation = |segment: &FoundSegment| match segment.is_first_format {
            true if segment.generation <= manifest.base => 0,
            _ => segment.generation,
        };
        let (last, next) = (generation(even), generation(odd));
        let (last, next) = if segment_of(settled) == 0 { (last, next) } else { (next, last) };
        let written = |generation: u64| if generation > manifest.base { generation } else { 0 };
        let after = settled.saturating_add(1);
        let next_fits = [after, written(settled.saturating_sub(1))].contains(&next);
        let last_fits = last == written(settled) || (next == after && last == settled.saturating_add(2));
        next_fits && last_fits
    }

    /// Returns all readable journal records, oldest first.
    pub(super) fn journal(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> =
            self.segments.iter().flat_map(|segment| segment.written.iter().copied()).collect();
        slots.sort_by_key(|slot| slot.generation);
        slots
    }

    /// Returns the latest time recorded here.
    pub(super) fn mark(&self, journal: &[Slot]) -> Timestamp {
        let manifest = self.manifest().map(|manifest| manifest.mark);
        journal.iter().map(|slot| slot.mark).chain(manifest).max().unwrap_or_default()
    }

    /// Returns the highest generation recorded here.
    pub(super) fn last_generation(&self) -> u64 {
        let journal = self.segments.iter().map(|segment| segment.generation).max().unwrap_or(0);
        let witness = match self.witness {
            FoundSentinel::Original(witness) => witness.generation,
            _ => 0,
        };
        journal.max(witness).max(self.manifest().map_or(0, |manifest| manifest.generation))
    }

    /// Returns the highest count of starts recorded here.
    pub(super) fn last_start(&self) -> u64 {
        let witness = match self.witness {
            FoundSentinel::Original(witness) => witness.starts,
            _ => 0,
        };
        witness.max(self.manifest().map_or(0, |manifest| manifest.starts))
    }
}

/// Returns the path of sled in the store in `dir`.
pub(super) fn database_path(dir: &Path) -> PathBuf {
    dir.join("sled")
}

fn open_database(dir: &Path) -> Result<FoundDatabase, StoreOpenError> {
    let path = database_path(dir);
    if !path.try_exists().map_err(failed("look for its database"))? {
        return Ok(FoundDatabase::Missing);
    }
    let index = Arc::new(JtiIndex::new());
    let salvage = Arc::new(Mutex::new(Vec::new()));
    // sled panics on some kinds of damage. A separate thread keeps that from ending the process.
    let opened = std::thread::scope(|scope| {
        let open = || SledDatabase::open(&path, &index, &salvage);
        std::thread::Builder::new()
            .name("used-tokens-open".to_owned())
            .spawn_scoped(scope, open)?
            .join()
            .map_or_else(
                |_panic| Ok(Err("sled panicked".to_owned())),
                |opened| match opened {
                    Ok(database) => Ok(Ok(database)),
                    Err(e) if is_environmental(&e) => Err(io::Error::other(e)),
                    Err(e) => Ok(Err(chain(&e))),
                },
            )
    });
    Ok(match opened.map_err(failed("open its database"))? {
        Ok(database) => FoundDatabase::Whole(Box::new(database), index),
        Err(why) => {
            let salvage = std::mem::take(&mut *salvage.lock().unwrap_or_else(PoisonError::into_inner));
            FoundDatabase::Damaged { why, salvage }
        }
    })
}

/// Returns whether the error comes from outside the database, which means no damage.
fn is_environmental(error: &SledDatabaseError) -> bool {
    let error = match error {
        SledDatabaseError::Sled(::sled::Error::Io(e)) | SledDatabaseError::Sync(e) => e,
        _ => return false,
    };
    let kinds = [ErrorKind::PermissionDenied, ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem];
    kinds.contains(&error.kind()) || error.to_string().contains("could not acquire lock")
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
