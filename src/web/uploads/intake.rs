//! Takes the bytes of an upload: from the connection to the disk, with the digest taken on the way.
//!
//! One batch is written by a thread that may block while the next one is gathered, so an upload never
//! holds more than two batches in memory, and a slow sender holds no thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::task::JoinHandle;

use crate::clock::Timestamp;
use crate::files::Shares;
use crate::files::staging::Staged;
use crate::files::write::WriteError;
use crate::web::shares::digests::Hashing;
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::checksum::Checksum;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::quota::{self, Limit};
use crate::web::uploads::rows;
use crate::web::uploads::turn::Turn;
use crate::web::uploads::upload::Upload;

/// Bytes that are gathered before they are written, where few uploads run …
const BATCH: usize = 256 * 1024;

/// … and where many do …
const BATCH_LEAST: usize = 32 * 1024;

/// … so that all of them together gather about this much.
const ALL_BATCHES: usize = 32 * 1024 * 1024;

/// A sender that sends nothing for so long has gone.
const STANDS_STILL: Duration = Duration::from_secs(30);

/// How often it is asked whether the sender may go on …
const ASK_EVERY: Duration = Duration::from_secs(30);

/// … and after how many bytes whether there is still room on the disk.
const LOOK_EVERY: u64 = 16 << 20;

/// What is set aside at once for a file of unknown size.
const PORTION: u64 = 16 << 20;

/// The body of one request.
pub struct Incoming<S, M> {
    /// Its bytes.
    pub body: S,
    /// What they must come to, if that was announced.
    pub checksum: Option<Checksum>,
    /// Whether the sender may still send: asked now and then while bytes come.
    pub may_go_on: M,
}

impl Uploads {
    /// Appends a body at `offset`, which must be where the upload ends; answers the upload as it is
    /// then, finished if that was its last byte. What came before a failure is kept, but for bytes
    /// whose checksum is wrong or never came, and those of a body that is too long.
    ///
    /// # Errors
    /// See [`StorageError`]. The bytes that are kept are on the disk when this returns.
    pub async fn append<S, E, M>(
        &self,
        upload: &Upload,
        offset: u64,
        incoming: Incoming<S, M>,
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
            Some(size) => Room { uploads: self, upload, limit: Limit::exactly(size), is_fixed: true },
            None => {
                let limit = self.set_aside(upload, offset.saturating_add(PORTION)).await?;
                Room { uploads: self, upload, limit, is_fixed: false }
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
        let running = Running::one_more(&self.running);
        let (writer, outcome) =
            receive(incoming.body, incoming.may_go_on, &turn, &running, writer, &mut room).await?;
        drop(running);
        let (writer, outcome) = on_disk(move || Ok::<_, StorageError>(writer.settle(outcome))).await?;
        let mut upload = Upload { offset: writer.offset, unchecked_from: None, ..upload.clone() };
        self.count(&upload).await?;
        if writer.hashing.upto() <= writer.offset {
            self.hashing_of(&upload.id, writer.hashing);
        }
        // Later than it began: the bytes may have taken hours.
        let now = self.clock.now().max(now);
        upload.expires_at = now.plus(self.keep);
        // One that is about to be finished needs no longer life.
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

impl Uploads {
    /// Counts what came of a file of unknown size, in place of what was set aside for it.
    async fn count(&self, upload: &Upload) -> Result<(), StorageError> {
        if upload.size.is_some() {
            return Ok(());
        }
        let mut transaction = self.db.begin().await?;
        quota::set_received(&mut transaction, upload, upload.offset).await?;
        Ok(self.db.commit(transaction).await?)
    }

    async fn set_aside(&self, upload: &Upload, wanted: u64) -> Result<Limit, StorageError> {
        let mut transaction = self.db.begin().await?;
        let limit = self.quotas.set_aside(&mut transaction, upload, wanted).await?;
        self.db.commit(transaction).await?;
        Ok(limit)
    }
}

/// The length that an upload may reach. Where its size is not known, room is set aside in portions while
/// bytes come, so that many uploads at once can't take more than a quota together.
struct Room<'u> {
    uploads: &'u Uploads,
    upload: &'u Upload,
    limit: Limit,
    is_fixed: bool,
}

impl Room<'_> {
    /// Makes room for a file of `bytes`, if there is any; returns the length that it may reach.
    async fn up_to(&mut self, bytes: u64) -> Result<u64, StorageError> {
        if !self.is_fixed && bytes > self.limit.bytes {
            self.limit = self.uploads.set_aside(self.upload, bytes.saturating_add(PORTION)).await?;
        }
        Ok(self.limit.bytes)
    }
}

/// What is written to, and what is known of it. Goes to the thread that writes and comes back.
struct Writer {
    shares: Shares,
    share: String,
    file: Staged,
    began_at: u64,
    offset: u64,
    looked_at: u64,
    hashed_before: Hashing,
    hashing: Hashing,
    checksum: Option<Checksum>,
    /// The length that the file may reach.
    room_for: u64,
}

impl Writer {
    fn write(mut self: Box<Self>, batch: &[Bytes]) -> (Box<Self>, Result<(), StorageError>) {
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
            if bytes > self.shares.room(&self.share)?.free {
                return Err(StorageError::NoRoom);
            }
        }
        self.offset += self.file.write(self.offset, batch)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(batch);
        }
        // A digest that has not seen what came before is completed at the end, from the file.
        if self.hashing.upto() + bytes == self.offset {
            self.hashing.update(batch);
        }
        Ok(())
    }

    /// Keeps what may be kept, on the disk.
    fn settle(
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
            // What came can't be held against its checksum any more.
            Err(_) if unchecked => return self.take_back().and(outcome),
            Err(_) => {}
        }
        // A write that failed may have left some bytes; they are in order and count.
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

/// One of the uploads that take bytes in.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn one_more(running: &Arc<AtomicUsize>) -> Running {
        running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(running))
    }

    /// How much it may gather now.
    fn batch(&self) -> usize {
        (ALL_BATCHES / self.0.load(Ordering::Relaxed).max(1)).clamp(BATCH_LEAST, BATCH)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What came of gathering a batch.
enum Gathered {
    More,
    End(Result<(), StorageError>),
}

async fn receive<S, E, M>(
    mut body: S,
    mut may_go_on: M,
    turn: &Turn,
    running: &Running,
    writer: Box<Writer>,
    room: &mut Room<'_>,
) -> Result<(Box<Writer>, Result<(), StorageError>), StorageError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    M: AsyncFnMut() -> bool,
{
    let mut writing: Writing = Writing::Rests(writer);
    let mut asked = tokio::time::Instant::now();
    loop {
        let (batch, mut gathered) = gather(&mut body, turn, running.batch(), asked + ASK_EVERY).await;
        if asked.elapsed() >= ASK_EVERY {
            asked = tokio::time::Instant::now();
            if !may_go_on().await {
                gathered = Gathered::End(Err(StorageError::SessionEnded));
            }
        }
        let (mut writer, mut written) = writing.over().await?;
        if written.is_ok() {
            let bytes: u64 = batch.iter().map(|piece| piece.len() as u64).sum();
            match room.up_to(writer.offset.saturating_add(bytes)).await {
                Ok(length) => writer.room_for = length,
                Err(error) => written = Err(error),
            }
        }
        if let Err(error) = written {
            // A body that has ended must not be asked for more.
            if matches!(gathered, Gathered::More) {
                drain(body).await;
            }
            return Ok((writer, Err(error)));
        }
        writing = match batch.is_empty() {
            true => Writing::Rests(writer),
            false => Writing::Runs(tokio::task::spawn_blocking(move || writer.write(&batch))),
        };
        if let Gathered::End(end) = gathered {
            let (writer, written) = writing.over().await?;
            return Ok((writer, written.and(end)));
        }
    }
}

enum Writing {
    Rests(Box<Writer>),
    Runs(JoinHandle<(Box<Writer>, Result<(), StorageError>)>),
}

impl Writing {
    async fn over(self) -> Result<(Box<Writer>, Result<(), StorageError>), StorageError> {
        match self {
            Writing::Rests(writer) => Ok((writer, Ok(()))),
            Writing::Runs(running) => running.await.map_err(|_| StorageError::Interrupted),
        }
    }
}

/// What comes until a batch is full or `deadline` has passed: whether a slow sender may go on is to be
/// asked as often as with a fast one.
async fn gather<S, E>(
    body: &mut S,
    turn: &Turn,
    most: usize,
    deadline: tokio::time::Instant,
) -> (Vec<Bytes>, Gathered)
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let (mut batch, mut len) = (Vec::new(), 0);
    while len < most {
        let next = tokio::select! {
            next = tokio::time::timeout(STANDS_STILL, body.next()) => next,
            () = turn.wanted() => return (batch, Gathered::End(Err(StorageError::BrokeOff))),
            () = tokio::time::sleep_until(deadline) => return (batch, Gathered::More),
        };
        match next {
            Ok(Some(Ok(piece))) => {
                turn.heard();
                len += piece.len();
                batch.push(piece);
            }
            Ok(Some(Err(_))) | Err(_) => return (batch, Gathered::End(Err(StorageError::BrokeOff))),
            Ok(None) => return (batch, Gathered::End(Ok(()))),
        }
    }
    (batch, Gathered::More)
}

/// Reads a little of what is left of a body that is refused: a client that still sends may not see
/// the answer if the connection is closed under it.
async fn drain<S, E>(mut body: S)
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let reading = async {
        let mut left = 16_usize << 20;
        while let Some(Ok(piece)) = body.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                break;
            }
        }
    };
    // Whether it ends by itself does not matter.
    let _in_time = tokio::time::timeout(Duration::from_secs(2), reading).await;
}
