//! Extends a link: a later end, or more downloads for each recipient. Both only allow more than before, so
//! nothing that was issued has to be revoked.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{from_column, to_column};
use crate::web::forms::record;
use crate::web::forms::record::IdempotencyRecord;
use crate::web::links::link::{Link, LinkError, Links};

/// What to add to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkExtension {
    /// So much time, after its end, or from now on if it has expired.
    Time(Duration),
    /// So many downloads for each recipient.
    Downloads(u32),
}

/// The result of extending a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendOutcome {
    /// It was extended.
    Extended,
    /// The operator allows no more.
    AtLimit,
    /// It was revoked, which is final, or has no such limit.
    NotPossible,
    /// The same form has already been processed.
    Before,
    /// The account may no longer do that.
    NotAllowed,
}

impl Links {
    /// Extends the link, as far as the operator's limits allow. One that has expired works again; one that was
    /// revoked stays so.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing is changed then.
    pub async fn extend(
        &self,
        link: &Link,
        extension: LinkExtension,
        form: Option<IdempotencyRecord<'_>>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ExtendOutcome, LinkError> {
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, link.owner.as_str()).await? {
            return Ok(ExtendOutcome::NotAllowed);
        }
        if let Some(form) = form {
            let location = format!("/links/{}", link.id);
            if !record::put(&mut transaction, form, &location, now).await? {
                return Ok(ExtendOutcome::Before);
            }
        }
        let limits = self.limits.current();
        let terms: Option<(Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT ends_at, uses FROM links WHERE id = $1 AND withdrawn_at IS NULL")
                .bind(link.id.as_str())
                .fetch_optional(&mut *transaction)
                .await?;
        let Some((ends_at, uses)) = terms else { return Ok(ExtendOutcome::NotPossible) };
        let (column, value) = match (extension, ends_at, uses) {
            (LinkExtension::Time(time), Some(end), _) => {
                let longer = limits.clamp_end(Some(from_column(end).max(now).plus(time)), now);
                match longer.map(to_column).filter(|longer| *longer > end) {
                    Some(longer) => ("ends_at", longer),
                    None => return Ok(ExtendOutcome::AtLimit),
                }
            }
            (LinkExtension::Downloads(more), _, Some(uses)) => {
                let most = uses.saturating_add(i64::from(more)).min(i64::from(limits.most_uses()));
                if most <= uses {
                    return Ok(ExtendOutcome::AtLimit);
                }
                ("uses", most)
            }
            (LinkExtension::Time(_), None, _) | (LinkExtension::Downloads(_), _, None) => {
                return Ok(ExtendOutcome::NotPossible);
            }
        };
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE links SET {column} = $1 WHERE id = $2")))
            .bind(value)
            .bind(link.id.as_str())
            .execute(&mut *transaction)
            .await?;
        let subject = format!("{} (link {})", link.title, link.id);
        audit::append(&mut transaction, actor, AuditEvent::LinkExtended, &subject, now).await?;
        self.db.commit(transaction).await?;
        Ok(ExtendOutcome::Extended)
    }
}
