//! The errors of commands, and their exit codes.

use std::io;
use std::process::ExitCode;

use crate::cli::as_owner::NotTheOwner;
use crate::cli::backup_error::{BackupError, RestoreError};
use crate::config::SettingsError;
use crate::files::ShareError;
use crate::http_client::HttpError;
use crate::server::ServeError;
use crate::telemetry::TelemetryError;
use crate::token::{InvalidSecret, KeyRingError, SecretFileError, TokenError};
use crate::web::accounts::store::AccountError;
use crate::web::api_keys::ApiKeyError;
use crate::web::db::QueryError;
use crate::web::identity::passwords::HashError;
use crate::web::instance::InstanceKeysError;
use crate::web::links::LinkError;
use crate::web::mail::test_mail::TestMailError;
use crate::web::membership::action_links::ActionLinkError;
use crate::web::membership::self_service::SelfServiceError;
use crate::web::nodes::keys::NodeError;
use crate::web::nodes::revoke::RevokeError;
use crate::web::second_factor::FactorError;
use crate::web::services::WebOpenError;
use crate::web::shares::error::StorageError;
use crate::web::tokens::issuer::IssueError;
use crate::web::tokens::signer::SignerError;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An argument is invalid.
    #[error("{argument}: {problem}; {remedy}")]
    Usage {
        /// The argument or option.
        argument: &'static str,
        /// What is wrong with it.
        problem: String,
        /// How to fix it.
        remedy: String,
    },
    /// The services can't run.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The command would leave files that the service can't read.
    #[error(transparent)]
    Owner(#[from] NotTheOwner),
    /// A command about a node failed.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A revocation was not delivered.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// The keys don't match the database.
    #[error(transparent)]
    Keys(#[from] InstanceKeysError),
    /// The log can't be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The private keys are unusable.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// No token could be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// No link has this id.
    #[error("there is no link {id}; `oncelink links list` shows the ids")]
    NoLink {
        /// The id.
        id: String,
    },
    /// An API key can't be read or made.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// No API key has this id.
    #[error("there is no API key {id}; `oncelink api-keys list` shows the ids")]
    NoApiKey {
        /// The id.
        id: String,
    },
    /// The shares can't be opened.
    #[error(transparent)]
    Shares(#[from] ShareError),
    /// The shares can't be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A link could not be changed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// There would be no administrator left.
    #[error("{email} is the only administrator; make someone else an administrator first")]
    LastAdministrator {
        /// The address.
        email: String,
    },
    /// Changing an account failed.
    #[error(transparent)]
    SelfService(#[from] SelfServiceError),
    /// Changing a second factor failed.
    #[error(transparent)]
    SecondFactor(#[from] FactorError),
    /// Creating an action link failed.
    #[error(transparent)]
    Action(#[from] ActionLinkError),
    /// The public keys can't be loaded.
    #[error("cannot read the public keys from {from}")]
    PublicKeys {
        /// The file or address.
        from: String,
        /// The cause.
        #[source]
        source: PublicKeysError,
    },
    /// A shared secret can't be loaded.
    #[error(transparent)]
    SharedSecret(#[from] SecretFileError),
    /// `token verify` refused the token.
    #[error("refused: {error} ({})", error.reason())]
    Refused {
        /// The check that failed.
        error: TokenError,
    },
    /// The download service can't be reached.
    #[error(
        "cannot reach the download service at {at}; is it running, and is `download.inner_url` right? The web app delivers the revocation as soon as it can reach it"
    )]
    Unreachable {
        /// The address that was asked.
        at: String,
        /// The cause.
        #[source]
        source: HttpError,
    },
    /// The download service refused the revocation.
    #[error("the download service at {at} refused to revoke (status {status}); {remedy}")]
    NotRevoked {
        /// The address that was asked.
        at: String,
        /// The status of its response.
        status: u16,
        /// How to fix it.
        remedy: &'static str,
    },
    /// The accounts are unusable.
    #[error(transparent)]
    Open(#[from] WebOpenError),
    /// An account can't be read or stored.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A password can't be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The address already has an account.
    #[error("{email} already has an account; use `oncelink user passwd` to change its password")]
    AccountExists {
        /// The address.
        email: String,
    },
    /// The address has no account.
    #[error("{email} has no account; run `oncelink user list` to see all accounts")]
    NoAccount {
        /// The address.
        email: String,
    },
    /// Someone else changed the account at the same time.
    #[error("someone else changed the password of {email} at the same time; check and try again")]
    AccountChanged {
        /// The address.
        email: String,
    },
    /// Sending a test email failed.
    #[error(transparent)]
    MailTrial(#[from] TestMailError),
    /// There is no such email.
    #[error("there is no waiting or failed email {id}; run `oncelink mail list` to see them")]
    NoMail {
        /// Its id.
        id: String,
    },
    /// Creating a backup failed.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Restoring a backup failed.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Standard input can't be read.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// Standard output can't be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// Loading the keys for verification failed.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeysError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The address doesn't answer.
    #[error(transparent)]
    Fetch(#[from] HttpError),
    /// The address responds with an error.
    #[error("the response has status {0}")]
    Status(u16),
    /// The keys are unusable.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The secret is unusable.
    #[error(transparent)]
    Secret(#[from] InvalidSecret),
}

impl CliError {
    /// Returns 2 for mistakes in arguments or settings, 1 for failures and refusals.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            CliError::Settings(_) | CliError::Usage { .. } => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
