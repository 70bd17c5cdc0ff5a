//! A press of the button that downloads all files of a link as one archive.

use std::net::IpAddr;

use crate::client_address::neighbourhood;
use crate::id::FilePath;
use crate::web::archives::{ArchiveOrder, ArchiveOutcome, ArchiveReaders, BuiltArchive, HiddenFiles};
use crate::web::db::QueryError;
use crate::web::http::error::WebError;
use crate::web::http::links::public_link_view::PublicLinkView;
use crate::web::http::problem::closed_link_page::ClosedReason;
use crate::web::http::respond::AppData;
use crate::web::links::progress::{self, DownloadProgress, Visitor};

/// Returns the archive of all files of a link: the one that this visitor began, if its files are unchanged, or
/// else one of the files as they are now.
///
/// # Errors
/// [`WebError::StillPreparing`] if it takes a while; it is then prepared in the background.
pub(crate) async fn archive_of(
    app: &AppData,
    opened: &PublicLinkView,
    visitor: &Visitor,
    path: &FilePath,
    address: IpAddr,
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
    match app.archives.make(&order_of(opened, visitor, address), now).await? {
        ArchiveOutcome::Ready(archive) => Ok(archive),
        ArchiveOutcome::Preparing(progress) => Err(WebError::StillPreparing(progress)),
        ArchiveOutcome::Nothing => Err(opened.refusal(ClosedReason::Missing)),
    }
}

/// Returns the request of a visitor for all files of a link.
pub(crate) fn order_of(opened: &PublicLinkView, visitor: &Visitor, address: IpAddr) -> ArchiveOrder {
    let client = neighbourhood(address).to_string();
    let who = visitor.mark.as_ref().or(visitor.client.as_ref()).unwrap_or(&client);
    ArchiveOrder {
        places: opened.places.iter().map(|(_, place)| place.clone()).collect(),
        readers: ArchiveReaders::Recipients,
        hidden: if opened.link.hidden_files { HiddenFiles::Included } else { HiddenFiles::LeftOut },
        requester: format!("{} {who}", opened.recipient.id),
        client,
    }
}
