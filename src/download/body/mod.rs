//! The body of a file response: asks for portions, and hands them on to the connection.
//!
//! The kernel sends large files itself, see [`by_kernel`]; everything else is copied in portions. One portion is in
//! progress at a time, and after each the worker serves its other connections.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::download::body::by_kernel::ByKernel;
use crate::download::body::error::BodyError;
use crate::download::body::source::{Reading, Source};
use crate::download::buffer_budget::{BufferBudget, PORTION};
use crate::download::content::Content;
use crate::download::ledger::{PATIENCE, Take};
use crate::download::outgoing::{OutgoingContent, RefusedPortion};
use crate::download::permission::Permission;
use crate::download::portion::Portion;
use crate::download::write_tracker::WriteTracker;
use crate::files::OpenFile;

mod by_kernel;
mod error;
mod source;

/// Responses of up to this size go through HTTP's dispatcher, which writes them together with their heads.
const INLINE_MAX: u64 = 16 * 1024;

/// Streams one range of a file or archive.
pub(crate) struct FileBody {
    /// The permission, until the last byte is handed on.
    permission: Option<Permission>,
    source: Source,
    clock: Clock,
    line: WriteTracker,
    budget: BufferBudget,
    len: u64,
    by_kernel: ByKernel,
    /// Bytes that were taken, but that the kernel didn't send.
    refused: Option<RefusedPortion>,
    /// A portion for HTTP's dispatcher.
    inline: Option<Portion>,
    step: Step,
}

enum Step {
    /// Start the next portion.
    Next,
    /// A portion was handed on. When it is written and other connections have had their turn, start the next.
    Handed,
    /// The same for one of so many bytes that the kernel sends.
    Sending(u64),
    /// Waiting for the peer to acknowledge what the kernel sent.
    Settling,
    /// Comparing a file that seems to have changed.
    Checking(JoinHandle<io::Result<bool>>),
    /// Reading a portion.
    Reading(Reading),
    /// Other streams have sent the next bytes; most clients hang up here.
    Pausing(Pin<Box<Sleep>>),
    /// The connection is being broken off.
    Cut,
}

impl FileBody {
    /// Sends what `permission` allows of `content` over `line`.
    pub(crate) fn new(
        permission: Permission,
        content: Content,
        clock: Clock,
        line: WriteTracker,
        budget: BufferBudget,
    ) -> FileBody {
        let len = permission.remaining();
        let source = Source::new(content);
        let changes = source.file().is_none_or(OpenFile::changes_in_place);
        line.begin();
        let mut body = FileBody {
            permission: Some(permission),
            source,
            clock,
            line,
            budget,
            len,
            by_kernel: ByKernel::new(len, changes),
            refused: None,
            inline: None,
            step: Step::Next,
        };
        if len == 0 {
            // Nobody polls an empty body.
            body.hand_over();
        }
        body
    }

    /// Returns how many bytes are sent.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Starts the next portion, or what has to be done before. Returns true at the end.
    fn start(&mut self) -> Result<bool, BodyError> {
        let most = self.budget.size() as u64;
        if let Some(refused) = self.refused.take() {
            let RefusedPortion { offset, left, .. } = refused;
            let count = left.min(most);
            let rest = RefusedPortion { offset: offset + count, left: left - count, ..refused };
            self.refused = (count < left).then_some(rest);
            self.read(offset, count)?;
            return Ok(false);
        }
        let Some(permission) = &self.permission else { return Ok(true) };
        let (position, remaining) = (permission.position(), permission.remaining());
        let portion_max = permission.portion_max();
        if let Some(wish) = self.by_kernel.portion(self.source.file(), position, remaining, portion_max)? {
            if let Some((offset, count)) = self.take(wish)? {
                self.send(offset, count);
            }
        } else if let Some(wish) = self.by_kernel.copy(remaining, most) {
            if let Some((offset, count)) = self.take(wish)? {
                self.read(offset, count)?;
            }
        } else {
            self.line.settle();
            self.step = Step::Settling;
        }
        Ok(false)
    }

    /// Takes up to `wish` of the remaining bytes. Returns where they begin and how many they are; `None` if
    /// there is a pause.
    fn take(&mut self, wish: u64) -> Result<Option<(u64, u64)>, BodyError> {
        let Some(permission) = &mut self.permission else { return Ok(None) };
        match permission.take(wish, self.clock.now()) {
            Take::Send(count) => Ok(Some((permission.position() - count, count))),
            Take::Pause => {
                self.step = Step::Pausing(Box::pin(tokio::time::sleep(PATIENCE)));
                Ok(None)
            }
            Take::Stop | Take::End => Err(BodyError::Exhausted),
        }
    }

    /// Lets the kernel send `count` bytes from `offset`.
    fn send(&mut self, offset: u64, count: u64) {
        if let Some(file) = self.source.file().cloned() {
            self.hand_on(OutgoingContent::File { file, offset, count });
            self.step = Step::Sending(count);
        }
    }

    /// Begins to read `count` bytes from `offset`.
    fn read(&mut self, offset: u64, count: u64) -> Result<(), BodyError> {
        // `count` is at most PORTION.
        let portion = Portion::of(usize::try_from(count).unwrap_or(PORTION), &self.budget);
        self.step = Step::Reading(self.source.read(portion, offset)?);
        Ok(())
    }

    /// Hands a portion on to the connection.
    fn hand_on(&mut self, content: OutgoingContent) {
        self.step = Step::Handed;
        let is_file = matches!(content, OutgoingContent::File { .. });
        match content {
            OutgoingContent::Memory(portion) if self.is_inline() => {
                self.line.pass(self.is_at_end());
                self.inline = Some(portion);
            }
            content => {
                let writer = self.permission.as_ref().and_then(Permission::writer);
                self.line.send(content, writer);
            }
        }
        // The kernel may still refuse to send from a file.
        if !is_file && self.is_at_end() {
            self.hand_over();
        }
    }

    /// Returns whether everything was taken, and nothing was refused.
    fn is_at_end(&self) -> bool {
        self.refused.is_none()
            && self.permission.as_ref().is_some_and(|permission| permission.remaining() == 0)
    }

    const fn is_inline(&self) -> bool {
        self.len <= INLINE_MAX
    }

    /// From now on, the connection owns the stream.
    fn hand_over(&mut self) {
        match self.permission.take() {
            Some(Permission::Download(stream)) => self.line.hand_over(stream),
            Some(Permission::View(_)) => self.line.end(),
            None => {}
        }
    }

    fn log(&self, error: &BodyError) {
        let jti = self.permission.as_ref().map(Permission::jti).map(tracing::field::display);
        let what = self.permission.as_ref().map_or("transfer", Permission::noun);
        match error {
            BodyError::Unreadable(cause) => tracing::error!(jti, "a {what} was cut off: {error}: {cause}"),
            BodyError::Exhausted | BodyError::Changed => {
                tracing::warn!(jti, "a {what} was cut off: {error}")
            }
        }
    }

    /// Ready with a portion for HTTP's dispatcher, at the end, or when the response is interrupted.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Portion>, BodyError>> {
        loop {
            if let Some(portion) = self.inline.take() {
                return Poll::Ready(Ok(Some(portion)));
            }
            match &mut self.step {
                // The connection is about to end.
                Step::Cut => return Poll::Pending,
                _ if self.line.is_broken() => return Poll::Pending,
                Step::Next => {
                    if self.start()? {
                        return Poll::Ready(Ok(None));
                    }
                }
                // The transport wakes this task when everything is written.
                Step::Handed | Step::Sending(_) if self.line.is_full() => return Poll::Pending,
                Step::Handed => self.step = Step::Next,
                Step::Sending(count) => {
                    self.refused = self.line.take_refused();
                    self.by_kernel.sent(*count, self.refused);
                    if self.is_at_end() {
                        self.hand_over();
                    }
                    self.step = match (self.refused, self.source.file().cloned()) {
                        (Some(refused), Some(file)) if refused.changed => {
                            Step::Checking(spawn_blocking(move || file.is_the_same()))
                        }
                        _ => Step::Next,
                    };
                }
                Step::Settling if self.line.is_settling() => return Poll::Pending,
                Step::Settling => {
                    self.by_kernel.settled();
                    self.step = Step::Next;
                }
                Step::Checking(task) => {
                    if !ready!(Pin::new(task).poll(cx))?? {
                        return Poll::Ready(Err(BodyError::Changed));
                    }
                    self.step = Step::Next;
                }
                Step::Reading(reading) => {
                    let portion = ready!(self.source.poll_read(cx, reading))?;
                    self.hand_on(OutgoingContent::Memory(portion));
                }
                Step::Pausing(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    if let Some(permission) = &mut self.permission {
                        permission.resume_after_pause();
                    }
                    self.step = Step::Next;
                }
            }
        }
    }
}

impl MessageBody for FileBody {
    type Error = Box<dyn std::error::Error>;

    /// The dispatcher can't count bytes that it doesn't get.
    fn size(&self) -> BodySize {
        if self.is_inline() { BodySize::Sized(self.len) } else { BodySize::Stream }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let e = match ready!(self.poll(cx)) {
            Ok(portion) => return Poll::Ready(portion.map(|portion| Ok(Bytes::from_owner(portion)))),
            Err(e) => e,
        };
        self.log(&e);
        if matches!(e, BodyError::Changed) && self.by_kernel.may_be_mixed() {
            // What the peer hasn't acknowledged may be of either version.
            self.line.cut();
            self.step = Step::Cut;
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(e.into())))
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        match &mut self.permission {
            Some(Permission::Download(stream)) => self.line.abandon(stream),
            Some(Permission::View(_)) => self.line.end(),
            None => {}
        }
    }
}
