//! Sends test mails with the configured settings, for operators who set mail up. Does not touch the queue.

use std::time::Duration;

use crate::brand::{Brand, BrandError};
use crate::clock::Timestamp;
use crate::reloadable::Reloadable;
use crate::secret::{RandomError, Secret};
use crate::web::identity::Email;
use crate::web::mail::letters::Letter;
use crate::web::mail::message::{MailHeaders, MessageComposer, MessageError};
use crate::web::mail::transport::{MailRules, MailTransport, SendError, TransportError};

/// How long a page waits for the server's reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// A test mail could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum TestMailError {
    /// The settings don't describe a usable way to send mails.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// `mail.from` is not a valid mailbox.
    #[error("`mail.from` is not a valid sender")]
    Sender(#[from] lettre::address::AddressError),
    /// The operator's brand can't be used.
    #[error(transparent)]
    Brand(#[from] BrandError),
    /// The mail could not be written.
    #[error("cannot write the test mail")]
    Template(#[from] askama::Error),
    /// The message could not be built.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The operating system gave no random bytes for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The server did not accept it.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Sends test mails while the web app runs. Cheap to clone.
#[derive(Clone)]
pub struct TestMailer(Reloadable<MailRules>);

impl TestMailer {
    /// Creates one with these settings.
    pub fn new(rules: impl Into<MailRules>) -> TestMailer {
        TestMailer(Reloadable::new(rules.into()))
    }

    /// Uses these settings from now on.
    pub fn set_rules(&self, rules: impl Into<MailRules>) {
        self.0.replace(rules.into());
    }

    /// Whether mails are only saved in a folder.
    pub fn is_outbox(&self) -> bool {
        self.0.current().mail.send.as_str() == "outbox"
    }

    /// Sends a test mail to `to` immediately, and returns the server's reply.
    ///
    /// # Errors
    /// An explanation for an administrator.
    pub async fn send(&self, to: &Email, now: Timestamp) -> Result<String, String> {
        match tokio::time::timeout(PATIENCE, send(MailRules::clone(&self.0.current()), to, now)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(crate::telemetry::chain(&error).to_string()),
            Err(_) => Err(format!("the mail server did not respond within {} seconds", PATIENCE.as_secs())),
        }
    }
}

/// Connects, greets, starts TLS and logs in, and returns a description of the connection. Sends nothing.
///
/// # Errors
/// See [`TestMailError`].
pub async fn connect(rules: impl Into<MailRules>) -> Result<String, TestMailError> {
    Ok(MailTransport::open(rules)?.try_out().await?)
}

/// Sends a test mail to `to` immediately, and returns the server's reply.
///
/// # Errors
/// See [`TestMailError`].
pub async fn send(rules: impl Into<MailRules>, to: &Email, now: Timestamp) -> Result<String, TestMailError> {
    let rules = rules.into();
    let transport = MailTransport::open(rules.clone())?;
    let public_url = rules.public_url.as_str();
    let host = public_url.split_once("://").map_or(public_url, |(_, host)| host).to_owned();
    let brand = Brand::open(&rules.brand)?;
    let rendered = Letter::Test.render(&host, &brand, now)?;
    let envelope = MessageComposer::new(&rules.mail, host, brand)?;
    let id = Secret::random::<16>()?;
    let message = envelope.message(id.reveal(), to.as_str(), rendered, &MailHeaders::default(), now)?;
    Ok(transport.send(&format!("test-{}", id.reveal()), &message).await?)
}
