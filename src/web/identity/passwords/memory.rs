//! Argon2id in memory that is reused. A new block for each hash would be allocated in the arena of whichever
//! thread runs it, and stay there: a few hundred logins once used a gigabyte.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash};

use crate::secret::random_bytes;
use crate::web::identity::passwords::stored::{HashError, StoredPassword};

/// RFC 9106, with the minimum cost that OWASP recommends: 19 MiB, two passes, one lane; about 20 to 50 ms on
/// one core. Hashes contain their own parameters, so a change here affects only new ones.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A hash that needs more than this, in KiB, is not one of ours.
const MEMORY_KIB_MAX: u32 = 64 * 1024;

/// Memory for one hash at a time, allocated at first use and kept.
#[derive(Default)]
pub(crate) struct HashMemory(Vec<Block>);

impl HashMemory {
    /// Hashes a new password.
    pub(crate) fn hash(&mut self, password: &[u8]) -> Result<StoredPassword, HashError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(Params::DEFAULT_OUTPUT_LEN));
        let params = params.map_err(|error| HashError::Failed(error.into()))?;
        let salt: [u8; 16] = random_bytes()?;
        let salt = Salt::new(&salt).map_err(|_| HashError::Failed(password_hash::Error::SaltInvalid))?;
        let output = self.fill(password, &salt, Algorithm::Argon2id, Version::V0x13, params.clone())?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).map_err(HashError::Failed)?,
            salt: Some(salt),
            hash: Some(output),
        };
        Ok(StoredPassword::from_store(hash.to_string()))
    }

    /// Returns whether `password` matches the hash `stored`.
    pub(crate) fn verify(&mut self, password: &[u8], stored: &StoredPassword) -> Result<bool, HashError> {
        let unreadable = || HashError::Failed(password_hash::Error::EncodingInvalid);
        let hash = PasswordHash::new(stored.as_str()).map_err(|_| unreadable())?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(HashError::Failed)?;
        let version = hash.version.map(Version::try_from).transpose().map_err(|_| unreadable())?;
        let params = Params::try_from(&hash).map_err(HashError::Failed)?;
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Err(unreadable()) };
        let output = self.fill(password, salt, algorithm, version.unwrap_or_default(), params)?;
        // Compares in constant time.
        Ok(output == *expected)
    }

    fn fill(
        &mut self,
        password: &[u8],
        salt: &[u8],
        algorithm: Algorithm,
        version: Version,
        params: Params,
    ) -> Result<Output, HashError> {
        if params.m_cost() > MEMORY_KIB_MAX {
            return Err(HashError::Failed(password_hash::Error::ParamsInvalid));
        }
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        if self.0.len() < params.block_count() {
            // Allocated at once: a vector that grows by itself would take twice as much.
            self.0 = vec![Block::new(); params.block_count()];
        }
        let mut buffer = [0; Output::MAX_LENGTH];
        let out = buffer.get_mut(..length).ok_or(HashError::Failed(password_hash::Error::OutputSize))?;
        Argon2::new(algorithm, version, params)
            .hash_password_into_with_memory(password, salt, out, &mut self.0)
            .map_err(|error| HashError::Failed(error.into()))?;
        Output::new(out).map_err(|_| HashError::Failed(password_hash::Error::OutputSize))
    }
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn hashes_are_those_of_the_library_whatever_was_in_the_memory() {
        let mut memory = HashMemory::default();
        for password in ["one", "another", ""] {
            let ours = memory.hash(password.as_bytes()).unwrap();
            let read = PasswordHash::new(ours.as_str()).unwrap();
            assert!(Argon2::default().verify_password(password.as_bytes(), &read).is_ok());
            assert!(memory.verify(password.as_bytes(), &ours).unwrap());
            assert!(!memory.verify(b"wrong", &ours).unwrap());
        }
        // From releases with a different cost, larger and smaller.
        for (memory_kib, passes) in [(24 * 1024, 1), (8 * 1024, 3)] {
            let argon2 = Argon2::from(Params::new(memory_kib, passes, 1, None).unwrap());
            let theirs: PasswordHash =
                argon2.hash_password_with_salt(b"theirs", b"sixteen bytes of").unwrap();
            let theirs = StoredPassword::from_store(theirs.to_string());
            assert!(memory.verify(b"theirs", &theirs).unwrap());
            assert!(!memory.verify(b"wrong", &theirs).unwrap());
        }
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_refused() {
        let stored = "$argon2id$v=19$m=1048576,t=2,p=1$c2l4dGVlbiBieXRlcyBv$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(HashMemory::default().verify(b"x", &StoredPassword::from_store(stored.to_owned())).is_err());
    }
}
