//! The used-token store on the local disk: one process, no server, durable.
//!
//! A claim has three steps: an insert into the [`index`], which decides which claim is first; a slot in the
//! [`journal`], which the [`committer`] makes durable together with all waiting entries ([`writer`]), on the
//! claimant's own thread while the disk is quick ([`pace`]); and the result. The
//! [`settler`] moves full journal segments into the [`database`] (sled) in the background, and [`recovery`]
//! restores everything at start. Together they form an [`engine`]. After the disk was full, another engine
//! replaces it when there is room ([`reopen`]).
//!
//! Never here: sled on a worker's thread, a slow disk on a worker's thread, a lock across an `.await`, a retried
//! fsync.
//!
//! Limits. Some restores can't be detected from the disk alone: a snapshot of the whole disk (of a virtual
//! machine); files that were overwritten in place, including the witness, if the store was neither restarted
//! nor settled in between; and original files, including the witness, that were moved away, replaced by a
//! copy for a while and moved back. Only another store that remembers a later [`Standing`](crate::standing::Standing) can detect those.
//! The store must not be on a network file system.

mod committer;
mod database;
mod engine;
mod files;
mod found;
mod index;
mod journal;
mod manifest;
mod opening;
mod pace;
mod queue;
mod record;
mod recovery;
mod reopen;
mod settler;
mod store;
mod writer;

pub use self::journal::JournalFile;
pub use self::opening::{StoreOpenError, Tuning};
pub use self::store::SledUsedTokens;
