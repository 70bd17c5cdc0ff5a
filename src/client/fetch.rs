//! One download: it goes on after interruptions, also in another process, and ends with a file that was compared with
//! the digest that the server announced.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::client::error::{ClientError, file_error};
use crate::client::http::{Http, broken, refusal, unexpected};
use crate::client::progress::Progress;

/// How often nothing may arrive in a row.
const ATTEMPTS: u32 = 10;

/// The first and the longest wait between two attempts.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How many bytes are read at once to verify a file.
const READ_AT_ONCE: usize = 1 << 20;

/// A download that goes on.
pub(crate) struct Fetch<'h> {
    http: &'h Http,
    address: Url,
    /// The resume key, once it is known.
    key: Option<String>,
    path: PathBuf,
    file: File,
    /// How many bytes the file has.
    have: u64,
    /// What the server said about the whole.
    total: Option<u64>,
    digest: Option<String>,
    modified: Option<SystemTime>,
}

/// Why a fetch stopped before its end.
pub(crate) enum Stopped {
    /// Nothing can be had at this address any more; the link may have another one.
    Refused(ClientError),
    /// It failed.
    Failed(ClientError),
}

impl<'h> Fetch<'h> {
    /// Goes on with the file at `path`, from what is there.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn new(
        http: &'h Http,
        address: Url,
        key: Option<String>,
        path: &Path,
    ) -> Result<Fetch<'h>, ClientError> {
        let failed = || file_error("write", path);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(failed())?;
        let have = file.metadata().map_err(failed())?.len();
        let (total, digest, modified) = (None, None, None);
        Ok(Fetch { http, address, key, path: path.to_owned(), file, have, total, digest, modified })
    }

    /// Returns when the file was last changed, as the server said.
    pub(crate) const fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// Goes on at another address. What has arrived is only kept if it `continues` the same download: another one may
    /// be of another version, and the two must never be mixed.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn go_on_at(&mut self, address: Url, continues: bool) -> Result<(), ClientError> {
        self.address = address;
        self.key = None;
        if !continues {
            self.begin_anew()?;
            (self.total, self.digest, self.modified) = (None, None, None);
        }
        Ok(())
    }

    /// Receives the file to its end. `began` is called as soon as the resume key is known, before anything is received.
    ///
    /// # Errors
    /// When it stops. What has arrived stays.
    pub(crate) async fn run(
        &mut self,
        progress: &Progress,
        mut began: impl FnMut(Option<&str>) -> Result<(), ClientError>,
    ) -> Result<(), Stopped> {
        let (mut failures, mut wait) = (0, WAITS.0);
        loop {
            let before = self.have;
            let error = match self.attempt(progress, &mut began).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_passing() => error,
                Err(error @ ClientError::Refused { .. }) => return Err(Stopped::Refused(error)),
                Err(error) => return Err(Stopped::Failed(error)),
            };
            if self.have > before {
                (failures, wait) = (0, WAITS.0);
            }
            failures += 1;
            if failures >= ATTEMPTS {
                return Err(Stopped::Failed(error));
            }
            progress.note(&format!("{error}; trying again"));
            tokio::time::sleep(error.retry_after().unwrap_or(wait)).await;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    async fn attempt(
        &mut self,
        progress: &Progress,
        began: &mut impl FnMut(Option<&str>) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let mut request = self.http.request(Method::GET, &self.address);
        if self.have > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.have));
            if let Some(key) = &self.key {
                request = request.header(IF_RANGE, key);
            }
        }
        let response = self.http.send(&self.address, request).await?;
        match response.status() {
            StatusCode::OK => self.begin_anew()?,
            StatusCode::PARTIAL_CONTENT => self.check_range(response.headers())?,
            StatusCode::RANGE_NOT_SATISFIABLE if self.is_whole(response.headers()) => return Ok(()),
            _ => return Err(refusal(&self.address, response).await),
        }
        self.note(&response);
        began(self.key.as_deref())?;
        if let Some(total) = self.total {
            progress.set_size(total);
        }
        progress.set(self.have);
        self.receive(response, progress).await?;
        match self.total {
            Some(total) if self.have != total => {
                Err(unexpected(&self.address, format!("{} of {total} bytes arrived", self.have)))
            }
            _ => Ok(()),
        }
    }

    /// The server sends the whole file.
    fn begin_anew(&mut self) -> Result<(), ClientError> {
        let failed = || file_error("write", &self.path);
        self.file.set_len(0).map_err(failed())?;
        self.file.seek(SeekFrom::Start(0)).map_err(failed())?;
        self.have = 0;
        Ok(())
    }

    fn check_range(&mut self, headers: &HeaderMap) -> Result<(), ClientError> {
        let range = text(headers, CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
        let start =
            range.and_then(|range| range.split('-').next()).and_then(|start| start.parse::<u64>().ok());
        if start != Some(self.have) {
            return Err(unexpected(&self.address, "it sent another range than the one requested"));
        }
        let end = self.file.seek(SeekFrom::Start(self.have));
        end.map(drop).map_err(file_error("write", &self.path))
    }

    /// Whether everything has arrived: the range after it can't be satisfied.
    fn is_whole(&self, headers: &HeaderMap) -> bool {
        let total = text(headers, CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes */"));
        total.and_then(|total| total.parse().ok()) == Some(self.have)
    }

    /// Notes what the head of a response says about the whole file.
    fn note(&mut self, response: &Response) {
        let headers = response.headers();
        let total = match text(headers, CONTENT_RANGE) {
            Some(range) => range.rsplit_once('/').and_then(|(_, total)| total.parse().ok()),
            None => response.content_length(),
        };
        self.total = total.or(self.total);
        self.key = text(headers, ETAG).map(str::to_owned).or(self.key.take());
        // Also announced in parts, about the whole (RFC 9530 section 3).
        let digest = text(headers, HeaderName::from_static("repr-digest"));
        let sha256 =
            digest.and_then(|digest| digest.split(',').find_map(|one| one.trim().strip_prefix("sha-256=:")));
        self.digest =
            sha256.and_then(|digest| digest.strip_suffix(':')).map(str::to_owned).or(self.digest.take());
        let modified =
            text(headers, LAST_MODIFIED).and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
        self.modified = modified.map(SystemTime::from).or(self.modified);
    }

    async fn receive(&mut self, mut response: Response, progress: &Progress) -> Result<(), ClientError> {
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&self.address, error))? {
            // To the page cache: nothing else runs in this process meanwhile.
            self.file.write_all(&chunk).map_err(file_error("write", &self.path))?;
            self.have += chunk.len() as u64;
            progress.set(self.have);
        }
        Ok(())
    }

    /// Compares the file with the digest that the server announced, if it did, and writes it to the disk. Returns
    /// whether there was a digest.
    ///
    /// # Errors
    /// When it is damaged, or can't be read.
    pub(crate) fn verify(&mut self) -> Result<bool, ClientError> {
        let failed = || file_error("read", &self.path);
        if let Some(expected) = &self.digest {
            self.file.seek(SeekFrom::Start(0)).map_err(failed())?;
            let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; READ_AT_ONCE]);
            loop {
                match self.file.read(&mut buffer).map_err(failed())? {
                    0 => break,
                    count => context.update(buffer.get(..count).unwrap_or_default()),
                }
            }
            if STANDARD.encode(context.finish()) != *expected {
                return Err(ClientError::Damaged(self.path.clone()));
            }
        }
        self.file.sync_all().map_err(file_error("write", &self.path))?;
        Ok(self.digest.is_some())
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
