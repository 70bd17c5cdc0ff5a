//! What a link's terms say beyond the link itself: what happens to its files afterwards, and with what the
//! person's next link begins.

use crate::id::FilePath;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::link_making::are_within;
use crate::web::http::respond::AppData;
use crate::web::links::terms::LinkForm;

/// Returns whether all files are in the person's own folder, so that a link may delete them afterwards.
pub(crate) fn are_own(who: &SignedIn, files: &[FilePath]) -> bool {
    are_within(who.home.as_ref(), files)
}

/// Makes the person's next link begin with the terms of this valid form.
pub(crate) async fn remember_terms(
    app: &AppData,
    who: &SignedIn,
    typed: &LinkForm,
    own: bool,
) -> Result<(), WebError> {
    let (links, account) = (&app.services.links, &who.account().id);
    let terms = links.defaults(account).await?.with(typed, own);
    Ok(links.set_defaults(account, &terms).await?)
}
