//! The ways to send mails: into the outbox folder, or to a mail server over a few reused connections.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::Instant;
use url::Url;

use crate::config::{BrandSettings, MailSettings, MailTls};
use crate::web::mail::smtp::{ConnectionSecurity, MailEndpoint, SmtpConnection, SmtpStepError, StepTimeouts};
use crate::web::mail::verdict::{MailFault, SmtpStep};

/// How long an idle connection is kept; servers close theirs after some minutes.
const KEEP_IDLE: Duration = Duration::from_secs(30);
/// Maximum number of mails per connection, because many servers limit them.
const MAILS_PER_CONNECTION: u32 = 100;
/// Maximum number of idle connections.
const MAX_IDLE: usize = 8;
/// Maximum size of a credentials file that is read, in bytes.
const CREDENTIALS_MAX: usize = 64 * 1024;

/// The mail settings are not usable. The message names the setting to check.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address of the mail server is not valid.
    #[error("`mail.send` is neither `outbox` nor the address of a mail server")]
    Address,
    /// A file named in the settings can't be read.
    #[error("cannot read {} (`{key}`)", path.display())]
    File {
        /// The key of the setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it can't be read.
        #[source]
        source: io::Error,
    },
    /// The credentials file is not in the expected format.
    #[error("{} (`mail.credentials`) must have two lines: user and password", .0.display())]
    Credentials(PathBuf),
    /// The certificates file contains no certificate.
    #[error("{} (`mail.certificates`) has no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// TLS can't be set up.
    #[error("cannot set up TLS for the mail server; check `mail.certificates`")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// A mail could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The outbox can't be written to.
    #[error("cannot write into the outbox")]
    Outbox(#[from] io::Error),
    /// The credentials can't be read now.
    #[error(transparent)]
    Credentials(#[from] TransportError),
    /// The mail server did not accept it.
    #[error("{server}, {error}")]
    Smtp {
        /// The server, as host and port.
        server: String,
        /// What happened, and at which step.
        error: SmtpStepError,
    },
}

impl SendError {
    /// Returns the cause of the failure.
    pub const fn fault(&self) -> MailFault {
        match self {
            SendError::Outbox(_) | SendError::Credentials(_) => MailFault::Operator,
            SendError::Smtp { error, .. } => error.fault,
        }
    }

    /// Whether it means that the server as a whole doesn't work.
    pub fn is_about_the_server(&self) -> bool {
        match self {
            SendError::Outbox(_) | SendError::Credentials(_) => true,
            SendError::Smtp { error, .. } => {
                error.step <= SmtpStep::Sender
                    && matches!(error.fault, MailFault::Server | MailFault::Operator)
            }
        }
    }

    /// Returns an explanation for administrators: the server and its reply, never what we sent.
    pub fn problem(&self) -> String {
        let text = crate::telemetry::chain(self).to_string();
        text.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

/// How mails are sent.
#[derive(Clone, Debug)]
pub struct MailRules {
    /// `[mail]`
    pub mail: MailSettings,
    /// `[brand]`
    pub brand: BrandSettings,
    /// The folder for mails that are written to files instead of sent.
    pub outbox: PathBuf,
    /// The public address of the web app.
    pub public_url: String,
}

/// A way to send mails. Cheap to clone.
#[derive(Clone)]
pub enum MailTransport {
    /// Writes each mail to a file in this folder.
    Outbox(PathBuf),
    /// Sends mails to a mail server.
    Smtp(Arc<MailServer>),
}

/// A mail server and its idle connections.
pub struct MailServer {
    endpoint: MailEndpoint,
    credentials: PathBuf,
    idle: Mutex<Vec<(SmtpConnection, Instant)>>,
}

impl MailTransport {
    /// Opens the transport in the settings. Does not connect yet, but reads the files that the settings name.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn open(rules: impl Into<MailRules>) -> Result<MailTransport, TransportError> {
        MailTransport::with_limits(rules, StepTimeouts::default())
    }

    /// Like [`MailTransport::open`], with other timeouts for the steps of a dialogue.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn with_limits(
        rules: impl Into<MailRules>,
        limits: StepTimeouts,
    ) -> Result<MailTransport, TransportError> {
        let MailRules { mail, outbox, public_url, .. } = rules.into();
        let address = mail.send.as_str();
        if address == "outbox" {
            return Ok(MailTransport::Outbox(outbox));
        }
        let url = Url::parse(address).map_err(|_| TransportError::Address)?;
        let host = url.host_str().ok_or(TransportError::Address)?.trim_matches(['[', ']']).to_owned();
        let security = security(&mail, &url, &host)?;
        let usual_port = match &security {
            ConnectionSecurity::Wrapped(_) => 465,
            ConnectionSecurity::Required(_) => 587,
            ConnectionSecurity::Opportunistic(_) | ConnectionSecurity::Plain => 25,
        };
        let credentials = mail.credentials.clone();
        // Read at start to report mistakes early, and again for each connection.
        read_credentials(&credentials)?;
        let endpoint = MailEndpoint {
            port: url.port().unwrap_or(usual_port),
            host,
            security,
            own_name: own_name(&mail.hello, &public_url),
            limits,
        };
        Ok(MailTransport::Smtp(Arc::new(MailServer { endpoint, credentials, idle: Mutex::default() })))
    }

    /// Sends a mail and returns the server's reply. With the outbox, the mail is durably on disk when this
    /// returns.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, file_name: &str, message: &Message) -> Result<String, SendError> {
        match self {
            MailTransport::Outbox(folder) => {
                let path = folder.join(format!("{file_name}.eml"));
                let (shown, folder, bytes) = (path.clone(), folder.clone(), message.formatted());
                let writing = tokio::task::spawn_blocking(move || write(&folder, &path, &bytes));
                writing.await.map_err(io::Error::other)??;
                tracing::info!("wrote an email to the outbox: {}", shown.display());
                Ok("written to the outbox".to_owned())
            }
            MailTransport::Smtp(server) => server.send(message).await,
        }
    }

    /// Connects to the server as for a mail, including the login, but sends nothing. Returns a description of
    /// the connection.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn try_out(&self) -> Result<String, SendError> {
        match self {
            MailTransport::Outbox(folder) => Ok(format!("mails are written to {}", folder.display())),
            MailTransport::Smtp(server) => {
                let dialogue = server.connect().await?;
                let tls = if dialogue.is_encrypted() { "with TLS" } else { "without TLS" };
                let log_in = if server.credentials.as_os_str().is_empty() { "" } else { ", and logged in" };
                dialogue.quit().await;
                Ok(format!("connected to {} {tls}{log_in}", server.name()))
            }
        }
    }

    /// Closes connections that were idle for too long.
    pub fn close_idle(&self) {
        let MailTransport::Smtp(server) = self else { return };
        let mut idle = server.idle();
        while let Some(oldest) = idle.iter().position(|(_, since)| since.elapsed() > KEEP_IDLE) {
            let (dialogue, _) = idle.swap_remove(oldest);
            tokio::spawn(dialogue.quit());
        }
    }
}

impl MailServer {
    fn name(&self) -> String {
        format!("{}:{}", self.endpoint.host, self.endpoint.port)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(SmtpConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, error: SmtpStepError) -> SendError {
        SendError::Smtp { server: self.name(), error }
    }

    async fn connect(&self) -> Result<SmtpConnection, SendError> {
        let path = self.credentials.clone();
        let credentials = tokio::task::spawn_blocking(move || read_credentials(&path)).await;
        let credentials = credentials.map_err(io::Error::other)??;
        SmtpConnection::open(&self.endpoint, credentials.as_ref()).await.map_err(|error| self.error(error))
    }

    async fn send(&self, message: &Message) -> Result<String, SendError> {
        let envelope = message.envelope();
        let unaddressed =
            || SmtpStepError::new(SmtpStep::Recipient, MailFault::Mailbox, "the mail has no address");
        let sender = envelope.from().ok_or_else(|| self.error(unaddressed()))?;
        let recipient = envelope.to().first().ok_or_else(|| self.error(unaddressed()))?;
        let bytes = message.formatted();
        let kept = self.idle().pop().map(|(dialogue, _)| dialogue);
        if let Some(mut dialogue) = kept {
            match dialogue.send(sender, recipient, &bytes).await {
                // The server had closed the idle connection, perhaps with a 421; nothing was sent over it.
                Err(error) if error.step == SmtpStep::Sender && !error.is_reusable => {}
                outcome => return self.conclude(dialogue, outcome).await,
            }
        }
        let mut dialogue = self.connect().await?;
        let outcome = dialogue.send(sender, recipient, &bytes).await;
        self.conclude(dialogue, outcome).await
    }

    /// Keeps the connection for the next mail if the dialogue ended cleanly; closes it otherwise.
    async fn conclude(
        &self,
        mut dialogue: SmtpConnection,
        outcome: Result<String, SmtpStepError>,
    ) -> Result<String, SendError> {
        let is_usable = match &outcome {
            Ok(_) => true,
            Err(error) => error.is_reusable && dialogue.reset().await,
        };
        if is_usable && dialogue.mails < MAILS_PER_CONNECTION {
            let mut idle = self.idle();
            if idle.len() < MAX_IDLE {
                idle.push((dialogue, Instant::now()));
            }
        }
        outcome.map_err(|error| self.error(error))
    }
}

fn security(mail: &MailSettings, url: &Url, host: &str) -> Result<ConnectionSecurity, TransportError> {
    if url.scheme() == "smtps" {
        return Ok(ConnectionSecurity::Wrapped(tls_parameters(mail, host, false)?));
    }
    if url.scheme() != "smtp" {
        return Err(TransportError::Address);
    }
    Ok(match mail.tls_for(url) {
        MailTls::Required | MailTls::Auto => ConnectionSecurity::Required(tls_parameters(mail, host, false)?),
        MailTls::Opportunistic => ConnectionSecurity::Opportunistic(tls_parameters(mail, host, true)?),
        MailTls::None => ConnectionSecurity::Plain,
    })
}

fn tls_parameters(mail: &MailSettings, host: &str, any: bool) -> Result<TlsParameters, TransportError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    let path = &mail.certificates;
    if any {
        builder = builder.dangerous_accept_invalid_certs(true).dangerous_accept_invalid_hostnames(true);
    }
    if !path.as_os_str().is_empty() {
        let key = "mail.certificates";
        let pem =
            std::fs::read(path).map_err(|source| TransportError::File { key, path: path.clone(), source })?;
        let begin = b"-----BEGIN CERTIFICATE-----";
        if !pem.windows(begin.len()).any(|window| window == begin) {
            return Err(TransportError::NoCertificate(path.clone()));
        }
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(TransportError::Tls)?);
    }
    builder.build_rustls().map_err(TransportError::Tls)
}

/// Returns the name with which this server introduces itself: `mail.hello`, or else the host of
/// `web.public_url`; an IP address is written in brackets (RFC 5321 section 4.1.4).
fn own_name(hello: &str, public_url: &str) -> ClientId {
    let public = Url::parse(public_url).ok();
    let name = match hello {
        "" => public.as_ref().and_then(Url::host_str).unwrap_or("localhost"),
        hello => hello,
    };
    match name.trim_matches(['[', ']']).parse() {
        Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(name.to_owned()),
    }
}

/// Reads the credentials file each time, so that corrected credentials are used for the next connection.
fn read_credentials(path: &Path) -> Result<Option<Credentials>, TransportError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|source| TransportError::File {
        key: "mail.credentials",
        path: path.to_owned(),
        source,
    })?;
    // Editors on Windows add a byte order mark at the beginning.
    let mut lines = text
        .get(..text.len().min(CREDENTIALS_MAX))
        .unwrap_or_default()
        .trim_start_matches('\u{feff}')
        .lines();
    match (lines.next(), lines.next(), lines.next()) {
        (Some(user), Some(password), None | Some("")) if !user.is_empty() && !password.is_empty() => {
            Ok(Some(Credentials::new(user.to_owned(), password.to_owned())))
        }
        _ => Err(TransportError::Credentials(path.to_owned())),
    }
}

/// Writes the file completely or not at all, by writing under another name first and renaming it.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = path.with_extension("part");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    std::fs::File::open(folder)?.sync_all()
}
