//! Counting the uses of a link. A use is *reserved* when a token is issued, *used* when the first byte
//! of one of its tokens left, *released* when all of its tokens ran out unredeemed or sent nothing.
//! The counter of a recipient is raised in one step with the check, and never lowered but by a release.
//! Whoever began a download and presses again continues it, which counts nothing.
//!
//! Invariant: a transaction takes the owner's account first, then the recipient, then the tokens and
//! their uses. All that decides whether a link may be taken is changed by a transaction that has the
//! account too, so what was read after that lock stays true until the end of the transaction.

mod reserve;
mod settle;

pub use reserve::{Continuation, UseDecision, UseError, UseRequest, reserve};
pub use settle::{
    NodeTokens, mark_used, prune_clients, prune_released, release_for_removed_node, release_unredeemed,
    release_unsent,
};
