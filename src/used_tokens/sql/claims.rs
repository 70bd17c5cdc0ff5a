//! What is recorded about each token. Claims of a store that nodes share are written in [groups](super::group).

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::AssertSqlSafe;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::standing::Standing;
use crate::used_tokens::sql::columns::{backend, from_row, places, to_column};
use crate::used_tokens::sql::store::SqlUsedTokens;
use crate::used_tokens::{Mark, Reservation, StoreError, Use, UsedToken, UsedTokens};

/// How many records a purge deletes in one transaction, so that claims get in between.
const PURGE_PORTION: i64 = 1_000;

impl SqlUsedTokens {
    /// Records one token by itself, if the database still has this epoch and at least this position.
    async fn insert(&self, used: &UsedToken, epoch: i64, position: i64) -> Result<bool, StoreError> {
        let lease = match used.mark {
            Mark::Redeemed(lease) => lease,
            Mark::Revoked => None,
        };
        let trace = lease.and_then(|lease| lease.trace);
        let inserted = sqlx::query(
            "INSERT INTO used_tokens \
             (jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
              file_inode, file_changed_ns, file_edges, reserved, active_at) \
             SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), \
             CAST($5 AS TEXT), CAST($6 AS BIGINT), CAST($7 AS BIGINT), CAST($8 AS BIGINT), \
             CAST($9 AS BIGINT), CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS BIGINT), \
             CAST($13 AS BIGINT) \
             WHERE (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = $14 \
             AND (SELECT moment FROM used_tokens_state WHERE name = 'position') >= $15 \
             ON CONFLICT (jti) DO NOTHING",
        )
        .bind(used.jti.to_string())
        .bind(to_column(used.marked_at))
        .bind(to_column(used.forget_at))
        .bind(i64::from(used.mark == Mark::Revoked))
        .bind(lease.map(|lease| URL_SAFE_NO_PAD.encode(lease.resume_key.as_bytes())))
        .bind(lease.map(|lease| to_column(lease.until)))
        // Stored bit by bit, so that any length and time is read back unchanged.
        .bind(lease.map(|lease| lease.version.len.cast_signed()))
        .bind(lease.map(|lease| lease.version.modified_ns.cast_signed()))
        .bind(trace.map(|trace| trace.inode.cast_signed()))
        .bind(trace.map(|trace| trace.changed_ns.cast_signed()))
        .bind(trace.map(|trace| i64::from_be_bytes(*trace.edges.as_bytes())))
        .bind(lease.map_or(0, |lease| i64::try_from(lease.reserved).unwrap_or(i64::MAX)))
        .bind(lease.map(|lease| to_column(lease.active_at)))
        .bind(epoch)
        .bind(position)
        .execute(&self.writer)
        .await
        .map_err(backend("claim a token"))?;
        let is_new = inserted.rows_affected() == 1;
        if is_new {
            self.known.note_moved();
        }
        Ok(is_new)
    }
}

#[async_trait]
impl UsedTokens for SqlUsedTokens {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        self.check_open()?;
        // Not if the database has changed since the fence that the token was checked against.
        let (epoch, position) = (self.known.epoch(), self.known.position());
        let is_new = match &self.claim_queue {
            Some(queue) => queue.claim(used, epoch, position).await?,
            None => self.insert(&used, epoch, position).await?,
        };
        if is_new {
            return Ok(Use::First);
        }
        match self.find(used.jti).await? {
            Some(before) => Ok(Use::Replay(before)),
            // The database began a new epoch or was restored, or the record was purged between the two
            // statements. It is unknown whether the token may be used again.
            None => {
                self.look_again(used.marked_at).await?;
                Err(StoreError::Backend {
                    action: "claim a token",
                    source: "its fence rose, or a record was forgotten, at the same moment".into(),
                })
            }
        }
    }

    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError> {
        self.check_open()?;
        let failed = backend("find a token");
        let query = sqlx::query(
            "SELECT marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
             file_inode, file_changed_ns, file_edges, reserved, active_at FROM used_tokens WHERE jti = $1",
        );
        let row = query.bind(jti.to_string()).fetch_optional(&self.reader).await.map_err(&failed)?;
        row.map(|row| from_row(jti, &row)).transpose().map_err(failed)
    }

    /// The statement that reserves contains the limit, so that two reservations can't exceed it together.
    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        self.check_open()?;
        let (bytes, most) =
            (i64::try_from(bytes).unwrap_or(i64::MAX), i64::try_from(most).unwrap_or(i64::MAX));
        // All rows are read, although there is only one: the first arrives before the commit has returned.
        let reserved: Vec<i64> = sqlx::query_scalar(
            "UPDATE used_tokens SET reserved = reserved + $1, \
             active_at = CASE WHEN active_at > $2 THEN active_at ELSE $2 END \
             WHERE jti = $3 AND revoked = 0 AND resume_key IS NOT NULL AND reserved <= $4 - $1 \
             AND (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = $5 \
             AND (SELECT moment FROM used_tokens_state WHERE name = 'position') >= $6 \
             RETURNING reserved",
        )
        .bind(bytes)
        .bind(to_column(now))
        .bind(jti.to_string())
        .bind(most)
        // As for a claim: the reservation may have been undone by a restore.
        .bind(self.known.epoch())
        .bind(self.known.position())
        .fetch_all(&self.writer)
        .await
        .map_err(backend("reserve bytes"))?;
        if let Some(reserved) = reserved.first() {
            self.known.note_moved();
            return Ok(Reservation::Granted { reserved: reserved.cast_unsigned() });
        }
        let record = self.find(jti).await?;
        Ok(match record.map(|used| used.mark) {
            Some(Mark::Redeemed(Some(lease))) => Reservation::Exceeded { reserved: lease.reserved },
            _ => Reservation::NoLease(record),
        })
    }

    fn is_shared(&self) -> bool {
        self.claim_queue.is_some()
    }

    async fn revoked_among(&self, jtis: &[Jti]) -> Result<Vec<Jti>, StoreError> {
        self.check_open()?;
        if jtis.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT jti FROM used_tokens WHERE revoked = 1 AND jti IN ({})", places(1, jtis));
        let query = sqlx::query_scalar(AssertSqlSafe(sql));
        let query = jtis.iter().fold(query, |query, jti| query.bind(jti.to_string()));
        let failed = backend("query revocations");
        let rows: Vec<String> = query.fetch_all(&self.reader).await.map_err(&failed)?;
        let read = |row: String| row.parse().map_err(|e| failed(sqlx::Error::Decode(Box::new(e))));
        rows.into_iter().map(read).collect()
    }

    async fn record_activity(&self, jtis: &[Jti], now: Timestamp) -> Result<(), StoreError> {
        self.check_open()?;
        if jtis.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE used_tokens SET active_at = $1 WHERE active_at < $1 AND jti IN ({})",
            places(2, jtis)
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(to_column(now));
        let query = jtis.iter().fold(query, |query, jti| query.bind(jti.to_string()));
        query.execute(&self.writer).await.map_err(backend("record what is being sent"))?;
        Ok(())
    }

    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError> {
        self.check_open()?;
        sqlx::query(
            "INSERT INTO used_tokens (jti, marked_at, forget_at, revoked) VALUES ($1, $2, $3, 1) \
             ON CONFLICT (jti) DO UPDATE SET revoked = 1, marked_at = excluded.marked_at, \
             forget_at = CASE WHEN used_tokens.forget_at > excluded.forget_at \
                              THEN used_tokens.forget_at ELSE excluded.forget_at END, \
             resume_key = NULL, lease_until = NULL, file_len = NULL, file_modified_ns = NULL, \
             file_inode = NULL, file_changed_ns = NULL, file_edges = NULL, reserved = 0, active_at = NULL",
        )
        .bind(jti.to_string())
        .bind(to_column(now))
        .bind(to_column(forget_at))
        .execute(&self.writer)
        .await
        .map_err(backend("revoke a token"))?;
        self.known.note_moved();
        Ok(())
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            self.check_open()?;
            let deleted = sqlx::query(
                "DELETE FROM used_tokens WHERE jti IN \
                 (SELECT jti FROM used_tokens WHERE forget_at <= $1 LIMIT $2)",
            )
            .bind(to_column(now))
            .bind(PURGE_PORTION)
            .execute(&self.writer)
            .await
            .map_err(backend("purge"))?
            .rows_affected();
            forgotten += deleted;
            if deleted < PURGE_PORTION.unsigned_abs() {
                return Ok(forgotten);
            }
        }
    }

    async fn record_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.check_open()?;
        // A process that doesn't know yet that the time was reset must not restore the old one.
        let keep = "UPDATE used_tokens_state SET moment = $1 WHERE name = 'mark' AND moment < $1 \
                    AND (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = $2";
        sqlx::query(keep)
            .bind(to_column(now))
            .bind(self.known.epoch())
            .execute(&self.writer)
            .await
            .map_err(backend("keep the time"))?;
        Ok(())
    }

    fn fence(&self) -> Timestamp {
        self.known.fence()
    }

    fn opened_mark(&self) -> Timestamp {
        self.opened_mark
    }

    async fn standing(&self, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.check_open()?;
        self.stand(now).await.map(Some)
    }

    fn has_news(&self) -> bool {
        self.known.has_moved()
    }

    async fn raise_fence_if_restored(
        &self,
        remembered: &Standing,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.check_open()?;
        self.begin_epoch_after(remembered, now).await
    }

    fn time_reset(&self) -> Option<Timestamp> {
        self.known.take_time_reset()
    }

    /// Writes, because a read-only database can't accept claims.
    async fn ready(&self) -> Result<(), StoreError> {
        self.check_open()?;
        if let Some(queue) = &self.claim_queue {
            queue.check()?;
        }
        sqlx::query("UPDATE used_tokens_state SET moment = moment WHERE name = 'mark'")
            .execute(&self.writer)
            .await
            .map_err(backend("write"))?;
        Ok(())
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(queue) = &self.claim_queue {
            queue.close().await;
            self.reader.close().await;
            self.writer.close().await;
        }
    }
}
