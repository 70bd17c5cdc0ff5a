//! Deletes what nobody needs any more: tickets and guests of requests that are over, and requests that have been
//! over for long. The files that arrived stay where they are.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::requests::request::FileRequests;

/// How long after the end of a request its tickets are kept, so that its owner can extend it.
const TICKETS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after its end a request is kept, with the list of what arrived.
const REQUESTS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl FileRequests {
    /// Deletes tickets, guests and requests that are over. Returns how many requests were deleted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, QueryError> {
        let over = to_column(now.minus(TICKETS_KEPT));
        for statement in [
            "UPDATE request_guests SET digest = NULL WHERE id IN (SELECT request_guests.id FROM request_guests \
             JOIN file_requests ON file_requests.id = request_guests.request \
             WHERE digest IS NOT NULL AND (ends_at <= $1 OR stopped_at <= $1) LIMIT $2)",
            "DELETE FROM request_guests WHERE id IN (SELECT request_guests.id FROM request_guests \
             WHERE digest IS NULL AND made_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM request_files WHERE request_files.guest = request_guests.id) \
             AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.request = request_guests.request \
             AND uploads.guest = request_guests.id) LIMIT $2)",
        ] {
            self.db.in_portions(statement, over).await?;
        }
        let kept = to_column(now.minus(REQUESTS_KEPT));
        self.db
            .in_portions(
                "DELETE FROM file_requests WHERE id IN (SELECT id FROM file_requests \
                 WHERE ends_at <= $1 OR stopped_at <= $1 LIMIT $2)",
                kept,
            )
            .await
    }
}
