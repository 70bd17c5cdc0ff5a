//! The keys of nodes in the database, of which only the digests are stored.

use std::collections::BTreeSet;

use crate::web::db::{Database, QueryError};

/// Returns the names of all nodes that have a key.
pub(super) async fn names(db: &Database) -> Result<BTreeSet<String>, QueryError> {
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM node_keys WHERE removed_at IS NULL")
        .fetch_all(db.reader())
        .await?;
    Ok(names.into_iter().collect())
}

/// Returns the name of the node whose key has this digest.
pub(super) async fn name_of(db: &Database, digest: &str) -> Result<Option<String>, QueryError> {
    Ok(sqlx::query_scalar("SELECT name FROM node_keys WHERE digest = $1 AND removed_at IS NULL")
        .bind(digest)
        .fetch_optional(db.reader())
        .await?)
}

/// Returns the digest of a node's key.
pub(super) async fn digest_of(db: &Database, name: &str) -> Result<Option<String>, QueryError> {
    Ok(sqlx::query_scalar("SELECT digest FROM node_keys WHERE name = $1 AND removed_at IS NULL")
        .bind(name)
        .fetch_optional(db.reader())
        .await?)
}
