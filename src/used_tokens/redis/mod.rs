//! The used-token store in Redis, which several download nodes can share.
//!
//! Redis confirms what is on its disk only with some settings, so these are required, and checked with every
//! write: see [`durability`]. With them, it answers after its append-only file was synced. A Redis that fails
//! over to a replica may have lost what it confirmed: with several of them, once only can't be promised.
//!
//! Redis's own expiry isn't used: it follows the clock of its machine, and a clock that jumps ahead would make
//! links valid again. Records are removed by [`UsedTokens::purge`](crate::used_tokens::UsedTokens::purge).

mod address;
mod claims;
mod durability;
mod group;
mod link;
mod scripts;
mod standing;
mod store;

pub use self::store::RedisUsedTokens;
