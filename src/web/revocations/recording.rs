//! Records tokens that accounts request for themselves, before they are issued: all that are waiting, in one
//! transaction. It locks the accounts' rows before it checks their rights, like every other way to a token.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::AssertSqlSafe;

use crate::clock::Timestamp;
use crate::web::accounts::rows;
use crate::web::db::columns::{placeholders, to_column};
use crate::web::db::groups::together_or_each;
use crate::web::db::{GroupedQueryError, QueryError};
use crate::web::revocations::issued::{IssuedTokens, NewToken, TokenRequest, may_read};

impl IssuedTokens {
    /// Records a token that an account requested for itself, before it is issued. Returns false if the
    /// account may not have it now, even if an earlier check allowed it.
    ///
    /// # Errors
    /// When the database fails, or too many are waiting; the token must not be issued then.
    pub async fn record(&self, token: &NewToken<'_>, now: Timestamp) -> Result<bool, GroupedQueryError> {
        let issued = self.clone();
        let write = move |requests| {
            let issued = issued.clone();
            async move { issued.record_group(requests).await }
        };
        let request = TokenRequest::new(token, now);
        self.groups.submit(request, write).await?.map_err(GroupedQueryError::Query)
    }

    async fn record_group(&self, requests: Vec<TokenRequest>) -> Vec<Result<bool, Arc<QueryError>>> {
        let requests: Vec<&TokenRequest> = requests.iter().collect();
        together_or_each(
            &requests,
            |requests| async move { self.record_all(&requests).await },
            QueryError::is_refusal,
        )
        .await
    }

    /// Records those tokens that their accounts may have, and returns which.
    async fn record_all(&self, requests: &[&TokenRequest]) -> Result<Vec<bool>, QueryError> {
        let accounts: BTreeSet<&str> = requests.iter().map(|request| request.account.as_str()).collect();
        let mut transaction = self.db.begin().await?;
        let holders = rows::lock_all(&self.db, &mut transaction, &accounts).await?;
        let may_have = |request: &&TokenRequest| {
            may_read(&self.rights, holders.get(request.account.as_str()), &request.file)
        };
        let allowed: Vec<bool> = requests.iter().map(may_have).collect();
        let recorded: Vec<&TokenRequest> = requests
            .iter()
            .zip(&allowed)
            .filter(|(_, allowed)| **allowed)
            .map(|(request, _)| *request)
            .collect();
        let Some(now) = recorded.iter().map(|request| request.now).max() else { return Ok(allowed) };
        let served: BTreeSet<&str> = recorded.iter().map(|request| request.account.as_str()).collect();
        let update = format!(
            "UPDATE accounts SET last_download_at = $1 WHERE id IN ({})",
            placeholders(2, served.len())
        );
        let update = sqlx::query(AssertSqlSafe(update)).persistent(served.len() == 1).bind(to_column(now));
        served.iter().fold(update, |query, id| query.bind(*id)).execute(&mut *transaction).await?;
        let tokens: Vec<NewToken<'_>> = recorded.iter().map(|request| request.token()).collect();
        self.insert_all(&mut transaction, &tokens).await?;
        self.db.commit(transaction).await?;
        Ok(allowed)
    }
}
