//! Views of a link's files in the browser. They take no use: whether they are allowed is a term of the link.
//!
//! A view is counted when its token is issued, which happens once for each press, however many pieces of the
//! file a player then fetches.

use crate::clock::Timestamp;
use crate::id::RecipientId;
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::links::link::{Link, Links};
use crate::web::revocations::issued::NewToken;
use crate::web::webhooks::event::WebhookEvent;
use crate::web::webhooks::outbox;

impl Link {
    /// Returns whether its files may be viewed: always if the number of downloads is unlimited, otherwise if
    /// its owner allows it. Whoever sees a file can keep it, so a view is worth as much as a download.
    pub const fn may_be_viewed(&self) -> bool {
        self.viewable || self.uses_per_recipient.is_none()
    }
}

impl Links {
    /// Records the token of a view through a link before it is issued, and counts the view if `counts`. Returns
    /// false if the link doesn't allow it now, or no longer has the terms that the visitor fulfilled.
    ///
    /// # Errors
    /// When the database fails; the token must not be issued then.
    pub async fn record_view(
        &self,
        recipient: &RecipientId,
        token: &NewToken<'_>,
        counts: bool,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let Some((link, fulfilled)) = token.basis.link else { return Ok(false) };
        let mut transaction = self.db.begin().await?;
        // Holds the lock of the link's owner, so the link stays as it is found here.
        if !self.issued.lock_and_check(&mut transaction, token.account, token.file).await? {
            return Ok(false);
        }
        let terms: Option<i64> = sqlx::query_scalar(
            "SELECT links.terms FROM recipients JOIN links ON links.id = recipients.link \
             WHERE recipients.id = $1 AND links.id = $2 AND links.account = $3 AND links.paused = 0 \
             AND links.withdrawn_at IS NULL AND (links.ends_at IS NULL OR links.ends_at > $4) \
             AND (links.uses IS NULL OR links.viewable = 1)",
        )
        .bind(recipient.as_str())
        .bind(link.as_str())
        .bind(token.account.as_str())
        .bind(to_column(now))
        .fetch_optional(&mut *transaction)
        .await?;
        if terms != Some(fulfilled) {
            return Ok(false);
        }
        self.issued.insert(&mut transaction, token).await?;
        if counts {
            sqlx::query(
                "UPDATE recipients SET file_views = file_views + 1, file_viewed_at = $1 WHERE id = $2",
            )
            .bind(to_column(now))
            .bind(recipient.as_str())
            .execute(&mut *transaction)
            .await?;
        }
        if counts {
            outbox::record(&mut transaction, &[WebhookEvent::link_viewed(link)], now).await?;
        }
        self.db.commit(transaction).await?;
        Ok(true)
    }
}
