//! Links with what their owners' programs want to know about them: a page of them in three queries, however many there
//! are.

use std::collections::HashMap;

use sqlx::Row;

use crate::id::{FilePath, LinkId, RecipientId};
use crate::web::db::QueryError;
use crate::web::db::columns::placeholders;
use crate::web::db::position::Position;
use crate::web::identity::AccountId;
use crate::web::links::find::{ListedLink, link_of};
use crate::web::links::link::{Link, Links};

/// Maximum number of links on one page.
pub const PAGE_MAX: u32 = 1_000;

/// A link with its files and what its recipients did.
#[derive(Clone, Debug)]
pub struct LinkSummary {
    /// The link with its counts. Its files are in it, unlike in the lists of pages.
    pub listed: ListedLink,
    /// The recipient that stands for anyone who has the link; `None` if its recipients are named.
    pub anyone: Option<RecipientId>,
}

/// What is counted for one link.
#[derive(Default)]
struct Counted {
    recipients: u32,
    named: bool,
    taken: u32,
    views: u32,
    anyone: Option<RecipientId>,
}

impl Links {
    /// Returns up to `most` links of an account after `from`, newest first, and where the next page begins, if there is
    /// one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page(
        &self,
        owner: &AccountId,
        from: &Position,
        most: u32,
    ) -> Result<(Vec<LinkSummary>, Option<Position>), QueryError> {
        let most = most.clamp(1, PAGE_MAX);
        let rows = sqlx::query(
            "SELECT * FROM links WHERE account = $1 AND created_at <= $2 AND (created_at < $2 OR id > $3) \
             ORDER BY created_at DESC, id LIMIT $4",
        )
        .bind(owner.as_str())
        .bind(from.time())
        .bind(from.id())
        .bind(i64::from(most) + 1)
        .fetch_all(self.db.reader())
        .await?;
        let next = Position::after(&rows, most, "created_at", "id")?;
        let links = rows.iter().take(most as usize).map(link_of).collect::<Result<Vec<Link>, _>>()?;
        Ok((self.summarized(links).await?, next))
    }

    /// Returns one link of an account with the same; `None` if it has no such link. The id may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn summary(&self, owner: &AccountId, id: &LinkId) -> Result<Option<LinkSummary>, QueryError> {
        let Some(link) = self.of_owner(owner, id).await? else { return Ok(None) };
        Ok(self.summarized(vec![Link { files: Vec::new(), ..link }]).await?.pop())
    }

    async fn summarized(&self, links: Vec<Link>) -> Result<Vec<LinkSummary>, QueryError> {
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let mut files = self.files_by_link(&links).await?;
        let mut counted = self.counted_by_link(&links).await?;
        let summary = |mut link: Link| {
            link.files = files.remove(link.id.as_str()).unwrap_or_default();
            let Counted { recipients, named, taken, views, anyone } =
                counted.remove(link.id.as_str()).unwrap_or_default();
            let files = u32::try_from(link.files.len()).unwrap_or(u32::MAX);
            LinkSummary { listed: ListedLink { link, files, recipients, named, taken, views }, anyone }
        };
        Ok(links.into_iter().map(summary).collect())
    }

    async fn files_by_link(&self, links: &[Link]) -> Result<HashMap<String, Vec<FilePath>>, QueryError> {
        let query = format!(
            "SELECT link, path FROM link_files WHERE link IN ({}) ORDER BY link, position",
            placeholders(1, links.len())
        );
        let query = sqlx::query_as(sqlx::AssertSqlSafe(query)).persistent(links.len() == 1);
        let rows: Vec<(String, String)> = links
            .iter()
            .fold(query, |query, link| query.bind(link.id.as_str()))
            .fetch_all(self.db.reader())
            .await?;
        let mut files: HashMap<String, Vec<FilePath>> = HashMap::with_capacity(links.len());
        for (link, path) in rows {
            files.entry(link).or_default().extend(path.parse::<FilePath>());
        }
        Ok(files)
    }

    async fn counted_by_link(&self, links: &[Link]) -> Result<HashMap<String, Counted>, QueryError> {
        let query = format!(
            "SELECT link, COUNT(CASE WHEN removed_at IS NULL THEN 1 END) AS recipients, COUNT(email) AS named, \
             CAST(COALESCE(SUM(CASE WHEN removed_at IS NULL THEN taken END), 0) AS BIGINT) AS taken, \
             CAST(COALESCE(SUM(looks), 0) AS BIGINT) AS looks, \
             MIN(CASE WHEN email IS NULL AND removed_at IS NULL THEN id END) AS anyone \
             FROM recipients WHERE link IN ({}) GROUP BY link",
            placeholders(1, links.len())
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).persistent(links.len() == 1);
        let rows = links
            .iter()
            .fold(query, |query, link| query.bind(link.id.as_str()))
            .fetch_all(self.db.reader())
            .await?;
        let mut counted = HashMap::with_capacity(links.len());
        for row in &rows {
            let number = |column: &str| {
                let number: i64 = row.try_get(column)?;
                Ok::<_, sqlx::Error>(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
            };
            let anyone: Option<String> = row.try_get("anyone")?;
            let of_link = Counted {
                recipients: number("recipients")?,
                named: number("named")? > 0,
                taken: number("taken")?,
                views: number("looks")?,
                anyone: anyone.as_deref().map(RecipientId::from_store),
            };
            counted.insert(row.try_get("link")?, of_link);
        }
        Ok(counted)
    }
}
