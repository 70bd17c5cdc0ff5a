//! Forms that are sent twice, as by a double click on a slow line or a reload: what was made is made
//! once, and the second sender is led to the same place. A page gives its forms a one-time id, which
//! stands in their token; the same form with other content is another form.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};

/// What was made of a form is remembered for so long …
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// … but of no more forms than these: the oldest go first.
const FORMS_MAX: i64 = 200_000;

/// Enough that two forms rarely share a turn; two that do only wait for each other.
const TURNS: usize = 64;

/// How long the second of two waits for the first.
const PATIENCE: Duration = Duration::from_secs(60);

/// A form that came from a page of ours, by the digest of all that it says with its one-time id. Only
/// reading a form makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The form that was sent to `address` with this token and these fields; `None` where its token has
    /// no one-time id, so that nothing tells it from another one.
    pub(crate) fn new(address: &str, token: &str, fields: &[u8]) -> Option<IdempotencyKey> {
        token.contains('.').then(|| {
            let mut text = format!("{address}\n{token}\n").into_bytes();
            text.extend_from_slice(fields);
            IdempotencyKey(URL_SAFE_NO_PAD.encode(Digest::of(&text).as_bytes()))
        })
    }
}

/// Forms that made something. Clones are the same.
#[derive(Clone)]
pub struct IdempotencyStore {
    db: Database,
    turns: Arc<Vec<Arc<Mutex<()>>>>,
}

/// The turn to make what a form asks for, as long as it lives.
pub struct IdempotencyGuard {
    db: Database,
    form: Option<IdempotencyKey>,
    before: Option<EarlierResult>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// Where the sender of a form was led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierResult {
    /// The address.
    pub location: String,
    /// The word for what the page there says.
    pub note: Option<String>,
}

/// A form that is to be put on record, and the word for what the page that it leads to says.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyRecord<'a> {
    form: &'a IdempotencyKey,
    note: &'static str,
}

/// Why the turn for a form does not come.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The same form has been at work for very long.
    #[error("the same form is at work")]
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
    /// Those in `db`.
    pub fn new(db: Database) -> IdempotencyStore {
        let turns = std::iter::repeat_with(Arc::default).take(TURNS).collect();
        IdempotencyStore { db, turns: Arc::new(turns) }
    }

    /// Waits for the turn to make what a form asks for. A form without a one-time id waits for nothing.
    ///
    /// # Errors
    /// See [`IdempotencyError`].
    pub async fn begin(&self, form: Option<IdempotencyKey>) -> Result<IdempotencyGuard, IdempotencyError> {
        let db = self.db.clone();
        let Some(form) = form else {
            return Ok(IdempotencyGuard { db, form: None, before: None, _turn: None });
        };
        let mut hasher = DefaultHasher::new();
        form.0.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or(0);
        let turn = match self.turns.get(at) {
            Some(turn) => {
                let waiting = tokio::time::timeout(PATIENCE, Arc::clone(turn).lock_owned());
                Some(waiting.await.map_err(|_| IdempotencyError::Busy)?)
            }
            None => None,
        };
        let row = sqlx::query("SELECT location, note FROM sent_forms WHERE digest = $1")
            .bind(&form.0)
            .fetch_optional(self.db.reader())
            .await
            .map_err(QueryError::from)?;
        let before = match row {
            Some(row) => Some(EarlierResult::read(&row).map_err(QueryError::from)?),
            None => None,
        };
        Ok(IdempotencyGuard { db, form: Some(form), before, _turn: turn })
    }

    /// Forgets forms that nobody sends again.
    ///
    /// # Errors
    /// When the database fails.
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
    /// Where the form led when it was sent before; `None` where it was not.
    pub const fn before(&self) -> Option<&EarlierResult> {
        self.before.as_ref()
    }

    /// The form, to be put on record with what is made; the page that it leads to says what `note` stands for.
    pub fn record(&self, note: &'static str) -> Option<IdempotencyRecord<'_>> {
        self.form.as_ref().map(|form| IdempotencyRecord { form, note })
    }

    /// The form, for another turn.
    pub fn into_form(self) -> Option<IdempotencyKey> {
        self.form.clone()
    }

    /// The form made something, and its sender is led to `location`, whose page says what `note` stands for;
    /// an empty one stands for nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn done(self, location: &str, note: &'static str, now: Timestamp) -> Result<(), QueryError> {
        let Some(record) = self.record(note) else { return Ok(()) };
        let mut transaction = self.db.begin().await?;
        put(&mut transaction, record, location, now).await?;
        self.db.commit(transaction).await
    }
}

/// Puts a form on record in the transaction of what it makes. Returns whether it was not there before: of
/// two at once, in any number of processes, one makes something.
///
/// # Errors
/// When the database fails.
pub async fn put(
    transaction: &mut Transaction<'static, Any>,
    record: IdempotencyRecord<'_>,
    location: &str,
    now: Timestamp,
) -> Result<bool, QueryError> {
    let new = sqlx::query(
        "INSERT INTO sent_forms (digest, location, note, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (digest) DO NOTHING",
    )
    .bind(&record.form.0)
    .bind(location)
    .bind(record.note)
    .bind(to_column(now))
    .execute(&mut **transaction)
    .await?;
    Ok(new.rows_affected() > 0)
}
