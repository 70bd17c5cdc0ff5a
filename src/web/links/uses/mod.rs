//! Counts the uses of a link. A use is *reserved* when a token is issued, *used* when the first byte
//! of one of its tokens has been sent, and *released* when all of its tokens expired without being redeemed
//! or sent nothing. A recipient's counter is checked and raised in one step, and only a release lowers it.
//! Someone who has begun a download and requests it again continues it, which costs no further use.
//!
//! Invariant: a transaction locks the owner's account first, then the recipient, then the tokens and
//! their uses. Everything that decides whether a link may be used is changed only by transactions that hold
//! the account's lock too, so what was read after locking stays true until the end of the transaction.

mod request;
mod reserve;
mod settle;
mod take;
mod waiting;

pub use request::{Continuation, UseDecision, UseError, UseRequest};
pub use reserve::reserve;
pub(super) use reserve::reserve_all;
pub use settle::{
    NodeTokens, mark_used, prune_clients, prune_released, release_for_removed_node, release_unredeemed,
    release_unsent,
};
pub(super) use waiting::WaitingPress;
pub use waiting::WaitingPresses;
