//! Sends receipts to a web app in another process: `POST /receipts`, with this node's key.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::http_client::{ClientResponse, HttpClient, HttpError};
use crate::receipt::{NotAccepted, REPLY_HEADER, ReceiptSink, Report, ReportReply};

/// How long to wait for the web app's response.
const PATIENCE: Duration = Duration::from_secs(15);
/// Maximum size of a key file, in bytes; a key has 43 and possibly a line break.
const LONGEST_KEY: u64 = 256;

/// Sending receipts to the web app failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpReceiptSinkError {
    /// The node key can't be read.
    #[error(
        "cannot read the node key {} (`download.node_key`); copy the web app's node key there",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The web app can't be reached.
    #[error("cannot reach the web app (`download.receipts`)")]
    Unreachable(#[from] HttpError),
    /// The web app doesn't know the key.
    #[error("the web app does not know this node's key (`download.node_key`)")]
    WrongKey,
    /// The web app didn't accept the receipts.
    #[error("the web app returned status {0} for a report")]
    Answer(u16),
}

/// A web app in another process.
pub struct HttpReceiptSink {
    client: HttpClient,
    address: String,
    key_file: PathBuf,
}

impl HttpReceiptSink {
    /// Creates a client for the web app that accepts receipts at `address` with the key in `key_file`. The
    /// file is read each time, because it may be created or changed while this runs.
    ///
    /// # Errors
    /// If TLS can't be set up.
    pub fn new(address: &str, key_file: &Path) -> Result<HttpReceiptSink, HttpReceiptSinkError> {
        let client = HttpClient::new(address, PATIENCE)?;
        Ok(HttpReceiptSink { client, address: address.to_owned(), key_file: key_file.to_owned() })
    }

    async fn send(&self, report: &Report) -> Result<ReportReply, HttpReceiptSinkError> {
        let failed = |source| HttpReceiptSinkError::Key { path: self.key_file.clone(), source };
        let path = self.key_file.clone();
        let read = tokio::task::spawn_blocking(move || read_key(&path)).await;
        let key = read.map_err(|gone| failed(io::Error::other(gone)))?.map_err(failed)?;
        let request = self.client.post(&self.address).bearer(&key).json(report)?;
        let answer = request.send(Instant::now() + PATIENCE).await?;
        match answer.status() {
            204 => Ok(taken(&answer)),
            401 | 403 => Err(HttpReceiptSinkError::WrongKey),
            status => Err(HttpReceiptSinkError::Answer(status)),
        }
    }
}

/// Returns what the web app's response says; nothing if that is an earlier release.
fn taken(answer: &ClientResponse) -> ReportReply {
    answer.header(REPLY_HEADER).and_then(|said| serde_json::from_str(said).ok()).unwrap_or_default()
}

/// Returns the key without its final line break.
pub(crate) fn read_key(path: &Path) -> io::Result<Zeroizing<String>> {
    use std::io::Read;
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)?.take(LONGEST_KEY).read_to_string(&mut text)?;
    let key = text.trim();
    match key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Err(io::ErrorKind::InvalidData.into()),
        false => Ok(Zeroizing::new(key.to_owned())),
    }
}

#[async_trait]
impl ReceiptSink for HttpReceiptSink {
    async fn accept(&self, report: Report) -> Result<ReportReply, NotAccepted> {
        self.send(&report).await.map_err(|error| NotAccepted(error.into()))
    }
}
