//! What the tables of links and file requests do when a file or folder gets another path.

use sqlx::{Any, Transaction};

use crate::id::FilePath;

/// A file or folder that was at `from` and is at `to` now, with everything below it.
pub(super) struct MovedPath<'p> {
    from: &'p str,
    to: &'p FilePath,
    /// What the paths below it begin with, and the number of characters of that, as SQL counts them.
    beneath: (String, i64),
}

impl<'p> MovedPath<'p> {
    pub(super) fn new(from: &'p str, to: &'p FilePath) -> MovedPath<'p> {
        let beneath = format!("{from}/");
        let length = i64::try_from(beneath.chars().count()).unwrap_or(i64::MAX);
        MovedPath { from, to, beneath: (beneath, length) }
    }

    /// Returns the accounts that `query` finds: `$1` is the path, `$3` what those below it begin with, and `$2` the
    /// length of that.
    pub(super) async fn owners(
        &self,
        transaction: &mut Transaction<'static, Any>,
        query: &'static str,
    ) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(query)
            .bind(self.from)
            .bind(self.beneath.1)
            .bind(&self.beneath.0)
            .fetch_all(&mut **transaction)
            .await
    }

    /// Runs an update of the paths of an account: `$1` is the new path, `$3` the old one, `$5` what those below it
    /// begin with, `$2` and `$4` the length of that, and `$6` the account.
    pub(super) async fn update(
        &self,
        transaction: &mut Transaction<'static, Any>,
        update: &'static str,
        owner: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(update)
            .bind(self.to.as_str())
            .bind(self.beneath.1)
            .bind(self.from)
            .bind(self.beneath.1)
            .bind(&self.beneath.0)
            .bind(owner)
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }
}
