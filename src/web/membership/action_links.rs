//! Action links: one-time links for activating an account, accepting an invitation, choosing a new password,
//! confirming an address, or creating the first administrator.
//!
//! A link works once, which the used-token store ensures. It is bound to a state, so that it becomes invalid
//! when its purpose is achieved in another way. Only the newest link of its kind works, so that each mail
//! invalidates the one before.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::secret::Digest;
use crate::token::{ActionGrant, KeyRingError, TokenError, TokenRules, verify_action, verify_ended_action};
use crate::used_tokens::{Mark, StoreError, Use, UsedToken, UsedTokens};
use crate::web::db::{Database, QueryError};
use crate::web::identity::Account;
use crate::web::membership::action_codes::{ActionCodes, code_in};
use crate::web::tokens::issuer::{ActionClaim, IssueError, Issuer};
use crate::web::tokens::link_key::LinkKey;
use crate::words::words;

/// How much longer than it could be used an action link is remembered, as for any token.
const REMEMBER: Duration = Duration::from_secs(60 * 60);

/// The subject of a link that doesn't belong to an account yet.
const NOBODY: &str = "nobody";

/// The state to which a link for the first administrator is bound.
const NO_ADMINISTRATOR: &str = "no-administrator";

/// How long the link for the first administrator works; each start prints a new one.
const FIRST_ADMINISTRATOR: Duration = Duration::from_secs(24 * 60 * 60);

words! {
    /// The purpose of an action link.
    pub enum ActionPurpose {
        /// Creating the first administrator.
        FirstAdministrator = "first-admin",
        /// Activating an account after sign-up.
        Activate = "activate",
        /// Accepting an invitation: choosing a name and the first password.
        Invite = "invite",
        /// Choosing a new password.
        Reset = "reset",
        /// Confirming the new address of an account.
        ConfirmAddress = "confirm-address",
    }
}

impl ActionPurpose {
    /// Returns the first component of the address of such a link.
    pub const fn folder(self) -> &'static str {
        match self {
            ActionPurpose::FirstAdministrator | ActionPurpose::Activate | ActionPurpose::Invite => "activate",
            ActionPurpose::Reset => "reset",
            ActionPurpose::ConfirmAddress => "confirm-address",
        }
    }

    /// Returns the purpose of a verified action; `None` if this release doesn't know it.
    pub fn of(action: &ActionGrant) -> Option<ActionPurpose> {
        action.purpose.parse().ok()
    }
}

/// How long links work.
#[derive(Clone, Copy, Debug)]
pub struct ActionLifetimes {
    /// For activation, and for the confirmation of an address.
    pub activation: Duration,
    /// For choosing a new password.
    pub reset: Duration,
    /// For invitations.
    pub invitation: Duration,
}

impl ActionLifetimes {
    const fn of(&self, purpose: ActionPurpose) -> Duration {
        match purpose {
            ActionPurpose::FirstAdministrator => FIRST_ADMINISTRATOR,
            ActionPurpose::Activate | ActionPurpose::ConfirmAddress => self.activation,
            ActionPurpose::Reset => self.reset,
            ActionPurpose::Invite => self.invitation,
        }
    }

    fn longest(&self) -> Duration {
        self.activation.max(self.reset).max(self.invitation).max(FIRST_ADMINISTRATOR)
    }
}

/// A new link, which is secret.
#[derive(Clone)]
pub struct ActionLink {
    /// The whole address.
    pub address: String,
    /// When it expires.
    pub until: Timestamp,
}

/// The result of redeeming a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendOutcome {
    /// The link has been redeemed by this call.
    Now,
    /// It had been redeemed before.
    Before,
}

/// A verified link.
#[derive(Clone, Debug)]
pub struct VerifiedAction {
    /// The claims of its token.
    pub action: ActionGrant,
    /// Its purpose.
    pub purpose: ActionPurpose,
    /// Whether it has expired; then it can't be redeemed.
    pub ended: bool,
}

/// A link can't be issued or verified.
#[derive(Debug, thiserror::Error)]
pub enum ActionLinkError {
    /// It wasn't issued by this web app, or is invalid.
    #[error("the action link is not valid")]
    Refused(#[from] TokenError),
    /// This release doesn't know its purpose.
    #[error("the action link has an unknown purpose")]
    Purpose,
    /// The web app's own keys can't be read.
    #[error("cannot read the keys")]
    Keys(#[from] KeyRingError),
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The token couldn't be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store of redeemed links failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ActionLinkError {
    fn from(error: sqlx::Error) -> ActionLinkError {
        QueryError::from(error).into()
    }
}

/// Issues, verifies and redeems action links.
#[derive(Clone)]
pub struct ActionLinks {
    issuer: Issuer,
    rules: TokenRules,
    lifetimes: ActionLifetimes,
    db: Database,
    codes: ActionCodes,
    used: Arc<dyn UsedTokens>,
}

impl ActionLinks {
    /// Issues links signed by `issuer`, and records redeemed ones in `used`. `leeway` is the same as for all
    /// tokens.
    pub fn new(
        issuer: Issuer,
        leeway: Duration,
        lifetimes: ActionLifetimes,
        db: Database,
        key: LinkKey,
        used: Arc<dyn UsedTokens>,
    ) -> ActionLinks {
        let rules = TokenRules {
            issuer: issuer.issuer.clone(),
            audience: issuer.issuer.clone(),
            leeway,
            max_lifetime: lifetimes.longest(),
        };
        let codes = ActionCodes::new(db.clone(), key);
        ActionLinks { issuer, rules, lifetimes, db, codes, used }
    }

    /// Returns the address at which someone can create the first administrator. It becomes invalid when there
    /// is an administrator.
    ///
    /// # Errors
    /// If the database fails, or the operating system provides no random bytes.
    pub async fn first_administrator(&self, now: Timestamp) -> Result<String, ActionLinkError> {
        let jti = Jti::random().map_err(IssueError::from)?;
        Ok(self.link(ActionPurpose::FirstAdministrator, NOBODY, NO_ADMINISTRATOR, jti, now).await?.address)
    }

    /// Issues a link for the owner of `account`, which invalidates earlier ones of the same purpose. With the
    /// same `jti` again, it is the same link with a new expiry. The link is bound to the account's state, and
    /// to `extra` as well.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn issue(
        &self,
        purpose: ActionPurpose,
        account: &Account,
        extra: &str,
        jti: Jti,
        now: Timestamp,
    ) -> Result<ActionLink, ActionLinkError> {
        let state = state_of(account, extra);
        let link = self.link(purpose, account.id.as_str(), &state, jti, now).await?;
        sqlx::query(
            "INSERT INTO action_links (account, purpose, jti) VALUES ($1, $2, $3) \
             ON CONFLICT (account, purpose) DO UPDATE SET jti = excluded.jti",
        )
        .bind(account.id.as_str())
        .bind(purpose.as_str())
        .bind(jti.to_string())
        .execute(self.db.writer())
        .await?;
        Ok(link)
    }

    async fn link(
        &self,
        purpose: ActionPurpose,
        subject: &str,
        state: &str,
        jti: Jti,
        now: Timestamp,
    ) -> Result<ActionLink, QueryError> {
        let until = now.plus(self.lifetimes.of(purpose));
        let claim = ActionClaim {
            subject: subject.to_owned(),
            purpose: purpose.as_str().to_owned(),
            state: state.to_owned(),
            jti,
            issued_at: now,
            expires_at: until,
        };
        let code = self.codes.add(&claim).await?;
        let address = format!("{}/{}/{}", self.issuer.issuer, purpose.folder(), code.reveal());
        Ok(ActionLink { address, until })
    }

    /// Starts the lifetime of the link with this jti, because the mail with it has been accepted.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn mark_sent(&self, jti: Jti, now: Timestamp) -> Result<(), QueryError> {
        let Some(purpose) = self.codes.purpose_of(jti).await? else { return Ok(()) };
        let Ok(purpose) = purpose.parse() else { return Ok(()) };
        self.codes.begin(jti, now, now.plus(self.lifetimes.of(purpose))).await
    }

    /// Verifies a link without redeeming it. `unverified` is a code or a token.
    ///
    /// # Errors
    /// See [`ActionLinkError`].
    pub async fn verify(&self, unverified: &str, now: Timestamp) -> Result<VerifiedAction, ActionLinkError> {
        match code_in(unverified) {
            Some(code) => {
                let claim = self.codes.find(&code).await?.ok_or(TokenError::PartCount)?;
                self.verify_token(&self.issuer.issue_action_claim(&claim, now)?, now)
            }
            None => self.verify_token(unverified, now),
        }
    }

    fn verify_token(&self, unverified: &str, now: Timestamp) -> Result<VerifiedAction, ActionLinkError> {
        let ring = self.issuer.signer.ring(now)?;
        let (action, ended) = match verify_action(unverified, &ring, &self.rules, now, self.used.fence()) {
            Ok(action) => (action, false),
            Err(refused) if refused.is_expired() => {
                (verify_ended_action(unverified, &ring, &self.rules, now, Timestamp::EPOCH)?, true)
            }
            Err(refused) => return Err(refused.into()),
        };
        let purpose = ActionPurpose::of(&action).ok_or(ActionLinkError::Purpose)?;
        Ok(VerifiedAction { action, purpose, ended })
    }

    /// Returns whether the link is the newest of its purpose for its account.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_newest(&self, link: &VerifiedAction) -> Result<bool, QueryError> {
        let newest: Option<String> =
            sqlx::query_scalar("SELECT jti FROM action_links WHERE account = $1 AND purpose = $2")
                .bind(&link.action.subject)
                .bind(link.purpose.as_str())
                .fetch_optional(self.db.reader())
                .await?;
        Ok(newest.is_some_and(|newest| newest == link.action.jti.to_string()))
    }

    /// Returns whether the link has been redeemed. Changes nothing.
    ///
    /// # Errors
    /// If the store doesn't respond.
    pub async fn is_spent(&self, action: &ActionGrant) -> Result<bool, StoreError> {
        Ok(self.used.find(action.jti).await?.is_some())
    }

    /// Redeems the link, durably. Of any number of calls exactly one returns [`SpendOutcome::Now`], and only
    /// that caller may act.
    ///
    /// # Errors
    /// If the store doesn't respond; nobody may act then.
    pub async fn spend(&self, action: &ActionGrant, now: Timestamp) -> Result<SpendOutcome, StoreError> {
        // Invariant: later than any time at which `verify` accepts the link, even if it was issued again with
        // the same jti for another attempt to send its mail.
        let forget_at =
            action.expires_at.plus(self.rules.max_lifetime + self.rules.leeway * 2).plus(REMEMBER);
        let used = UsedToken { jti: action.jti, marked_at: now, forget_at, mark: Mark::Redeemed(None) };
        match self.used.claim_issued(used, action.issued_at).await? {
            Use::First => Ok(SpendOutcome::Now),
            Use::Replay(_) => Ok(SpendOutcome::Before),
        }
    }

    /// Stores the current time on disk, so that a clock that is set back doesn't make links and sessions
    /// valid again.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keep_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.used.record_time(now).await
    }

    /// Deletes links that expired long ago, and returns how many.
    ///
    /// # Errors
    /// If the store or the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, ActionLinkError> {
        self.codes.prune(now).await?;
        Ok(self.used.purge(now).await?)
    }
}

/// Returns whether a link still matches the current state of the account.
pub fn fits(action: &ActionGrant, account: &Account, extra: &str) -> bool {
    action.subject == account.id.as_str() && action.state == state_of(account, extra)
}

fn state_of(account: &Account, extra: &str) -> String {
    let own = account.state();
    let state = [own.as_bytes().as_slice(), extra.as_bytes()].concat();
    URL_SAFE_NO_PAD.encode(Digest::of(&state).as_bytes())
}
