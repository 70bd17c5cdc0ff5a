//! The `Upload-Checksum` of tus: what the bytes of one request must come to.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// The algorithms, as `Tus-Checksum-Algorithm` lists them. SHA-1 guards against accidents only, and the
/// protocol asks for it.
pub const ALGORITHMS: &str = "sha1,sha256";

/// A checksum that is being taken, and the one that was announced.
#[derive(Clone)]
pub struct Checksum {
    context: Context,
    announced: Vec<u8>,
}

/// The header is no checksum that we can take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checksum is none of {ALGORITHMS}")]
pub struct UnknownChecksum;

impl Checksum {
    /// Reads the header: an algorithm, a space, the digest in base64.
    ///
    /// # Errors
    /// When the algorithm is unknown, or the digest has another length than it gives.
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

    /// Takes the bytes that follow.
    pub fn update(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.context.update(piece);
        }
    }

    /// Whether the bytes were those that were announced.
    pub fn matches(self) -> bool {
        self.context.finish().as_ref() == self.announced
    }
}
