//! A portion of a body on its way to the socket. It passes HTTP's dispatcher by, which would copy it.

use crate::download::ledger::PortionWriter;
use crate::download::portion::Portion;
use crate::files::OpenFile;

/// Where the bytes of a portion are.
pub(super) enum OutgoingContent {
    /// In memory.
    Memory(Portion),
    /// In a file, from which the kernel sends them.
    File { file: OpenFile, offset: u64, count: u64 },
}

/// A portion that is being written.
pub(super) struct Outgoing {
    content: OutgoingContent,
    /// How many of its bytes were written.
    written: u64,
    /// Records them in the ledger.
    writer: Option<PortionWriter>,
    /// Whether everything that comes before it was written.
    pub(super) is_next: bool,
}

/// The rest of a portion that the kernel didn't send from its file.
#[derive(Clone, Copy)]
pub(super) struct RefusedPortion {
    /// Where it begins.
    pub(super) offset: u64,
    /// How long it is.
    pub(super) left: u64,
    /// Whether the file seems to have changed; otherwise the kernel can't send it.
    pub(super) changed: bool,
}

/// The bytes of a portion that are written next.
pub(crate) enum NextBytes<'a> {
    /// These.
    Memory(&'a [u8]),
    /// Those of a file.
    File {
        /// The file.
        file: &'a OpenFile,
        /// Where they begin.
        offset: u64,
        /// How many there are.
        count: usize,
    },
}

impl Outgoing {
    pub(super) const fn new(content: OutgoingContent, writer: Option<PortionWriter>) -> Outgoing {
        Outgoing { content, written: 0, writer, is_next: false }
    }

    /// Returns what is written next; `None` if it is all written.
    pub(super) fn next(&self) -> Option<NextBytes<'_>> {
        match &self.content {
            OutgoingContent::Memory(portion) => {
                let written = usize::try_from(self.written).unwrap_or(usize::MAX);
                portion.as_ref().get(written..).filter(|rest| !rest.is_empty()).map(NextBytes::Memory)
            }
            OutgoingContent::File { file, .. } => {
                let RefusedPortion { offset, left, .. } = self.refused(false)?;
                let count = usize::try_from(left).unwrap_or(usize::MAX);
                (count > 0).then_some(NextBytes::File { file, offset, count })
            }
        }
    }

    /// Returns what isn't written, if it comes from a file.
    pub(super) fn refused(&self, changed: bool) -> Option<RefusedPortion> {
        match &self.content {
            OutgoingContent::Memory(_) => None,
            OutgoingContent::File { offset, count, .. } => Some(RefusedPortion {
                offset: offset.saturating_add(self.written),
                left: count.saturating_sub(self.written),
                changed,
            }),
        }
    }

    /// Records that `count` more bytes were written.
    pub(super) fn wrote(&mut self, count: u64) {
        self.written = self.written.saturating_add(count);
        if let Some(writer) = &self.writer {
            writer.wrote(count);
        }
    }
}
