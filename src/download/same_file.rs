//! Opens the grant's file, compares it with the token's claims and with what was redeemed, and serves it as
//! it was then, however much it has grown since. An archive is the same if its manifest is, and none of the
//! files in it changed.

use std::ops::Range;

use crate::download::archives::{EntryFault, OpenArchive};
use crate::download::content::Content;
use crate::download::ledger::Delivery;
use crate::download::problem::DownloadRefusal;
use crate::download::state::DownloadState;
use crate::files::identity::{ClaimedVersion, FileFingerprint, FileMatch, likeness};
use crate::files::{EdgeDigest, FileError, OpenFile};
use crate::id::FilePath;
use crate::secret::Digest;
use crate::token::{Grant, GrantContent};

/// Opens the grant's file and compares it with the grant's claims. For a continuation, [`same`] compares it
/// with what was redeemed instead. The files of an archive are compared by [`trace`] and [`check_part`].
///
/// # Errors
/// If the file doesn't exist now, or is not the one that is meant.
pub(crate) async fn open(state: &DownloadState, grant: &Grant) -> Result<Content, DownloadRefusal> {
    match &grant.content {
        GrantContent::File(path) if grant.again => open_any(state, path).await.map(Content::File),
        GrantContent::File(path) => {
            open_claimed(state, path, grant.version.as_deref(), grant.size).await.map(Content::File)
        }
        GrantContent::Archive(digest) => open_archive(state, grant, digest).await.map(Content::Archive),
    }
}

async fn open_archive(
    state: &DownloadState,
    grant: &Grant,
    digest: &Digest,
) -> Result<OpenArchive, DownloadRefusal> {
    let archive = state.archives.open(digest, &state.shares).await?;
    let archive = archive.ok_or(DownloadRefusal::File(FileError::Missing))?;
    match grant.size {
        Some(size) if size != archive.version().len => Err(DownloadRefusal::FileChanged),
        _ => Ok(archive),
    }
}

/// Opens a file and compares it with these claims of a token.
///
/// # Errors
/// If the file doesn't exist now, or is not the one that is meant.
pub(crate) async fn open_claimed(
    state: &DownloadState,
    path: &FilePath,
    version: Option<&str>,
    size: Option<u64>,
) -> Result<OpenFile, DownloadRefusal> {
    let file = open_any(state, path).await?;
    let file = match version.map(str::parse::<ClaimedVersion>) {
        None => file,
        Some(Err(_)) => return Err(DownloadRefusal::FileChanged),
        Some(Ok(claimed)) => match claimed.likeness(&file) {
            FileMatch::Same => file,
            FileMatch::IfEdges(edges) if edges_of(&file, claimed.version().len).await? == edges => {
                file.served_as(claimed.version(), edges)
            }
            FileMatch::IfEdges(_) | FileMatch::Other => return Err(DownloadRefusal::FileChanged),
        },
    };
    match size {
        Some(size) if size != file.version().len => Err(DownloadRefusal::FileChanged),
        _ => Ok(file),
    }
}

async fn open_any(state: &DownloadState, path: &FilePath) -> Result<OpenFile, DownloadRefusal> {
    match state.shares.file_if_cached(path) {
        Some(opened) => Ok(opened?),
        None => {
            let (shares, path) = (state.shares.clone(), path.clone());
            Ok(blocking(move || shares.file(&path)).await??)
        }
    }
}

/// Returns what has to be recorded about a file that is about to be redeemed, and the file to serve.
///
/// # Errors
/// If the file can't be read, or a file of an archive changed.
pub(crate) async fn trace(
    state: &DownloadState,
    content: &Content,
) -> Result<(Content, FileFingerprint), DownloadRefusal> {
    check(state, content).await?;
    match content {
        Content::File(file) => {
            let (file, fingerprint) = trace_file(file).await?;
            Ok((Content::File(file), fingerprint))
        }
        Content::Archive(archive) => Ok((content.clone(), archive.fingerprint())),
    }
}

/// Does what [`trace`] does, for a single file.
///
/// # Errors
/// If the file can't be read.
pub(crate) async fn trace_file(file: &OpenFile) -> Result<(OpenFile, FileFingerprint), DownloadRefusal> {
    let edges = edges_of(file, file.version().len).await?;
    let (inode, changed_ns) = file.origin();
    Ok((file.served_as(file.version(), edges), FileFingerprint { inode, changed_ns, edges }))
}

/// Checks that no file of an archive changed. A file was compared when it was opened.
///
/// # Errors
/// If one did, or can't be read.
pub(crate) async fn check(state: &DownloadState, content: &Content) -> Result<(), DownloadRefusal> {
    match content {
        Content::File(_) => Ok(()),
        Content::Archive(archive) => Ok(state.archives.check(archive).await?),
    }
}

/// Checks that the next files in a range of an archive didn't change.
///
/// # Errors
/// If one did, or can't be read.
pub(crate) async fn check_part(
    state: &DownloadState,
    content: &Content,
    range: Range<u64>,
) -> Result<(), DownloadRefusal> {
    match content {
        Content::File(_) => Ok(()),
        Content::Archive(archive) => Ok(state.archives.check_part(archive, range).await?),
    }
}

impl From<EntryFault> for DownloadRefusal {
    fn from(fault: EntryFault) -> DownloadRefusal {
        match fault {
            EntryFault::Changed => DownloadRefusal::FileChanged,
            EntryFault::Unreadable(error) => DownloadRefusal::File(error),
            EntryFault::Manifest(error) => DownloadRefusal::Manifest(error.into()),
        }
    }
}

/// Returns the file if it is the same file as that of a delivery.
///
/// # Errors
/// If it is another file or was changed.
pub(crate) async fn same(content: &Content, delivery: &Delivery) -> Result<Content, DownloadRefusal> {
    let version = delivery.version;
    let file = match content {
        Content::File(file) => file,
        Content::Archive(archive)
            if version == archive.version() && delivery.trace == Some(archive.fingerprint()) =>
        {
            return Ok(content.clone());
        }
        Content::Archive(_) => return Err(DownloadRefusal::FileChanged),
    };
    let edges = match (likeness(file, version, delivery.trace.as_ref()), delivery.trace) {
        (FileMatch::Other, _) => return Err(DownloadRefusal::FileChanged),
        (FileMatch::Same, Some(trace)) => trace.edges,
        (FileMatch::Same, None) => edges_of(file, version.len).await?,
        (FileMatch::IfEdges(edges), _) if edges_of(file, version.len).await? == edges => edges,
        (FileMatch::IfEdges(_), _) => return Err(DownloadRefusal::FileChanged),
    };
    Ok(Content::File(file.served_as(version, edges)))
}

async fn edges_of(file: &OpenFile, len: u64) -> Result<EdgeDigest, DownloadRefusal> {
    let edges = match file.edges_if_cached(len) {
        Ok(Some(edges)) => Ok(edges),
        Err(e) => Err(e),
        Ok(None) => {
            let file = file.clone();
            blocking(move || file.edges(len)).await?
        }
    };
    edges.map_err(|e| match e.kind() {
        // It is shorter now.
        std::io::ErrorKind::UnexpectedEof => DownloadRefusal::FileChanged,
        _ => FileError::Unreadable(e).into(),
    })
}

/// Runs blocking file I/O on the blocking pool.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FileError> {
    // The task can only be lost together with the runtime.
    tokio::task::spawn_blocking(work).await.map_err(|gone| FileError::Unreadable(std::io::Error::other(gone)))
}
