//! Writes the bytes of an upload on a thread that may block, and keeps them after a failure if possible.

use bytes::Bytes;

use crate::web::shares::digests::RunningDigest;
use crate::web::shares::disk::{Staged, WritableShares};
use crate::web::shares::error::StorageError;
use crate::web::uploads::checksum::Checksum;

/// After how many bytes the free space on disk is checked again.
const LOOK_EVERY: u64 = 16 << 20;

/// The state of an upload that is being written. It is moved to the writing thread and back.
pub(super) struct Writer {
    pub(super) shares: WritableShares,
    pub(super) share: String,
    pub(super) file: Staged,
    pub(super) began_at: u64,
    pub(super) offset: u64,
    pub(super) looked_at: u64,
    pub(super) hashed_before: RunningDigest,
    pub(super) hashing: RunningDigest,
    pub(super) checksum: Option<Checksum>,
    /// The length that the file may reach.
    pub(super) room_for: u64,
}

impl Writer {
    pub(super) fn write(mut self: Box<Self>, batch: &[Bytes]) -> (Box<Self>, Result<(), StorageError>) {
        let outcome = self.try_write(batch);
        (self, outcome)
    }

    fn try_write(&mut self, batch: &[Bytes]) -> Result<(), StorageError> {
        let bytes: u64 = batch.iter().map(|piece| piece.len() as u64).sum();
        if bytes > self.room_for.saturating_sub(self.offset) {
            return Err(StorageError::Beyond);
        }
        if self.offset.saturating_sub(self.looked_at) >= LOOK_EVERY || self.offset == self.began_at {
            self.looked_at = self.offset;
            if bytes > self.shares.disk_space(&self.share)?.free {
                return Err(StorageError::NoRoom);
            }
        }
        self.offset += self.file.write(self.offset, batch)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(batch);
        }
        // A digest that doesn't cover the bytes before is completed from the file at the end.
        if self.hashing.upto() + bytes == self.offset {
            self.hashing.update(batch);
        }
        Ok(())
    }

    /// Keeps what may be kept, and syncs it to disk.
    pub(super) fn settle(
        mut self: Box<Self>,
        outcome: Result<(), StorageError>,
    ) -> (Box<Self>, Result<(), StorageError>) {
        let settled = self.try_settle(outcome);
        (self, settled)
    }

    fn try_settle(&mut self, outcome: Result<(), StorageError>) -> Result<(), StorageError> {
        let unchecked = self.checksum.is_some();
        let matches = self.checksum.take().is_none_or(Checksum::matches);
        let outcome = match outcome {
            Ok(()) if !matches => Err(StorageError::Checksum),
            outcome => outcome,
        };
        match &outcome {
            Ok(()) => {}
            Err(StorageError::Checksum | StorageError::Beyond) => return self.take_back().and(outcome),
            // The bytes received can no longer be verified against their checksum.
            Err(_) if unchecked => return self.take_back().and(outcome),
            Err(_) => {}
        }
        // A failed write may have written some of its bytes; they are in order and count.
        self.offset = self.file.version()?.len;
        self.file.sync()?;
        outcome
    }

    fn take_back(&mut self) -> Result<(), StorageError> {
        self.file.shorten(self.began_at)?;
        self.file.sync()?;
        self.offset = self.began_at;
        self.hashing = self.hashed_before.clone();
        Ok(())
    }
}
