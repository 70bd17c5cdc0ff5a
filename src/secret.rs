//! The only place that generates random bytes, and the types of secret values.
//!
//! A [`Secret`] never prints itself. Only its [`Digest`] is stored, and the two are compared in constant
//! time.

use std::cell::RefCell;
use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The system's random source failed, so no secret can be created.
#[derive(Debug, thiserror::Error)]
#[error("the system's random source failed")]
pub struct RandomError(#[source] getrandom::Error);

/// Fills an array with bytes from the operating system's random source.
///
/// # Errors
/// If the operating system provides none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "the one maker of random bytes")]
fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(RandomError)
}

/// Maximum length of a secret from a [`RandomPool`]: ids and resume keys, which are used for hours. Keys and
/// sessions have 32 bytes, and each is fetched by itself.
const POOLED: usize = 16;

/// Random bytes that this thread fetched in advance, because each redemption needs some, and a system call for
/// them takes 2 µs.
///
/// This is as safe as fetching each secret by itself: the bytes come from the same source, each is handed out
/// once and wiped here, and no other thread has them. No process gets a copy, because this one never forks
/// without executing another program. Anyone who can read the pool in memory can also read the resume keys beside
/// it, and a resume key only opens what one redemption began.
#[derive(Default)]
struct RandomPool(Zeroizing<Vec<u8>>);

impl RandomPool {
    const SIZE: usize = 4096;

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RandomError> {
        const { assert!(N <= RandomPool::SIZE, "a pool has enough for one secret") };
        if self.0.len() < N {
            let mut fresh = Zeroizing::new(vec![0; RandomPool::SIZE]);
            fill(&mut fresh)?;
            self.0 = fresh;
        }
        let mut bytes = [0; N];
        let left = self.0.len().saturating_sub(N);
        for (to, from) in bytes.iter_mut().zip(self.0.iter_mut().skip(left)) {
            *to = *from;
            from.zeroize();
        }
        self.0.truncate(left);
        Ok(bytes)
    }
}

thread_local! {
    static POOL: RefCell<RandomPool> = RefCell::default();
}

/// A random bearer value as text: base64url without padding. Wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Creates a secret of `N` random bytes.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    pub fn random<const N: usize>() -> Result<Secret, RandomError> {
        let bytes = Zeroizing::new(match N <= POOLED {
            true => POOL.with_borrow_mut(RandomPool::take::<N>)?,
            false => random_bytes::<N>()?,
        });
        Ok(Secret(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// Creates a secret from text that a client presented.
    pub fn presented(text: &str) -> Secret {
        Secret(Zeroizing::new(text.to_owned()))
    }

    /// Returns the secret itself, for the one place that gives it to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the digest, which may be stored.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The SHA-256 of a secret (FIPS 180-4), compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let mut digest = [0; 32];
        // SHA-256 is 32 bytes long, so the zip copies all of them.
        digest.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        Digest(digest)
    }

    /// Creates a digest that was read from a store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// Proves knowledge of this digest in response to the challenge `about`: HMAC-SHA256 in base64url.
    pub fn prove(&self, about: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, about.as_bytes()))
    }

    /// Returns the 32 bytes, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::presented("hunter2");
        assert_eq!(format!("{secret:?} {:?}", secret.digest()), "Secret(..) Digest(..)");
    }

    #[test]
    fn each_byte_of_a_pool_is_handed_out_once() {
        let mut pool = RandomPool::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 * RandomPool::SIZE / 16 {
            assert!(seen.insert(pool.take::<16>().unwrap()));
            assert!(pool.0.len() < RandomPool::SIZE);
        }
        assert_ne!(pool.take::<8>().unwrap(), pool.take::<8>().unwrap());
        let others = std::thread::spawn(|| Secret::random::<16>().unwrap().digest());
        assert_ne!(others.join().unwrap(), Secret::random::<16>().unwrap().digest());
    }

    #[test]
    fn digests_are_equal_only_for_equal_secrets() {
        assert_eq!(Secret::presented("a").digest(), Secret::presented("a").digest());
        assert_ne!(Secret::presented("a").digest(), Secret::presented("ab").digest());
    }
}
