//! Receives the bytes of an upload: from the connection to the disk, computing the digest on the way.
//!
//! A thread that may block writes one batch while the next one is collected, so an upload never holds more
//! than two batches in memory, and a slow sender occupies no thread.

use bytes::Bytes;
use futures_util::Stream;

use crate::clock::Timestamp;
use crate::web::shares::disk::WriteError;
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::checksum::Checksum;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::quota::SizeLimit;
use crate::web::uploads::receive::{RunningIntake, receive};
use crate::web::uploads::room::{GrowingLimit, PORTION};
use crate::web::uploads::rows;
use crate::web::uploads::upload::Upload;
use crate::web::uploads::writer::Writer;

/// The body of one request.
pub struct UploadBody<S, M> {
    /// The stream of bytes.
    pub body: S,
    /// The checksum that the bytes must have, if one was announced.
    pub checksum: Option<Checksum>,
    /// Whether the sender may continue; called from time to time while bytes arrive.
    pub may_go_on: M,
}

impl Uploads {
    /// Appends a body at `offset`, which must be where the received part of the upload ends. Returns the
    /// upload in its new state, finished if this was its last byte. Bytes received before a failure are kept,
    /// except those whose checksum is wrong or never arrived, and those of a body that is too long.
    ///
    /// # Errors
    /// See [`StorageError`]. The bytes that are kept are on disk when this returns.
    pub async fn append<S, E, M>(
        &self,
        upload: &Upload,
        offset: u64,
        incoming: UploadBody<S, M>,
        now: Timestamp,
    ) -> Result<Upload, StorageError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        M: AsyncFnMut() -> bool,
    {
        let turn = self.turns.take(&upload.id).await?;
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        let unchecked_from = upload.unchecked_from;
        let (file, is) = on_disk(move || {
            let file = shares.staged(&share, id.as_str())?;
            let mut len = file.version()?.len;
            if let Some(from) = unchecked_from.filter(|from| *from < len) {
                file.shorten(from)?;
                len = from;
            }
            Ok::<_, WriteError>((file, len))
        })
        .await?;
        if offset != is {
            return Err(StorageError::Offset { is });
        }
        let mut room = match upload.size {
            Some(size) => {
                GrowingLimit { uploads: self, upload, limit: SizeLimit::exactly(size), is_fixed: true }
            }
            None => {
                let limit = self.reserve_space(upload, offset.saturating_add(PORTION)).await?;
                GrowingLimit { uploads: self, upload, limit, is_fixed: false }
            }
        };
        let unchecked_from = incoming.checksum.is_some().then_some(offset);
        if unchecked_from != upload.unchecked_from || unchecked_from.is_some() {
            rows::touch(&self.db, &upload.id, unchecked_from, now.plus(self.keep)).await?;
        }
        let hashing = self.hashing.remove(&upload.id).map(|(_, hashing)| hashing).unwrap_or_default();
        let writer = Box::new(Writer {
            shares: self.shares.clone(),
            share: upload.share.clone(),
            file,
            began_at: offset,
            offset,
            looked_at: offset,
            hashed_before: hashing.clone(),
            hashing,
            checksum: incoming.checksum,
            room_for: room.limit.bytes,
        });
        let running = RunningIntake::one_more(&self.running);
        let (writer, outcome) =
            receive(incoming.body, incoming.may_go_on, &turn, &running, writer, &mut room).await?;
        drop(running);
        let (writer, outcome) = on_disk(move || Ok::<_, StorageError>(writer.settle(outcome))).await?;
        let mut upload = Upload { offset: writer.offset, unchecked_from: None, ..upload.clone() };
        self.count(&upload).await?;
        if writer.hashing.upto() <= writer.offset {
            self.hashing_of(&upload.id, writer.hashing);
        }
        // Later than at the beginning: receiving the bytes may have taken hours.
        let now = self.clock.now().max(now);
        upload.expires_at = now.plus(self.keep);
        // An upload that is about to be finished doesn't need a later expiry.
        let ends_here = outcome.is_ok() && upload.is_whole() && upload.name.is_some();
        if !ends_here || unchecked_from.is_some() {
            rows::touch(&self.db, &upload.id, None, upload.expires_at).await?;
        }
        match outcome {
            Err(StorageError::Beyond) if upload.size.is_none() => return Err(room.limit.exceeded()),
            outcome => outcome?,
        }
        match ends_here {
            true => self.finish_held(&upload, writer.file, now).await,
            false => Ok(upload),
        }
    }
}
