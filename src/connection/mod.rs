//! The state of a connection that its limits depend on: its phase and the deadline of that phase, how much
//! memory it holds, and whether its place is needed for another client.
//!
//! The transport below HTTP reports bytes, the service above it reports requests. HTTP's dispatcher can't be
//! queried, and has phases without a deadline.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::time::Instant;

use crate::config::ConnectionLimits;

mod entry;
mod registry;

use entry::ConnectionEntry;
pub use entry::ListenerId;
pub use registry::Connections;

/// Maximum size of a request head, in bytes.
pub const HEAD_MAX: usize = 32 * 1024;
/// A head is examined after each portion of this size, and this much is read ahead before the previous
/// request is answered.
const READ_AHEAD: usize = 4 * 1024;
/// Memory that every connection may hold without being counted.
const UNCOUNTED: usize = 8 * 1024;
/// Memory for the buffer of a larger head, which grows by doubling.
const LARGE_HEAD: usize = 2 * HEAD_MAX - UNCOUNTED;

/// A connection, shared by its transport and the service. Belongs to one worker.
#[derive(Clone)]
pub struct Connection(Rc<Inner>);

struct Inner {
    limits: ConnectionLimits,
    connections: Connections,
    entry: Arc<ConnectionEntry>,
    /// Requests whose response isn't completely handed on yet.
    serving: Cell<u32>,
    /// Whether the body of the latest request hasn't been read completely.
    unread_body: Cell<bool>,
    /// Whether a handler is waiting for the client's next bytes.
    awaiting_body: Cell<bool>,
    /// Whether bytes are waiting for the client to read earlier ones.
    writing: Cell<bool>,
    /// Whether no request has arrived yet.
    fresh: Cell<bool>,
    /// When the connection was opened, a byte of a response was last sent, a request last ended, or the
    /// connection was refused, whichever is the latest.
    since: Cell<Instant>,
    /// When the first byte of the next head arrived.
    heard: Cell<Option<Instant>>,
    /// Bytes of the next head, or of data after the request that is being served.
    ahead: Cell<usize>,
    /// The size of the head when it was last examined.
    looked_at: Cell<usize>,
    head_memory: RefCell<Option<HeldMemory>>,
    refusal: Cell<Option<ConnectionRefusal>>,
    reader: RefCell<Option<Waker>>,
}

/// How many bytes may be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBudget {
    /// Any number.
    Any,
    /// At most this many.
    AtMost(usize),
    /// None until the received bytes are examined.
    Look,
    /// None until the current request is answered.
    Later,
}

/// Why the next request of a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// The head is larger than [`HEAD_MAX`].
    HeadTooLarge,
    /// The head didn't arrive in time.
    HeadTooSlow,
    /// There is no memory for the head.
    Crowded,
}

/// A phase has exceeded its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineExceeded {
    /// There was no request; the connection may be closed without a response.
    Idle,
    /// A head was started but not finished.
    Head,
    /// The rest of a body didn't arrive.
    Drain,
}

/// A place among the connections; given back when dropped.
pub struct ConnectionSlot {
    connections: Connections,
    entry: Arc<ConnectionEntry>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.leave(&self.entry);
    }
}

impl ConnectionSlot {
    /// Takes a place for a connection accepted from `peer`.
    pub fn take(connections: &Connections, listener: ListenerId, peer: Option<IpAddr>) -> ConnectionSlot {
        ConnectionSlot { connections: connections.clone(), entry: connections.enter(listener, peer) }
    }

    /// Returns the state of the connection in this place.
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
    /// Returns the deadlines.
    pub fn limits(&self) -> ConnectionLimits {
        self.0.limits
    }

    /// Returns whether another client needs the place; if not, `cx` is woken when that changes.
    pub fn must_close(&self, cx: &Context<'_>) -> bool {
        self.0.entry.on_close(cx.waker());
        self.0.entry.is_closing()
    }

    /// Returns whether it must be closed at once.
    pub fn is_closing(&self) -> bool {
        self.0.entry.is_closing()
    }

    /// Returns whether there was no free place when it came, so that it may only request the service's
    /// health.
    pub fn is_on_probation(&self) -> bool {
        self.0.entry.is_on_probation()
    }

    /// Returns the deadline of the current phase; `None` if the client isn't waited for, or if its speed is
    /// measured.
    pub fn deadline(&self) -> Option<(Instant, DeadlineExceeded)> {
        let Inner { limits, .. } = &*self.0;
        if self.0.refusal.get().is_some() {
            return Some((self.0.since.get() + limits.drain, DeadlineExceeded::Drain));
        }
        if self.0.serving.get() > 0 || self.0.writing.get() {
            return None;
        }
        if self.0.unread_body.get() {
            return Some((self.0.since.get() + limits.drain, DeadlineExceeded::Drain));
        }
        Some(match self.0.heard.get() {
            Some(heard) => (heard + limits.head, DeadlineExceeded::Head),
            None if self.0.fresh.get() => (self.0.since.get() + limits.head, DeadlineExceeded::Idle),
            None => (self.0.since.get() + limits.idle, DeadlineExceeded::Idle),
        })
    }

    /// Returns how many bytes may be read now. `reader` is woken when [`ReadBudget::Later`] ends.
    pub fn read_budget(&self, reader: &Waker) -> ReadBudget {
        let (serving, unread) = (self.0.serving.get() > 0, self.0.unread_body.get());
        let ahead = self.0.ahead.get();
        match (serving, unread) {
            (_, true) => ReadBudget::Any,
            (true, false) if ahead < READ_AHEAD => ReadBudget::Any,
            (true, false) => {
                self.0.reader.replace(Some(reader.clone()));
                ReadBudget::Later
            }
            (false, false) if self.0.heard.get().is_none() => ReadBudget::AtMost(HEAD_MAX),
            (false, false)
                if ahead.saturating_sub(self.0.looked_at.get()) >= READ_AHEAD || ahead >= HEAD_MAX =>
            {
                if ahead >= HEAD_MAX && self.0.looked_at.get() >= HEAD_MAX {
                    self.refuse(ConnectionRefusal::HeadTooLarge);
                }
                self.0.looked_at.set(ahead);
                ReadBudget::Look
            }
            (false, false) => ReadBudget::AtMost(HEAD_MAX.saturating_sub(ahead)),
        }
    }

    /// Records that `count` bytes arrived.
    pub fn note_read(&self, count: usize) {
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
                None => self.refuse(ConnectionRefusal::Crowded),
            }
        }
    }

    /// Records that a byte of a response was sent.
    pub fn note_written(&self) {
        self.0.entry.touch();
        self.0.since.set(Instant::now());
    }

    /// Whether bytes are waiting for the client to read earlier ones.
    pub fn set_writing(&self, writing: bool) {
        self.0.writing.set(writing);
        self.note_work();
    }

    /// Closes the connection with a response to a request that won't be processed.
    pub fn refuse(&self, refusal: ConnectionRefusal) {
        if self.0.refusal.get().is_none() {
            self.0.refusal.set(Some(refusal));
            self.0.since.set(Instant::now());
        }
    }

    /// Returns why the connection is refused, if it is.
    pub fn refusal(&self) -> Option<ConnectionRefusal> {
        self.0.refusal.get()
    }

    /// Records that a request's head has arrived. The guard is dropped when its response is completely handed
    /// on.
    pub fn begin(&self, has_body: bool) -> RequestInProgress {
        let inner = &*self.0;
        inner.serving.set(inner.serving.get().saturating_add(1));
        inner.unread_body.set(has_body);
        inner.fresh.set(false);
        if inner.heard.take().is_some() {
            // Data that arrived with the head doesn't matter: it is at most one portion.
            inner.ahead.set(0);
        }
        inner.head_memory.replace(None);
        self.note_work();
        RequestInProgress(self.clone())
    }

    /// Records that a handler starts or stops waiting for the client's next bytes.
    pub fn set_awaiting_body(&self, awaiting: bool) {
        self.0.awaiting_body.set(awaiting);
        self.note_work();
    }

    /// Records that the body was read completely.
    pub fn body_ended(&self) {
        self.0.unread_body.set(false);
    }

    /// Records that `bytes` of memory are held for this connection. Returns `None` if there is no room,
    /// although connections that hold more were closed.
    pub fn hold(&self, bytes: usize) -> Option<HeldMemory> {
        self.0.connections.hold(&self.0.entry, bytes).then(|| HeldMemory {
            connections: self.0.connections.clone(),
            entry: Arc::clone(&self.0.entry),
            bytes,
        })
    }

    /// Holds `bytes`, without the part that every connection may hold uncounted.
    pub fn hold_excess(&self, bytes: usize) -> Result<Option<HeldMemory>, MemoryFull> {
        match bytes.saturating_sub(UNCOUNTED) {
            0 => Ok(None),
            counted => self.hold(counted).map(Some).ok_or(MemoryFull),
        }
    }

    /// Makes the connection close at once.
    pub fn close(&self) {
        self.0.entry.close();
    }

    fn note_work(&self) {
        let inner = &*self.0;
        let is_working = inner.serving.get() > 0 && !inner.writing.get() && !inner.awaiting_body.get();
        inner.entry.set_working(is_working);
    }
}

/// There is no memory left for data from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory left for data from clients")]
pub struct MemoryFull;

/// A request is being served.
pub struct RequestInProgress(Connection);

impl RequestInProgress {
    /// Returns its connection.
    pub const fn connection(&self) -> &Connection {
        &self.0
    }
}

impl Drop for RequestInProgress {
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
    entry: Arc<ConnectionEntry>,
    bytes: usize,
}

impl HeldMemory {
    /// The number of bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.connections.release(&self.entry, self.bytes);
    }
}
