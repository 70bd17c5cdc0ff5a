//! Used tokens in an SQL database: SQLite (for action links, beside the accounts) or PostgreSQL.
//!
//! The primary key makes a claim atomic, and the database's commit makes it durable. So durability depends on
//! the connections: SQLite must run with `synchronous = FULL`, PostgreSQL with `synchronous_commit = on`
//! (which [`SqlUsedTokens::connect`] sets).
//!
//! A database that was restored from a backup looks normal. The difference is its position, a number that
//! increases soon after anything is recorded: it is behind what another process remembers, on disk or in
//! memory ([`Standing`](crate::standing::Standing)). Every claim also checks the position, so that a database that was restored under a
//! running node accepts no claim before its fence is raised.

mod claims;
mod columns;
mod group;
mod standing;
mod state;
mod store;
mod tables;

pub use self::store::SqlUsedTokens;
