//! Action links: one-time links that let somebody activate an account, accept an invitation, choose
//! another password, confirm an address or make the first administrator.
//!
//! Single use through the used-token store; bound to a state, so that a link dies when what it was
//! for is done in another way; and the newest of its kind, so that one mail ends the one before.

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

/// The account of a link that belongs to no account yet.
const NOBODY: &str = "nobody";

/// The state that a link for the first administrator is bound to.
const NO_ADMINISTRATOR: &str = "no-administrator";

/// How long the link for the first administrator works; each start prints another.
const FIRST_ADMINISTRATOR: Duration = Duration::from_secs(24 * 60 * 60);

words! {
    /// What an action link is for.
    pub enum ActionPurpose {
        /// Making the first administrator.
        FirstAdministrator = "first-admin",
        /// Activating an account that somebody signed up for.
        Activate = "activate",
        /// Accepting an invitation: choosing a name and the first password.
        Invite = "invite",
        /// Choosing another password.
        Reset = "reset",
        /// Confirming the address that an account is to have.
        ConfirmAddress = "confirm-address",
    }
}

impl ActionPurpose {
    /// The first component of the address at which such a link is opened.
    pub const fn folder(self) -> &'static str {
        match self {
            ActionPurpose::FirstAdministrator | ActionPurpose::Activate | ActionPurpose::Invite => "activate",
            ActionPurpose::Reset => "reset",
            ActionPurpose::ConfirmAddress => "confirm-address",
        }
    }

    /// What a verified action is for; `None` for what this release does not know.
    pub fn of(action: &ActionGrant) -> Option<ActionPurpose> {
        action.purpose.parse().ok()
    }
}

/// How long links work.
#[derive(Clone, Copy, Debug)]
pub struct ActionLifetimes {
    /// Activation, and the confirmation of an address.
    pub activation: Duration,
    /// Choosing another password.
    pub reset: Duration,
    /// Invitations.
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

/// A link that was just made. A secret.
#[derive(Clone)]
pub struct ActionLink {
    /// The whole address.
    pub address: String,
    /// Until when it works.
    pub until: Timestamp,
}

/// What came of spending a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendOutcome {
    /// It is spent now, for good.
    Now,
    /// It was spent before.
    Before,
}

/// A verified link.
#[derive(Clone, Debug)]
pub struct VerifiedAction {
    /// What it says.
    pub action: ActionGrant,
    /// What it is for.
    pub purpose: ActionPurpose,
    /// Whether its time is over; then it can't be spent.
    pub ended: bool,
}

/// A link can't be made or looked at.
#[derive(Debug, thiserror::Error)]
pub enum ActionLinkError {
    /// It is none of ours.
    #[error("the action link is refused")]
    Refused(#[from] TokenError),
    /// It is for something that this release does not know.
    #[error("the action link has an unknown purpose")]
    Purpose,
    /// Our own keys can't be read.
    #[error("cannot read the keys")]
    Keys(#[from] KeyRingError),
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Nothing could be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store of spent links failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ActionLinkError {
    fn from(error: sqlx::Error) -> ActionLinkError {
        QueryError::from(error).into()
    }
}

/// Issues, verifies and spends action links.
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
    /// Links signed by `issuer`, remembered by `used`; `leeway` as for all tokens.
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

    /// The address at which somebody can make the first administrator. Worth nothing once there
    /// is an administrator.
    ///
    /// # Errors
    /// When the database fails or there are no random bytes.
    pub async fn first_administrator(&self, now: Timestamp) -> Result<String, ActionLinkError> {
        let jti = Jti::random().map_err(IssueError::from)?;
        Ok(self.link(ActionPurpose::FirstAdministrator, NOBODY, NO_ADMINISTRATOR, jti, now).await?.address)
    }

    /// A link for the owner of `account`. Ends every older one of the same purpose; with the same
    /// `jti` once more it is the same link with a later end. `extra` is what it is bound to beside
    /// the account's own state.
    ///
    /// # Errors
    /// When the database fails or nothing can be signed.
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

    /// The mail with the link of that jti was accepted: its time begins now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_sent(&self, jti: Jti, now: Timestamp) -> Result<(), QueryError> {
        let Some(purpose) = self.codes.purpose_of(jti).await? else { return Ok(()) };
        let Ok(purpose) = purpose.parse() else { return Ok(()) };
        self.codes.begin(jti, now, now.plus(self.lifetimes.of(purpose))).await
    }

    /// Checks a link without spending it: the token that its code leads to, or a token itself.
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

    /// Whether no newer link of its purpose was made for the account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_newest(&self, link: &VerifiedAction) -> Result<bool, QueryError> {
        let newest: Option<String> =
            sqlx::query_scalar("SELECT jti FROM action_links WHERE account = $1 AND purpose = $2")
                .bind(&link.action.subject)
                .bind(link.purpose.as_str())
                .fetch_optional(self.db.reader())
                .await?;
        Ok(newest.is_some_and(|newest| newest == link.action.jti.to_string()))
    }

    /// Whether the link was spent. Changes nothing.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn is_spent(&self, action: &ActionGrant) -> Result<bool, StoreError> {
        Ok(self.used.find(action.jti).await?.is_some())
    }

    /// Spends the link, durably. Of any number of calls exactly one answers [`SpendOutcome::Now`]; only
    /// that one may act.
    ///
    /// # Errors
    /// When the store gives no answer; nobody may act then.
    pub async fn spend(&self, action: &ActionGrant, now: Timestamp) -> Result<SpendOutcome, StoreError> {
        // Invariant: later than any moment at which `verify` accepts the link, also one that was
        // made a second time with the same jti, for another attempt to send its mail.
        let forget_at =
            action.expires_at.plus(self.rules.max_lifetime + self.rules.leeway * 2).plus(REMEMBER);
        let used = UsedToken { jti: action.jti, marked_at: now, forget_at, mark: Mark::Redeemed(None) };
        match self.used.claim(used).await? {
            Use::First => Ok(SpendOutcome::Now),
            Use::Replay(_) => Ok(SpendOutcome::Before),
        }
    }

    /// Keeps the present moment on disk, so that a clock that is set back does not bring links and
    /// sessions back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.used.record_time(now).await
    }

    /// Forgets links whose time is over.
    ///
    /// # Errors
    /// When the store or the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, ActionLinkError> {
        self.codes.prune(now).await?;
        Ok(self.used.purge(now).await?)
    }
}

/// Whether a link still fits the account as it is now.
pub fn fits(action: &ActionGrant, account: &Account, extra: &str) -> bool {
    action.subject == account.id.as_str() && action.state == state_of(account, extra)
}

fn state_of(account: &Account, extra: &str) -> String {
    let own = account.state();
    let state = [own.as_bytes().as_slice(), extra.as_bytes()].concat();
    URL_SAFE_NO_PAD.encode(Digest::of(&state).as_bytes())
}
