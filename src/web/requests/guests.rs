//! Guests: the people who send files. Each has a ticket, an opaque secret of which only the digest is stored,
//! that owns what they upload. A ticket is valid for one request, and as long as the request takes files.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::id::{GuestId, RequestId};
use crate::secret::Secret;
use crate::web::db::QueryError;
use crate::web::db::columns::{digest_to_column, to_column};
use crate::web::identity::PersonName;
use crate::web::requests::request::{FileRequest, FileRequests, RequestError};

/// Maximum number of guests of one request. Beyond it, the oldest ticket with which nothing was sent is
/// deleted for a new one.
const GUESTS_MAX: i64 = 10_000;

/// A guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The guest's id.
    pub id: GuestId,
    /// The request.
    pub request: RequestId,
    /// What they call themselves; may be empty.
    pub name: String,
}

impl FileRequests {
    /// Gives a guest a ticket.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn admit(
        &self,
        request: &FileRequest,
        name: Option<&PersonName>,
        now: Timestamp,
    ) -> Result<(Guest, Secret), RequestError> {
        let (id, ticket) = (GuestId::random()?, Secret::random::<32>()?);
        let name = name.map(PersonName::as_str).unwrap_or_default().to_owned();
        let mut transaction = self.db.begin().await?;
        let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM request_guests WHERE request = $1")
            .bind(request.id.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        if there >= GUESTS_MAX {
            sqlx::query(
                "DELETE FROM request_guests WHERE id IN (SELECT id FROM request_guests AS candidate \
                 WHERE request = $1 AND NOT EXISTS (SELECT 1 FROM request_files WHERE guest = candidate.id) \
                 AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.request = $1 AND uploads.guest = candidate.id) \
                 ORDER BY made_at LIMIT 1)",
            )
            .bind(request.id.as_str())
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "INSERT INTO request_guests (id, request, digest, name, made_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id.as_str())
        .bind(request.id.as_str())
        .bind(digest_to_column(&ticket.digest()))
        .bind(&name)
        .bind(to_column(now))
        .execute(&mut *transaction)
        .await?;
        self.db.commit(transaction).await?;
        tracing::info!(request = %request.id, guest = %id, "guest admitted to a file request");
        Ok((Guest { id, request: request.id.clone(), name }, ticket))
    }

    /// Returns the guest who has this ticket. The ticket may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn guest(&self, ticket: &Secret) -> Result<Option<Guest>, QueryError> {
        let row = sqlx::query("SELECT id, request, name FROM request_guests WHERE digest = $1")
            .bind(digest_to_column(&ticket.digest()))
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Changes what a guest calls themselves.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rename_guest(&self, guest: &GuestId, name: &PersonName) -> Result<(), QueryError> {
        sqlx::query("UPDATE request_guests SET name = $1 WHERE id = $2")
            .bind(name.as_str())
            .bind(guest.as_str())
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<Guest, sqlx::Error> {
    Ok(Guest {
        id: GuestId::from_store(&row.try_get::<String, _>("id")?),
        request: RequestId::from_store(&row.try_get::<String, _>("request")?),
        name: row.try_get("name")?,
    })
}
