//! Tells a web app in another process: `POST /receipts`, with this node's key.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::receipt::{NotTaken, Report, TakeReports};

/// How long the web app may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest key that is read, in bytes; it has 43 and perhaps a line break.
const LONGEST_KEY: u64 = 256;

/// Why the web app was not told.
#[derive(Debug, thiserror::Error)]
pub enum OverHttpError {
    /// There is no key to show.
    #[error(
        "cannot read the node key {} (`download.node_key`); copy the web app's there",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It can't be reached.
    #[error("cannot reach the web app (`download.receipts`)")]
    Unreachable(#[from] reqwest::Error),
    /// It does not know the key.
    #[error("the web app does not know this node's key (`download.node_key`)")]
    WrongKey,
    /// It answered something else than that it has the receipts.
    #[error("the web app answered {0} to receipts")]
    Answer(u16),
}

/// A web app in another process.
pub struct OverHttp {
    client: reqwest::Client,
    address: String,
    key_file: PathBuf,
}

impl OverHttp {
    /// The web app that takes receipts at `address`, shown the key in `key_file`. The file is read
    /// each time: it may be put there, or changed, while this runs.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(address: &str, key_file: &Path) -> Result<OverHttp, OverHttpError> {
        // The key is a secret: it goes where the settings say, and nowhere else.
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let builder = builder.no_proxy().timeout(PATIENCE);
        // A machine without the system's certificates can still talk plain http to its neighbour.
        let plain = address.starts_with("http://");
        let builder = if plain { builder.tls_certs_only([]) } else { builder };
        Ok(OverHttp { client: builder.build()?, address: address.to_owned(), key_file: key_file.to_owned() })
    }

    async fn send(&self, report: &Report) -> Result<(), OverHttpError> {
        let failed = |source| OverHttpError::Key { path: self.key_file.clone(), source };
        let path = self.key_file.clone();
        let read = tokio::task::spawn_blocking(move || read_key(&path)).await;
        let key = read.map_err(|gone| failed(io::Error::other(gone)))?.map_err(failed)?;
        let answer = self.client.post(&self.address).bearer_auth(&*key).json(report).send().await?;
        match answer.status().as_u16() {
            204 => Ok(()),
            401 | 403 => Err(OverHttpError::WrongKey),
            status => Err(OverHttpError::Answer(status)),
        }
    }
}

/// The key without the line break at its end.
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
impl TakeReports for OverHttp {
    async fn take(&self, report: Report) -> Result<(), NotTaken> {
        self.send(&report).await.map_err(|error| NotTaken(error.into()))
    }
}
