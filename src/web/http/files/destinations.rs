//! Where something can be moved to, as the pages that ask for a destination offer it.

use crate::files::FileError;
use crate::id::FilePath;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::files::listing;
use crate::web::http::respond::blocking;
use crate::web::http::state::AppState;
use crate::web::shares::rights::{Right, Writable};

/// The maximum number of folders that are offered.
const MAX_CHOICES: usize = 500;

/// The destinations that can be reached from a folder.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    /// The subfolders of the folder, in order.
    pub folders: Vec<FilePath>,
    /// The number of subfolders that are not offered.
    pub more: usize,
    /// The shares that the person may write to, and their own folder.
    pub roots: Vec<FilePath>,
}

/// Returns the destinations that can be reached from `to`, except `moved`: nothing can be moved into itself.
pub(crate) async fn of(
    app: &AppState,
    who: &SignedIn,
    to: &Writable,
    moved: &[FilePath],
) -> Result<Destinations, WebError> {
    let shares = app.shares.clone();
    let readable = app.rights.readable(who.account(), to.path().clone()).ok_or(WebError::NotFound)?;
    let home = who.home.clone();
    let looked = blocking(move || match listing::folders(&shares, &readable) {
        // The person's own folder is created when something is first put there.
        Err(FileError::Missing) if home.as_ref() == Some(readable.path()) => Ok(Vec::new()),
        found => found,
    });
    let mut folders: Vec<FilePath> = looked.await??;
    folders.retain(|folder| !moved.contains(folder));
    let more = folders.len().saturating_sub(MAX_CHOICES);
    folders.truncate(MAX_CHOICES);
    Ok(Destinations { folders, more, roots: app.rights.roots_with(who.account(), Right::Write) })
}
