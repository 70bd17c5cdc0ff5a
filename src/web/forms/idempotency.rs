//! Idempotency of forms: if a form is sent twice, for example by a double click or a reload, it takes effect
//! only once, and the second response leads to the same page. A page puts a one-time id into the token of
//! each form; the same form with other content counts as another form.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::any::AnyRow;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::clock::Timestamp;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::forms::record::{self, IdempotencyKey, IdempotencyRecord};

/// How long the result of a form is remembered …
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// … and of how many forms; the oldest are deleted first.
const FORMS_MAX: i64 = 200_000;

/// Number of locks; enough that two forms rarely share one. If they do, they only wait for each other.
const TURNS: usize = 64;

/// How long the second of two identical forms waits for the first.
const PATIENCE: Duration = Duration::from_secs(60);

/// The forms that took effect. Clones share their state.
#[derive(Clone)]
pub struct IdempotencyStore {
    db: Database,
    turns: Arc<Vec<Arc<Mutex<()>>>>,
}

/// The exclusive right to carry out a form, until this is dropped.
pub struct IdempotencyGuard {
    db: Database,
    form: Option<IdempotencyKey>,
    before: Option<EarlierResult>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// Where the sender of a form was redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierResult {
    /// The address.
    pub location: String,
    /// The word for the message on that page.
    pub note: Option<String>,
}

/// A form can't be carried out now.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The same form is still being carried out after a long wait.
    #[error("the same form is still being processed")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl EarlierResult {
    fn read(row: &AnyRow) -> Result<EarlierResult, sqlx::Error> {
        let note: String = row.try_get("note")?;
        Ok(EarlierResult {
            location: row.try_get("location")?,
            note: Some(note).filter(|note| !note.is_empty()),
        })
    }
}

impl IdempotencyStore {
    /// Manages the forms in `db`.
    pub fn new(db: Database) -> IdempotencyStore {
        let turns = std::iter::repeat_with(Arc::default).take(TURNS).collect();
        IdempotencyStore { db, turns: Arc::new(turns) }
    }

    /// Waits for the right to carry out a form. A form without a one-time id doesn't wait.
    ///
    /// # Errors
    /// See [`IdempotencyError`].
    pub async fn begin(&self, form: Option<IdempotencyKey>) -> Result<IdempotencyGuard, IdempotencyError> {
        let db = self.db.clone();
        let Some(form) = form else {
            return Ok(IdempotencyGuard { db, form: None, before: None, _turn: None });
        };
        let mut hasher = DefaultHasher::new();
        form.as_str().hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or(0);
        let turn = match self.turns.get(at) {
            Some(turn) => {
                let waiting = tokio::time::timeout(PATIENCE, Arc::clone(turn).lock_owned());
                Some(waiting.await.map_err(|_| IdempotencyError::Busy)?)
            }
            None => None,
        };
        let row = sqlx::query("SELECT location, note FROM sent_forms WHERE digest = $1")
            .bind(form.as_str())
            .fetch_optional(self.db.reader())
            .await
            .map_err(QueryError::from)?;
        let before = match row {
            Some(row) => Some(EarlierResult::read(&row).map_err(QueryError::from)?),
            None => None,
        };
        Ok(IdempotencyGuard { db, form: Some(form), before, _turn: turn })
    }

    /// Deletes forms that nobody will send again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM sent_forms WHERE at <= $1")
            .bind(to_column(now.minus(KEPT)))
            .execute(self.db.writer())
            .await?;
        sqlx::query(
            "DELETE FROM sent_forms WHERE at < (SELECT at FROM sent_forms ORDER BY at DESC LIMIT 1 OFFSET $1)",
        )
        .bind(FORMS_MAX)
        .execute(self.db.writer())
        .await?;
        Ok(())
    }
}

impl IdempotencyGuard {
    /// Returns where the form led when it was sent before; `None` if it wasn't.
    pub const fn before(&self) -> Option<&EarlierResult> {
        self.before.as_ref()
    }

    /// Returns a record of the form, to be stored together with its effect. `note` is the word for the
    /// message on the page that it leads to.
    pub fn record(&self, note: &'static str) -> Option<IdempotencyRecord<'_>> {
        self.form.as_ref().map(|form| IdempotencyRecord::of_form(form, note))
    }

    /// Releases the lock and returns the form's key, so that it can be locked again.
    pub fn into_form(self) -> Option<IdempotencyKey> {
        self.form.clone()
    }

    /// Records that the form took effect and led to `location`. `note` is the word for the message there;
    /// empty if there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn done(self, location: &str, note: &'static str, now: Timestamp) -> Result<(), QueryError> {
        let Some(record) = self.record(note) else { return Ok(()) };
        let mut transaction = self.db.begin().await?;
        record::put(&mut transaction, record, location, now).await?;
        self.db.commit(transaction).await
    }
}
