//! Gathers what comes over the connection while what came before is written: two batches at most in memory.

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

/// Bytes that are gathered before they are written, where few uploads run …
const BATCH: usize = 256 * 1024;

/// … and where many do …
const BATCH_LEAST: usize = 32 * 1024;

/// … so that all of them together gather about this much.
const ALL_BATCHES: usize = 32 * 1024 * 1024;

/// A sender that sends nothing for so long has gone.
const STANDS_STILL: Duration = Duration::from_secs(30);

/// How often it is asked whether the sender may go on.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// One of the uploads that take bytes in.
pub(super) struct RunningIntake(Arc<AtomicUsize>);

impl RunningIntake {
    pub(super) fn one_more(running: &Arc<AtomicUsize>) -> RunningIntake {
        running.fetch_add(1, Ordering::Relaxed);
        RunningIntake(Arc::clone(running))
    }

    /// How much it may gather now.
    fn batch(&self) -> usize {
        (ALL_BATCHES / self.0.load(Ordering::Relaxed).max(1)).clamp(BATCH_LEAST, BATCH)
    }
}

impl Drop for RunningIntake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What came of gathering a batch.
enum BatchEnd {
    More,
    End(Result<(), StorageError>),
}

/// Takes a body in until it ends, fails, or must not go on; returns what was written and what came of it.
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
            // A body that has ended must not be asked for more.
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

/// What comes until a batch is full or `deadline` has passed: whether a slow sender may go on is to be
/// asked as often as with a fast one.
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
