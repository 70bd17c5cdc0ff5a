//! How a client shows that it is the one that redeemed.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::download::conditions::Conditions;
use crate::download::ledger::delivery::Delivery;
use crate::secret::{Digest, Secret};

/// How a client showed that it is the one that redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It knows the resume key.
    Key,
    /// It shows a continuation, which counts as the key until the file has gone out whole.
    Continuation,
    /// It comes from the same address.
    Address(IpAddr),
}

impl Proof {
    /// Whether what leaves on it is reserved, rather than counted as sent again.
    pub(crate) const fn is_keyed(self) -> bool {
        matches!(self, Proof::Key | Proof::Continuation)
    }
}

/// The second resume key: it serves a client that went on by a continuation when the first one was known
/// by its digest only. It is the same on every node and after every restart, nobody can guess it who has
/// not seen the record, and like the first it opens nothing without a token of that jti.
pub(crate) fn second_key(first: &Digest) -> Secret {
    const SECOND: &[u8] = b"oncelink second resume key";
    let digest = Digest::of(&[SECOND, first.as_bytes().as_slice()].concat());
    let half = digest.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]);
    Secret::presented(&URL_SAFE_NO_PAD.encode(half))
}

impl Delivery {
    /// The tag of this delivery that a request shows, and the digest to hold the request against: clients
    /// of a delivery that was opened from its record may have either of two.
    pub(crate) fn tag_shown(&self, conditions: &Conditions) -> (Option<Secret>, &Digest) {
        match conditions.shown_key(&self.resume_digest) {
            Some(first) => (Some(first), &self.resume_digest),
            None => match conditions.shown_key(&self.second_digest) {
                Some(second) => (Some(second), &self.second_digest),
                None => (None, &self.resume_digest),
            },
        }
    }
}
