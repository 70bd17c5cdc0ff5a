//! Actions of operators and administrators on nodes: adding them, replacing their keys, and removing them.

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::{RandomError, Secret};
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::QueryError;
use crate::web::db::columns::{digest_to_column, from_column, to_column};
use crate::web::nodes::registry::Nodes;

/// An operator's action on a node failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system gave no random bytes for a key.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The settings contain no such node.
    #[error("the settings have no `[[node]]` with the name `{0}`")]
    Unknown(String),
    /// The node already has a key.
    #[error("the node `{0}` already has a key; run `oncelink nodes rekey {0}` to replace it")]
    HasKey(String),
    /// The node has no key.
    #[error("the node `{0}` has no key; run `oncelink nodes add {0}` to create one")]
    HasNoKey(String),
    /// There is no such node to remove.
    #[error("there is no node `{0}`; run `oncelink nodes list` to see all nodes")]
    NotThere(String),
}

impl From<sqlx::Error> for NodeError {
    fn from(error: sqlx::Error) -> NodeError {
        QueryError::from(error).into()
    }
}

/// A node that has or had a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedNode {
    /// Its name.
    pub name: String,
    /// The audience of its tokens when it was given the key, or when it was removed.
    pub audience: String,
    /// When its key was created.
    pub made_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

impl Nodes {
    /// Gives a node in the settings its first key. The key is only returned here; it is not stored.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn add(&self, name: &str, actor: &Actor, now: Timestamp) -> Result<Secret, NodeError> {
        let mut transaction = self.db.begin().await?;
        if has_key(&mut transaction, name).await? {
            return Err(NodeError::HasKey(name.to_owned()));
        }
        let key = self.set_key(&mut transaction, name, now).await?;
        self.finish(transaction, AuditEvent::NodeAdded, name, (actor, now)).await?;
        Ok(key)
    }

    /// Gives a node a new key. The previous one becomes invalid immediately.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn rekey(&self, name: &str, actor: &Actor, now: Timestamp) -> Result<Secret, NodeError> {
        let mut transaction = self.db.begin().await?;
        if self.named(name).is_some() && !has_key(&mut transaction, name).await? {
            return Err(NodeError::HasNoKey(name.to_owned()));
        }
        let key = self.set_key(&mut transaction, name, now).await?;
        self.finish(transaction, AuditEvent::NodeRekeyed, name, (actor, now)).await?;
        Ok(key)
    }

    /// Removes a node permanently: it gets no more tokens, its reports are ignored, and its waiting
    /// revocations are deleted. `name` is the name of a node, or of one of several processes that share a
    /// node's address.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn remove(&self, name: &str, actor: &Actor, now: Timestamp) -> Result<(), NodeError> {
        let mut transaction = self.db.begin().await?;
        let audience: Option<String> =
            sqlx::query_scalar("SELECT audience FROM node_keys WHERE name = $1 AND removed_at IS NULL")
                .bind(name)
                .fetch_optional(&mut *transaction)
                .await?;
        let audience = match (audience, self.named(name)) {
            (Some(_), Some(node)) => Some(node.public_url.clone()),
            (audience, _) => audience,
        };
        match &audience {
            Some(audience) => {
                sqlx::query(
                    "UPDATE node_keys SET digest = '', audience = $1, removed_at = $2 WHERE name = $3",
                )
                .bind(audience)
                .bind(to_column(now))
                .bind(name)
                .execute(&mut *transaction)
                .await?;
                sqlx::query("DELETE FROM revocations WHERE node = $1")
                    .bind(audience)
                    .execute(&mut *transaction)
                    .await?;
            }
            // One of several processes that share an address, or a node from before each had a key.
            None => {
                let gone =
                    sqlx::query("UPDATE nodes SET removed_at = $1 WHERE name = $2 AND removed_at IS NULL")
                        .bind(to_column(now))
                        .bind(name)
                        .execute(&mut *transaction)
                        .await?;
                if gone.rows_affected() == 0 {
                    return Err(NodeError::NotThere(name.to_owned()));
                }
            }
        }
        self.finish(transaction, AuditEvent::NodeRemoved, name, (actor, now)).await
    }

    /// Returns all nodes that have or had a key, ordered by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keyed(&self) -> Result<Vec<KeyedNode>, QueryError> {
        let rows = sqlx::query("SELECT name, audience, made_at, removed_at FROM node_keys ORDER BY name")
            .fetch_all(self.db.reader())
            .await?;
        let keyed = rows.iter().map(|row| {
            Ok(KeyedNode {
                name: row.try_get("name")?,
                audience: row.try_get("audience")?,
                made_at: from_column(row.try_get("made_at")?),
                removed_at: row.try_get::<Option<i64>, _>("removed_at")?.map(from_column),
            })
        });
        Ok(keyed.collect::<Result<_, sqlx::Error>>()?)
    }

    async fn set_key(
        &self,
        transaction: &mut Transaction<'static, Any>,
        name: &str,
        now: Timestamp,
    ) -> Result<Secret, NodeError> {
        let node = self.named(name).filter(|_| self.listed);
        let node = node.ok_or_else(|| NodeError::Unknown(name.to_owned()))?;
        let key = Secret::random::<32>()?;
        sqlx::query(
            "INSERT INTO node_keys (name, audience, digest, made_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET audience = excluded.audience, digest = excluded.digest, \
             made_at = excluded.made_at, removed_at = NULL",
        )
        .bind(name)
        .bind(&node.public_url)
        .bind(digest_to_column(&key.digest()))
        .bind(to_column(now))
        .execute(&mut **transaction)
        .await?;
        Ok(key)
    }

    async fn finish(
        &self,
        mut transaction: Transaction<'static, Any>,
        event: AuditEvent,
        name: &str,
        (actor, now): (&Actor, Timestamp),
    ) -> Result<(), NodeError> {
        audit::append(&mut transaction, actor, event, name, now).await?;
        Ok(self.db.commit(transaction).await?)
    }
}

async fn has_key(transaction: &mut Transaction<'static, Any>, name: &str) -> Result<bool, sqlx::Error> {
    let keys: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM node_keys WHERE name = $1 AND removed_at IS NULL")
            .bind(name)
            .fetch_one(&mut **transaction)
            .await?;
    Ok(keys > 0)
}
