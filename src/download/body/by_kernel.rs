//! Which portions of a large file the kernel sends (`sendfile`), and what comes before the last one.
//!
//! The kernel sends the pages of the file as they are at that moment, so a change can still get into what was handed
//! on. Therefore the last portion is copied, and only after the client has everything before it and the file was
//! found unchanged: until then the client lacks bytes, and must come back for them. Only of a file that can't change,
//! but be replaced, the kernel sends all.

use crate::download::body::error::BodyError;
use crate::download::outgoing::RefusedPortion;
use crate::files::OpenFile;

/// Responses of less than this size are copied: the wait before the last portion takes a round trip, and up to 40 ms
/// more if the client's system delays acknowledgments …
const RESPONSE_MIN: u64 = 512 * 1024;
/// … which isn't necessary if the file can't change. Then only the smallest are copied, which is as quick.
const CONSTANT_RESPONSE_MIN: u64 = 16 * 1024;
/// The maximum that the kernel is told to send at a time …
const PORTION_MAX: u64 = 2 * 1024 * 1024;
/// … unless the bound on what may be sent at all is near: what was handed on counts, even if it isn't written.
const PORTION_MIN: u64 = 128 * 1024;
/// At least this much at the end is copied …
const COPIED_END: u64 = 16 * 1024;
/// … and this much of it before the wait: many systems acknowledge a segment only when another one follows.
const NUDGE: u64 = 4 * 1024;

/// The state of a response that the kernel may send.
pub(super) struct ByKernel {
    enabled: bool,
    /// Whether the file can change while it is being sent.
    changes: bool,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The client has all that the kernel sent.
    Settled,
    /// The kernel sent something.
    Sent,
    /// The beginning of the copied end was handed on, too.
    Nudged,
}

impl ByKernel {
    /// The state at the beginning of a response of `len` bytes. `changes` says whether the file can change.
    pub(super) const fn new(len: u64, changes: bool) -> ByKernel {
        let least = if changes { RESPONSE_MIN } else { CONSTANT_RESPONSE_MIN };
        ByKernel { enabled: len >= least, changes, progress: Progress::Settled }
    }

    /// Returns how much of `file` the kernel may send from `position`, if `remaining` bytes remain and it shouldn't
    /// be more than `most`: nothing that isn't in the page cache, because the worker would wait for the disk.
    pub(super) fn portion(
        &self,
        file: Option<&OpenFile>,
        position: u64,
        remaining: u64,
        most: u64,
    ) -> Result<Option<u64>, BodyError> {
        let (copied, least) = if self.changes { (COPIED_END, COPIED_END) } else { (0, 1) };
        let wish = remaining.saturating_sub(copied).min(most.clamp(PORTION_MIN, PORTION_MAX));
        match file {
            Some(file) if self.enabled && wish >= least => {
                Ok(file.is_cached(position, wish)?.then_some(wish))
            }
            _ => Ok(None),
        }
    }

    /// Records that the kernel got a portion of `count` bytes, and what of it wasn't sent.
    pub(super) fn sent(&mut self, count: u64, refused: Option<RefusedPortion>) {
        if refused.is_none_or(|refused| refused.left < count) {
            self.progress = Progress::Sent;
        }
        self.enabled &= refused.is_none_or(|refused| refused.changed);
    }

    /// Returns how much of the `remaining` bytes may be copied, if there is room for `most`; `None` if the client
    /// must have everything before.
    pub(super) fn copy(&mut self, remaining: u64, most: u64) -> Option<u64> {
        match self.progress {
            Progress::Sent if self.changes && most >= remaining => {
                self.progress = Progress::Nudged;
                (remaining > NUDGE).then_some(NUDGE)
            }
            Progress::Nudged => None,
            _ => Some(most.min(remaining)),
        }
    }

    /// Returns whether the client may have bytes of two versions if the file has changed.
    pub(super) fn may_be_mixed(&self) -> bool {
        self.progress != Progress::Settled
    }

    /// Records that the client has everything that the kernel sent. The rest is copied.
    pub(super) const fn settled(&mut self) {
        self.enabled = false;
        self.progress = Progress::Settled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_copied_only_when_the_client_has_what_the_kernel_sent() {
        let mut response = ByKernel::new(RESPONSE_MIN, true);
        assert_eq!(response.copy(100, 200), Some(100), "the kernel sent nothing");
        response.sent(1000, None);
        assert_eq!(response.copy(COPIED_END, 1000), Some(1000), "not the end");
        assert_eq!(response.copy(COPIED_END, COPIED_END), Some(NUDGE));
        assert_eq!(response.copy(COPIED_END - NUDGE, COPIED_END), None);
        assert_eq!(response.copy(COPIED_END - NUDGE, 1000), None, "whatever the budget allows");
        assert!(response.may_be_mixed());
        response.settled();
        assert_eq!(response.copy(COPIED_END - NUDGE, COPIED_END), Some(COPIED_END - NUDGE));
    }

    #[test]
    fn a_kernel_that_sent_nothing_is_not_waited_for() {
        let mut response = ByKernel::new(RESPONSE_MIN, true);
        let refused = |left| Some(RefusedPortion { offset: 0, left, changed: false });
        response.sent(1000, refused(1000));
        assert!(!response.may_be_mixed());
        response.sent(1000, refused(999));
        assert!(response.may_be_mixed());
    }

    #[test]
    fn nothing_is_waited_for_if_the_file_can_t_change() {
        let mut response = ByKernel::new(CONSTANT_RESPONSE_MIN, false);
        response.sent(1000, Some(RefusedPortion { offset: 0, left: 10, changed: false }));
        assert_eq!(response.copy(100, 200), Some(100));
        assert_eq!(response.copy(NUDGE, COPIED_END), Some(NUDGE));
    }
}
