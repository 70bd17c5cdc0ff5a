//! How a body learns that what it handed on has been written to its connection.
//!
//! The HTTP dispatcher would take portion after portion while the connection is blocked, and its
//! buffer would grow beyond what it keeps. A body that waits here has one portion under way at a
//! time, and little of what the ledger counts as sent lies in this process.

use std::cell::Cell;
use std::rc::Rc;

/// Says whether bytes of a body wait to be written. One for each connection, shared by its
/// transport and the body that is being sent.
#[derive(Clone, Debug, Default)]
pub struct Outlet(Rc<Cell<bool>>);

impl Outlet {
    /// Bytes were handed on that are not written yet.
    pub(crate) fn fill(&self) {
        self.0.set(true);
    }

    /// Whether bytes that were handed on are not written yet.
    pub(crate) fn is_full(&self) -> bool {
        self.0.get()
    }

    /// All bytes are written. Answers whether a body waited for that and must be woken.
    pub fn drain(&self) -> bool {
        self.0.replace(false)
    }
}
