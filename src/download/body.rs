//! The body of a file response: records portions in the ledger, reads them and hands them on. An archive is
//! read like a file as long as one of its files has the whole portion; the rest goes to the blocking pool.
//!
//! Data in the page cache is read directly on the worker (`preadv2` with `RWF_NOWAIT` doesn't wait for the
//! disk); only the rest goes to the blocking pool. One portion is in progress at a time, and after each the
//! worker serves its other connections.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::download::archives::ArchiveSource;
use crate::download::buffer_budget::{BufferBudget, PORTION};
use crate::download::content::Content;
use crate::download::ledger::{PATIENCE, Stream, Take};
use crate::download::write_tracker::WriteTracker;
use crate::files::{OpenFile, QuickCheck};

/// What is read.
enum Source {
    File(OpenFile),
    Archive(Box<ArchiveSource>),
    /// An archive that is being read on the blocking pool.
    Lent,
}

impl Source {
    /// Returns the file that contains all of `count` bytes from `offset`, and where in it they begin.
    fn file_at(&self, offset: u64, count: u64) -> Option<(&OpenFile, u64)> {
        match self {
            Source::File(file) => Some((file, offset)),
            Source::Archive(archive) => archive.file_at(offset, count),
            Source::Lent => None,
        }
    }
}

/// Streams one range of a file or archive.
pub(crate) struct FileBody {
    /// The stream, until its last byte is handed on; then the connection owns it.
    stream: Option<Stream>,
    source: Source,
    clock: Clock,
    line: WriteTracker,
    portions: BufferBudget,
    size: u64,
    step: Step,
}

enum Step {
    /// Read the next portion.
    Next,
    /// A portion was handed on. When it is written and other connections have had their turn, read the next.
    Handed,
    /// Waiting for the disk; `None` if the file has changed.
    Reading(JoinHandle<io::Result<Option<Portion>>>),
    /// Waiting for files of an archive.
    Filling(JoinHandle<(Box<ArchiveSource>, io::Result<Option<Portion>>)>),
    /// Other streams have sent the next bytes; most clients hang up here.
    Pausing(Pin<Box<Sleep>>),
}

/// How far the next portion got.
enum Begun {
    Bytes(Bytes),
    /// Waiting for the disk or for other streams.
    Waiting,
    End,
}

/// The response was interrupted. The connection is closed, and the client may resume.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the file changed while it was being sent")]
    Changed,
    #[error("the file could not be read")]
    Unreadable(#[source] io::Error),
    #[error("no more bytes may be sent for this token")]
    Exhausted,
}

impl FileBody {
    /// Sends the bytes of `stream` over `line` in `portions`.
    pub(crate) fn new(
        stream: Stream,
        content: Content,
        clock: Clock,
        line: WriteTracker,
        portions: BufferBudget,
    ) -> FileBody {
        let source = match content {
            Content::File(file) => Source::File(file),
            Content::Archive(archive) => Source::Archive(Box::new(ArchiveSource::new(archive))),
        };
        let size = stream.remaining();
        let stream = if size == 0 {
            // Nobody polls an empty body.
            line.hand_over(stream);
            None
        } else {
            line.begin();
            Some(stream)
        };
        FileBody { size, stream, source, clock, line, portions, step: Step::Next }
    }

    /// Starts the next portion. Returns its bytes if they are available, or that everything was sent.
    fn begin(&mut self) -> Result<Begun, BodyError> {
        let Some(stream) = &mut self.stream else { return Ok(Begun::End) };
        let room = self.line.make_room(&self.portions, stream.remaining());
        match stream.take(room, self.clock.now()) {
            Take::End => {
                if let Some(stream) = self.stream.take() {
                    self.line.hand_over(stream);
                }
                Ok(Begun::End)
            }
            Take::Stop => Err(BodyError::Exhausted),
            Take::Pause => {
                self.step = Step::Pausing(Box::pin(tokio::time::sleep(PATIENCE)));
                Ok(Begun::Waiting)
            }
            Take::Send(count) => {
                let offset = stream.position() - count;
                self.read(offset, count)
            }
        }
    }

    /// Reads `count` bytes from `offset`, from the page cache if possible.
    fn read(&mut self, offset: u64, count: u64) -> Result<Begun, BodyError> {
        // `count` is at most PORTION.
        let mut portion = Portion::of(usize::try_from(count).unwrap_or(PORTION));
        let Some((file, offset)) = self.source.file_at(offset, count) else {
            return self.fill(portion, offset);
        };
        let have = match file.read_cached(portion.as_mut(), offset).map_err(BodyError::Unreadable)? {
            Some(0) => return Err(BodyError::Changed),
            Some(have) if have == portion.as_ref().len() => {
                let (step, begun) = checked(file, portion)?;
                self.step = step;
                return Ok(begun);
            }
            Some(have) => have,
            None => 0,
        };
        let file = file.clone();
        self.step = Step::Reading(tokio::task::spawn_blocking(move || {
            let rest = portion.as_mut().get_mut(have..).unwrap_or_default();
            let wanted = rest.len();
            let whole = file.read(rest, offset + have as u64)? == wanted;
            Ok((whole && file.is_the_same()?).then_some(portion))
        }));
        Ok(Begun::Waiting)
    }

    /// Reads bytes of an archive that are not all of one open file.
    fn fill(&mut self, mut portion: Portion, offset: u64) -> Result<Begun, BodyError> {
        match std::mem::replace(&mut self.source, Source::Lent) {
            Source::Archive(mut archive) => {
                self.step = Step::Filling(tokio::task::spawn_blocking(move || {
                    let filled = archive.fill(portion.as_mut(), offset);
                    (archive, filled.map(|unchanged| unchanged.then_some(portion)))
                }));
                Ok(Begun::Waiting)
            }
            // A file has all of its bytes, and what was lent is back before the next portion.
            Source::File(_) | Source::Lent => Err(BodyError::Changed),
        }
    }

    fn log(&self, error: &BodyError) {
        let jti = self.stream.as_ref().map(|stream| stream.delivery().jti);
        let jti = jti.map(tracing::field::display);
        match error {
            BodyError::Unreadable(cause) => tracing::error!(jti, "a transfer was cut off: {error}: {cause}"),
            BodyError::Exhausted | BodyError::Changed => {
                tracing::warn!(jti, "a transfer was cut off: {error}")
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            match &mut self.step {
                Step::Next => match self.begin()? {
                    Begun::Bytes(bytes) => return Poll::Ready(Ok(Some(bytes))),
                    Begun::End => return Poll::Ready(Ok(None)),
                    Begun::Waiting => {}
                },
                // The transport wakes this task when everything is written.
                Step::Handed if self.line.is_full() => return Poll::Pending,
                Step::Handed => self.step = Step::Next,
                Step::Reading(task) => {
                    let read = ready!(Pin::new(task).poll(cx))
                        .map_err(|gone| BodyError::Unreadable(io::Error::other(gone)))?;
                    self.step = Step::Next;
                    return Poll::Ready(portion_of(read));
                }
                Step::Filling(task) => {
                    let (archive, read) = ready!(Pin::new(task).poll(cx))
                        .map_err(|gone| BodyError::Unreadable(io::Error::other(gone)))?;
                    self.source = Source::Archive(archive);
                    self.step = Step::Next;
                    return Poll::Ready(portion_of(read));
                }
                Step::Pausing(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    if let Some(stream) = &mut self.stream {
                        stream.resume_after_pause();
                    }
                    self.step = Step::Next;
                }
            }
        }
    }
}

/// Bytes of a file that has changed in the meantime aren't sent, because the client would mix two versions. A
/// file that only grew is examined more closely.
fn checked(file: &OpenFile, portion: Portion) -> Result<(Step, Begun), BodyError> {
    match file.quick_check().map_err(BodyError::Unreadable)? {
        QuickCheck::Unchanged => Ok((Step::Next, Begun::Bytes(portion.into()))),
        QuickCheck::Changed => Err(BodyError::Changed),
        QuickCheck::Unclear => {
            let file = file.clone();
            let step = Step::Reading(tokio::task::spawn_blocking(move || {
                Ok(file.is_the_same()?.then_some(portion))
            }));
            Ok((step, Begun::Waiting))
        }
    }
}

/// Returns the bytes that were read, unless the file changed.
fn portion_of(read: io::Result<Option<Portion>>) -> Result<Option<Bytes>, BodyError> {
    match read {
        Ok(Some(portion)) => Ok(Some(portion.into())),
        Ok(None) => Err(BodyError::Changed),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(BodyError::Changed),
        Err(e) => Err(BodyError::Unreadable(e)),
    }
}

impl MessageBody for FileBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(match ready!(self.poll(cx)) {
            Ok(None) => None,
            Ok(Some(bytes)) => {
                if self.stream.as_ref().is_some_and(|stream| stream.remaining() > 0) {
                    self.line.fill();
                    self.step = Step::Handed;
                }
                Some(Ok(bytes))
            }
            Err(e) => {
                self.log(&e);
                Some(Err(e.into()))
            }
        })
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.stream {
            self.line.abandon(stream);
        }
    }
}

/// A buffer of at most [`PORTION`] bytes. Large buffers are reused on the thread that drops them, because new
/// pages for each portion would cost as much as the copying.
pub(super) struct Portion {
    buffer: Vec<u8>,
    len: usize,
}

/// Buffers kept per thread.
const KEPT: usize = 32;
/// Smaller buffers are allocated each time.
const SMALL: usize = 16 * 1024;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Portion {
    /// Returns a buffer of `len` bytes.
    pub(super) fn of(len: usize) -> Portion {
        if len <= SMALL {
            return Portion { buffer: vec![0; len], len };
        }
        let kept = BUFFERS.with_borrow_mut(Vec::pop);
        Portion { buffer: kept.unwrap_or_else(|| vec![0; PORTION.max(len)]), len }
    }
}

impl AsRef<[u8]> for Portion {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Portion {
    fn as_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.len).unwrap_or_default()
    }
}

impl From<Portion> for Bytes {
    fn from(portion: Portion) -> Bytes {
        Bytes::from_owner(portion)
    }
}

impl fmt::Debug for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Portion({} bytes)", self.len)
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        if self.buffer.len() == PORTION {
            let buffer = std::mem::take(&mut self.buffer);
            // If the thread is ending, its store may be gone; then the buffer is just dropped.
            let _ended = BUFFERS.try_with(|kept| {
                if let Ok(mut kept) = kept.try_borrow_mut()
                    && kept.len() < KEPT
                {
                    kept.push(buffer);
                }
            });
        }
    }
}
