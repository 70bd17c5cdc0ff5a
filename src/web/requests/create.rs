//! Creates a file request together with its entry in the audit log.

use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{bytes_to_column, digest_to_column, to_column};
use crate::web::forms::record::{self, IdempotencyRecord};
use crate::web::identity::Account;
use crate::web::identity::passwords::StoredPassword;
use crate::web::requests::request::{FileRequests, RequestError};
use crate::web::requests::terms::RequestTerms;
use crate::web::shares::rights::Writable;

/// Maximum number of requests that one account may have.
const REQUESTS_MAX: i64 = 1_000;

/// The result of creating a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateRequestOutcome {
    /// It was created, with this id.
    Request(RequestId),
    /// The account has too many requests.
    TooMany,
    /// The same form has already created one.
    Before,
    /// The account may no longer create requests.
    NotAllowed,
}

/// The parameters of a request to create.
#[derive(Clone, Copy, Debug)]
pub struct NewRequest<'a> {
    /// The account that asks for files.
    pub owner: &'a Account,
    /// The folder that the files go to.
    pub folder: &'a Writable,
    /// Its terms.
    pub terms: &'a RequestTerms,
    /// The password from the terms, hashed.
    pub password: Option<&'a StoredPassword>,
    /// The idempotency record of the form.
    pub form: Option<IdempotencyRecord<'a>>,
}

impl FileRequests {
    /// Creates a request.
    ///
    /// # Errors
    /// See [`RequestError`]; nothing is created then.
    pub async fn create(
        &self,
        new: &NewRequest<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<CreateRequestOutcome, RequestError> {
        let NewRequest { owner, folder, terms, password, form } = *new;
        let id = RequestId::random()?;
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, owner.id.as_str()).await? {
            return Ok(CreateRequestOutcome::NotAllowed);
        }
        if let Some(form) = form
            && !record::put(&mut transaction, form, &format!("/requests/{id}"), now).await?
        {
            return Ok(CreateRequestOutcome::Before);
        }
        let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM file_requests WHERE account = $1")
            .bind(owner.id.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        if there >= REQUESTS_MAX {
            return Ok(CreateRequestOutcome::TooMany);
        }
        sqlx::query(
            "INSERT INTO file_requests (id, account, title, note, folder, max_bytes, max_files, ends_at, \
             password, notify, code_digest, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(id.as_str())
        .bind(owner.id.as_str())
        .bind(&terms.title)
        .bind(&terms.note)
        .bind(folder.path().as_str())
        .bind(bytes_to_column(terms.max_bytes))
        .bind(bytes_to_column(terms.max_files))
        .bind(to_column(terms.ends_at))
        .bind(password.map(StoredPassword::as_str))
        .bind(i64::from(terms.notify))
        .bind(digest_to_column(&self.key.request_code(&id).digest()))
        .bind(to_column(now))
        .execute(&mut *transaction)
        .await?;
        let subject = format!("{} (request {id}) into {}", terms.title, folder.path());
        audit::append(&mut transaction, actor, AuditEvent::RequestMade, &subject, now).await?;
        self.db.commit(transaction).await?;
        Ok(CreateRequestOutcome::Request(id))
    }
}
