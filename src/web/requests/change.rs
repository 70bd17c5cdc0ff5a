//! Changes a file request: new terms, and stopping it for good. Each change is one transaction with its entry
//! in the audit log.

use crate::clock::Timestamp;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{bytes_to_column, to_column};
use crate::web::identity::passwords::StoredPassword;
use crate::web::links::change::{EditBase, EditOutcome};
use crate::web::requests::find::read;
use crate::web::requests::request::{FileRequest, FileRequests, RequestError};
use crate::web::requests::terms::RequestTerms;

/// What happens to a request's password when the request is edited.
#[derive(Clone, Debug)]
pub enum RequestPasswordChange {
    /// It stays the same.
    Keep,
    /// It is removed.
    Remove,
    /// It is replaced by this one. Guests must enter it before they can go on.
    Set(StoredPassword),
}

impl FileRequests {
    /// Gives a request new terms, unless it was stopped.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn edit(
        &self,
        (request, base): (&FileRequest, EditBase),
        terms: &RequestTerms,
        password: RequestPasswordChange,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<EditOutcome, RequestError> {
        let sets_password = matches!(password, RequestPasswordChange::Set(_));
        let (keep, password) = match &password {
            RequestPasswordChange::Keep => (1_i64, None),
            RequestPasswordChange::Remove => (0, None),
            RequestPasswordChange::Set(password) => (0, Some(password)),
        };
        let mut transaction = self.db.begin().await?;
        // Of two edits of one version, the second one finds what the first one has made of it.
        self.db.lock_account(&mut transaction, request.owner.as_str()).await?;
        if base == EditBase::Seen {
            let found = sqlx::query("SELECT * FROM file_requests WHERE id = $1")
                .bind(request.id.as_str())
                .fetch_optional(&mut *transaction)
                .await?;
            let found = found.as_ref().map(read).transpose()?.flatten();
            if !found.is_some_and(|found| found.has_terms_of(request)) {
                return Ok(EditOutcome::Outdated);
            }
        }
        let changed = sqlx::query(
            // Keeps the password that is stored now, which may differ from the one in `request`.
            "UPDATE file_requests SET title = $1, note = $2, max_bytes = $3, max_files = $4, ends_at = $5, \
             password = CASE WHEN CAST($6 AS BIGINT) = 1 THEN password ELSE $7 END, notify = $8 \
             WHERE id = $9 AND stopped_at IS NULL",
        )
        .bind(&terms.title)
        .bind(&terms.note)
        .bind(bytes_to_column(terms.max_bytes))
        .bind(bytes_to_column(terms.max_files))
        .bind(to_column(terms.ends_at))
        .bind(keep)
        .bind(password.map(StoredPassword::as_str))
        .bind(i64::from(terms.notify))
        .bind(request.id.as_str())
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(EditOutcome::Revoked);
        }
        if sets_password {
            sqlx::query("UPDATE request_guests SET digest = NULL WHERE request = $1")
                .bind(request.id.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        let subject = format!("{} (request {})", terms.title, request.id);
        audit::append(&mut transaction, actor, AuditEvent::RequestChanged, &subject, now).await?;
        self.db.commit(transaction).await?;
        Ok(EditOutcome::Changed)
    }

    /// Stops a request for good. Returns false if it was already stopped.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn stop(
        &self,
        request: &FileRequest,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, RequestError> {
        let mut transaction = self.db.begin().await?;
        let changed =
            sqlx::query("UPDATE file_requests SET stopped_at = $1 WHERE id = $2 AND stopped_at IS NULL")
                .bind(to_column(now))
                .bind(request.id.as_str())
                .execute(&mut *transaction)
                .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        let subject = format!("{} (request {})", request.title, request.id);
        audit::append(&mut transaction, actor, AuditEvent::RequestStopped, &subject, now).await?;
        self.db.commit(transaction).await?;
        Ok(true)
    }
}
