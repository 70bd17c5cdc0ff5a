//! The links of all accounts, for administrators: the newest first, a page at a time, or those that a search finds.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::id::FilePath;
use crate::web::db::QueryError;
use crate::web::db::columns::pattern;
use crate::web::db::position::Position;
use crate::web::identity::{AccountId, Email};
use crate::web::links::find::{ListedLink, listed_of};
use crate::web::links::link::Links;

/// A link with its owner.
#[derive(Clone, Debug)]
pub struct OwnedLink {
    /// The link, without its files.
    pub listed: ListedLink,
    /// The email address of its owner.
    pub owner: String,
    /// The first of its files and folders; none while it waits for a single file.
    pub path: Option<FilePath>,
}

/// A search among the links.
enum Search {
    All,
    /// The links of one account: the search was its whole address.
    Owner(AccountId),
    /// Those with these words in the title, in a path or in the owner's address, or with this id.
    Words(String),
}

/// A link in the columns that [`listed_of`] reads, its owner and its first path. The counts are of one link each, by
/// index. The positions of a link's files have no gaps.
const OWNED: &str = "SELECT links.*, accounts.email AS owner, \
    (SELECT path FROM link_files WHERE link_files.link = links.id ORDER BY position LIMIT 1) AS path, \
    (SELECT COALESCE(MAX(position), -1) + 1 FROM link_files WHERE link_files.link = links.id) AS files, \
    (SELECT COUNT(*) FROM recipients WHERE recipients.link = links.id AND removed_at IS NULL) AS recipients, \
    (SELECT COUNT(*) FROM recipients WHERE recipients.link = links.id AND recipients.email IS NOT NULL) AS named, \
    (SELECT CAST(COALESCE(SUM(taken), 0) AS BIGINT) FROM recipients WHERE recipients.link = links.id \
    AND removed_at IS NULL) AS taken, \
    (SELECT CAST(COALESCE(SUM(looks), 0) AS BIGINT) FROM recipients WHERE recipients.link = links.id) AS looks \
    FROM links LEFT JOIN accounts ON accounts.id = links.account";

impl Links {
    /// Returns up to `most` links of all accounts after `from`, newest first, and where the next page begins, if
    /// there is one. `words` are searched for; the whole address of an account finds its links.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_everybody(
        &self,
        words: &str,
        from: &Position,
        most: u32,
    ) -> Result<(Vec<OwnedLink>, Option<Position>), QueryError> {
        let search = self.search(words.trim()).await?;
        let filter = match search {
            Search::All => "",
            Search::Owner(_) => "links.account = $4 AND",
            Search::Words(_) => {
                "(LOWER(links.title) LIKE $4 ESCAPE '!' OR links.title LIKE $5 ESCAPE '!' \
                 OR accounts.email_key LIKE $4 ESCAPE '!' OR links.id = $6 \
                 OR EXISTS (SELECT 1 FROM link_files WHERE link_files.link = links.id \
                 AND (LOWER(path) LIKE $4 ESCAPE '!' OR path LIKE $5 ESCAPE '!'))) AND"
            }
        };
        let query = format!(
            "{OWNED} WHERE {filter} links.created_at <= $1 AND (links.created_at < $1 OR links.id > $2) \
             ORDER BY links.created_at DESC, links.id LIMIT $3"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(from.time())
            .bind(from.id())
            .bind(i64::from(most) + 1);
        let query = match &search {
            Search::All => query,
            Search::Owner(account) => query.bind(account.as_str()),
            Search::Words(words) => {
                query.bind(pattern(&words.to_lowercase())).bind(pattern(words)).bind(words.replace('\0', ""))
            }
        };
        let rows = query.fetch_all(self.db.reader()).await?;
        let links = rows.iter().take(most as usize).map(owned_of).collect::<Result<_, _>>()?;
        Ok((links, Position::after(&rows, most, "created_at", "id")?))
    }

    /// Returns the link with this id, whoever its owner is. The id may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_anybody(&self, id: &str) -> Result<Option<OwnedLink>, QueryError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{OWNED} WHERE links.id = $1")))
            .bind(id.replace('\0', ""))
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.as_ref().map(owned_of).transpose()?)
    }

    async fn search(&self, words: &str) -> Result<Search, QueryError> {
        if words.is_empty() {
            return Ok(Search::All);
        }
        if let Ok(email) = words.parse::<Email>() {
            let account: Option<String> = sqlx::query_scalar("SELECT id FROM accounts WHERE email_key = $1")
                .bind(email.key())
                .fetch_optional(self.db.reader())
                .await?;
            if let Some(account) = account {
                return Ok(Search::Owner(AccountId::from_store(&account)));
            }
        }
        Ok(Search::Words(words.to_owned()))
    }
}

fn owned_of(row: &AnyRow) -> Result<OwnedLink, sqlx::Error> {
    Ok(OwnedLink {
        listed: listed_of(row)?,
        owner: row.try_get::<Option<String>, _>("owner")?.unwrap_or_default(),
        path: row.try_get::<Option<String>, _>("path")?.and_then(|path| path.parse().ok()),
    })
}
