//! The body of a file response: asks for portions, and hands them on to the connection.
//!
//! A large file is sent by the kernel (`sendfile`), without being copied into this process. The kernel then sends
//! the pages of the file as they are at that moment, so a change can still get into what was handed on. Therefore
//! the last portion is always copied, and only after the peer has acknowledged everything before it and the file
//! was found unchanged: until then the client lacks bytes, and must come back for them.
//!
//! Everything else is copied in portions: files that aren't in the page cache, or that the kernel can't send;
//! small ones, where waiting for acknowledgments would take longer than copying; and archives, which are read like
//! a file as long as one of their files has the whole portion.
//!
//! Data in the page cache is read directly on the worker (`preadv2` with `RWF_NOWAIT` doesn't wait for the
//! disk); only the rest goes to the blocking pool. One portion is in progress at a time, and after each the
//! worker serves its other connections.

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
use crate::download::ledger::{PATIENCE, Take};
use crate::download::outgoing::OutgoingContent;
use crate::download::permission::Permission;
use crate::download::portion::Portion;
use crate::download::write_tracker::WriteTracker;
use crate::files::{OpenFile, QuickCheck};

/// Responses of up to this size go through HTTP's dispatcher, which writes them together with their heads.
const INLINE_MAX: u64 = 16 * 1024;
/// Responses of less than this size are copied: the wait for acknowledgments costs a round trip, and up to 40 ms if the peer
/// delays them.
const KERNEL_MIN: u64 = 512 * 1024;
/// The maximum that the kernel is told to send at a time.
const KERNEL_PORTION: u64 = 2 * 1024 * 1024;
/// At least this much at the end is copied …
const COPIED_END: u64 = 16 * 1024;
/// … and this much of it before the wait: many systems acknowledge a segment only when another one follows.
const NUDGE: u64 = 4 * 1024;

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
    /// The permission, until the last byte is handed on.
    permission: Option<Permission>,
    source: Source,
    clock: Clock,
    line: WriteTracker,
    budget: BufferBudget,
    len: u64,
    /// Whether the kernel sends the file, as far as it can.
    by_kernel: bool,
    progress: KernelProgress,
    /// Where bytes begin that were taken but not handed on, because the kernel refused to send them, and how many
    /// there are.
    refused: Option<(u64, u64)>,
    /// A portion for HTTP's dispatcher.
    inline: Option<Portion>,
    step: Step,
}

/// What is known about the portions that the kernel sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KernelProgress {
    /// There are none, or they arrived unchanged.
    Settled,
    /// The file must be compared again.
    Unchecked,
    /// The last one was unchanged when it was with the kernel.
    Checked,
    /// The beginning of the copied end was sent, too.
    Nudged,
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
    /// Waiting for the disk; `None` if the file has changed.
    Reading(JoinHandle<io::Result<Option<Portion>>>),
    /// Waiting for files of an archive.
    Filling(JoinHandle<(Box<ArchiveSource>, io::Result<Option<Portion>>)>),
    /// Other streams have sent the next bytes; most clients hang up here.
    Pausing(Pin<Box<Sleep>>),
    /// The connection is being broken off.
    Cut,
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
    /// Sends what `permission` allows of `content` over `line`.
    pub(crate) fn new(
        permission: Permission,
        content: Content,
        clock: Clock,
        line: WriteTracker,
        budget: BufferBudget,
    ) -> FileBody {
        let source = match content {
            Content::File(file) => Source::File(file),
            Content::Archive(archive) => Source::Archive(Box::new(ArchiveSource::new(archive))),
        };
        let len = permission.remaining();
        let by_kernel = len >= KERNEL_MIN && matches!(source, Source::File(_));
        line.begin();
        let mut body = FileBody {
            permission: Some(permission),
            source,
            clock,
            line,
            budget,
            len,
            by_kernel,
            progress: KernelProgress::Settled,
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
        if self.progress == KernelProgress::Unchecked && !self.check()? {
            return Ok(false);
        }
        if let Some((offset, left)) = self.refused.take() {
            let count = left.min(self.budget.size() as u64);
            self.refused = (count < left).then_some((offset + count, left - count));
            self.read(offset, count)?;
            return Ok(false);
        }
        let Some(permission) = &self.permission else { return Ok(true) };
        let (position, remaining) = (permission.position(), permission.remaining());
        if let Some(wish) = self.kernel_portion(position, remaining)? {
            if let Some((offset, count)) = self.take(wish)? {
                self.send(offset, count);
            }
            return Ok(false);
        }
        let mut wish = remaining.min(self.budget.size() as u64);
        if wish == remaining && self.progress != KernelProgress::Settled {
            if self.progress == KernelProgress::Nudged || remaining <= NUDGE {
                self.line.settle();
                self.step = Step::Settling;
                return Ok(false);
            }
            self.progress = KernelProgress::Nudged;
            wish = NUDGE;
        }
        if let Some((offset, count)) = self.take(wish)? {
            self.read(offset, count)?;
        }
        Ok(false)
    }

    /// Returns how much the kernel may send now.
    fn kernel_portion(&self, position: u64, remaining: u64) -> Result<Option<u64>, BodyError> {
        let most = remaining.saturating_sub(COPIED_END).min(KERNEL_PORTION);
        match &self.source {
            Source::File(file) if self.by_kernel && most >= COPIED_END => {
                let cached = file.is_cached(position, most).map_err(BodyError::Unreadable)?;
                Ok(cached.then_some(most))
            }
            _ => Ok(None),
        }
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
        if let Source::File(file) = &self.source {
            self.hand_on(OutgoingContent::File { file: file.clone(), offset, count });
            self.step = Step::Sending(count);
        }
    }

    /// Compares the file after the kernel got a portion of it. Returns false if that takes longer.
    fn check(&mut self) -> Result<bool, BodyError> {
        let Source::File(file) = &self.source else { return Ok(true) };
        match file.quick_check().map_err(BodyError::Unreadable)? {
            QuickCheck::Changed => return Err(BodyError::Changed),
            QuickCheck::Unclear => {
                let file = file.clone();
                self.step = Step::Checking(tokio::task::spawn_blocking(move || file.is_the_same()));
                return Ok(false);
            }
            QuickCheck::Unchanged => self.progress = KernelProgress::Checked,
        }
        Ok(true)
    }

    /// Reads `count` bytes from `offset`, from the page cache if possible, and hands them on.
    fn read(&mut self, offset: u64, count: u64) -> Result<(), BodyError> {
        // `count` is at most PORTION.
        let mut portion = Portion::of(usize::try_from(count).unwrap_or(PORTION), &self.budget);
        let Some((file, offset)) = self.source.file_at(offset, count) else {
            return self.fill(portion, offset);
        };
        let have = match file.read_cached(portion.as_mut(), offset).map_err(BodyError::Unreadable)? {
            Some(0) => return Err(BodyError::Changed),
            Some(have) => have,
            None => 0,
        };
        // Bytes of a file that has changed in the meantime aren't sent, because the client would mix two
        // versions. A file that only grew is examined more closely.
        if have == portion.as_ref().len() {
            match file.quick_check().map_err(BodyError::Unreadable)? {
                QuickCheck::Unchanged => {
                    self.hand_on(OutgoingContent::Memory(portion));
                    return Ok(());
                }
                QuickCheck::Changed => return Err(BodyError::Changed),
                QuickCheck::Unclear => {}
            }
        }
        let file = file.clone();
        self.step = Step::Reading(tokio::task::spawn_blocking(move || {
            let rest = portion.as_mut().get_mut(have..).unwrap_or_default();
            let wanted = rest.len();
            let whole = file.read(rest, offset + have as u64)? == wanted;
            Ok((whole && file.is_the_same()?).then_some(portion))
        }));
        Ok(())
    }

    /// Reads bytes of an archive that are not all of one open file.
    fn fill(&mut self, mut portion: Portion, offset: u64) -> Result<(), BodyError> {
        match std::mem::replace(&mut self.source, Source::Lent) {
            Source::Archive(mut archive) => {
                self.step = Step::Filling(tokio::task::spawn_blocking(move || {
                    let filled = archive.fill(portion.as_mut(), offset);
                    (archive, filled.map(|unchanged| unchanged.then_some(portion)))
                }));
                Ok(())
            }
            // A file has all of its bytes, and what was lent is back before the next portion.
            Source::File(_) | Source::Lent => Err(BodyError::Changed),
        }
    }

    /// Hands a portion on to the connection.
    fn hand_on(&mut self, content: OutgoingContent) {
        let is_last = self.refused.is_none()
            && self.permission.as_ref().is_some_and(|permission| permission.remaining() == 0);
        self.step = Step::Handed;
        match content {
            OutgoingContent::Memory(portion) if self.is_inline() => {
                self.line.pass(is_last);
                self.inline = Some(portion);
            }
            content => {
                let writer = self.permission.as_ref().and_then(Permission::writer);
                self.line.send(content, writer);
            }
        }
        // Only memory is handed on last, because the kernel may refuse to send from a file.
        if is_last {
            self.hand_over();
        }
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
                    let refused = self.line.take_refused();
                    if refused.is_none_or(|(_, left)| left < *count) {
                        self.progress = KernelProgress::Unchecked;
                    }
                    self.by_kernel &= refused.is_none();
                    self.refused = refused;
                    self.step = Step::Next;
                }
                Step::Settling if self.line.is_settling() => return Poll::Pending,
                Step::Settling => {
                    self.progress = KernelProgress::Settled;
                    self.by_kernel = false;
                    self.step = Step::Next;
                }
                Step::Checking(task) => {
                    match ready!(Pin::new(task).poll(cx)).map_err(lost)? {
                        Ok(true) => self.progress = KernelProgress::Checked,
                        Ok(false) => return Poll::Ready(Err(BodyError::Changed)),
                        Err(e) => return Poll::Ready(Err(unread(e))),
                    }
                    self.step = Step::Next;
                }
                Step::Reading(task) => {
                    let read = ready!(Pin::new(task).poll(cx)).map_err(lost)?;
                    self.hand_on(OutgoingContent::Memory(portion_of(read)?));
                }
                Step::Filling(task) => {
                    let (archive, read) = ready!(Pin::new(task).poll(cx)).map_err(lost)?;
                    self.source = Source::Archive(archive);
                    self.hand_on(OutgoingContent::Memory(portion_of(read)?));
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

/// Returns the bytes that were read, unless the file changed.
fn portion_of(read: io::Result<Option<Portion>>) -> Result<Portion, BodyError> {
    read.map_err(unread)?.ok_or(BodyError::Changed)
}

fn unread(error: io::Error) -> BodyError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BodyError::Changed,
        _ => BodyError::Unreadable(error),
    }
}

fn lost(gone: tokio::task::JoinError) -> BodyError {
    BodyError::Unreadable(io::Error::other(gone))
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
        if matches!(e, BodyError::Changed) && self.progress != KernelProgress::Settled {
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
