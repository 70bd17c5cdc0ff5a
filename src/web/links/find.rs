//! Finds links: by the code in an address, by id for their owner, and all links of an owner.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::id::{FilePath, LinkId, RecipientId};
use crate::secret::Secret;
use crate::web::arrivals;
use crate::web::db::QueryError;
use crate::web::db::columns::{digest_to_column, from_column};
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{AccountId, Email};
use crate::web::links::link::{Link, Links, Recipient};

/// A link as it appears in its owner's list.
#[derive(Clone, Debug)]
pub struct ListedLink {
    /// The link, without its files.
    pub link: Link,
    /// Number of files and folders in the link.
    pub files: u32,
    /// Number of recipients who were not removed.
    pub recipients: u32,
    /// Whether the recipients have email addresses; otherwise the link is for anyone who has it.
    pub named: bool,
    /// Their uses, reserved or used.
    pub taken: u32,
    /// How often the recipients' pages were opened, in total.
    pub views: u32,
}

impl ListedLink {
    /// Returns how many uses all recipients have together; `None` for no limit.
    pub fn uses(&self) -> Option<u64> {
        self.link.uses_per_recipient.map(|uses| u64::from(uses) * u64::from(self.recipients))
    }

    /// Returns whether all uses are taken.
    pub fn is_used_up(&self) -> bool {
        self.uses().is_some_and(|uses| u64::from(self.taken) >= uses)
    }
}

/// Number of links on one page of the list.
pub const PER_PAGE: u32 = 100;

const RECIPIENT: &str = "recipients.id, recipients.link, recipients.email, recipients.taken, recipients.looks, \
    recipients.looked_at, recipients.reserved, recipients.removed_at, recipients.file_views, \
    recipients.file_viewed_at";

impl Links {
    /// Returns the link and the recipient that a code belongs to. The code may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn by_code(&self, code: &str) -> Result<Option<(Link, Recipient)>, QueryError> {
        let query = format!("SELECT {RECIPIENT} FROM recipients WHERE recipients.code_digest = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(digest_to_column(&Secret::presented(code).digest()))
            .fetch_optional(self.db.reader())
            .await?;
        self.with_link(row).await
    }

    /// Returns the recipient with this id and their link. The id may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn by_recipient(&self, id: &RecipientId) -> Result<Option<(Link, Recipient)>, QueryError> {
        let query = format!("SELECT {RECIPIENT} FROM recipients WHERE recipients.id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(without_nul(id.as_str()))
            .fetch_optional(self.db.reader())
            .await?;
        self.with_link(row).await
    }

    async fn with_link(&self, row: Option<AnyRow>) -> Result<Option<(Link, Recipient)>, QueryError> {
        let Some(row) = row else { return Ok(None) };
        let recipient = recipient_of(&row)?;
        let link = self.by_id(&recipient.link).await?;
        Ok(link.map(|link| (link, recipient)))
    }

    /// Returns the link with this id if `owner` created it. The id may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_owner(&self, owner: &AccountId, id: &LinkId) -> Result<Option<Link>, QueryError> {
        Ok(self.by_id(id).await?.filter(|link| link.owner == *owner))
    }

    pub(super) async fn by_id(&self, id: &LinkId) -> Result<Option<Link>, QueryError> {
        let row = sqlx::query("SELECT * FROM links WHERE id = $1")
            .bind(without_nul(id.as_str()))
            .fetch_optional(self.db.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut link = link_of(&row)?;
        let paths: Vec<String> =
            sqlx::query_scalar("SELECT path FROM link_files WHERE link = $1 ORDER BY position")
                .bind(link.id.as_str())
                .fetch_all(self.db.reader())
                .await?;
        link.files = paths.iter().filter_map(|path| path.parse::<FilePath>().ok()).collect();
        Ok(Some(link))
    }

    /// Returns the recipients of a link, in the order in which they were entered, including those who were removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recipients(&self, link: &Link) -> Result<Vec<Recipient>, QueryError> {
        let query = format!("SELECT {RECIPIENT} FROM recipients WHERE link = $1 ORDER BY position");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(link.id.as_str())
            .fetch_all(self.db.reader())
            .await?;
        Ok(rows.iter().map(recipient_of).collect::<Result<_, _>>()?)
    }

    /// Returns one page of the links that `owner` created, newest first, starting at `offset`, and whether
    /// there are more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, owner: &AccountId, offset: u32) -> Result<(Vec<ListedLink>, bool), QueryError> {
        let rows = sqlx::query(
            "SELECT links.*, (SELECT COUNT(*) FROM link_files WHERE link_files.link = links.id) AS files, \
             (SELECT COUNT(*) FROM recipients WHERE recipients.link = links.id AND removed_at IS NULL) \
             AS recipients, \
             (SELECT COUNT(*) FROM recipients WHERE recipients.link = links.id AND email IS NOT NULL) AS named, \
             (SELECT CAST(COALESCE(SUM(taken), 0) AS BIGINT) FROM recipients WHERE recipients.link = links.id \
             AND removed_at IS NULL) AS taken, \
             (SELECT CAST(COALESCE(SUM(looks), 0) AS BIGINT) FROM recipients WHERE recipients.link = links.id) \
             AS looks \
             FROM links WHERE account = $1 ORDER BY created_at DESC, id LIMIT $2 OFFSET $3",
        )
        .bind(owner.as_str())
        .bind(i64::from(PER_PAGE) + 1)
        .bind(i64::from(offset))
        .fetch_all(self.db.reader())
        .await?;
        let more = rows.len() > PER_PAGE as usize;
        let links = rows.iter().take(PER_PAGE as usize).map(listed_of).collect::<Result<_, _>>()?;
        Ok((links, more))
    }

    /// Returns a text that changes when something changes that the owner sees on the link's page, except the
    /// passing of time; `None` if `owner` has no such link.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stamp(&self, owner: &AccountId, id: &LinkId) -> Result<Option<String>, QueryError> {
        let row = sqlx::query(
            "SELECT paused, (SELECT COUNT(*) FROM recipients WHERE link = links.id AND removed_at IS NULL) \
             AS recipients, COALESCE(withdrawn_at, 0) AS revoked, COALESCE(uses, -1) AS uses, \
             COALESCE(ends_at, 0) AS ends, COALESCE(files_deleted_at, 0) AS deleted, files_arrived AS arrived, \
             CASE arrival WHEN 'uploading' THEN files_expected WHEN 'abandoned' THEN -1 ELSE 0 END AS expected, \
             (SELECT CAST(COALESCE(SUM(taken), 0) AS BIGINT) FROM recipients WHERE link = links.id) AS taken, \
             (SELECT CAST(COALESCE(SUM(looks), 0) AS BIGINT) FROM recipients WHERE link = links.id) AS looks, \
             (SELECT CAST(COALESCE(SUM(reserved), 0) AS BIGINT) FROM recipients WHERE link = links.id) \
             AS reserved, \
             (SELECT CAST(COALESCE(SUM(file_views), 0) AS BIGINT) FROM recipients WHERE link = links.id) \
             AS file_views, \
             COALESCE((SELECT change_number FROM receipts WHERE receipts.link = links.id \
             ORDER BY change_number DESC LIMIT 1), 0) AS receipts, \
             (SELECT CAST(COALESCE(SUM(COALESCE(mails.ended_at, 0) + mails.attempts * 4 \
             + CASE mails.state WHEN 'waiting' THEN 1 WHEN 'sent' THEN 2 ELSE 3 END), 0) AS BIGINT) \
             FROM recipients JOIN mails ON mails.id = recipients.mail WHERE recipients.link = links.id) \
             AS mails FROM links WHERE id = $1 AND account = $2",
        )
        .bind(without_nul(id.as_str()))
        .bind(owner.as_str())
        .fetch_optional(self.db.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let columns = [
            "paused",
            "recipients",
            "revoked",
            "uses",
            "ends",
            "deleted",
            "arrived",
            "expected",
            "taken",
            "looks",
            "reserved",
            "file_views",
            "receipts",
            "mails",
        ];
        let numbers = columns.iter().map(|column| Ok(row.try_get::<i64, _>(*column)?.to_string()));
        Ok(Some(numbers.collect::<Result<Vec<String>, sqlx::Error>>()?.join("-")))
    }

    /// Returns the files and folders of these links, as pairs of link id and path.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn files_of(&self, links: &[&LinkId]) -> Result<Vec<(LinkId, FilePath)>, QueryError> {
        let mut files = Vec::new();
        for link in links {
            let paths: Vec<String> =
                sqlx::query_scalar("SELECT path FROM link_files WHERE link = $1 ORDER BY position")
                    .bind(link.as_str())
                    .fetch_all(self.db.reader())
                    .await?;
            files.extend(paths.iter().filter_map(|path| Some(((*link).clone(), path.parse().ok()?))));
        }
        Ok(files)
    }

    /// Counts a view of a recipient's page.
    pub fn count_view(&self, recipient: &Recipient, now: Timestamp) {
        self.views.count(&recipient.id, now);
    }
}

/// Replaces an id that contains a NUL: PostgreSQL would return an error for it instead of no row.
fn without_nul(id: &str) -> &str {
    if id.contains('\0') { "" } else { id }
}

pub(super) fn link_of(row: &AnyRow) -> Result<Link, sqlx::Error> {
    let notify: String = row.try_get("notify")?;
    Ok(Link {
        id: LinkId::from_store(&row.try_get::<String, _>("id")?),
        owner: AccountId::from_store(&row.try_get::<String, _>("account")?),
        title: row.try_get("title")?,
        note: row.try_get("note")?,
        uses_per_recipient: row
            .try_get::<Option<i64>, _>("uses")?
            .map(|uses| u32::try_from(uses).unwrap_or(0)),
        ends_at: row.try_get::<Option<i64>, _>("ends_at")?.map(from_column),
        password: row.try_get::<Option<String>, _>("password")?.map(StoredPassword::from_store),
        mailed_code: row.try_get::<i64, _>("mailed_code")? != 0,
        viewable: row.try_get::<i64, _>("viewable")? != 0,
        notify: notify.parse().unwrap_or_default(),
        hidden_files: row.try_get::<i64, _>("hidden_files")? != 0,
        paused: row.try_get::<i64, _>("paused")? != 0,
        restored: row.try_get::<Option<String>, _>("paused_why")?.as_deref() == Some("restored"),
        revoked_at: row.try_get::<Option<i64>, _>("withdrawn_at")?.map(from_column),
        terms_version: row.try_get("terms")?,
        created_at: from_column(row.try_get("created_at")?),
        arrival: arrivals::read(row)?,
        delete_files: row.try_get::<i64, _>("delete_files")? != 0,
        files_deleted_at: row.try_get::<Option<i64>, _>("files_deleted_at")?.map(from_column),
        files: Vec::new(),
    })
}

/// Reads a link in a list, from the columns of the link and the counts of its files, recipients and uses.
pub(super) fn listed_of(row: &AnyRow) -> Result<ListedLink, sqlx::Error> {
    Ok(ListedLink {
        link: link_of(row)?,
        files: count(row, "files")?,
        recipients: count(row, "recipients")?,
        named: count(row, "named")? > 0,
        taken: count(row, "taken")?,
        views: count(row, "looks")?,
    })
}

fn recipient_of(row: &AnyRow) -> Result<Recipient, sqlx::Error> {
    Ok(Recipient {
        id: RecipientId::from_store(&row.try_get::<String, _>("id")?),
        link: LinkId::from_store(&row.try_get::<String, _>("link")?),
        email: row.try_get::<Option<String>, _>("email")?.map(Email::from_store),
        taken: count(row, "taken")?,
        reserved: count(row, "reserved")?,
        views: count(row, "looks")?,
        viewed_at: row.try_get::<Option<i64>, _>("looked_at")?.map(from_column),
        removed_at: row.try_get::<Option<i64>, _>("removed_at")?.map(from_column),
        file_views: count(row, "file_views")?,
        file_viewed_at: row.try_get::<Option<i64>, _>("file_viewed_at")?.map(from_column),
    })
}

fn count(row: &AnyRow, column: &str) -> Result<u32, sqlx::Error> {
    let count: i64 = row.try_get(column)?;
    Ok(u32::try_from(count.max(0)).unwrap_or(u32::MAX))
}
