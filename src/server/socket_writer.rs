//! Writes to a socket what HTTP's dispatcher and a body hand on: the dispatcher's bytes, and then the body's
//! portion, in one call or in one segment if possible.

use std::io::{self, IoSlice};

use rustix::net::{SendFlags, send};
use socket2::SockRef;

use crate::download::{NextBytes, WriteTracker};
use crate::files::{OpenFile, QuickCheck};
use crate::server::ack_watch::outstanding;
use crate::server::client_stream::{ClientStream, SocketKind};
use crate::server::local_peer::PeerPlace;

/// Maximum number of unsent bytes in the kernel's send buffer: enough to keep the line busy between two
/// portions.
const UNSENT: u32 = 256 * 1024;
/// The same if the kernel sends a file: these bytes take no memory, and larger portions take fewer calls.
const UNSENT_OF_FILE: u32 = 1024 * 1024;
/// A larger portion of a body is not just the end of a file that the kernel sent.
const END: usize = 32 * 1024;

/// Why the kernel doesn't send a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It seems to have changed.
    Changed,
    /// It can't, or mustn't.
    CanNot,
}

/// Writes to one socket.
pub(super) struct SocketWriter {
    /// Whether the kernel is asked to send files.
    sendfile: bool,
    /// Where the client is; looked up when the first file is sent.
    place: Option<PeerPlace>,
    unsent: u32,
}

impl SocketWriter {
    /// Prepares a socket.
    pub(super) fn new(stream: &ClientStream, sendfile: bool) -> SocketWriter {
        let mut writer = SocketWriter { sendfile, place: None, unsent: 0 };
        writer.limit_unsent(stream, UNSENT);
        writer
    }

    /// Writes bytes of the dispatcher, and the beginning of the portion that follows them. Returns how many of both
    /// were written, which is recorded.
    pub(super) fn write(
        &self,
        stream: &ClientStream,
        line: &WriteTracker,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let written = line.with_next(|next| match next {
            None => stream.try_write(bytes),
            Some(NextBytes::Memory(portion)) => {
                stream.try_write_vectored(&[IoSlice::new(bytes), IoSlice::new(portion)])
            }
            Some(NextBytes::File { .. }) => stream.try_write_by(|| {
                let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                Ok(send(stream, bytes, flags)?)
            }),
        })?;
        let own = written.min(bytes.len());
        line.wrote(own as u64);
        if written > own {
            line.wrote_portion((written - own) as u64);
        }
        Ok(written)
    }

    /// Writes more of a body's portion. Returns how many bytes were written, which is recorded; `None` if there are no more, or
    /// if the kernel refuses to send this file.
    pub(super) fn write_portion(
        &mut self,
        stream: &ClientStream,
        line: &WriteTracker,
    ) -> io::Result<Option<usize>> {
        // Why the kernel doesn't send a file; it is read instead, which shows what is the matter with it or the socket.
        let mut refused = None;
        let written = line.with_next(|next| match next {
            None => Ok(None),
            Some(NextBytes::Memory(portion)) => {
                if portion.len() > END {
                    self.limit_unsent(stream, UNSENT);
                }
                stream.try_write(portion).map(Some)
            }
            Some(NextBytes::File { file, offset, count }) => {
                if !self.sends(file, stream) {
                    refused = Some(Refusal::CanNot);
                    return Ok(None);
                }
                if !matches!(file.quick_check(), Ok(QuickCheck::Unchanged)) {
                    refused = Some(Refusal::Changed);
                    return Ok(None);
                }
                self.limit_unsent(stream, UNSENT_OF_FILE);
                match stream.try_write_by(|| file.send(stream, offset, count)) {
                    Err(e) if is_transient(&e) => Err(e),
                    Ok(sent) if sent > 0 => Ok(Some(sent)),
                    Ok(_) | Err(_) => {
                        refused = Some(Refusal::CanNot);
                        Ok(None)
                    }
                }
            }
        })?;
        match (written, refused) {
            (Some(count), _) => line.wrote_portion(count as u64),
            (None, Some(refusal)) => line.refuse_portion(refusal == Refusal::Changed),
            (None, None) => {}
        }
        Ok(written)
    }

    /// Returns how many of the written bytes the client lacks, as far as the kernel can know: they haven't arrived
    /// at its kernel, or it is in this machine and hasn't read them. `None` if that isn't known.
    pub(super) fn lacking(&self, stream: &ClientStream) -> Option<u64> {
        match outstanding(stream) {
            Some(0) => self.place.unwrap_or(PeerPlace::Unknown).unread(),
            left => left,
        }
    }

    /// Returns whether this file is sent by the kernel: if its content can change, only if it can be known when the
    /// client has its own copy.
    fn sends(&mut self, file: &OpenFile, stream: &ClientStream) -> bool {
        let find =
            || stream.addresses().map_or(PeerPlace::Unknown, |(local, peer)| PeerPlace::of(local, peer));
        self.sendfile
            && (!file.changes_in_place()
                || !matches!(self.place.get_or_insert_with(find), PeerPlace::Unknown))
    }

    fn limit_unsent(&mut self, stream: &ClientStream, unsent: u32) {
        // A Unix socket holds little anyway.
        if self.unsent != unsent && stream.kind() == SocketKind::Tcp {
            self.unsent = unsent;
            // This is only an optimization; a socket that refuses it still works.
            if let Err(e) = SockRef::from(stream).set_tcp_notsent_lowat(unsent) {
                tracing::debug!("cannot tune a socket: {e}");
            }
        }
    }
}

/// Returns whether a call that failed is repeated, at once or later.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
