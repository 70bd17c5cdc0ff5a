//! One dialogue with a mail server (RFC 5321), with a timeout for each step. When a dialogue is aborted, its
//! connection is closed, so that a late reply is never mistaken for the reply to the next mail.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use crate::web::mail::verdict::{MailFault, SmtpStep, judge};

/// The timeout of each step. The defaults are those of RFC 5321, section 4.5.3.2, except for connecting.
#[derive(Clone, Copy, Debug)]
pub struct StepTimeouts {
    /// Connecting to the server.
    pub connect: Duration,
    /// The greeting and `EHLO`, starting TLS, and each of `AUTH`, `MAIL` and `RCPT`.
    pub command: Duration,
    /// `DATA`
    pub data: Duration,
    /// The mail itself, until the server's final reply.
    pub content: Duration,
}

impl Default for StepTimeouts {
    fn default() -> StepTimeouts {
        StepTimeouts {
            connect: Duration::from_secs(30),
            command: Duration::from_secs(5 * 60),
            data: Duration::from_secs(2 * 60),
            content: Duration::from_secs(10 * 60),
        }
    }
}

/// How a connection is encrypted.
#[derive(Clone)]
pub(crate) enum ConnectionSecurity {
    /// TLS from the first byte (`smtps://`).
    Wrapped(TlsParameters),
    /// STARTTLS is required; otherwise no mail is sent.
    Required(TlsParameters),
    /// STARTTLS if the server offers it, with any certificate: the alternative would be no TLS at all.
    Opportunistic(TlsParameters),
    /// Plain text.
    Plain,
}

/// The server's address, and how to talk to it.
#[derive(Clone)]
pub(crate) struct MailEndpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: ConnectionSecurity,
    pub(crate) own_name: ClientId,
    pub(crate) limits: StepTimeouts,
}

/// A step of the dialogue failed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", step.as_str())]
pub struct SmtpStepError {
    /// The step that failed.
    pub step: SmtpStep,
    /// The cause.
    pub fault: MailFault,
    /// What the server replied, or what went wrong while talking to it; never contains what we sent.
    pub problem: String,
    /// Whether the connection can be used for another mail.
    pub(crate) is_reusable: bool,
}

impl SmtpStepError {
    fn of(step: SmtpStep, error: &SmtpError) -> SmtpStepError {
        let code = error.status().map(u16::from);
        let text = deepest(error);
        let (fault, problem) = match code {
            Some(code) => (judge(step, code, &text), format!("{code} {text}")),
            None if error.is_tls() || text.contains("certificate") => (MailFault::Operator, text),
            None if step == SmtpStep::Content && is_unreadable(error) => {
                // The server may have accepted the mail: a few retries may deliver it several times, but
                // retrying for days must not.
                (
                    MailFault::Refused,
                    format!("the reply can't be read; the email may have been accepted ({text})"),
                )
            }
            None => (fault_of_silence(step), text),
        };
        SmtpStepError { step, fault, problem, is_reusable: code.is_some_and(|code| code != 421) }
    }

    pub(crate) fn new(step: SmtpStep, fault: MailFault, problem: impl Into<String>) -> SmtpStepError {
        SmtpStepError { step, fault, problem: problem.into(), is_reusable: false }
    }

    fn silent(step: SmtpStep, limit: Duration) -> SmtpStepError {
        let problem = format!("no reply within {} s", limit.as_secs());
        SmtpStepError::new(step, fault_of_silence(step), problem)
    }
}

/// Returns the cause of a missing reply. Once the server knows the recipient, it may be about this recipient
/// only.
const fn fault_of_silence(step: SmtpStep) -> MailFault {
    match step {
        SmtpStep::Connect | SmtpStep::Tls | SmtpStep::LogIn | SmtpStep::Sender => MailFault::Server,
        SmtpStep::Recipient | SmtpStep::Data | SmtpStep::Content => MailFault::Later,
    }
}

/// Whether the server's answer is not a valid reply (RFC 5321, section 4.2) or not valid UTF-8.
fn is_unreadable(error: &SmtpError) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    let is_no_text = causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::InvalidData)
    });
    is_no_text || (error.is_response() && !deepest(error).contains("incomplete response"))
}

/// Returns the innermost cause, which says what happened; the outer ones only repeat it.
fn deepest(error: &SmtpError) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An open connection: greeted, encrypted as configured, and logged in.
pub(crate) struct SmtpConnection {
    connection: AsyncSmtpConnection,
    limits: StepTimeouts,
    /// How many mails were sent over it.
    pub(crate) mails: u32,
}

impl SmtpConnection {
    /// Connects, greets, starts TLS and logs in.
    pub(crate) async fn open(
        endpoint: &MailEndpoint,
        credentials: Option<&Credentials>,
    ) -> Result<SmtpConnection, SmtpStepError> {
        let limits = endpoint.limits;
        let mut connection = match &endpoint.security {
            ConnectionSecurity::Wrapped(tls) => connect(endpoint, Some(tls)).await?,
            _ => connect(endpoint, None).await?,
        };
        match &endpoint.security {
            ConnectionSecurity::Required(tls) => {
                if !connection.can_starttls() {
                    let problem = "the server does not offer STARTTLS, which `mail.tls` requires";
                    return Err(SmtpStepError::new(SmtpStep::Tls, MailFault::Operator, problem));
                }
                let starting = connection.starttls(tls.clone(), &endpoint.own_name);
                within(SmtpStep::Tls, limits.command, starting).await?;
            }
            ConnectionSecurity::Opportunistic(tls) if connection.can_starttls() => {
                let starting = connection.starttls(tls.clone(), &endpoint.own_name);
                if let Err(error) = within(SmtpStep::Tls, limits.command, starting).await {
                    tracing::warn!(
                        "the mail server offers TLS that does not work ({error}); sending without it"
                    );
                    connection = connect(endpoint, None).await?;
                }
            }
            ConnectionSecurity::Opportunistic(_)
            | ConnectionSecurity::Wrapped(_)
            | ConnectionSecurity::Plain => {}
        }
        if let Some(credentials) = credentials {
            const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&MECHANISMS).is_none() {
                let problem = "the server offers no way to log in with a password; check `mail.credentials`";
                return Err(SmtpStepError::new(SmtpStep::LogIn, MailFault::Operator, problem));
            }
            within(SmtpStep::LogIn, limits.command, connection.auth(&MECHANISMS, credentials)).await?;
        }
        Ok(SmtpConnection { connection, limits, mails: 0 })
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.connection.is_encrypted()
    }

    /// Sends a mail and returns the server's reply. After an error, the connection can be used for another
    /// mail only if [`SmtpStepError::is_reusable`] is true, and after [`SmtpConnection::reset`].
    pub(crate) async fn send(
        &mut self,
        sender: &Address,
        recipient: &Address,
        message: &[u8],
    ) -> Result<String, SmtpStepError> {
        let connection = &mut self.connection;
        let mut parameters = Vec::new();
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if !is_ascii(recipient) || !is_ascii(sender) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let problem = "the server can't deliver to an address with letters outside ASCII (SMTPUTF8)";
                let error = SmtpStepError::new(SmtpStep::Sender, MailFault::Mailbox, problem);
                return Err(SmtpStepError { is_reusable: true, ..error });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !message.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let limits = self.limits;
        self.mails = self.mails.saturating_add(1);
        let mail = connection.command(Mail::new(Some(sender.clone()), parameters));
        within(SmtpStep::Sender, limits.command, mail).await?;
        let recipient = connection.command(Rcpt::new(recipient.clone(), Vec::new()));
        within(SmtpStep::Recipient, limits.command, recipient).await?;
        within(SmtpStep::Data, limits.data, connection.command(Data)).await?;
        let answer = within(SmtpStep::Content, limits.content, connection.message(message)).await?;
        let lines = answer.message().collect::<Vec<_>>().join(" ");
        Ok(format!("{} {lines}", u16::from(answer.code())))
    }

    /// Makes the server discard an unfinished mail; returns false if the connection can't be used any more.
    pub(crate) async fn reset(&mut self) -> bool {
        let limit = self.limits.command.min(Duration::from_secs(30));
        within(SmtpStep::Connect, limit, self.connection.command(Rset)).await.is_ok()
    }

    /// Sends `QUIT`, waiting a few seconds at most.
    pub(crate) async fn quit(mut self) {
        let _closed_either_way = tokio::time::timeout(Duration::from_secs(3), self.connection.quit()).await;
    }
}

async fn connect(
    endpoint: &MailEndpoint,
    tls: Option<&TlsParameters>,
) -> Result<AsyncSmtpConnection, SmtpStepError> {
    let server = (endpoint.host.as_str(), endpoint.port);
    let limits = endpoint.limits;
    let connecting = AsyncSmtpConnection::connect_tokio1(
        server,
        Some(limits.connect),
        &endpoint.own_name,
        tls.cloned(),
        None::<IpAddr>,
    );
    within(SmtpStep::Connect, limits.connect + limits.command, connecting).await
}

async fn within<T>(
    step: SmtpStep,
    limit: Duration,
    doing: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, SmtpStepError> {
    match tokio::time::timeout(limit, doing).await {
        Ok(done) => done.map_err(|error| SmtpStepError::of(step, &error)),
        Err(_) => Err(SmtpStepError::silent(step, limit)),
    }
}
