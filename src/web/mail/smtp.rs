//! One dialogue with a mail server (RFC 5321), each step within its own limit. A dialogue that is
//! given up closes its connection: an answer that comes late is never taken for the next mail's.

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

/// How long each step may take. Those of RFC 5321, section 4.5.3.2, but for reaching the server.
#[derive(Clone, Copy, Debug)]
pub struct StepTimeouts {
    /// Reaching the server, before it says anything.
    pub connect: Duration,
    /// The greeting and `EHLO`, starting TLS, and each of `AUTH`, `MAIL` and `RCPT`.
    pub command: Duration,
    /// `DATA`
    pub data: Duration,
    /// The mail, and the server's verdict on it.
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

/// Whether a connection is encrypted.
#[derive(Clone)]
pub(crate) enum ConnectionSecurity {
    /// TLS from the first byte (`smtps://`).
    Wrapped(TlsParameters),
    /// STARTTLS, or no mail.
    Required(TlsParameters),
    /// STARTTLS where the server offers it, with any certificate: without TLS there would be none.
    Opportunistic(TlsParameters),
    /// Plain text.
    Plain,
}

/// Where the server is, and how to talk to it.
#[derive(Clone)]
pub(crate) struct MailEndpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: ConnectionSecurity,
    pub(crate) own_name: ClientId,
    pub(crate) limits: StepTimeouts,
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {problem}")]
pub struct SmtpStepError {
    /// At which step.
    pub step: SmtpStep,
    /// Whose fault it is.
    pub fault: MailFault,
    /// What the server said, or what went wrong on the way to it; never what was sent.
    pub problem: String,
    /// Whether the connection may be used for another mail.
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
                // Perhaps it has the mail: a few tries may bring it several times, days of them must not.
                (
                    MailFault::Refused,
                    format!("the answer can't be read; perhaps the email was taken ({text})"),
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
        let problem = format!("no answer within {} s", limit.as_secs());
        SmtpStepError::new(step, fault_of_silence(step), problem)
    }
}

/// A server that falls silent once it knows the recipient may do so for this recipient only.
const fn fault_of_silence(step: SmtpStep) -> MailFault {
    match step {
        SmtpStep::Connect | SmtpStep::Tls | SmtpStep::LogIn | SmtpStep::Sender => MailFault::Server,
        SmtpStep::Recipient | SmtpStep::Data | SmtpStep::Content => MailFault::Later,
    }
}

/// Whether the server answered something that is no reply (RFC 5321, section 4.2), or in no UTF-8.
fn is_unreadable(error: &SmtpError) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    let is_no_text = causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::InvalidData)
    });
    is_no_text || (error.is_response() && !deepest(error).contains("incomplete response"))
}

/// The last cause, which says what happened; those above only repeat it.
fn deepest(error: &SmtpError) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An open connection, greeted, encrypted as wished and logged in.
pub(crate) struct SmtpConnection {
    connection: AsyncSmtpConnection,
    limits: StepTimeouts,
    /// Mails that went over it.
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

    /// Hands one mail over and returns what the server said. After an error the dialogue may go on only
    /// if that says so, after [`SmtpConnection::reset`].
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

    /// Lets the server forget a mail that was begun; false when the connection can't be used further.
    pub(crate) async fn reset(&mut self) -> bool {
        let limit = self.limits.command.min(Duration::from_secs(30));
        within(SmtpStep::Connect, limit, self.connection.command(Rset)).await.is_ok()
    }

    /// Says goodbye, within a few seconds.
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
