//! Opens the store: checks whether the data on disk can be trusted, and acts accordingly.
//!
//! Everything is read and checked before anything is served: journal, database, witness, and whether they
//! belong together. If in doubt, tokens are refused: readable records still count as used, damaged files are
//! moved aside, and the fence rises to the next second, so that every token issued earlier is refused. Until
//! that is durable, the next start finds the same problem.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, info};

use crate::clock::{Clock, Timestamp};
use crate::secret::random_bytes;
use crate::used_tokens::UsedToken;
use crate::used_tokens::known::next_second;
use crate::used_tokens::sled::database::{SettlingRecord, SledDatabase, SledDatabaseError};
use crate::used_tokens::sled::files::{Sentinel, StoreLock, sentinel_path, sync_dir};
use crate::used_tokens::sled::found::{FoundDatabase, FoundStore, database_path};
use crate::used_tokens::sled::index::{JtiIndex, RecordLocation};
use crate::used_tokens::sled::journal::{create_segment, segment_path};
use crate::used_tokens::sled::manifest::StoreManifest;
use crate::used_tokens::sled::opening::{StoreOpenError, failed};
use crate::used_tokens::sled::record::{Slot, StoreId};

/// A store that is ready to serve. Its journal is settled.
pub(super) struct RecoveredStore {
    pub(super) lock: StoreLock,
    pub(super) database: Arc<SledDatabase>,
    pub(super) index: Arc<JtiIndex>,
    /// The number of slots in each segment.
    pub(super) slots: u32,
    pub(super) next_ticket: u64,
    pub(super) witness: PathBuf,
}

/// Opens or creates the store in `dir`; a new one has segments with `slots` slots.
pub(super) fn recover(
    dir: &Path,
    clock: &Clock,
    nothing_issued_before: Option<Timestamp>,
    slots: u32,
) -> Result<RecoveredStore, StoreOpenError> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create its folder"))?;
    sync_dir(parent).map_err(failed("fsync its parent folder"))?;
    let lock = StoreLock::take(dir)
        .map_err(failed("lock its folder"))?
        .ok_or_else(|| StoreOpenError::InUse { dir: dir.to_owned() })?;
    let witness = sentinel_path(dir);
    let found = FoundStore::read(dir)?;
    let site = StoreLocation { dir, clock, slots, witness: &witness, aside: "damaged" };
    let (database, index, slots, next_ticket) =
        if found.is_empty() { site.create_store(nothing_issued_before)? } else { site.reopen(found)? };
    Ok(RecoveredStore { lock, database: Arc::new(database), index, slots, next_ticket, witness })
}

/// Resets the time of the store in `dir` to `now`; see [`super::SledUsedTokens::reset_time`].
pub(super) fn reset_time(
    dir: &Path,
    now: Timestamp,
    slots: u32,
) -> Result<Option<Timestamp>, StoreOpenError> {
    if !dir.try_exists().map_err(failed("look for it"))? {
        return Ok(None);
    }
    let _lock = StoreLock::take(dir)
        .map_err(failed("lock its folder"))?
        .ok_or_else(|| StoreOpenError::InUse { dir: dir.to_owned() })?;
    let found = FoundStore::read(dir)?;
    if found.is_empty() {
        return Ok(None);
    }
    let (journal, witness) = (found.journal(), sentinel_path(dir));
    let mark = found.mark(&journal);
    let clock = Clock::manual(now);
    let site = StoreLocation { dir, clock: &clock, slots, witness: &witness, aside: "before-reset" };
    site.renew(found, &journal, next_second(now), now)?;
    Ok(Some(mark))
}

type Opened = (SledDatabase, Arc<JtiIndex>, u32, u64);

/// The location and parameters of the store.
struct StoreLocation<'a> {
    dir: &'a Path,
    clock: &'a Clock,
    slots: u32,
    witness: &'a Path,
    /// The suffix in the names of replaced files.
    aside: &'static str,
}

impl StoreLocation<'_> {
    fn create_store(&self, nothing_issued_before: Option<Timestamp>) -> Result<Opened, StoreOpenError> {
        let now = self.clock.now();
        let fence = nothing_issued_before.unwrap_or_else(|| next_second(now));
        let mut manifest = StoreManifest::new(fresh_id()?, fence, now);
        manifest.starts = 1;
        let database = SledDatabase::create(&database_path(self.dir), manifest).map_err(unusable)?;
        self.make_segments(&manifest.store, self.slots)?;
        self.write_sentinel(&manifest)?;
        info!(dir = %self.dir.display(), "created a new used-token store; links issued before {fence} are refused");
        Ok((database, Arc::new(JtiIndex::new()), self.slots, 0))
    }

    fn reopen(&self, found: FoundStore) -> Result<Opened, StoreOpenError> {
        let doubts = found.integrity_errors();
        let journal = found.journal();
        let mark = found.mark(&journal);
        self.clock.raise_to(mark);
        if doubts.is_empty() {
            self.continue_store(found, &journal, mark)
        } else {
            self.report_damage(found, &journal, mark, &doubts)
        }
    }

    /// Everything is fine: moves the journal's records to the database.
    fn continue_store(
        &self,
        found: FoundStore,
        journal: &[Slot],
        mark: Timestamp,
    ) -> Result<Opened, StoreOpenError> {
        let (last, [segment, _]) = (found.last_generation(), &found.segments);
        let slots = segment.slots;
        let of_first_format = found.segments.iter().any(|segment| segment.is_first_format);
        let FoundDatabase::Whole(database, index) = found.database else {
            return Err(unusable(SledDatabaseError::Manifest));
        };
        let settled = database.manifest().generation;
        let unsettled = journal.iter().filter(|slot| slot.generation > settled);
        let tickets = settle(&database, &index, unsettled.filter_map(|slot| slot.used), |manifest| {
            manifest.starts = manifest.starts.saturating_add(1);
            manifest.generation = last;
            manifest.mark = mark;
            if of_first_format {
                manifest.base = last;
            }
        })?;
        if of_first_format {
            // Everything in it is settled. If this is interrupted between the two files, the next start
            // repeats it.
            for number in [0, 1] {
                create_segment(self.dir, number, slots, &database.manifest().store)
                    .map_err(failed("create its journal"))?;
            }
        }
        self.write_sentinel(&database.manifest())?;
        Ok((*database, index, slots, tickets))
    }

    /// Something is wrong: keeps what can be read, replaces the rest, and raises the fence.
    fn report_damage(
        &self,
        found: FoundStore,
        journal: &[Slot],
        mark: Timestamp,
        doubts: &[String],
    ) -> Result<Opened, StoreOpenError> {
        let now = self.clock.now();
        let known = found.manifest().map_or(Timestamp::EPOCH, |manifest| manifest.fence);
        let fence = known.max(next_second(now));
        error!(
            dir = %self.dir.display(),
            "the used-token store cannot be trusted ({}): links issued before {fence} are refused, so that none \
             works twice; issue new links; damaged files are kept in its folder with `.damaged-` \
             in their names; check the disk, and never restore this folder from a backup",
            doubts.join("; ")
        );
        self.renew(found, journal, fence, mark.max(now))
    }

    /// Keeps what can be read, replaces the rest, and begins a new epoch with this fence and this mark of
    /// time. The journal is always replaced, because its records contain times, too.
    fn renew(
        &self,
        found: FoundStore,
        journal: &[Slot],
        fence: Timestamp,
        mark: Timestamp,
    ) -> Result<Opened, StoreOpenError> {
        let (last, start) = (found.last_generation(), found.last_start().saturating_add(1));
        let (database, index, salvage) = match found.database {
            FoundDatabase::Whole(database, index) => (*database, index, Vec::new()),
            FoundDatabase::Damaged { salvage, .. } => {
                (self.replace_database(fence, mark)?, Arc::new(JtiIndex::new()), salvage)
            }
            FoundDatabase::Missing => {
                (self.replace_database(fence, mark)?, Arc::new(JtiIndex::new()), Vec::new())
            }
        };
        let settled = database.manifest().generation;
        // If the database has a later state of a record, that one stays.
        let unknown = |slot: &&Slot| {
            let on_record =
                |used: &UsedToken| index.shard(used.jti).location(used.jti) != RecordLocation::Nowhere;
            slot.generation > settled || !slot.used.as_ref().is_some_and(on_record)
        };
        let from_journal: Vec<UsedToken> =
            journal.iter().filter(unknown).filter_map(|slot| slot.used).collect();
        let tickets = settle(&database, &index, salvage.into_iter().chain(from_journal), |manifest| {
            manifest.starts = start;
            manifest.generation = last;
            manifest.base = last;
            manifest.fence = fence;
            manifest.mark = mark;
            manifest.epoch = manifest.epoch.saturating_add(1);
        })?;
        let manifest = database.manifest();
        for number in [0, 1] {
            self.move_aside(&segment_path(self.dir, number))?;
        }
        self.make_segments(&manifest.store, self.slots)?;
        self.write_sentinel(&manifest)?;
        Ok((database, index, self.slots, tickets))
    }

    fn replace_database(&self, fence: Timestamp, mark: Timestamp) -> Result<SledDatabase, StoreOpenError> {
        let path = database_path(self.dir);
        self.move_aside(&path)?;
        SledDatabase::create(&path, StoreManifest::new(fresh_id()?, fence, mark)).map_err(unusable)
    }

    fn make_segments(&self, store: &StoreId, slots: u32) -> Result<(), StoreOpenError> {
        for number in [0, 1] {
            create_segment(self.dir, number, slots, store).map_err(failed("create its journal"))?;
        }
        Ok(())
    }

    fn write_sentinel(&self, manifest: &StoreManifest) -> Result<(), StoreOpenError> {
        let witness =
            Sentinel { store: manifest.store, starts: manifest.starts, generation: manifest.generation };
        witness.write(self.witness).map_err(failed("write its witness"))
    }

    /// Renames the file at `path`, if it exists, so that the operator can examine it.
    fn move_aside(&self, path: &Path) -> Result<(), StoreOpenError> {
        let now = self.clock.now().secs();
        let aside = |count: u32| {
            let mut name = path.as_os_str().to_owned();
            let aside = self.aside;
            name.push(if count == 0 { format!(".{aside}-{now}") } else { format!(".{aside}-{now}-{count}") });
            PathBuf::from(name)
        };
        let free = (0..u32::MAX).map(aside).find(|path| fs::symlink_metadata(path).is_err());
        let renamed = fs::rename(path, free.unwrap_or_default());
        match renamed.and_then(|()| sync_dir(self.dir)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("move a damaged file aside")(e)),
            _ => Ok(()),
        }
    }
}

/// Adds records to the database and the index, in order. Returns the next ticket.
fn settle(
    database: &SledDatabase,
    index: &JtiIndex,
    records: impl Iterator<Item = UsedToken>,
    note: impl FnOnce(&mut StoreManifest),
) -> Result<u64, StoreOpenError> {
    let records: Vec<SettlingRecord> =
        (1..).zip(records).map(|(ticket, used)| SettlingRecord { ticket, used }).collect();
    let next_ticket = (records.len() as u64).saturating_add(1);
    for (settling, block) in database.settle(records, note).map_err(unusable)? {
        index.shard(settling.used.jti).settle(settling.used.jti, settling.ticket, block);
    }
    Ok(next_ticket)
}

fn fresh_id() -> Result<StoreId, StoreOpenError> {
    random_bytes().map_err(|e| StoreOpenError::Failed { action: "create an id for it", source: Box::new(e) })
}

fn unusable(error: SledDatabaseError) -> StoreOpenError {
    StoreOpenError::Failed { action: "write its database", source: Box::new(error) }
}
