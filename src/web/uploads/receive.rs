//! Collects what arrives over the connection while the previous batch is being written: at most two batches
//! are in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::task::JoinHandle;

use crate::web::shares::error::StorageError;
use crate::web::uploads::lock::UploadLock;
use crate::web::uploads::room::GrowingLimit;
use crate::web::uploads::writer::Writer;

/// How many bytes are collected before they are written, if few uploads are running …
const BATCH: usize = 256 * 1024;

/// … and if many are, …
const BATCH_LEAST: usize = 32 * 1024;

/// … so that all of them together collect about this much.
const ALL_BATCHES: usize = 32 * 1024 * 1024;

/// A sender that sends nothing for this long is considered gone.
const STANDS_STILL: Duration = Duration::from_secs(30);

/// How often the sender's permission is checked again.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Counts one of the uploads that are receiving bytes, until this is dropped.
pub(super) struct RunningIntake(Arc<AtomicUsize>);

impl RunningIntake {
    pub(super) fn one_more(running: &Arc<AtomicUsize>) -> RunningIntake {
        running.fetch_add(1, Ordering::Relaxed);
        RunningIntake(Arc::clone(running))
    }

    /// Returns how many bytes this upload may collect now.
    fn batch(&self) -> usize {
        (ALL_BATCHES / self.0.load(Ordering::Relaxed).max(1)).clamp(BATCH_LEAST, BATCH)
    }
}

impl Drop for RunningIntake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The result of collecting a batch.
enum BatchEnd {
    More,
    End(Result<(), StorageError>),
}

/// Receives a body until it ends, fails, or may not continue. Returns the writer and the result.
pub(super) async fn receive<S, E, M>(
    mut body: S,
    mut may_go_on: M,
    turn: &UploadLock,
    running: &RunningIntake,
    writer: Box<Writer>,
    room: &mut GrowingLimit<'_>,
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
                gathered = BatchEnd::End(Err(StorageError::SessionEnded));
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
            // A body that has ended must not be polled again.
            if matches!(gathered, BatchEnd::More) {
                drain(body).await;
            }
            return Ok((writer, Err(error)));
        }
        writing = match batch.is_empty() {
            true => Writing::Rests(writer),
            false => Writing::Runs(tokio::task::spawn_blocking(move || writer.write(&batch))),
        };
        if let BatchEnd::End(end) = gathered {
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

/// Collects bytes until the batch is full or `deadline` has passed, so that the permission of a slow sender
/// is checked as often as that of a fast one.
async fn gather<S, E>(
    body: &mut S,
    turn: &UploadLock,
    most: usize,
    deadline: tokio::time::Instant,
) -> (Vec<Bytes>, BatchEnd)
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let (mut batch, mut len) = (Vec::new(), 0);
    while len < most {
        let next = tokio::select! {
            next = tokio::time::timeout(STANDS_STILL, body.next()) => next,
            () = turn.contended() => return (batch, BatchEnd::End(Err(StorageError::BrokeOff))),
            () = tokio::time::sleep_until(deadline) => return (batch, BatchEnd::More),
        };
        match next {
            Ok(Some(Ok(piece))) => {
                turn.note_byte();
                len += piece.len();
                batch.push(piece);
            }
            Ok(Some(Err(_))) | Err(_) => return (batch, BatchEnd::End(Err(StorageError::BrokeOff))),
            Ok(None) => return (batch, BatchEnd::End(Ok(()))),
        }
    }
    (batch, BatchEnd::More)
}

/// Reads a little more of a refused body, because a client that is still sending may not see the response if
/// the connection is closed.
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
    // It doesn't matter whether the body ends within this time.
    let _in_time = tokio::time::timeout(Duration::from_secs(2), reading).await;
}
