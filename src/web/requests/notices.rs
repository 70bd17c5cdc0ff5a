//! Tells the owners of file requests what has arrived: one email for what a guest sent in one go, once they
//! seem to be done, instead of one for each file.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{Jti, RequestId};
use crate::web::db::QueryError;
use crate::web::db::columns::{bytes_from_column, from_column};
use crate::web::identity::{AccountId, Email};
use crate::web::mail::{MailDetails, MailKind, NewMail};
use crate::web::requests::request::{FileRequests, RequestError};

/// A guest who has sent nothing for this long, and is sending nothing, is done …
const QUIET: Duration = Duration::from_secs(60);
/// … and so is one whose upload has come to a halt.
const HALTED: Duration = Duration::from_secs(15 * 60);
/// The owner is told at the latest after this time, even if a guest is still sending.
const LATEST: Duration = Duration::from_secs(60 * 60);
/// If more guests than this are done at the same time, one email is about all of them.
const MAILS_AT_ONCE: usize = 3;
/// Maximum number of groups of files that are examined in one round.
const GROUPS_MAX: i64 = 10_000;
/// Maximum number of files whose names are read for an email; it lists fewer.
const NAMES_MAX: i64 = 20;

/// What an email about arrived files says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedNotice {
    /// The request.
    pub request: RequestId,
    /// Its title.
    pub title: String,
    /// What the guests call themselves; a guest without a name has an empty one.
    pub from: Vec<String>,
    /// Names and sizes of the first files.
    pub files: Vec<(String, u64)>,
    /// The number of files.
    pub count: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

impl FileRequests {
    /// Queues the emails that are due, as far as `admits` allows one more for a request. Returns how many.
    ///
    /// # Errors
    /// See [`RequestError`]. What was not queued is tried again in the next round.
    pub async fn tell_owners(
        &self,
        now: Timestamp,
        admits: impl Fn(&RequestId) -> bool,
    ) -> Result<usize, RequestError> {
        let rows = sqlx::query(
            "SELECT request, guest, MIN(arrived_at) AS first, MAX(arrived_at) AS last, \
             (SELECT COUNT(*) FROM uploads WHERE uploads.request = request_files.request \
             AND uploads.guest = request_files.guest AND uploads.state <> 'done') AS coming \
             FROM request_files WHERE told = 0 GROUP BY request, guest LIMIT $1",
        )
        .bind(GROUPS_MAX)
        .fetch_all(self.db.reader())
        .await?;
        let mut due: BTreeMap<RequestId, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let at = |column: &str| row.try_get::<i64, _>(column).map(from_column);
            let (first, last) = (at("first")?, at("last")?);
            let pause = if row.try_get::<i64, _>("coming")? == 0 { QUIET } else { HALTED };
            if now >= last.plus(pause) || now >= first.plus(LATEST) {
                let request = RequestId::from_store(&row.try_get::<String, _>("request")?);
                due.entry(request).or_default().push(row.try_get("guest")?);
            }
        }
        let mut queued = 0;
        for (request, guests) in due {
            let groups: Vec<&[String]> = match guests.len() {
                ..=MAILS_AT_ONCE => guests.chunks(1).collect(),
                _ => vec![guests.as_slice()],
            };
            for group in groups {
                if !admits(&request) {
                    break;
                }
                queued += usize::from(self.tell_owner(&request, group, now).await?);
            }
        }
        if queued > 0 {
            self.queue.wake();
        }
        Ok(queued)
    }

    /// Queues one email about everything that these guests have sent and that wasn't reported yet.
    async fn tell_owner(
        &self,
        request: &RequestId,
        guests: &[String],
        now: Timestamp,
    ) -> Result<bool, RequestError> {
        let jti = Jti::random()?;
        let mut transaction = self.db.begin().await?;
        let mut files = 0;
        for guest in guests {
            files += mark(&mut transaction, request, guest, jti).await?;
        }
        // Another process was faster.
        if files == 0 {
            return Ok(false);
        }
        let owner = sqlx::query(
            "SELECT accounts.id, accounts.email FROM file_requests \
             JOIN accounts ON accounts.id = file_requests.account \
             WHERE file_requests.id = $1 AND file_requests.notify = 1 AND accounts.disabled = 0",
        )
        .bind(request.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(owner) = &owner {
            let account = AccountId::from_store(&owner.try_get::<String, _>("id")?);
            let mail = NewMail {
                kind: MailKind::Received,
                recipient: Email::from_store(owner.try_get("email")?),
                jti,
                details: MailDetails::of(&account),
            };
            self.queue.add(&mut transaction, &mail, now).await?;
        }
        self.db.commit(transaction).await?;
        Ok(owner.is_some())
    }

    /// Returns what the email with this jti says; `None` if the request of `owner` is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notice(&self, owner: &AccountId, mail: Jti) -> Result<Option<ReceivedNotice>, QueryError> {
        let mail = mail.to_string();
        let whole = sqlx::query(
            "SELECT file_requests.id, file_requests.title, COUNT(*) AS files, \
             CAST(COALESCE(SUM(request_files.size), 0) AS BIGINT) AS bytes FROM request_files \
             JOIN file_requests ON file_requests.id = request_files.request \
             WHERE request_files.mail = $1 AND file_requests.account = $2 \
             GROUP BY file_requests.id, file_requests.title",
        )
        .bind(&mail)
        .bind(owner.as_str())
        .fetch_optional(self.db.reader())
        .await?;
        let Some(whole) = whole else { return Ok(None) };
        let files: Vec<(String, i64)> = sqlx::query_as(
            "SELECT name, size FROM request_files WHERE mail = $1 ORDER BY arrived_at, name LIMIT $2",
        )
        .bind(&mail)
        .bind(NAMES_MAX)
        .fetch_all(self.db.reader())
        .await?;
        let from: Vec<String> = sqlx::query_scalar(
            "SELECT COALESCE(MAX(request_guests.name), '') FROM request_files \
             LEFT JOIN request_guests ON request_guests.id = request_files.guest \
             WHERE request_files.mail = $1 GROUP BY request_files.guest ORDER BY 1",
        )
        .bind(&mail)
        .fetch_all(self.db.reader())
        .await?;
        Ok(Some(ReceivedNotice {
            request: RequestId::from_store(&whole.try_get::<String, _>("id")?),
            title: whole.try_get("title")?,
            from,
            files: files.into_iter().map(|(name, size)| (name, bytes_from_column(size))).collect(),
            count: bytes_from_column(whole.try_get("files")?),
            bytes: bytes_from_column(whole.try_get("bytes")?),
        }))
    }
}

/// Marks what a guest has sent as covered by this email, and returns how many files these are.
async fn mark(
    transaction: &mut Transaction<'static, Any>,
    request: &RequestId,
    guest: &str,
    mail: Jti,
) -> Result<u64, RequestError> {
    let marked = sqlx::query(
        "UPDATE request_files SET told = 1, mail = $1 WHERE request = $2 AND guest = $3 AND told = 0",
    )
    .bind(mail.to_string())
    .bind(request.as_str())
    .bind(guest)
    .execute(&mut **transaction)
    .await?;
    Ok(marked.rows_affected())
}
