//! The ways that mails leave: into the outbox folder, or to a mail server.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::Url;

use crate::config::Settings;

/// How long connecting to a mail server may take, and sending one mail in all: the client has no
/// limit of its own for a server that falls silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const SEND_TIMEOUT: Duration = Duration::from_secs(90);

/// Most connections to the mail server.
const CONNECTIONS: u32 = 4;

/// No way to send mails can be opened. The message says which setting to look at.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address of the mail server is none.
    #[error("`mail.send` is neither `outbox` nor the address of a mail server")]
    Address,
    /// A file that the settings name can't be read.
    #[error("cannot read {} (`{key}`)", path.display())]
    File {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file of credentials has another form.
    #[error("{} (`mail.credentials`) must have two lines: user and password", .0.display())]
    Credentials(PathBuf),
    /// TLS can't be set up.
    #[error("cannot set up TLS for the mail server; check `mail.certificates`")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// A mail did not leave.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The outbox can't be written.
    #[error("cannot write into the outbox")]
    Outbox(#[from] io::Error),
    /// The mail server fell silent.
    #[error("the mail server did not answer in time")]
    Silent,
    /// The mail server did not take it.
    #[error("the mail server did not take the mail")]
    Smtp(#[from] lettre::transport::smtp::Error),
}

impl SendError {
    /// Whether trying again is pointless: the mail server knows no such recipient (RFC 5321,
    /// section 4.2.3). Other permanent answers are about the sender or the server, and are mended there.
    pub fn is_final(&self) -> bool {
        let SendError::Smtp(error) = self else { return false };
        error.status().is_some_and(|code| matches!(u16::from(code), 550 | 551 | 553 | 556))
    }

    /// What an administrator reads: what the server said, never what was sent.
    pub fn problem(&self) -> String {
        let text = match self {
            SendError::Silent => self.to_string(),
            SendError::Outbox(error) => format!("cannot write into the outbox: {error}"),
            SendError::Smtp(error) => crate::telemetry::chain(error).to_string(),
        };
        text.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

/// A way for mails to leave. Cheap to clone.
#[derive(Clone)]
pub enum Transport {
    /// Each mail becomes a file in this folder.
    Outbox(PathBuf),
    /// A mail server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

impl Transport {
    /// The way that the settings name. Does not connect yet.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn open(settings: &Settings) -> Result<Transport, TransportError> {
        let address = settings.mail.send.as_str();
        if address == "outbox" {
            return Ok(Transport::Outbox(settings.outbox_dir()));
        }
        let url = Url::parse(address).map_err(|_| TransportError::Address)?;
        let host = url.host_str().ok_or(TransportError::Address)?.to_owned();
        let tls = tls_parameters(settings, &host)?;
        let (tls, usual_port) = match (url.scheme(), tls_wish(&url)) {
            ("smtps", _) => (Tls::Wrapper(tls), 465),
            ("smtp", Wish::Required) => (Tls::Required(tls), 587),
            ("smtp", Wish::Opportunistic) => (Tls::Opportunistic(tls), 25),
            _ => return Err(TransportError::Address),
        };
        let own_name = Url::parse(&settings.web.public_url).ok();
        let own_name = own_name.as_ref().and_then(Url::domain).unwrap_or("localhost").to_owned();
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(usual_port))
            .tls(tls)
            .hello_name(ClientId::Domain(own_name))
            .timeout(Some(CONNECT_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS));
        if let Some(credentials) = credentials(&settings.mail.credentials)? {
            builder = builder.credentials(credentials);
        }
        Ok(Transport::Smtp(builder.build()))
    }

    /// Hands a mail over; for the outbox it is on disk afterwards.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, id: &str, message: Message) -> Result<(), SendError> {
        match self {
            Transport::Outbox(folder) => {
                let path = folder.join(format!("{id}.eml"));
                let shown = path.clone();
                let folder = folder.clone();
                let writing =
                    tokio::task::spawn_blocking(move || write(&folder, &path, &message.formatted()));
                writing.await.map_err(io::Error::other)??;
                tracing::info!("a mail is in the outbox: {}", shown.display());
                Ok(())
            }
            Transport::Smtp(server) => {
                let sending = tokio::time::timeout(SEND_TIMEOUT, server.send(message)).await;
                sending.map_err(|_| SendError::Silent)??;
                Ok(())
            }
        }
    }
}

/// What an address says of STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Required,
    Opportunistic,
}

fn tls_wish(url: &Url) -> Wish {
    match url.query_pairs().any(|(key, value)| key == "tls" && value == "required") {
        true => Wish::Required,
        false => Wish::Opportunistic,
    }
}

fn tls_parameters(settings: &Settings, host: &str) -> Result<TlsParameters, TransportError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    let path = &settings.mail.certificates;
    if !path.as_os_str().is_empty() {
        let key = "mail.certificates";
        let pem =
            std::fs::read(path).map_err(|source| TransportError::File { key, path: path.clone(), source })?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(TransportError::Tls)?);
    }
    builder.build_rustls().map_err(TransportError::Tls)
}

fn credentials(path: &Path) -> Result<Option<Credentials>, TransportError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|source| TransportError::File {
        key: "mail.credentials",
        path: path.to_owned(),
        source,
    })?;
    let mut lines = text.lines();
    match (lines.next(), lines.next(), lines.next()) {
        (Some(user), Some(password), None | Some("")) if !user.is_empty() && !password.is_empty() => {
            Ok(Some(Credentials::new(user.to_owned(), password.to_owned())))
        }
        _ => Err(TransportError::Credentials(path.to_owned())),
    }
}

/// Whole or not at all: under another name first, then renamed.
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
