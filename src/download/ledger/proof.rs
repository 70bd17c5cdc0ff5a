//! How a client proves that it is the one that redeemed.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{Digest, Secret};

/// The proof that a client is the one that redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedeemerProof {
    /// It knows the resume key.
    Key,
    /// It presents a continuation, which counts as the key until the file is complete.
    Continuation,
    /// It comes from the same address.
    Address(IpAddr),
    /// No proof, and its address is unknown.
    None,
}

impl RedeemerProof {
    /// Returns whether bytes sent with this proof are reserved rather than counted as sent again.
    pub(crate) const fn is_keyed(self) -> bool {
        matches!(self, RedeemerProof::Key | RedeemerProof::Continuation)
    }
}

/// The second resume key, for a client that continued with a continuation when only the digest of the first
/// key was known. It is the same on every node and after every restart, nobody can guess it without the
/// record, and like the first it opens nothing without a token of that jti.
pub(crate) fn second_key(first: &Digest) -> Secret {
    const SECOND: &[u8] = b"oncelink second resume key";
    let digest = Digest::of(&[SECOND, first.as_bytes().as_slice()].concat());
    let half = digest.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]);
    Secret::presented(&URL_SAFE_NO_PAD.encode(half))
}
