//! What a body may send: bytes of a download, which the ledger records, or of a view, which are only limited.

use crate::clock::Timestamp;
use crate::download::ledger::{PortionWriter, Stream, Take};
use crate::download::view::range::ViewedRange;
use crate::id::Jti;

/// The permission to send one contiguous range. Ends when dropped.
pub(crate) enum Permission {
    /// Of a download.
    Download(Stream),
    /// Of a view.
    View(ViewedRange),
}

impl Permission {
    /// Returns the token's identifier.
    pub(super) fn jti(&self) -> Jti {
        match self {
            Permission::Download(stream) => stream.delivery().jti,
            Permission::View(view) => view.jti(),
        }
    }

    /// Returns what is sent, for a sentence in the log.
    pub(super) const fn noun(&self) -> &'static str {
        match self {
            Permission::Download(_) => "transfer",
            Permission::View(_) => "view",
        }
    }

    /// Returns the position of the next byte to send.
    pub(super) const fn position(&self) -> u64 {
        match self {
            Permission::Download(stream) => stream.position(),
            Permission::View(view) => view.position(),
        }
    }

    /// Returns how many bytes remain.
    pub(super) const fn remaining(&self) -> u64 {
        match self {
            Permission::Download(stream) => stream.remaining(),
            Permission::View(view) => view.remaining(),
        }
    }

    /// Returns how many bytes should be taken at most at a time, so that what is handed on but not written doesn't
    /// use up what may be sent.
    pub(super) fn portion_max(&self) -> u64 {
        match self {
            Permission::Download(stream) => stream.portion_max(),
            Permission::View(_) => u64::MAX,
        }
    }

    /// Records up to `wish` bytes (> 0) as sent, and returns how many may be sent.
    pub(super) fn take(&mut self, wish: u64, now: Timestamp) -> Take {
        let wish = wish.min(self.remaining());
        match self {
            _ if wish == 0 => Take::End,
            Permission::Download(stream) => stream.take(wish, now),
            Permission::View(view) => view.take(wish),
        }
    }

    /// Records that the client didn't hang up during a pause.
    pub(super) fn resume_after_pause(&mut self) {
        if let Permission::Download(stream) = self {
            stream.resume_after_pause();
        }
    }

    /// Returns what records the writing of the portion that was taken last.
    pub(super) fn writer(&self) -> Option<PortionWriter> {
        match self {
            Permission::Download(stream) => Some(stream.writer()),
            Permission::View(_) => None,
        }
    }
}
