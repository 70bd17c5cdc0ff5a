//! The id of an account.

use crate::id::opaque_id;

opaque_id! {
    /// An account's opaque id. The `sub` of its tokens.
    AccountId
}
