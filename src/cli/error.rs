//! Why a command was not done, and with which exit code that ends.

use std::io;
use std::process::ExitCode;

use crate::cli::as_owner::NotTheOwner;
use crate::cli::{BackupError, RestoreError};
use crate::config::SettingsError;
use crate::server::ServeError;
use crate::telemetry::TelemetryError;
use crate::token::{InvalidSecret, KeyRingError, SecretFileError, TokenError};
use crate::web::accounts::store::AccountError;
use crate::web::db::QueryError;
use crate::web::identity::passwords::HashError;
use crate::web::instance::KeysError;
use crate::web::mail::trial::TrialError;
use crate::web::membership::action_links::ActionError;
use crate::web::membership::self_service::SelfServiceError;
use crate::web::nodes::keys::NodeError;
use crate::web::nodes::revoke::RevokeError;
use crate::web::services::OpenError;
use crate::web::tokens::issuer::IssueError;
use crate::web::tokens::signer::SignerError;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What was typed can't be meant.
    #[error("{argument}: {problem}; {remedy}")]
    Usage {
        /// Which argument or option.
        argument: &'static str,
        /// What is wrong with it.
        problem: String,
        /// How to mend it.
        remedy: String,
    },
    /// The services can't run.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The command would leave files that the service can't read.
    #[error(transparent)]
    Owner(#[from] NotTheOwner),
    /// What was wanted of a node can't be done.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A revocation was not delivered.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// The keys are not those of the database.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The log can't be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The private keys can't be used.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// No token could be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Nobody would be left who can administer.
    #[error("{email} is the only administrator; make somebody else one first")]
    LastAdministrator {
        /// The address.
        email: String,
    },
    /// A change of an account failed.
    #[error(transparent)]
    SelfService(#[from] SelfServiceError),
    /// No action link could be made.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The public keys can't be had.
    #[error("cannot read the public keys from {from}")]
    PublicKeys {
        /// The file or address.
        from: String,
        /// Why.
        #[source]
        source: PublicKeysError,
    },
    /// A shared secret can't be had.
    #[error(transparent)]
    SharedSecret(#[from] SecretFileError),
    /// `token verify` says no.
    #[error("refused: {error} ({})", error.reason())]
    Refused {
        /// The check that failed.
        error: TokenError,
    },
    /// The download service did not answer.
    #[error(
        "cannot reach the download service at {at}; is it running, and is `download.inner_url` right? It is told as soon as the web app reaches it"
    )]
    Unreachable {
        /// The address that was asked.
        at: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The download service answered something else than "done".
    #[error("the download service at {at} refused to revoke (status {status}); {remedy}")]
    NotRevoked {
        /// The address that was asked.
        at: String,
        /// What it answered.
        status: u16,
        /// How to mend it.
        remedy: &'static str,
    },
    /// The accounts can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An account can't be read or stored.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A password can't be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The address has an account.
    #[error("{email} has an account already; `oncelink user passwd` gives it another password")]
    AccountExists {
        /// The address.
        email: String,
    },
    /// The address has no account.
    #[error("{email} has no account; `oncelink user list` shows which there are")]
    NoAccount {
        /// The address.
        email: String,
    },
    /// Somebody else changed the account at the same moment.
    #[error("the password of {email} was changed by somebody else at the same moment; look and try again")]
    AccountChanged {
        /// The address.
        email: String,
    },
    /// No test mail could be sent.
    #[error(transparent)]
    MailTrial(#[from] TrialError),
    /// There is no such mail.
    #[error("there is no mail {id} that could be changed; `oncelink mail list` shows which there are")]
    NoMail {
        /// Its id.
        id: String,
    },
    /// No backup was made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Nothing was restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Standard input can't be read.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// Standard output can't be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// Why there are no keys to verify with.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeysError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The address gives no answer.
    #[error(transparent)]
    Fetch(#[from] reqwest::Error),
    /// The address answers, but not with keys.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// The keys are unusable.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The secret is unusable.
    #[error(transparent)]
    Secret(#[from] InvalidSecret),
}

impl CliError {
    /// 2 for what the operator typed or set, 1 for what went wrong or was refused.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            CliError::Settings(_) | CliError::Usage { .. } => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
