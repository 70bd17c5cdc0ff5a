//! The download tokens that were issued and may still be usable, and the one place that decides whether a
//! token is still valid: its account must exist and be allowed to read the file, and the link through which
//! it was issued must still have the same version of its terms. Every change that may take away a right
//! requests a review in its own transaction. Tokens that fail the review are marked, and [`Revocations`]
//! delivers that to the nodes.
//!
//! Invariant: code that issues a token locks the account's row before it checks whether it may, and so does
//! code that changes what the check depends on. So either the change comes first and no token is issued, or
//! the review finds the token.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti, LinkId, RecipientId};
use crate::web::accounts::rows;
use crate::web::db::columns::{placeholders, to_column};
use crate::web::db::groups::Groups;
use crate::web::db::{Database, QueryError};
use crate::web::identity::{Account, AccountId};
use crate::web::revocations::delivery::Revocations;
use crate::web::shares::archive_path;
use crate::web::shares::rights::Rights;

/// How many accounts are read per query.
const PER_LOOK: i64 = 200;

/// A token that is about to be issued.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// The account whose right it depends on: the one that downloads, or the one that created the link.
    pub account: &'a AccountId,
    /// The token's id.
    pub jti: Jti,
    /// The file that it is for, or the path of an archive (see [`archive_path`]).
    pub file: &'a FilePath,
    /// When it expires.
    pub expires_at: Timestamp,
    /// What else it depends on.
    pub basis: TokenBasis<'a>,
}

/// What a token depends on besides its account's right.
#[derive(Clone, Copy, Debug)]
pub struct TokenBasis<'a> {
    /// The audience: the node that can redeem it.
    pub node: &'a str,
    /// The id of the key that signs it.
    pub kid: &'a str,
    /// The link through which it is issued, and the version of the link's terms.
    pub link: Option<(&'a LinkId, i64)>,
}

/// A token that an account requested for itself, waiting to be recorded.
pub(super) struct TokenRequest {
    pub(super) account: AccountId,
    pub(super) file: FilePath,
    /// When it was requested.
    pub(super) now: Timestamp,
    jti: Jti,
    expires_at: Timestamp,
    node: String,
    kid: String,
    link: Option<(LinkId, i64)>,
}

impl TokenRequest {
    pub(super) fn new(token: &NewToken<'_>, now: Timestamp) -> TokenRequest {
        TokenRequest {
            account: token.account.clone(),
            file: token.file.clone(),
            now,
            jti: token.jti,
            expires_at: token.expires_at,
            node: token.basis.node.to_owned(),
            kid: token.basis.kid.to_owned(),
            link: token.basis.link.map(|(link, terms)| (link.clone(), terms)),
        }
    }

    pub(super) fn token(&self) -> NewToken<'_> {
        NewToken {
            account: &self.account,
            jti: self.jti,
            file: &self.file,
            expires_at: self.expires_at,
            basis: TokenBasis {
                node: &self.node,
                kid: &self.kid,
                link: self.link.as_ref().map(|(link, terms)| (link, *terms)),
            },
        }
    }
}

/// The issued tokens. Clones share their state.
#[derive(Clone)]
pub struct IssuedTokens {
    pub(super) db: Database,
    /// How long a token is kept after it expires, because a transfer that began in time may continue.
    beyond: Duration,
    pub(super) rights: Arc<Rights>,
    /// Tokens that are waiting to be recorded together.
    pub(super) groups: Groups<TokenRequest, Result<bool, Arc<QueryError>>>,
    /// Delivers revocations to the nodes.
    pub revocations: Revocations,
}

impl IssuedTokens {
    /// Creates it for the tokens in `db`; `lease_max` is the setting of the download service.
    pub fn new(
        db: Database,
        leeway: Duration,
        lease_max: Duration,
        rights: Arc<Rights>,
        revocations: Revocations,
    ) -> IssuedTokens {
        IssuedTokens { db, beyond: leeway * 2 + lease_max, rights, groups: Groups::default(), revocations }
    }

    /// Locks the account's row until the end of the transaction, and returns whether a token for this file may be
    /// issued by its right.
    pub(crate) async fn lock_and_check(
        &self,
        transaction: &mut Transaction<'static, Any>,
        account: &AccountId,
        file: &FilePath,
    ) -> Result<bool, sqlx::Error> {
        let holders = rows::lock_all(&self.db, transaction, &BTreeSet::from([account.as_str()])).await?;
        Ok(may_read(&self.rights, holders.get(account.as_str()), file))
    }

    /// Records a token, in the transaction that decides whether it may be issued.
    pub(crate) async fn insert(
        &self,
        transaction: &mut Transaction<'static, Any>,
        token: &NewToken<'_>,
    ) -> Result<(), sqlx::Error> {
        self.insert_all(transaction, std::slice::from_ref(token)).await
    }

    /// Records tokens, in the transaction that decides whether they may be issued.
    pub(super) async fn insert_all(
        &self,
        transaction: &mut Transaction<'static, Any>,
        tokens: &[NewToken<'_>],
    ) -> Result<(), sqlx::Error> {
        const COLUMNS: usize = 8;
        let row = |number: usize| format!("({}, 0)", placeholders(number * COLUMNS + 1, COLUMNS));
        let rows: Vec<String> = (0..tokens.len()).map(row).collect();
        let query = format!(
            "INSERT INTO issued_tokens (jti, account, forget_at, node, path, link, terms, kid, revoke) VALUES {}",
            rows.join(", ")
        );
        // Only the statement for one row is used often enough to be kept.
        let mut query = sqlx::query(AssertSqlSafe(query)).persistent(tokens.len() == 1);
        for token in tokens {
            let (link, terms) = token.basis.link.map_or(("", 0), |(link, terms)| (link.as_str(), terms));
            query = query
                .bind(token.jti.to_string())
                .bind(token.account.as_str())
                .bind(to_column(token.expires_at.plus(self.beyond)))
                .bind(token.basis.node)
                .bind(token.file.as_str())
                .bind(link)
                .bind(terms)
                .bind(token.basis.kid);
        }
        query.execute(&mut **transaction).await?;
        Ok(())
    }

    /// Marks the tokens of an account that are no longer valid for revocation. Runs in the transaction that
    /// made them invalid, after that change.
    pub(crate) async fn review(
        &self,
        transaction: &mut Transaction<'static, Any>,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let holder = rows::find(transaction, account).await?;
        if holder.as_ref().is_none_or(|holder| holder.disabled) {
            return self.mark(transaction, "account = {1}", &[account.as_str()], now).await;
        }
        // Many tokens depend on the same things.
        let rows = sqlx::query(
            "SELECT DISTINCT issued_tokens.path, issued_tokens.link, issued_tokens.terms, \
             links.terms AS now FROM issued_tokens LEFT JOIN links ON links.id = issued_tokens.link \
             WHERE issued_tokens.account = $1 AND issued_tokens.revoke = 0",
        )
        .bind(account.as_str())
        .fetch_all(&mut **transaction)
        .await?;
        for row in &rows {
            let stands = ReviewedBasis::read(row)?;
            if !stands.holds(&self.rights, holder.as_ref()) {
                self.mark(
                    transaction,
                    "account = {1} AND path = {2} AND link = {3} AND terms = CAST({4} AS BIGINT)",
                    &[account.as_str(), &stands.path, &stands.link, &stands.terms.to_string()],
                    now,
                )
                .await?;
            }
        }
        Ok(())
    }

    /// Increases the version of a link's terms and marks all tokens that were issued through the link for
    /// revocation. Runs in the transaction that is the reason, which must have locked the owner's account.
    pub(crate) async fn end_terms(
        &self,
        transaction: &mut Transaction<'static, Any>,
        link: &LinkId,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE links SET terms = terms + 1 WHERE id = $1")
            .bind(link.as_str())
            .execute(&mut **transaction)
            .await?;
        self.mark(transaction, "link = {1}", &[link.as_str()], now).await
    }

    /// Marks all tokens that were issued through a link to one of its recipients for revocation. Runs in the
    /// transaction that removes the recipient, which must have locked the owner's account.
    pub(crate) async fn end_recipient(
        &self,
        transaction: &mut Transaction<'static, Any>,
        link: &LinkId,
        recipient: &RecipientId,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        // Walks through the link's tokens that may still be usable, not through the recipient's uses.
        let theirs = "link = {1} AND EXISTS (SELECT 1 FROM link_tokens \
             JOIN link_uses ON link_uses.id = link_tokens.use_id \
             WHERE link_tokens.jti = issued_tokens.jti AND link_uses.recipient = {2})";
        self.mark(transaction, theirs, &[link.as_str(), recipient.as_str()], now).await
    }

    /// Marks a token that the account requested for itself for revocation. Returns false if it has no such token that
    /// may still be usable, or if the token is for a file outside of what `covers` says.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_token(
        &self,
        account: &AccountId,
        jti: Jti,
        covers: impl Fn(&FilePath) -> bool,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let jti = jti.to_string();
        let mut transaction = self.db.begin().await?;
        rows::lock(&mut transaction, account).await?;
        let query = "SELECT path FROM issued_tokens WHERE jti = $1 AND account = $2 AND link = ''";
        let path: Option<String> = sqlx::query_scalar(query)
            .bind(&jti)
            .bind(account.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if !path.and_then(|path| path.parse().ok()).is_some_and(|path| covers(&path)) {
            return Ok(false);
        }
        self.mark(&mut transaction, "jti = {1}", &[&jti], now).await?;
        self.db.commit(transaction).await?;
        Ok(true)
    }

    /// Marks all tokens that a key signed for revocation, in the transaction that is the reason.
    pub(crate) async fn end_key(
        &self,
        transaction: &mut Transaction<'static, Any>,
        kid: &str,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        // Tokens from before the signing key was recorded may have been signed by this one.
        self.mark(transaction, "kid IN ({1}, '')", &[kid], now).await
    }

    /// Reviews the tokens of all accounts, each in a separate transaction, because rights in the settings may
    /// have changed. If it is interrupted, it must be started again, and nothing is lost.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn review_all(&self, now: Timestamp) -> Result<(), QueryError> {
        let mut last = String::new();
        loop {
            let ids: Vec<String> = sqlx::query_scalar(
                "SELECT DISTINCT account FROM issued_tokens WHERE revoke = 0 AND account > $1 \
                 ORDER BY account LIMIT $2",
            )
            .bind(&last)
            .bind(PER_LOOK)
            .fetch_all(self.db.reader())
            .await?;
            let Some(newest) = ids.last() else { break };
            last.clone_from(newest);
            for id in &ids {
                let account = AccountId::from_store(id);
                let mut transaction = self.db.begin().await?;
                rows::lock(&mut transaction, &account).await?;
                self.review(&mut transaction, &account, now).await?;
                self.db.commit(transaction).await?;
            }
        }
        self.revocations.wake();
        Ok(())
    }

    /// Returns the audience of the node that a token was issued for, if the token may still be usable.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn node_of(&self, jti: Jti) -> Result<Option<String>, QueryError> {
        let node: Option<String> = sqlx::query_scalar("SELECT node FROM issued_tokens WHERE jti = $1")
            .bind(jti.to_string())
            .fetch_optional(self.db.reader())
            .await?;
        Ok(node.map(|node| match node.is_empty() {
            true => self.revocations.own_audience().to_owned(),
            false => node,
        }))
    }

    /// Deletes tokens that can no longer be used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        let delete = "DELETE FROM issued_tokens WHERE jti IN (SELECT jti FROM issued_tokens \
            WHERE forget_at <= $1 LIMIT $2)";
        self.db.in_portions(delete, to_column(now)).await?;
        self.revocations.prune(now).await
    }

    /// Marks the tokens that match the SQL condition `filter`, in which `{1}` and so on stand for `texts`.
    async fn mark(
        &self,
        transaction: &mut Transaction<'static, Any>,
        filter: &'static str,
        texts: &[&str],
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let numbered = |after: usize| {
            (1..=texts.len()).fold(filter.to_owned(), |filter, number| {
                filter.replace(&format!("{{{number}}}"), &format!("${}", number + after))
            })
        };
        let wait = format!(
            "INSERT INTO revocations (jti, node, marked_at, forget_at) \
             SELECT jti, CASE WHEN node = '' THEN $1 ELSE node END, CAST($2 AS BIGINT), forget_at \
             FROM issued_tokens WHERE revoke = 0 AND {} ON CONFLICT (jti, node) DO NOTHING",
            numbered(2)
        );
        let wait =
            sqlx::query(AssertSqlSafe(wait)).bind(self.revocations.own_audience()).bind(to_column(now));
        texts.iter().fold(wait, |query, text| query.bind(*text)).execute(&mut **transaction).await?;
        let mark = format!("UPDATE issued_tokens SET revoke = 1 WHERE revoke = 0 AND {}", numbered(0));
        let mark = sqlx::query(AssertSqlSafe(mark));
        texts.iter().fold(mark, |query, text| query.bind(*text)).execute(&mut **transaction).await?;
        Ok(())
    }
}

/// What tokens depend on, when they were issued and now.
struct ReviewedBasis {
    path: String,
    link: String,
    /// The version of the link's terms then; `now` is the current one, or `None` if the link no longer
    /// exists.
    terms: i64,
    now: Option<i64>,
}

impl ReviewedBasis {
    fn read(row: &AnyRow) -> Result<ReviewedBasis, sqlx::Error> {
        Ok(ReviewedBasis {
            path: row.try_get("path")?,
            link: row.try_get("link")?,
            terms: row.try_get("terms")?,
            now: row.try_get("now")?,
        })
    }

    /// Whether tokens with this basis are still valid.
    fn holds(&self, rights: &Rights, holder: Option<&Account>) -> bool {
        let link_holds = self.link.is_empty() || self.now == Some(self.terms);
        // Tokens from before paths were recorded have none and count as not allowed.
        link_holds && self.path.parse().is_ok_and(|file| may_read(rights, holder, &file))
    }
}

pub(super) fn may_read(rights: &Rights, holder: Option<&Account>, file: &FilePath) -> bool {
    let Some(holder) = holder.filter(|holder| !holder.disabled) else { return false };
    let readable = |root: FilePath| rights.readable(holder, root).is_some();
    archive_path::roots(file).is_some_and(|roots| roots.into_iter().all(readable))
}
