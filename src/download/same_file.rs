//! Opens the grant's file, compares it with the token's claims and with what was redeemed, and serves it as
//! it was then, however much it has grown since.

use crate::download::ledger::Delivery;
use crate::download::problem::DownloadRefusal;
use crate::download::state::DownloadState;
use crate::files::identity::{ClaimedVersion, FileFingerprint, FileMatch, likeness};
use crate::files::{EdgeDigest, FileError, OpenFile};
use crate::id::FilePath;
use crate::token::Grant;

/// Opens the grant's file and compares it with the grant's claims. For a continuation, [`same`] compares it
/// with what was redeemed instead.
///
/// # Errors
/// If the file doesn't exist now, or is not the one that is meant.
pub(crate) async fn open(state: &DownloadState, grant: &Grant) -> Result<OpenFile, DownloadRefusal> {
    match grant.again {
        true => open_any(state, &grant.file).await,
        false => open_claimed(state, &grant.file, grant.version.as_deref(), grant.size).await,
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
/// If the file can't be read.
pub(crate) async fn trace(file: &OpenFile) -> Result<(OpenFile, FileFingerprint), DownloadRefusal> {
    let edges = edges_of(file, file.version().len).await?;
    let (inode, changed_ns) = file.origin();
    Ok((file.served_as(file.version(), edges), FileFingerprint { inode, changed_ns, edges }))
}

/// Returns the file if it is the same file as that of a delivery.
///
/// # Errors
/// If it is another file or was changed.
pub(crate) async fn same(file: &OpenFile, delivery: &Delivery) -> Result<OpenFile, DownloadRefusal> {
    let version = delivery.version;
    let edges = match (likeness(file, version, delivery.trace.as_ref()), delivery.trace) {
        (FileMatch::Other, _) => return Err(DownloadRefusal::FileChanged),
        (FileMatch::Same, Some(trace)) => trace.edges,
        (FileMatch::Same, None) => edges_of(file, version.len).await?,
        (FileMatch::IfEdges(edges), _) if edges_of(file, version.len).await? == edges => edges,
        (FileMatch::IfEdges(_), _) => return Err(DownloadRefusal::FileChanged),
    };
    Ok(file.served_as(version, edges))
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
