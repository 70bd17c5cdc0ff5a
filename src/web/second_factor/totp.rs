//! Codes that an app computes from a secret and the time (RFC 6238): six digits, SHA-1, 30 seconds, which is what
//! all apps know. The codes of the neighbouring steps are accepted, too, because clocks differ.

use totp_rs::{Builder, Totp};

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::web::identity::{AccountId, Email};
use crate::web::tokens::link_key::LinkKey;

/// How long a code is shown.
pub const STEP_SECONDS: i64 = 30;

/// A second factor that is being set up.
#[derive(Clone, Debug)]
pub struct NewFactor {
    /// The secret in base32, for typing.
    pub secret: Secret,
    /// The same as an address that apps read from a QR code.
    pub address: Secret,
}

/// Returns the codes of an account with this salt.
pub(super) fn codes(key: &LinkKey, account: &AccountId, salt: &str) -> Option<Totp> {
    let secret = key.factor_secret(account.as_str(), salt);
    // It only fails with a secret that is too short, and ours has 20 bytes.
    Builder::new().with_secret(secret.to_vec()).build().ok()
}

/// Returns the step whose code this is, around `now`.
pub(super) fn step_of(codes: &Totp, typed: &str, now: Timestamp) -> Option<i64> {
    let digits: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    codes.check(&digits, now.secs()).and_then(|step| i64::try_from(step).ok())
}

/// Returns what an app needs.
pub(super) fn new_factor(
    key: &LinkKey,
    account: &AccountId,
    salt: &str,
    email: &Email,
    issuer: &str,
) -> Option<NewFactor> {
    // A colon separates the two in the address.
    let plain = |text: &str| text.replace(':', " ");
    let secret = key.factor_secret(account.as_str(), salt);
    let builder = Builder::new()
        .with_secret(secret.to_vec())
        .with_account_name(plain(email.as_str()))
        .with_issuer(Some(plain(issuer)));
    let totp = builder.build().ok()?;
    Some(NewFactor {
        secret: Secret::presented(&totp.secret().to_base32()),
        address: Secret::presented(&totp.to_url().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, with the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard_and_of_their_neighbours() {
        let codes = Builder::new().with_secret(b"12345678901234567890".to_vec()).build().unwrap();
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            let step = Some(i64::try_from(seconds / 30).unwrap());
            for at in [seconds - 30, seconds, seconds + 30] {
                assert_eq!(step_of(&codes, code, Timestamp::from_secs(at)), step, "{code}");
            }
            assert_eq!(step_of(&codes, code, Timestamp::from_secs(seconds + 90)), None, "{code}");
        }
        let now = Timestamp::from_secs(59);
        assert_eq!(step_of(&codes, " 287 082 ", now), Some(1));
        for wrong in ["", "28708", "2870820", "28708a", "２８７０８２", "287082\0"] {
            assert_eq!(step_of(&codes, wrong, now), None, "{wrong:?}");
        }
    }
}
