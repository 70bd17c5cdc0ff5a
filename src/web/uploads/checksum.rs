//! The `Upload-Checksum` header of tus: the checksum that the bytes of one request must have.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// The value of `Tus-Checksum-Algorithm`. SHA-1 detects only accidental damage, but the protocol requires it.
pub const ALGORITHMS: &str = "sha1,sha256";

/// A running checksum, and the announced one to compare it with.
#[derive(Clone)]
pub struct Checksum {
    context: Context,
    announced: Vec<u8>,
}

/// The header is not a checksum that we can compute.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checksum must be one of {ALGORITHMS}, with a digest in base64")]
pub struct UnknownChecksum;

impl Checksum {
    /// Parses the header: an algorithm, a space, and the digest in base64.
    ///
    /// # Errors
    /// If the algorithm is unknown, or the digest has the wrong length for it.
    pub fn parse(header: &str) -> Result<Checksum, UnknownChecksum> {
        let (name, digest) = header.trim().split_once(' ').ok_or(UnknownChecksum)?;
        let algorithm = match name.to_ascii_lowercase().as_str() {
            "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &SHA256,
            _ => return Err(UnknownChecksum),
        };
        let announced = STANDARD.decode(digest.trim()).map_err(|_| UnknownChecksum)?;
        if announced.len() != algorithm.output_len() {
            return Err(UnknownChecksum);
        }
        Ok(Checksum { context: Context::new(algorithm), announced })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.context.update(piece);
        }
    }

    /// Returns whether the bytes have the announced checksum.
    pub fn matches(self) -> bool {
        self.context.finish().as_ref() == self.announced
    }
}
