//! Records the tokens of views that accounts request for themselves, before they are issued. A view lasts for
//! minutes, but it is revoked like a download if the right to read its file is lost before.

use crate::web::db::QueryError;
use crate::web::revocations::issued::{IssuedTokens, NewToken};

impl IssuedTokens {
    /// Records the token of a view, before it is issued. Returns false if the account may not have it now, even
    /// if an earlier check allowed it.
    ///
    /// # Errors
    /// When the database fails; the token must not be issued then.
    pub async fn record_view(&self, token: &NewToken<'_>) -> Result<bool, QueryError> {
        let mut transaction = self.db.begin().await?;
        if !self.lock_and_check(&mut transaction, token.account, token.file).await? {
            return Ok(false);
        }
        self.insert(&mut transaction, token).await?;
        self.db.commit(transaction).await?;
        Ok(true)
    }
}
