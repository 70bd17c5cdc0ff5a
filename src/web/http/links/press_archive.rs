//! A press of the button that downloads all files of a link as one archive.

use crate::id::FilePath;
use crate::web::archives::{ArchiveOutcome, BuiltArchive, HiddenFiles};
use crate::web::db::QueryError;
use crate::web::http::error::WebError;
use crate::web::http::links::public_link_view::PublicLinkView;
use crate::web::http::problem::closed_link_page::ClosedReason;
use crate::web::http::respond::AppData;
use crate::web::links::progress::{self, DownloadProgress, Visitor};
use crate::web::shares::rights::Readable;

/// Returns the archive of all files of a link: the one that this visitor began, if its files are unchanged, or
/// else one of the files as they are now.
///
/// # Errors
/// [`WebError::StillPreparing`] if checksums are missing, which are then calculated.
pub(crate) async fn archive_of(
    app: &AppData,
    opened: &PublicLinkView,
    visitor: &Visitor,
    path: &FilePath,
) -> Result<BuiltArchive, WebError> {
    let (links, now) = (&app.services.links, app.services.clock.now());
    let begun = progress::of(links.db.reader(), &opened.recipient.id, visitor, Some(path)).await;
    let begun = begun.map_err(QueryError::from)?.into_iter().find(|begun| {
        let progress = begun.progress(&links.lease, now);
        progress == DownloadProgress::Unredeemed || progress::may_continue(visitor, progress)
    });
    if let Some(begun) = begun
        && let Some(archive) = app.archives.unchanged(&begun.version, now).await?
    {
        return Ok(archive);
    }
    let places: Vec<Readable> = opened.places.iter().map(|(_, place)| place.clone()).collect();
    match app.archives.make(&places, HiddenFiles::LeftOut, now).await? {
        ArchiveOutcome::Ready(archive) => Ok(archive),
        ArchiveOutcome::Preparing { ready, files } => Err(WebError::StillPreparing { ready, files }),
        ArchiveOutcome::Nothing => Err(WebError::LinkClosed(ClosedReason::Missing)),
    }
}
