//! The consequences of a restored database: all sessions end, links with a limited number of downloads are
//! paused, and action links that were created before become invalid. All of this happens in one transaction
//! with its entry in the audit log, and is logged.

use sqlx::Row;

use crate::clock::Timestamp;
use crate::human::counted;
use crate::id::LinkId;
use crate::standing::Standing;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::restored::standings::{RestoreDetectionError, RestoreDetector, Within, with_branches};

/// Larger than the number of account changes that any process can have counted since the backup. So every
/// process finds that it missed some changes, and trusts nothing that it cached.
const BEYOND: i64 = 1_000_000;

/// What was ended, for the log.
struct Ended {
    sessions: u64,
    links: u64,
    back_to: Timestamp,
}

impl RestoreDetector {
    /// Ends what may not continue, and starts a new epoch. Without `remembered`, the database is known to
    /// have been restored. Returns whether this call did it: if several processes detect it, only one acts.
    pub(crate) async fn end_everything(
        &self,
        remembered: Option<&Standing>,
    ) -> Result<bool, RestoreDetectionError> {
        let now = self.clock.now();
        let mut transaction = self.db.begin().await?;
        sqlx::query("UPDATE database_standing SET epoch = epoch").execute(&mut *transaction).await?;
        let (here, branches) = with_branches(&mut transaction).await?;
        if remembered.is_some_and(|remembered| !here.was_put_back(&branches, remembered)) {
            return Ok(false);
        }
        let number = |own: u64, other: Option<u64>| {
            i64::try_from(own.max(other.unwrap_or(0))).unwrap_or(i64::MAX).saturating_add(1)
        };
        let ended = self.end(&mut transaction, now).await?;
        sqlx::query(
            "UPDATE database_standing SET epoch = $1, position = $2, restored_at = $3, restored_to = $4",
        )
        .bind(number(here.epoch, remembered.map(|remembered| remembered.epoch)))
        .bind(number(here.position, remembered.map(|remembered| remembered.position)))
        .bind(to_column(now))
        .bind(to_column(ended.back_to))
        .execute(&mut *transaction)
        .await?;
        let Ended { sessions, links, back_to } = ended;
        let subject = format!(
            "as of {back_to}: {} ended, {} with limited downloads paused",
            counted(sessions, "session"),
            counted(links, "link"),
        );
        audit::append(&mut transaction, &Actor::system(), AuditEvent::DatabaseRestored, &subject, now)
            .await?;
        self.db.commit(transaction).await?;
        self.issued.revocations.wake();
        // Applies the fence that was raised in the transaction.
        self.used.standing(now).await?;
        tracing::error!(
            sessions,
            links,
            "the account database was restored from a backup as of {back_to}, and every change after that is \
             lost. Everyone is logged out. Links with a limited number of downloads are paused until their \
             owners or `oncelink links resume --restored` resume them, because their downloads since then are \
             not counted. Accounts that were disabled or deleted since then, passwords that were changed, and \
             rights, links and API keys that were revoked are as they were before: go through `oncelink user list` and \
             the log lines of `oncelink::audit`"
        );
        Ok(true)
    }

    async fn end(&self, transaction: Within<'_>, now: Timestamp) -> Result<Ended, QueryError> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(at) FROM audit").fetch_one(&mut **transaction).await?;
        let sessions = end_sessions(transaction).await?;
        let open = "SELECT id FROM links WHERE uses IS NOT NULL AND paused = 0 AND withdrawn_at IS NULL";
        let rows = sqlx::query(open).fetch_all(&mut **transaction).await?;
        for row in &rows {
            let link = LinkId::from_store(&row.try_get::<String, _>("id")?);
            sqlx::query("UPDATE links SET paused = 1, paused_why = 'restored' WHERE id = $1")
                .bind(link.as_str())
                .execute(&mut **transaction)
                .await?;
            self.issued.end_terms(transaction, &link, now).await?;
        }
        for (statement, value) in [
            ("UPDATE used_tokens_state SET moment = moment + $1 WHERE name IN ('epoch', 'position')", 1),
            ("UPDATE used_tokens_state SET moment = $1 WHERE name = 'fence' AND moment < $1", to_column(now)),
        ] {
            sqlx::query(statement).bind(value).execute(&mut **transaction).await?;
        }
        Ok(Ended { sessions, links: rows.len() as u64, back_to: from_column(last.unwrap_or(0)) })
    }
}

/// Ends all sessions, in every process. Returns how many.
pub(crate) async fn end_sessions(transaction: Within<'_>) -> Result<u64, QueryError> {
    let sessions = sqlx::query("DELETE FROM sessions").execute(&mut **transaction).await?.rows_affected();
    sqlx::query("UPDATE generations SET number = number + $1 WHERE name = 'accounts'")
        .bind(BEYOND)
        .execute(&mut **transaction)
        .await?;
    Ok(sessions)
}

/// Resumes all links that are paused because the database was restored. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn resume_all(db: &Database, actor: &Actor, now: Timestamp) -> Result<u64, QueryError> {
    let mut transaction = db.begin().await?;
    let resumed = sqlx::query(
        "UPDATE links SET paused = 0, paused_why = NULL WHERE paused_why = 'restored' AND paused = 1 \
         AND withdrawn_at IS NULL",
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if resumed > 0 {
        let links = counted(resumed, "link");
        let subject = format!(
            "{links} that {} paused because the database was restored",
            if resumed == 1 { "was" } else { "were" }
        );
        audit::append(&mut transaction, actor, AuditEvent::LinkResumed, &subject, now).await?;
        db.commit(transaction).await?;
    }
    Ok(resumed)
}
