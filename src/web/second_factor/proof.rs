//! The proof that a login has the second factor that its account needs.

use crate::web::identity::AccountId;

/// A proof that somebody has an account's second factor, or that the account has none. Only
/// [`SecondFactors`](super::SecondFactors) creates one.
#[derive(Clone, Debug)]
pub struct FactorProof(AccountId);

impl FactorProof {
    pub(super) const fn of(account: AccountId) -> FactorProof {
        FactorProof(account)
    }

    /// Returns whether it belongs to this account.
    pub fn is_for(&self, account: &AccountId) -> bool {
        self.0 == *account
    }
}
