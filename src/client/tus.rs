//! Uploads by tus 1.0: each goes on where it was, after a broken connection and in another process.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::client::api::Api;
use crate::client::error::{ClientError, file_error};
use crate::client::http::{refusal, unexpected};
use crate::client::progress::Progress;

/// How often nothing may be sent in a row.
const ATTEMPTS: u32 = 10;

/// The first and the longest wait between two attempts.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How many bytes are read at once.
const READ_AT_ONCE: usize = 256 * 1024;

/// The size of the pieces where a proxy limits bodies.
const PIECE: u64 = 512 * 1024;

/// The size of the pieces of standard input, which are kept in memory until the server has them.
const STREAM_PIECE: usize = 8 << 20;

/// Where an uploaded file goes.
pub(crate) struct UploadPlace<'a> {
    /// The path of the folder.
    pub(crate) folder: &'a str,
    /// The path of the file below it.
    pub(crate) relative: &'a str,
}

/// An upload that was begun.
pub(crate) struct Tus<'a> {
    api: &'a Api,
    url: Url,
}

/// How far an upload is.
struct Received {
    offset: u64,
    /// The path of the file, once it is complete.
    path: Option<String>,
}

impl<'a> Tus<'a> {
    /// Begins an upload of `size` bytes, or of a size that will be known later.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) async fn begin(
        api: &'a Api,
        place: &UploadPlace<'_>,
        size: Option<u64>,
    ) -> Result<Tus<'a>, ClientError> {
        let url = api.url("/uploads")?;
        let name = place.relative.rsplit('/').next().unwrap_or(place.relative);
        let entry = |key: &str, value: &str| format!("{key} {}", STANDARD.encode(value));
        let mut metadata = vec![entry("filename", name), entry("folder", place.folder)];
        if name != place.relative {
            metadata.push(entry("relativePath", place.relative));
        }
        let request = tus(api.request(Method::POST, &url)?).header("upload-metadata", metadata.join(","));
        let request = match size {
            Some(size) => request.header("upload-length", size),
            None => request.header("upload-defer-length", "1"),
        };
        let response = api.send(&url, request).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refusal(&url, response).await);
        }
        let location =
            text(response.headers(), LOCATION.as_str()).and_then(|location| url.join(location).ok());
        let location = location.ok_or_else(|| unexpected(&url, "an upload without an address"))?;
        Ok(Tus { api, url: location })
    }

    /// Goes on with an upload that was begun before; `None` if the server doesn't have it any more.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub(crate) async fn find(api: &'a Api, url: &str) -> Result<Option<Tus<'a>>, ClientError> {
        let Ok(url) = Url::parse(url) else { return Ok(None) };
        let upload = Tus { api, url };
        match upload.look().await {
            Ok(_) => Ok(Some(upload)),
            Err(ClientError::Refused { status: 403 | 404 | 410, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns its address.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Sends the file at `path`, of `size` bytes, and returns the path that it has at the server.
    ///
    /// # Errors
    /// When it fails; what the server has stays there.
    pub(crate) async fn send_file(
        &self,
        path: &Path,
        size: u64,
        progress: &Progress,
    ) -> Result<String, ClientError> {
        let (mut failures, mut wait, mut most) = (0, WAITS.0, u64::MAX);
        let mut before = None;
        loop {
            let (error, reached) = match self.attempt(path, size, most, progress).await {
                Ok(Some(path)) => return Ok(path),
                // A piece arrived.
                Ok(None) => {
                    failures = 0;
                    continue;
                }
                Err((error, reached)) => (error, reached),
            };
            if matches!(error, ClientError::Refused { status: 413, .. }) && most > PIECE {
                most = PIECE;
                continue;
            }
            // Another request of ours still holds the upload, or the offset has moved: look again.
            let passes =
                error.is_passing() || matches!(error, ClientError::Refused { status: 409 | 423 | 460, .. });
            if !passes {
                return Err(error);
            }
            if reached > before {
                (failures, wait) = (0, WAITS.0);
            }
            before = reached.max(before);
            failures += 1;
            if failures >= ATTEMPTS {
                return Err(error);
            }
            progress.note(&format!("{error}; trying again"));
            tokio::time::sleep(error.retry_after().unwrap_or(wait)).await;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    /// Sends at most `most` bytes. Returns the path if the upload is complete then; an error with what the server had.
    async fn attempt(
        &self,
        path: &Path,
        size: u64,
        most: u64,
        progress: &Progress,
    ) -> Result<Option<String>, (ClientError, Option<u64>)> {
        let received = self.look().await.map_err(|error| (error, None))?;
        let offset = received.offset;
        progress.set(offset);
        if let Some(path) = received.path {
            return Ok(Some(path));
        }
        let failed = |error| (error, Some(offset));
        let mut file = File::open(path).await.map_err(file_error("read", path)).map_err(failed)?;
        let len = file.metadata().await.map_err(file_error("read", path)).map_err(failed)?.len();
        if len != size {
            let changed = format!("{} has changed while it was being sent", path.display());
            return Err(failed(ClientError::NotNow(changed)));
        }
        file.seek(std::io::SeekFrom::Start(offset))
            .await
            .map_err(file_error("read", path))
            .map_err(failed)?;
        let count = most.min(size - offset);
        let request = self.patch(offset).map_err(failed)?.header(CONTENT_LENGTH, count);
        let request = request.body(body_of(file, count, offset, progress));
        self.sent(request).await.map(|received| received.path).map_err(failed)
    }

    /// Sends what `read` returns until it returns nothing, and returns the path that the file has at the server.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) async fn send_stream(
        &self,
        mut input: impl tokio::io::AsyncRead + Unpin,
        progress: &Progress,
    ) -> Result<String, ClientError> {
        let mut offset = 0_u64;
        loop {
            let mut piece = Vec::with_capacity(STREAM_PIECE);
            let read = (&mut input).take(STREAM_PIECE as u64).read_to_end(&mut piece).await;
            read.map_err(file_error("read", "standard input"))?;
            let is_last = piece.len() < STREAM_PIECE;
            let piece = Bytes::from(piece);
            let end = offset + piece.len() as u64;
            let received = self.send_piece(&piece, offset, is_last, progress).await?;
            offset = end;
            progress.set(offset);
            if is_last {
                return received.path.ok_or_else(|| unexpected(&self.url, "the file has no path"));
            }
        }
    }

    /// Sends a piece until the server has it. The last one says how long the whole is.
    async fn send_piece(
        &self,
        piece: &Bytes,
        start: u64,
        is_last: bool,
        progress: &Progress,
    ) -> Result<Received, ClientError> {
        let end = start + piece.len() as u64;
        let (mut failures, mut wait, mut offset) = (0, WAITS.0, start);
        loop {
            let rest = piece.slice(usize::try_from(offset - start).unwrap_or(piece.len()).min(piece.len())..);
            let mut request = self.patch(offset)?.header(CONTENT_LENGTH, rest.len()).body(rest);
            if is_last {
                request = request.header("upload-length", end);
            }
            let error = match self.sent(request).await {
                Ok(received) => return Ok(received),
                Err(error) => error,
            };
            failures += 1;
            let passes =
                error.is_passing() || matches!(error, ClientError::Refused { status: 409 | 423, .. });
            if !passes || failures >= ATTEMPTS {
                return Err(error);
            }
            progress.note(&format!("{error}; trying again"));
            tokio::time::sleep(error.retry_after().unwrap_or(wait)).await;
            wait = (wait * 2).min(WAITS.1);
            if let Ok(received) = self.look().await {
                if received.path.is_some() || (!is_last && received.offset == end) {
                    return Ok(received);
                }
                if !(start..=end).contains(&received.offset) {
                    return Err(unexpected(&self.url, "it has another part of the file than was sent"));
                }
                offset = received.offset;
            }
        }
    }

    /// Asks how far the upload is.
    async fn look(&self) -> Result<Received, ClientError> {
        let response = self.api.send(&self.url, tus(self.api.request(Method::HEAD, &self.url)?)).await?;
        match response.status().is_success() {
            true => self.received(&response),
            false => Err(refusal(&self.url, response).await),
        }
    }

    fn patch(&self, offset: u64) -> Result<RequestBuilder, ClientError> {
        let request = tus(self.api.request(Method::PATCH, &self.url)?);
        Ok(request.header("upload-offset", offset).header(CONTENT_TYPE, "application/offset+octet-stream"))
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Received, ClientError> {
        let response = self.api.send(&self.url, request).await?;
        match response.status().is_success() {
            true => self.received(&response),
            false => Err(refusal(&self.url, response).await),
        }
    }

    fn received(&self, response: &Response) -> Result<Received, ClientError> {
        let headers = response.headers();
        let offset = text(headers, "upload-offset").and_then(|offset| offset.parse().ok());
        let offset = offset.ok_or_else(|| unexpected(&self.url, "it doesn't say how far the upload is"))?;
        // The address of the file's page: what follows `/files` is its path.
        let page = text(headers, CONTENT_LOCATION.as_str());
        let path = page.and_then(|page| page.split_once("/files/")).map(|(_, path)| {
            format!(
                "/{}",
                percent_decode_str(path.split(['?', '#']).next().unwrap_or(path)).decode_utf8_lossy()
            )
        });
        Ok(Received { offset, path })
    }
}

fn tus(request: RequestBuilder) -> RequestBuilder {
    request.header("tus-resumable", "1.0.0")
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Returns `count` bytes of a file as a body. Progress is what was handed to the connection.
fn body_of(file: File, count: u64, offset: u64, progress: &Progress) -> Body {
    let progress = progress.clone();
    Body::wrap_stream(stream::try_unfold((file, count, offset), move |(mut file, left, at)| {
        let progress = progress.clone();
        async move {
            if left == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            let most = READ_AT_ONCE.min(usize::try_from(left).unwrap_or(READ_AT_ONCE));
            let mut buffer = vec![0; most];
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            buffer.truncate(read);
            let read = read as u64;
            progress.set(at + read);
            Ok(Some((Bytes::from(buffer), (file, left - read, at + read))))
        }
    }))
}
