//! What a connection is doing, as far as its limits are concerned: which phase it is in and until
//! when that may last, how much memory it holds, and whether its place is needed for somebody else.
//!
//! The transport beneath HTTP tells of bytes, the service above it of requests. HTTP's own
//! dispatcher can't be asked, and has phases without a deadline.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::time::Instant;

use crate::config::ConnectionLimits;

mod entry;
mod registry;

use entry::Entry;
pub use registry::{Connections, ListenerId};

/// Most bytes of a request's head.
pub const HEAD_MAX: usize = 32 * 1024;
/// A head is looked at after each portion of this size, and as much is read ahead of the answer to
/// the request before it.
const READ_AHEAD: usize = 4 * 1024;
/// What every connection may hold without being counted.
const UNCOUNTED: usize = 8 * 1024;
/// What the buffer of a larger head takes up: it grows by doubling.
const LARGE_HEAD: usize = 2 * HEAD_MAX - UNCOUNTED;

/// One connection, shared by its transport and what serves its requests. Lives on one worker.
#[derive(Clone)]
pub struct Connection(Rc<Inner>);

struct Inner {
    limits: ConnectionLimits,
    connections: Connections,
    entry: Arc<Entry>,
    /// Requests whose answer isn't handed on whole yet.
    serving: Cell<u32>,
    /// Whether the body of the latest request has not been read to its end.
    unread_body: Cell<bool>,
    /// Whether a handler waits for the client's next bytes.
    awaiting_body: Cell<bool>,
    /// Whether bytes wait for the client to read those before them.
    writing: Cell<bool>,
    /// Whether no request has come yet.
    fresh: Cell<bool>,
    /// The last moment at which an answer ended or a byte of it left.
    since: Cell<Instant>,
    /// When the first byte of the next head came.
    heard: Cell<Option<Instant>>,
    /// Bytes of the next head, or of what follows the request that is being served.
    ahead: Cell<usize>,
    /// The head is larger than that when it was last looked at.
    looked_at: Cell<usize>,
    head_memory: RefCell<Option<HeldMemory>>,
    refusal: Cell<Option<Refusal>>,
    reader: RefCell<Option<Waker>>,
}

/// How many bytes may be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// As many as there are.
    Any,
    /// At most so many.
    AtMost(usize),
    /// None until what came was looked at.
    Look,
    /// None until the request under way is answered.
    Later,
}

/// Why a connection is closed before it could ask anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head is larger than [`HEAD_MAX`].
    HeadTooLarge,
    /// The head did not come in time.
    HeadTooSlow,
    /// There is no memory for the head.
    Crowded,
}

/// A phase is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Nothing was asked; the connection may be closed without a word.
    Idle,
    /// A head was begun and not finished.
    Head,
    /// What was left of a body did not come.
    Drain,
}

/// A place among the connections; given back when dropped.
pub struct Place {
    connections: Connections,
    entry: Arc<Entry>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.leave(&self.entry);
    }
}

impl Place {
    /// Takes a place for a connection that was accepted from `peer`.
    pub fn take(connections: &Connections, listener: ListenerId, peer: Option<IpAddr>) -> Place {
        Place { connections: connections.clone(), entry: connections.enter(listener, peer) }
    }

    /// What the connection in this place does.
    pub fn connection(&self, limits: ConnectionLimits) -> Connection {
        Connection(Rc::new(Inner {
            limits,
            connections: self.connections.clone(),
            entry: Arc::clone(&self.entry),
            serving: Cell::new(0),
            unread_body: Cell::new(false),
            awaiting_body: Cell::new(false),
            writing: Cell::new(false),
            fresh: Cell::new(true),
            since: Cell::new(Instant::now()),
            heard: Cell::new(None),
            ahead: Cell::new(0),
            looked_at: Cell::new(0),
            head_memory: RefCell::new(None),
            refusal: Cell::new(None),
            reader: RefCell::new(None),
        }))
    }
}

impl Connection {
    /// The deadlines.
    pub fn limits(&self) -> ConnectionLimits {
        self.0.limits
    }

    /// Whether somebody else needs the place; if not, `cx` is woken when that changes.
    pub fn must_close(&self, cx: &Context<'_>) -> bool {
        self.0.entry.on_close(cx.waker());
        self.0.entry.is_closing()
    }

    /// Whether it is given up at once.
    pub fn is_closing(&self) -> bool {
        self.0.entry.is_closing()
    }

    /// Whether it came when no place was free, and may ask for nothing but the service's health.
    pub fn is_on_probation(&self) -> bool {
        self.0.entry.is_on_probation()
    }

    /// Until when the present phase may last; `None` where the client isn't waited for, or where the
    /// speed of its bytes is measured.
    pub fn deadline(&self) -> Option<(Instant, Late)> {
        let Inner { limits, .. } = &*self.0;
        if self.0.refusal.get().is_some() {
            return Some((self.0.since.get() + limits.drain, Late::Drain));
        }
        if self.0.serving.get() > 0 || self.0.writing.get() {
            return None;
        }
        if self.0.unread_body.get() {
            return Some((self.0.since.get() + limits.drain, Late::Drain));
        }
        Some(match self.0.heard.get() {
            Some(heard) => (heard + limits.head, Late::Head),
            None if self.0.fresh.get() => (self.0.since.get() + limits.head, Late::Idle),
            None => (self.0.since.get() + limits.idle, Late::Idle),
        })
    }

    /// How many bytes may be read now. `reader` is woken when [`Allowance::Later`] has come.
    pub fn allowance(&self, reader: &Waker) -> Allowance {
        let (serving, unread) = (self.0.serving.get() > 0, self.0.unread_body.get());
        let ahead = self.0.ahead.get();
        match (serving, unread) {
            (_, true) => Allowance::Any,
            (true, false) if ahead < READ_AHEAD => Allowance::Any,
            (true, false) => {
                self.0.reader.replace(Some(reader.clone()));
                Allowance::Later
            }
            (false, false) if self.0.heard.get().is_none() => Allowance::AtMost(HEAD_MAX),
            (false, false)
                if ahead.saturating_sub(self.0.looked_at.get()) >= READ_AHEAD || ahead >= HEAD_MAX =>
            {
                if ahead >= HEAD_MAX && self.0.looked_at.get() >= HEAD_MAX {
                    self.refuse(Refusal::HeadTooLarge);
                }
                self.0.looked_at.set(ahead);
                Allowance::Look
            }
            (false, false) => Allowance::AtMost(HEAD_MAX.saturating_sub(ahead)),
        }
    }

    /// `count` bytes came.
    pub fn heard(&self, count: usize) {
        self.0.entry.touch();
        if self.0.unread_body.get() {
            return;
        }
        if self.0.serving.get() == 0 && self.0.heard.get().is_none() {
            self.0.heard.set(Some(Instant::now()));
            self.0.ahead.set(0);
            self.0.looked_at.set(0);
        }
        self.0.ahead.set(self.0.ahead.get().saturating_add(count));
        let is_large = self.0.ahead.get() > UNCOUNTED && self.0.serving.get() == 0;
        if is_large && self.0.head_memory.borrow().is_none() {
            match self.hold(LARGE_HEAD) {
                Some(held) => drop(self.0.head_memory.replace(Some(held))),
                None => self.refuse(Refusal::Crowded),
            }
        }
    }

    /// A byte of an answer left.
    pub fn wrote(&self) {
        self.0.entry.touch();
        self.0.since.set(Instant::now());
    }

    /// Whether bytes wait for the client to read those before them.
    pub fn set_writing(&self, writing: bool) {
        self.0.writing.set(writing);
        self.note_work();
    }

    /// Closes the connection with an answer to a request that nobody will look at.
    pub fn refuse(&self, refusal: Refusal) {
        if self.0.refusal.get().is_none() {
            self.0.refusal.set(Some(refusal));
            self.0.since.set(Instant::now());
        }
    }

    /// Why the connection is refused, if it is.
    pub fn refusal(&self) -> Option<Refusal> {
        self.0.refusal.get()
    }

    /// A request's head is there. The guard is dropped when its answer is handed on whole.
    pub fn begin(&self, has_body: bool) -> Serving {
        let inner = &*self.0;
        inner.serving.set(inner.serving.get().saturating_add(1));
        inner.unread_body.set(has_body);
        inner.fresh.set(false);
        if inner.heard.take().is_some() {
            // What came with the head is as good as answered: it is at most what one look takes.
            inner.ahead.set(0);
        }
        inner.head_memory.replace(None);
        self.note_work();
        Serving(self.clone())
    }

    /// A handler begins or ends to wait for the client's next bytes.
    pub fn set_awaiting_body(&self, awaiting: bool) {
        self.0.awaiting_body.set(awaiting);
        self.note_work();
    }

    /// The body was read to its end.
    pub fn body_ended(&self) {
        self.0.unread_body.set(false);
    }

    /// Notes that `bytes` of memory are held for this connection; `None` where there is no room for
    /// them, though others that hold more were closed.
    pub fn hold(&self, bytes: usize) -> Option<HeldMemory> {
        self.0.connections.hold(&self.0.entry, bytes).then(|| HeldMemory {
            connections: self.0.connections.clone(),
            entry: Arc::clone(&self.0.entry),
            bytes,
        })
    }

    /// Holds `bytes`, less what every connection may hold uncounted.
    pub fn hold_beyond_the_uncounted(&self, bytes: usize) -> Result<Option<HeldMemory>, Full> {
        match bytes.saturating_sub(UNCOUNTED) {
            0 => Ok(None),
            counted => self.hold(counted).map(Some).ok_or(Full),
        }
    }

    /// Gives the connection up at once.
    pub fn close(&self) {
        self.0.entry.close();
    }

    fn note_work(&self) {
        let inner = &*self.0;
        let is_working = inner.serving.get() > 0 && !inner.writing.get() && !inner.awaiting_body.get();
        inner.entry.set_working(is_working);
    }
}

/// There is no memory left for what a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory left for what clients send")]
pub struct Full;

/// A request is being served.
pub struct Serving(Connection);

impl Serving {
    /// The connection that it came over.
    pub const fn connection(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let inner = &*self.0.0;
        inner.serving.set(inner.serving.get().saturating_sub(1));
        inner.since.set(Instant::now());
        inner.awaiting_body.set(false);
        self.0.note_work();
        if let Some(reader) = inner.reader.take() {
            reader.wake();
        }
    }
}

/// Memory that is held for a connection; given back when dropped.
pub struct HeldMemory {
    connections: Connections,
    entry: Arc<Entry>,
    bytes: usize,
}

impl HeldMemory {
    /// How much.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.connections.release(&self.entry, self.bytes);
    }
}
