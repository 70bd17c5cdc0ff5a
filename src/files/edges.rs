//! The edges of a file: a digest of its beginning and its end.

use std::io;

use crate::secret::Digest;

/// How many bytes at the beginning and the end of a file are compared.
pub(super) const EDGE: usize = 4096;

/// A digest of the first and last 4 KiB of a file up to a given length. It detects accidents, not forgery:
/// anyone who may write to a share can serve anything from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeDigest([u8; 8]);

impl EdgeDigest {
    /// Converts edges that were read from a store.
    pub const fn from_bytes(bytes: [u8; 8]) -> EdgeDigest {
        EdgeDigest(bytes)
    }

    /// Returns the bytes for storage.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    fn of(first_and_last: &[u8]) -> EdgeDigest {
        let mut edges = [0; 8];
        let digest = Digest::of(first_and_last);
        // A digest is longer, so the zip fills all of them.
        edges.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        EdgeDigest(edges)
    }

    /// Reads the edges of the first `len` bytes using `read`, which fills a buffer from an offset.
    pub(super) fn read(
        len: u64,
        read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<EdgeDigest> {
        let cached = EdgeDigest::read_if_cached(len, |part, offset| read(part, offset).map(Some))?;
        cached.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Like `read`, but returns `None` if `read` would have to wait.
    pub(super) fn read_if_cached(
        len: u64,
        read: impl Fn(&mut [u8], u64) -> io::Result<Option<usize>>,
    ) -> io::Result<Option<EdgeDigest>> {
        let mut buffer = [0; 2 * EDGE];
        for (offset, part) in edges_in(&mut buffer, len) {
            match read(part, offset)? {
                Some(count) if count == part.len() => {}
                Some(0) if !part.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => return Ok(None),
            }
        }
        Ok(Some(EdgeDigest::of(buffer.get(..edge_of(len) * 2).unwrap_or_default())))
    }
}

fn edge_of(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX).min(EDGE)
}

/// Returns the positions of the two edges in a file of `len` bytes, with the part of the buffer for each.
fn edges_in(buffer: &mut [u8], len: u64) -> [(u64, &mut [u8]); 2] {
    let edge = edge_of(len);
    let (first, rest) = buffer.split_at_mut(edge.min(buffer.len()));
    let (last, _) = rest.split_at_mut(edge.min(rest.len()));
    [(0, first), (len.saturating_sub(edge as u64), last)]
}
