//! The standing of the database, and its comparison with what is remembered of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, Row, Transaction};

use crate::clock::{Clock, Timestamp};
use crate::secret::{RandomError, Secret};
use crate::standing::{BRANCHES, Branch, RememberedStandings, Standing};
use crate::telemetry::chain;
use crate::used_tokens::{StoreError, UsedTokens};
use crate::web::db::columns::from_column;
use crate::web::db::{Database, QueryError};
use crate::web::revocations::issued::IssuedTokens;
use crate::web::tokens::link_key::LinkKey;

/// The name of the file in the database's folder that `oncelink restore` leaves.
pub const RESTORED_MARK: &str = "restored";

/// The database could not be compared with what is remembered of it.
#[derive(Debug, thiserror::Error)]
pub enum RestoreDetectionError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The store of used action links failed.
    #[error("the account database cannot record used action links")]
    Store(#[from] StoreError),
    /// The operating system gave no random bytes for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The mark file of a restore can't be read or removed.
    #[error("cannot process the restore marker {}; check its permissions", path.display())]
    Mark {
        /// The mark file.
        path: PathBuf,
        /// Why it can't be read or removed.
        #[source]
        source: std::io::Error,
    },
}

impl From<sqlx::Error> for RestoreDetectionError {
    fn from(error: sqlx::Error) -> RestoreDetectionError {
        QueryError::from(error).into()
    }
}

/// Tracks the standing of the database and detects restores. Clones share their state.
#[derive(Clone)]
pub struct RestoreDetector {
    pub(super) db: Database,
    pub(super) key: LinkKey,
    pub(super) issued: IssuedTokens,
    pub(super) clock: Clock,
    /// Used action links, which are stored in the same database.
    pub(super) used: Arc<dyn UsedTokens>,
    witness: PathBuf,
    known: Arc<Mutex<Known>>,
    /// Held while the witness file is written.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for RestoreDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standings").field("witness", &self.witness).finish_non_exhaustive()
    }
}

/// What this process knows about the standing.
#[derive(Default)]
struct Known {
    latest: Option<Standing>,
    /// The standing in the witness file.
    witnessed: Option<Standing>,
    /// Counts of writes when the standing last increased: `writes` of this process, `deeds` of all processes.
    writes: u64,
    deeds: i64,
}

/// The standing as stored in the database.
struct Found {
    standing: Standing,
    /// Increases with each line of a log and each change of an account, in whichever process.
    deeds: i64,
}

impl RestoreDetector {
    /// Compares the database with what is remembered of it in the file `witness`, before anyone is served
    /// from it. `mark` is the file that a restore leaves.
    ///
    /// # Errors
    /// See [`RestoreDetectionError`].
    pub async fn open(
        witness: PathBuf,
        mark: &Path,
        db: Database,
        key: LinkKey,
        issued: IssuedTokens,
        used: Arc<dyn UsedTokens>,
        clock: Clock,
    ) -> Result<RestoreDetector, RestoreDetectionError> {
        let known = Arc::default();
        let standings =
            RestoreDetector { db, key, issued, clock, used, witness, known, writing: Arc::default() };
        let here = standings.find_or_make().await?.standing;
        standings.check_restore_mark(mark).await?;
        match RememberedStandings::read(&standings.witness) {
            Ok(memory) => {
                if let Some(later) = memory.of(&here.id) {
                    standings.compare_with(later).await?;
                }
            }
            Err(error) => {
                let (cause, path) = (chain(&error), standings.witness.display());
                tracing::warn!(cause, %path, "cannot read the remembered standing of the account database; starting over");
            }
        }
        standings.begin_branch().await?;
        standings.raise_position().await?;
        standings.write_witness().await;
        Ok(standings)
    }

    /// Increases the standing if something was written since the last call, and remembers it. Detects if the
    /// database was restored while the app is running. Called every second.
    ///
    /// # Errors
    /// See [`RestoreDetectionError`].
    pub async fn advance(&self) -> Result<(), RestoreDetectionError> {
        let found = self.find().await?;
        let (later, moved) = {
            let known = self.known();
            let later = known.latest.clone().filter(|latest| found.standing.is_behind(latest));
            (later, known.writes != self.db.writes() || known.deeds != found.deeds)
        };
        if let Some(later) = &later {
            self.compare_with(later).await?;
        }
        if moved || later.is_some() {
            self.raise_position().await?;
        }
        self.write_witness().await;
        self.used.standing(self.clock.now()).await?;
        Ok(())
    }

    /// Returns the signed standing that download services must remember, which covers all writes so far.
    ///
    /// # Errors
    /// See [`RestoreDetectionError`].
    pub async fn signed_standing(&self) -> Result<String, RestoreDetectionError> {
        let known = {
            let known = self.known();
            known.latest.clone().filter(|_| known.writes == self.db.writes())
        };
        let latest = match known {
            Some(latest) => latest,
            None => self.raise_position().await?,
        };
        let text = format!("{}.{}.{}.{}", latest.id, latest.epoch, latest.branch, latest.position);
        Ok(format!("{text}.{}", self.key.mark(&text).reveal()))
    }

    /// Compares the database with a signed standing that a download service remembers. If we did not sign it,
    /// only logs a warning.
    ///
    /// # Errors
    /// See [`RestoreDetectionError`].
    pub async fn check_signed_standing(&self, word: &str) -> Result<(), RestoreDetectionError> {
        match self.parse(word) {
            Some(remembered) => self.compare_with(&remembered).await.map(|_| ()),
            None => {
                tracing::warn!(
                    "a download service sent a standing that this web app did not sign; was a key replaced?"
                );
                Ok(())
            }
        }
    }

    fn parse(&self, word: &str) -> Option<Standing> {
        let (text, mark) = word.rsplit_once('.')?;
        if self.key.mark(text).digest() != Secret::presented(mark).digest() {
            return None;
        }
        let mut parts = text.split('.');
        let (id, epoch, branch, position) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Standing {
            id: id.to_owned(),
            epoch: epoch.parse().ok()?,
            branch: branch.to_owned(),
            position: position.parse().ok()?,
        })
    }

    /// Acts on a restore if the database is behind `remembered`. Returns whether this call acted.
    async fn compare_with(&self, remembered: &Standing) -> Result<bool, RestoreDetectionError> {
        let mut connection = self.db.reader().acquire().await?;
        let (here, branches) = with_branches(&mut connection).await?;
        drop(connection);
        match here.was_put_back(&branches, remembered) {
            true => self.end_everything(Some(remembered)).await,
            false => Ok(false),
        }
    }

    /// Detects a restore by `oncelink restore` from its mark file, even if no standing is remembered
    /// anywhere.
    async fn check_restore_mark(&self, path: &Path) -> Result<(), RestoreDetectionError> {
        let failed = |source| RestoreDetectionError::Mark { path: path.to_owned(), source };
        if path.try_exists().map_err(failed)? {
            self.end_everything(None).await?;
            std::fs::remove_file(path).map_err(failed)?;
        }
        Ok(())
    }

    async fn find_or_make(&self) -> Result<Found, RestoreDetectionError> {
        let id = Secret::random::<16>()?;
        sqlx::query(
            "INSERT INTO database_standing (id, epoch, position) SELECT CAST($1 AS TEXT), 0, 0 \
             WHERE NOT EXISTS (SELECT 1 FROM database_standing)",
        )
        .bind(id.reveal())
        .execute(self.db.notes())
        .await?;
        Ok(self.find().await?)
    }

    /// Starts a new branch of the database's history at the current position, for this start of the app.
    async fn begin_branch(&self) -> Result<(), RestoreDetectionError> {
        let name = Secret::random::<12>()?;
        let mut transaction = self.db.begin().await?;
        sqlx::query("UPDATE database_standing SET position = position + 1")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO database_branches (from_position, name) \
             SELECT position, CAST($1 AS TEXT) FROM database_standing",
        )
        .bind(name.reveal())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM database_branches WHERE from_position NOT IN \
             (SELECT from_position FROM database_branches ORDER BY from_position DESC LIMIT $1)",
        )
        .bind(BRANCHES as i64)
        .execute(&mut *transaction)
        .await?;
        self.db.commit(transaction).await?;
        Ok(())
    }

    async fn find(&self) -> Result<Found, QueryError> {
        let row = sqlx::query(
            "SELECT id, epoch, position, (SELECT name FROM database_branches \
             ORDER BY from_position DESC LIMIT 1) AS branch, (SELECT CAST(SUM(number) AS BIGINT) FROM generations) AS deeds \
             FROM database_standing ORDER BY id LIMIT 1",
        )
        .fetch_one(self.db.reader())
        .await?;
        Ok(Found {
            standing: standing_of(&row)?,
            deeds: row.try_get::<Option<i64>, _>("deeds")?.unwrap_or(0),
        })
    }

    /// Increases the position by one, durably.
    async fn raise_position(&self) -> Result<Standing, RestoreDetectionError> {
        // Read first, so that writes during this call cause another increase.
        let writes = self.db.writes();
        sqlx::query("UPDATE database_standing SET position = position + 1").execute(self.db.notes()).await?;
        let found = self.find().await?;
        let mut known = self.known();
        (known.writes, known.deeds) = (writes, found.deeds);
        if known.latest.as_ref().is_none_or(|latest| latest.is_behind(&found.standing)) {
            known.latest = Some(found.standing.clone());
        }
        Ok(found.standing)
    }

    /// Writes the standing to the witness file, outside the database's folder. If that fails, the download
    /// services still remember it.
    async fn write_witness(&self) {
        let _one_after_the_other = self.writing.lock().await;
        let (latest, path) = {
            let known = self.known();
            match &known.latest {
                Some(latest) if known.witnessed.as_ref() != Some(latest) => {
                    (latest.clone(), self.witness.clone())
                }
                _ => return,
            }
        };
        let mut memory = RememberedStandings::default();
        memory.note(&latest);
        match tokio::task::spawn_blocking(move || memory.write(&path)).await {
            Ok(Ok(())) => self.known().witnessed = Some(latest),
            Ok(Err(error)) => {
                let cause = chain(&error);
                tracing::error!(cause, "cannot write the standing of the account database; check the disk");
            }
            // The runtime is shutting down; the next start writes it.
            Err(_) => {}
        }
    }

    // A poisoned lock means a panic elsewhere; each change of this state is complete in itself.
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn standing_of(row: &AnyRow) -> Result<Standing, sqlx::Error> {
    let number = |column| row.try_get::<i64, _>(column).map(|value| u64::try_from(value).unwrap_or(0));
    let branch = row.try_get::<Option<String>, _>("branch")?.unwrap_or_default();
    Ok(Standing { id: row.try_get("id")?, epoch: number("epoch")?, branch, position: number("position")? })
}

/// Returns the standing of the database, and all branches in order.
pub(super) async fn with_branches(
    connection: &mut AnyConnection,
) -> Result<(Standing, Vec<Branch>), sqlx::Error> {
    let query = "SELECT id, epoch, position, (SELECT name FROM database_branches \
                 ORDER BY from_position DESC LIMIT 1) AS branch FROM database_standing ORDER BY id LIMIT 1";
    let here = standing_of(&sqlx::query(query).fetch_one(&mut *connection).await?)?;
    let rows = sqlx::query("SELECT from_position, name FROM database_branches ORDER BY from_position")
        .fetch_all(&mut *connection)
        .await?;
    let branch = |row: &AnyRow| -> Result<Branch, sqlx::Error> {
        Ok(Branch {
            name: row.try_get("name")?,
            from: row.try_get::<i64, _>("from_position")?.unsigned_abs(),
        })
    };
    Ok((here, rows.iter().map(branch).collect::<Result<_, _>>()?))
}

/// A restore that was detected, and what is still paused because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectedRestore {
    /// When it was detected.
    pub at: Timestamp,
    /// The time of the last entry in the restored audit log.
    pub back_to: Timestamp,
    /// How many links are still paused because of it.
    pub waiting: i64,
}

/// Returns the restore that was detected last, if any.
///
/// # Errors
/// When the database fails.
pub async fn detected_restore(db: &Database) -> Result<Option<DetectedRestore>, QueryError> {
    let row = sqlx::query(
        "SELECT restored_at, restored_to, (SELECT COUNT(*) FROM links WHERE paused_why = 'restored' \
         AND paused = 1 AND withdrawn_at IS NULL) AS waiting FROM database_standing WHERE restored_at IS NOT NULL",
    )
    .fetch_optional(db.reader())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(DetectedRestore {
        at: from_column(row.try_get("restored_at")?),
        back_to: from_column(row.try_get::<Option<i64>, _>("restored_to")?.unwrap_or(0)),
        waiting: row.try_get("waiting")?,
    }))
}

pub(super) type Within<'t> = &'t mut Transaction<'static, Any>;
