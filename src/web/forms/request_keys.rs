//! Idempotency of programs' requests: a request that creates something may carry an `Idempotency-Key`. Sent again
//! within a day, with the same key and the same body, it creates nothing and gets the same answer. What is kept is a
//! digest of the request and what is needed to make the answer again, such as an id, and never a secret.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::forms::record::{self, IdempotencyRecord, REQUEST_KEPT, RequestKey};
use dashmap::DashSet;

/// The requests that created something. Clones share their state.
#[derive(Clone)]
pub struct RequestKeys {
    db: Database,
    running: Arc<DashSet<String>>,
}

/// Why a request can't be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RequestKeyError {
    /// The same request is being carried out now.
    #[error("the same request is being carried out")]
    Running,
    /// The key belongs to a request with another body.
    #[error("the idempotency key belongs to another request")]
    OtherBody,
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// The exclusive right of this process to carry out a request, until this is dropped.
pub struct RequestGuard {
    keys: RequestKeys,
    key: Option<RequestKey>,
    before: Option<String>,
}

impl RequestKeys {
    /// Manages the requests in `db`.
    pub fn new(db: Database) -> RequestKeys {
        RequestKeys { db, running: Arc::default() }
    }

    /// Returns the right to carry out a request; one without a key always gets it.
    ///
    /// # Errors
    /// See [`RequestKeyError`].
    pub async fn begin(
        &self,
        key: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<RequestGuard, RequestKeyError> {
        let mut guard = RequestGuard { keys: self.clone(), key: None, before: None };
        let Some(key) = key else { return Ok(guard) };
        if !self.running.insert(key.digest().to_owned()) {
            return Err(RequestKeyError::Running);
        }
        let body = key.body().to_owned();
        let found = "SELECT body, made FROM api_requests WHERE digest = $1 AND at > $2";
        let found: Result<Option<(String, String)>, sqlx::Error> = sqlx::query_as(found)
            .bind(key.digest())
            .bind(to_column(now.minus(REQUEST_KEPT)))
            .fetch_optional(self.db.reader())
            .await;
        // From here on, dropping the guard gives the right back.
        guard.key = Some(key);
        match found.map_err(QueryError::from)? {
            Some((before, _)) if before != body => Err(RequestKeyError::OtherBody),
            Some((_, made)) => {
                guard.before = Some(made);
                Ok(guard)
            }
            None => Ok(guard),
        }
    }

    /// Deletes requests that are no longer remembered.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, QueryError> {
        let delete = "DELETE FROM api_requests WHERE digest IN \
                      (SELECT digest FROM api_requests WHERE at <= $1 LIMIT $2)";
        self.db.in_portions(delete, to_column(now.minus(REQUEST_KEPT))).await
    }
}

impl RequestGuard {
    /// Returns what the request made when it was sent before; `None` if it wasn't.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Returns a record of the request, to be stored together with what it makes.
    pub fn record(&self) -> Option<IdempotencyRecord<'_>> {
        self.key.as_ref().map(IdempotencyRecord::of_request)
    }

    /// Records what the request is about to make, or has made, in a transaction of its own. Returns false if another
    /// process has recorded it in the meantime.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn done(&self, made: &str, now: Timestamp) -> Result<bool, QueryError> {
        let Some(key) = &self.key else { return Ok(true) };
        let mut transaction = self.keys.db.begin().await?;
        let is_new = record::put_request(&mut transaction, key, made, now).await?;
        self.keys.db.commit(transaction).await?;
        Ok(is_new)
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.keys.running.remove(key.digest());
        }
    }
}
