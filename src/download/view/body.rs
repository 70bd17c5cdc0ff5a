//! The body of a view: reads portions and hands them on, as that of a download does, but without a ledger.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::download::body::{BodyError, Portion};
use crate::download::buffer_budget::PORTION;
use crate::download::state::DownloadState;
use crate::download::view::registry::Viewing;
use crate::download::write_tracker::WriteTracker;
use crate::files::{OpenFile, QuickCheck};

/// Streams one range of a file.
pub(super) struct ViewBody {
    viewing: Viewing,
    state: Arc<DownloadState>,
    file: OpenFile,
    line: WriteTracker,
    range: Range<u64>,
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
}

/// How far the next portion got.
enum Begun {
    Bytes(Bytes),
    /// Waiting for the disk.
    Waiting,
    End,
}

impl ViewBody {
    /// Sends `range` of `file` over `line`.
    pub(super) fn new(
        viewing: Viewing,
        state: Arc<DownloadState>,
        file: OpenFile,
        line: WriteTracker,
        range: Range<u64>,
    ) -> ViewBody {
        let size = range.end.saturating_sub(range.start);
        // Nobody polls an empty body.
        if size > 0 {
            line.begin();
        }
        ViewBody { viewing, state, file, line, range, size, step: Step::Next }
    }

    /// Starts the next portion. Returns its bytes if they are available, or that everything was sent.
    fn begin(&mut self) -> Result<Begun, BodyError> {
        let remaining = self.range.end.saturating_sub(self.range.start);
        if remaining == 0 {
            return Ok(Begun::End);
        }
        if self.viewing.is_revoked() || self.state.ledger.is_suspended() {
            return Err(BodyError::Exhausted);
        }
        let room = self.line.make_room(&self.state.portions, remaining);
        let count = self.viewing.take(room.min(remaining), self.file.version().len);
        if count == 0 {
            return Err(BodyError::Exhausted);
        }
        let offset = self.range.start;
        self.range.start += count;
        // `count` is at most PORTION.
        let mut portion = Portion::of(usize::try_from(count).unwrap_or(PORTION));
        let have = match self.file.read_cached(portion.as_mut(), offset).map_err(BodyError::Unreadable)? {
            Some(0) => return Err(BodyError::Changed),
            Some(have) => have,
            None => 0,
        };
        let is_all = have == portion.as_ref().len();
        if is_all {
            match self.file.quick_check().map_err(BodyError::Unreadable)? {
                QuickCheck::Unchanged => return Ok(Begun::Bytes(portion.into())),
                QuickCheck::Changed => return Err(BodyError::Changed),
                QuickCheck::Unclear => {}
            }
        }
        let file = self.file.clone();
        self.step = Step::Reading(tokio::task::spawn_blocking(move || {
            let rest = portion.as_mut().get_mut(have..).unwrap_or_default();
            let wanted = rest.len();
            let whole = file.read(rest, offset + have as u64)? == wanted;
            Ok((whole && file.is_the_same()?).then_some(portion))
        }));
        Ok(Begun::Waiting)
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
                    return Poll::Ready(match read {
                        Ok(Some(portion)) => Ok(Some(portion.into())),
                        Ok(None) => Err(BodyError::Changed),
                        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(BodyError::Changed),
                        Err(e) => Err(BodyError::Unreadable(e)),
                    });
                }
            }
        }
    }
}

impl MessageBody for ViewBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(match ready!(self.poll(cx)) {
            Ok(None) => {
                self.line.end();
                None
            }
            Ok(Some(bytes)) => {
                if !self.range.is_empty() {
                    self.line.fill();
                    self.step = Step::Handed;
                }
                Some(Ok(bytes))
            }
            Err(e) => {
                let jti = self.viewing.jti;
                match &e {
                    BodyError::Unreadable(cause) => tracing::error!(%jti, "a view was cut off: {e}: {cause}"),
                    BodyError::Exhausted | BodyError::Changed => {
                        tracing::warn!(%jti, "a view was cut off: {e}")
                    }
                }
                Some(Err(e.into()))
            }
        })
    }
}

impl Drop for ViewBody {
    fn drop(&mut self) {
        self.line.end();
    }
}
