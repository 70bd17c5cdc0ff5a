//! An account's id.

use crate::id::opaque_id;

opaque_id! {
    /// An account's opaque id. The `sub` of its tokens.
    AccountId
}
