//! Action links: one-time links that let somebody make the first administrator or choose a
//! password. Single use through the used-token store, and bound to a state, so that a link dies
//! when what it was for is done in another way.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::token::{Action, KeyRingError, Rules, TokenError, verify_action};
use crate::used_tokens::{Mark, StoreError, Use, UsedToken, UsedTokens};
use crate::web::account::Account;
use crate::web::issue::{IssueError, Issuer};

/// How long an action link can be used.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How much longer than it could be used an action link is remembered, as for any token.
const REMEMBER: Duration = Duration::from_secs(60 * 60);

/// The account of a link that belongs to no account yet.
const NOBODY: &str = "nobody";

/// The state that a link for the first administrator is bound to.
const NO_ADMINISTRATOR: &str = "no-administrator";

/// What an action link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Making the first administrator.
    FirstAdministrator,
    /// Choosing the password of an account.
    SetPassword,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Purpose::FirstAdministrator => "first-admin",
            Purpose::SetPassword => "set-password",
        }
    }

    /// What a verified action is for; `None` for what this release does not know.
    pub fn of(action: &Action) -> Option<Purpose> {
        [Purpose::FirstAdministrator, Purpose::SetPassword]
            .into_iter()
            .find(|purpose| purpose.word() == action.purpose)
    }
}

/// What came of spending a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It is spent now, for good.
    Now,
    /// It was spent before.
    Before,
}

/// A link can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// It is none of ours, or its time is over.
    #[error("the action link is refused")]
    Refused(#[from] TokenError),
    /// Our own keys can't be read.
    #[error("cannot read the keys")]
    Keys(#[from] KeyRingError),
}

/// Issues, verifies and spends action links.
#[derive(Clone)]
pub struct Actions {
    issuer: Issuer,
    rules: Rules,
    used: Arc<dyn UsedTokens>,
}

impl Actions {
    /// Links signed by `issuer`, remembered by `used`; `leeway` as for all tokens.
    pub fn new(issuer: Issuer, leeway: Duration, used: Arc<dyn UsedTokens>) -> Actions {
        let rules = Rules {
            issuer: issuer.issuer.clone(),
            audience: issuer.issuer.clone(),
            leeway,
            max_lifetime: LIFETIME,
        };
        Actions { issuer, rules, used }
    }

    /// The address at which somebody can make the first administrator. Worth nothing once there
    /// is an administrator.
    ///
    /// # Errors
    /// When nothing can be signed.
    pub fn first_administrator(&self, now: Timestamp) -> Result<String, IssueError> {
        self.address(Purpose::FirstAdministrator, NOBODY, NO_ADMINISTRATOR, now)
    }

    /// The address at which the owner of `account` can choose its password. Worth nothing once
    /// the password has changed.
    ///
    /// # Errors
    /// When nothing can be signed.
    pub fn set_password(&self, account: &Account, now: Timestamp) -> Result<String, IssueError> {
        self.address(Purpose::SetPassword, account.id.as_str(), &state_of(account), now)
    }

    fn address(
        &self,
        purpose: Purpose,
        subject: &str,
        state: &str,
        now: Timestamp,
    ) -> Result<String, IssueError> {
        let issued = self.issuer.issue_action(subject, purpose.word(), state, LIFETIME, now)?;
        Ok(format!("{}/activate/{}", self.issuer.issuer, issued.token))
    }

    /// Checks a link without spending it.
    ///
    /// # Errors
    /// See [`ActionError`].
    pub fn verify(&self, unverified: &str, now: Timestamp) -> Result<Action, ActionError> {
        let ring = self.issuer.signer.ring(now)?;
        Ok(verify_action(unverified, &ring, &self.rules, now, self.used.fence())?)
    }

    /// Whether the link was spent. Changes nothing.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn is_spent(&self, action: &Action) -> Result<bool, StoreError> {
        Ok(self.used.find(action.jti).await?.is_some())
    }

    /// Spends the link, durably. Of any number of calls exactly one answers [`Spent::Now`]; only
    /// that one may act.
    ///
    /// # Errors
    /// When the store gives no answer; nobody may act then.
    pub async fn spend(&self, action: &Action, now: Timestamp) -> Result<Spent, StoreError> {
        // Invariant: later than any moment at which `verify` accepts the link.
        let forget_at = action.expires_at.plus(self.rules.leeway * 2).plus(REMEMBER);
        let used = UsedToken { jti: action.jti, marked_at: now, forget_at, mark: Mark::Redeemed(None) };
        match self.used.claim(used).await? {
            Use::First => Ok(Spent::Now),
            Use::Replay(_) => Ok(Spent::Before),
        }
    }

    /// Keeps the present moment on disk, so that a clock that is set back does not bring links and
    /// sessions back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.used.keep_time(now).await
    }

    /// Forgets links whose time is over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.used.purge(now).await
    }
}

/// Whether a link for choosing a password still fits the account.
pub fn fits(action: &Action, account: &Account) -> bool {
    action.subject == account.id.as_str() && action.state == state_of(account)
}

fn state_of(account: &Account) -> String {
    URL_SAFE_NO_PAD.encode(account.password_state().as_bytes())
}
