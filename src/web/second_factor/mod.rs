//! The second factor of a login: a code from an app on another device (TOTP, RFC 6238), or a recovery code.
//! Both work once. The database has neither the secret nor the codes: the secret follows from a salt and the
//! link key, and of recovery codes only message authentication codes under that key are kept.

mod proof;
mod recovery;
mod store;
mod totp;
pub mod waiting;

pub use proof::FactorProof;
pub use recovery::RecoveryCode;
pub use store::{FactorError, FactorState, SecondFactors};
pub use totp::{NewFactor, STEP_SECONDS};
