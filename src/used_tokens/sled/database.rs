//! The settled records, in sled.
//!
//! sled stores numbered *blocks* of up to [`BLOCK`] records rather than one key for each jti. One key per jti
//! would cost 300 bytes of disk and 5 KB of memory; a block costs a quarter of that, and settling a full
//! segment is fifty times as fast. The records of a block are purged at about the same time. A newer block
//! overrides an older one.
//!
//! sled's `flush` isn't durable on Linux, so every flush here is followed by an fdatasync of its file. sled
//! also opens damaged files without an error, so every block has a CRC, and the [`StoreManifest`] counts blocks and
//! records, in the same atomic batch as the blocks themselves.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::used_tokens::UsedToken;
use crate::used_tokens::packed::{pack_block, unpack_block};
use crate::used_tokens::sled::files::{retry_while_locked, sync_dir};
use crate::used_tokens::sled::index::JtiIndex;
use crate::used_tokens::sled::manifest::StoreManifest;

/// Records in a block. More would need less disk space, but sled writes large values to separate files, which
/// it never fsyncs.
const BLOCK: usize = 32;
/// Blocks in one portion of a purge: about 8,000 records, a few milliseconds.
const PORTION: usize = 256;
/// sled's memory limit, in bytes. Lookups are rare, because replays are.
const CACHE: u64 = 8 << 20;

/// sled checks the size of a part of its cache only after 64 reads; until then it keeps every page, which is
/// the whole database after a scan. So a page is read again this often, which is fast because it is cached.
const READS_AGAIN: usize = 64;
/// Minimum number of blocks in a page; after reading this many, one is read again.
const BLOCKS_IN_PAGE: usize = 8;

const MANIFEST_KEY: &[u8] = &[0];
const BLOCK_KEY: u8 = 1;

/// The database can't be used or can't be trusted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SledDatabaseError {
    #[error("sled failed")]
    Sled(#[from] ::sled::Error),
    #[error("cannot fsync sled's file")]
    Sync(#[from] io::Error),
    #[error("the manifest is missing or damaged")]
    Manifest,
    #[error("block {0} is damaged")]
    Block(u32),
    #[error("found {found} records in {blocks} blocks, but the manifest says {expected}")]
    Count { found: u64, blocks: usize, expected: u64 },
    #[error("no block number is free")]
    Full,
}

/// Returns whether an error or its cause is a full disk during a write. A failed fsync never counts, whatever
/// its error, because it concerns bytes that were already written.
pub(super) fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let refused =
        |e: &io::Error| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    match error.downcast_ref::<SledDatabaseError>() {
        Some(SledDatabaseError::Sled(::sled::Error::Io(e))) => refused(e),
        Some(_) => false,
        None => match error.downcast_ref::<io::Error>() {
            Some(e) => refused(e) || e.get_ref().is_some_and(|inner| is_full(inner)),
            None => error.source().is_some_and(is_full),
        },
    }
}

/// Returns whether someone still holds the database's own lock.
pub(super) fn is_locked(error: &(dyn std::error::Error + 'static)) -> bool {
    // sled reports this only in the text.
    error.to_string().contains("could not acquire lock")
        || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|e| is_locked(e))
        || error.source().is_some_and(is_locked)
}

/// The open database.
pub(super) struct SledDatabase {
    sled: ::sled::Db,
    file: File,
    state: Mutex<State>,
}

struct State {
    manifest: StoreManifest,
    blocks: BTreeMap<u32, Block>,
}

#[derive(Clone, Copy)]
struct Block {
    /// The earliest time at which one of its records may be purged.
    due: Timestamp,
}

impl Block {
    fn of(records: &[UsedToken]) -> Block {
        let due = records.iter().map(|used| used.forget_at).min().unwrap_or_default();
        Block { due }
    }
}

/// A record to be moved from the journal to the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct SettlingRecord {
    pub(super) ticket: u64,
    pub(super) used: UsedToken,
}

impl SledDatabase {
    /// Durably creates an empty database.
    pub(super) fn create(dir: &Path, manifest: StoreManifest) -> Result<SledDatabase, SledDatabaseError> {
        let database = SledDatabase::attach(dir, manifest)?;
        database.sled.insert(MANIFEST_KEY, manifest.to_bytes())?;
        database.sync()?;
        sync_dir(dir)?;
        Ok(database)
    }

    fn attach(dir: &Path, manifest: StoreManifest) -> Result<SledDatabase, SledDatabaseError> {
        remove_unfinished_snapshots(dir)?;
        let config = ::sled::Config::new().path(dir).cache_capacity(CACHE).flush_every_ms(None);
        let sled = retry_while_locked(|| match config.open() {
            // sled reports that its lock is held only in the text.
            Err(::sled::Error::Io(e)) if e.to_string().starts_with("could not acquire lock") => None,
            answer => Some(answer),
        });
        let sled = sled.unwrap_or_else(|| config.open())?;
        let file = OpenOptions::new().write(true).open(dir.join("db"))?;
        let state = Mutex::new(State { manifest, blocks: BTreeMap::new() });
        Ok(SledDatabase { sled, file, state })
    }

    /// Opens the database in `dir` and reads all of it into `index`. The readable parts of a damaged database
    /// are in `salvage` afterwards. sled may panic on damage, so call this on a separate thread.
    pub(super) fn open(
        dir: &Path,
        index: &JtiIndex,
        salvage: &Mutex<Vec<UsedToken>>,
    ) -> Result<SledDatabase, SledDatabaseError> {
        let blank = StoreManifest::new([0; 16], Timestamp::EPOCH, Timestamp::EPOCH);
        let database = SledDatabase::attach(dir, blank)?;
        let loaded = database.load(index);
        if loaded.is_err() {
            database.salvage(salvage);
        }
        loaded.map(|()| database)
    }

    fn load(&self, index: &JtiIndex) -> Result<(), SledDatabaseError> {
        let mut state = self.state();
        let mut found = 0_u64;
        let bytes = self.sled.get(MANIFEST_KEY)?.ok_or(SledDatabaseError::Manifest)?;
        state.manifest = StoreManifest::read(&bytes).ok_or(SledDatabaseError::Manifest)?;
        index.reserve(state.manifest.records);
        for (nth, entry) in self.sled.scan_prefix([BLOCK_KEY]).enumerate() {
            let (key, bytes) = entry?;
            if nth % BLOCKS_IN_PAGE == 0 {
                self.nudge_cache_eviction(&key, READS_AGAIN / 2)?;
            }
            let number = block_number(&key).ok_or(SledDatabaseError::Manifest)?;
            let records = unpack_block(number, &bytes).ok_or(SledDatabaseError::Block(number))?;
            found = found.saturating_add(records.len() as u64);
            state.blocks.insert(number, Block::of(&records));
            for used in records {
                index.shard(used.jti).settle(used.jti, 0, number);
            }
        }
        let (blocks, expected) = (state.blocks.len(), state.manifest.records);
        if (blocks as u64, found) != (state.manifest.blocks, expected) {
            return Err(SledDatabaseError::Count { found, blocks, expected });
        }
        Ok(())
    }

    fn salvage(&self, into: &Mutex<Vec<UsedToken>>) {
        for (key, bytes) in self.sled.scan_prefix([BLOCK_KEY]).map_while(Result::ok) {
            let records = block_number(&key).and_then(|number| unpack_block(number, &bytes));
            into.lock().unwrap_or_else(PoisonError::into_inner).extend(records.into_iter().flatten());
        }
    }

    /// Returns the current manifest.
    pub(super) fn manifest(&self) -> StoreManifest {
        self.state().manifest
    }

    /// Durably adds `records`, and changes the manifest with `note` in the same step. Returns the block of
    /// each record. Of several records of one jti, only the one with the latest ticket stays.
    pub(super) fn settle(
        &self,
        mut records: Vec<SettlingRecord>,
        note: impl FnOnce(&mut StoreManifest),
    ) -> Result<Vec<(SettlingRecord, u32)>, SledDatabaseError> {
        records.sort_unstable_by_key(|settling| (settling.used.jti, std::cmp::Reverse(settling.ticket)));
        records.dedup_by_key(|settling| settling.used.jti);
        // Records with similar times share a block, so that a purge removes whole blocks.
        records.sort_unstable_by_key(|settling| (settling.used.forget_at, settling.used.jti));

        let mut state = self.state();
        let mut manifest = state.manifest;
        note(&mut manifest);
        let mut batch = ::sled::Batch::default();
        let mut settled = Vec::with_capacity(records.len());
        let mut blocks = Vec::with_capacity(records.len() / BLOCK + 1);
        for chunk in records.chunks(BLOCK) {
            let number = manifest.next_block;
            manifest.next_block = number.checked_add(1).ok_or(SledDatabaseError::Full)?;
            let used: Vec<UsedToken> = chunk.iter().map(|settling| settling.used).collect();
            batch.insert(&block_key(number), pack_block(number, &used));
            blocks.push((number, Block::of(&used)));
            settled.extend(chunk.iter().map(|settling| (*settling, number)));
        }
        manifest.blocks = manifest.blocks.saturating_add(blocks.len() as u64);
        manifest.records = manifest.records.saturating_add(settled.len() as u64);
        batch.insert(MANIFEST_KEY, manifest.to_bytes());
        self.sled.apply_batch(batch)?;
        for (number, _) in blocks.iter().step_by(BLOCKS_IN_PAGE) {
            self.nudge_cache_eviction(&block_key(*number), READS_AGAIN / 2)?;
        }
        state.manifest = manifest;
        state.blocks.extend(blocks);
        drop(state);
        self.sync()?;
        Ok(settled)
    }

    /// Returns the record of `jti` in block `number`; `None` if it was purged in the meantime.
    pub(super) fn find(
        &self,
        jti: Jti,
        number: u32,
        index: &JtiIndex,
    ) -> Result<Option<UsedToken>, SledDatabaseError> {
        if let Some(used) = self.find_in(jti, number)? {
            return Ok(Some(used));
        }
        // A purge is or was removing it; after its portion, the index has the result.
        let _portion = self.state();
        let gone = !index.shard(jti).is_settled_in(jti, number);
        if gone {
            Ok(None)
        } else {
            self.find_in(jti, number)?.ok_or(SledDatabaseError::Block(number)).map(Some)
        }
    }

    fn find_in(&self, jti: Jti, number: u32) -> Result<Option<UsedToken>, SledDatabaseError> {
        let Some(bytes) = self.sled.get(block_key(number))? else { return Ok(None) };
        self.nudge_cache_eviction(&block_key(number), READS_AGAIN)?;
        let records = unpack_block(number, &bytes).ok_or(SledDatabaseError::Block(number))?;
        Ok(records.into_iter().find(|used| used.jti == jti))
    }

    /// Runs one portion of a purge over the blocks after number `after`: removes what is due at `now`, first
    /// from the database, then from `index`. Returns how many jtis were removed and the number to continue
    /// after, or `None` at the end. Not durable before [`SledDatabase::sync`]; records that come back after a
    /// crash are still due.
    pub(super) fn forget(
        &self,
        now: Timestamp,
        after: u32,
        index: &JtiIndex,
    ) -> Result<(u64, Option<u32>), SledDatabaseError> {
        let mut state = self.state();
        let due: Vec<u32> = state
            .blocks
            .range(after.saturating_add(1)..)
            .filter(|(_, block)| block.due <= now)
            .map(|(number, _)| *number)
            .take(PORTION)
            .collect();
        let Some(last) = due.last().copied() else { return Ok((0, None)) };
        let mut manifest = state.manifest;
        let mut batch = ::sled::Batch::default();
        let mut forgotten = Vec::new();
        let mut left = Vec::new();
        for (nth, number) in due.into_iter().enumerate() {
            let bytes = self.sled.get(block_key(number))?.ok_or(SledDatabaseError::Block(number))?;
            if nth % BLOCKS_IN_PAGE == 0 {
                self.nudge_cache_eviction(&block_key(number), READS_AGAIN / 2)?;
            }
            let records = unpack_block(number, &bytes).ok_or(SledDatabaseError::Block(number))?;
            let (keep, forget): (Vec<UsedToken>, Vec<UsedToken>) =
                records.into_iter().partition(|used| used.forget_at > now);
            manifest.records = manifest.records.saturating_sub(forget.len() as u64);
            if keep.is_empty() {
                manifest.blocks = manifest.blocks.saturating_sub(1);
                batch.remove(&block_key(number));
                left.push((number, None));
            } else {
                batch.insert(&block_key(number), pack_block(number, &keep));
                left.push((number, Some(Block::of(&keep))));
            }
            forgotten.extend(forget.into_iter().map(|used| (used.jti, number)));
        }
        batch.insert(MANIFEST_KEY, manifest.to_bytes());
        self.sled.apply_batch(batch)?;
        state.manifest = manifest;
        for (number, block) in left {
            match block {
                Some(block) => state.blocks.insert(number, block),
                None => state.blocks.remove(&number),
            };
        }
        let count = forgotten.into_iter().filter(|(jti, number)| index.shard(*jti).forget(*jti, *number));
        Ok((count.count() as u64, Some(last)))
    }

    /// Makes everything so far durable. After an error the result is unknown: never retry.
    pub(super) fn sync(&self) -> Result<(), SledDatabaseError> {
        self.sled.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Makes sled check which pages to evict.
    fn nudge_cache_eviction(&self, key: &[u8], reads: usize) -> Result<(), SledDatabaseError> {
        for _ in 0..reads {
            self.sled.get(key)?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes snapshots that a kill has cut off while sled wrote them, at a start. The one before is there until
/// the new one has its own name, but sled takes the unfinished one for the latest, and for damage.
fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b"snap.") && name.ends_with(b".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn block_key(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [BLOCK_KEY, a, b, c, d]
}

fn block_number(key: &[u8]) -> Option<u32> {
    key.strip_prefix(&[BLOCK_KEY])?.try_into().ok().map(u32::from_be_bytes)
}
