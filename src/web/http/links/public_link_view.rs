//! The link behind a public address, with what its owner may share now, as all handlers for it see it.

use std::net::IpAddr;

use crate::id::FilePath;
use crate::secret::Secret;
use crate::web::http::error::WebError;
use crate::web::http::problem::closed_link_page::{ClosedLink, ClosedReason};
use crate::web::http::respond::{AppData, blocking};
use crate::web::http::state::AppState;
use crate::web::links::contents::{self, ContentsQuery, LinkContents};
use crate::web::links::offers::LinkOffers;
use crate::web::links::progress::Visitor;
use crate::web::links::{Link, LinkStatus, Recipient};
use crate::web::membership::self_service::browser_mark;
use crate::web::shares::archive_path;
use crate::web::shares::rights::Readable;

/// A link as a visitor finds it.
pub(crate) struct PublicLinkView {
    /// The link.
    pub(crate) link: Link,
    /// The recipient whose address the visitor opened.
    pub(crate) recipient: Recipient,
    /// The name of its owner.
    pub(crate) from: String,
    /// The files and folders that its owner may read now, each with its position among all of the link.
    pub(crate) places: Vec<(usize, Readable)>,
    /// Why nothing can be downloaded with it, if so.
    pub(crate) closed: Option<ClosedReason>,
}

impl PublicLinkView {
    /// Returns the refusal of a visit, which says no more about the sender than the open page does.
    pub(crate) fn refusal(&self, why: ClosedReason) -> WebError {
        let from = Some(self.from.clone()).filter(|from| !from.is_empty());
        WebError::LinkClosed(ClosedLink { why, from })
    }

    /// Returns the path under which downloads of all files as one archive are recorded.
    pub(crate) fn archive_path(&self) -> Option<FilePath> {
        archive_path::of(self.places.iter().map(|(_, place)| place))
    }

    /// Returns whether a press on the page must be repeated before it counts: this is the case if the link
    /// was most likely mailed, requires no password or code, and has a limited number of downloads. Mail
    /// scanners press buttons, too.
    pub(crate) fn needs_second_press(&self) -> bool {
        let asks_for_something = self.link.password.is_some() || self.link.mailed_code;
        self.recipient.email.is_some() && self.link.uses_per_recipient.is_some() && !asks_for_something
    }

    /// Returns why nothing is left for this visitor, if that is so. A visitor who has begun a download may
    /// still see its state.
    pub(crate) fn used_up(&self, offers: &LinkOffers) -> Option<ClosedReason> {
        let none_left = self.recipient.left(self.link.uses_per_recipient) == Some(0);
        (none_left && !offers.has_own()).then_some(match self.recipient.reserved {
            0 => ClosedReason::UsedUp,
            _ => ClosedReason::UsedUpForNow,
        })
    }

    /// Lists the files of the link. Walking through folders is heavy, so only a few walks run at once.
    pub(crate) async fn contents(
        &self,
        app: &AppData,
        view: ContentsQuery,
    ) -> Result<LinkContents, WebError> {
        let (shares, places) = (app.shares.clone(), self.places.clone());
        let view = ContentsQuery { hidden_files: self.link.hidden_files, ..view };
        let turn = app.searches.clone().acquire_owned().await;
        let looking = blocking(move || {
            let _turn = turn;
            contents::look_at(&shares, &places, &view)
        });
        let mut contents = looking.await?;
        let (issuer, now) = (&app.services.issuer, app.services.clock.now());
        let found = contents.items.len();
        contents.items.retain(|item| issuer.can_issue(&item.path, now));
        contents.too_long = found - contents.items.len();
        // What its owner may no longer read is missing, too.
        let is_readable = |place: usize| self.places.iter().any(|(readable, _)| *readable == place);
        let lost = self.link.files.iter().enumerate().filter(|(place, _)| !is_readable(*place));
        contents.missing.extend(lost.map(|(_, file)| file.name().to_owned()));
        Ok(contents)
    }
}

/// Returns who uses that recipient's link: a browser by its cookie, anyone without one by their address.
pub(crate) fn visitor_of(
    app: &AppState,
    secret: Option<&Secret>,
    address: Option<IpAddr>,
    recipient: &Recipient,
) -> Visitor {
    let links = &app.services.links;
    let mark = secret.map(|secret| browser_mark(&secret.digest()));
    Visitor::new(mark, address, &recipient.id, &links.key, &links.lease)
}

/// Finds the link of that code. Changes nothing.
pub(crate) async fn open(app: &AppData, code: &str) -> Result<PublicLinkView, WebError> {
    let services = &app.services;
    let found = services.links.by_code(code).await?;
    let (link, recipient) = found.ok_or(WebError::NotFound)?;
    let owner = services.accounts.by_id(&link.owner).await?.filter(|owner| !owner.disabled);
    let (mut from, mut places) = (String::new(), Vec::new());
    if let Some(owner) = &owner {
        owner.name.as_str().clone_into(&mut from);
        let files = link.files.iter().cloned().enumerate();
        places = files.filter_map(|(place, file)| Some((place, app.rights.readable(owner, file)?))).collect();
    }
    let closed = match link.status(services.clock.now()) {
        LinkStatus::Revoked => Some(ClosedReason::Revoked),
        LinkStatus::Abandoned => Some(ClosedReason::Abandoned),
        _ if recipient.removed_at.is_some() => Some(ClosedReason::Revoked),
        // A code can't be mailed to just anyone: only named recipients are left.
        _ if link.mailed_code && recipient.email.is_none() => Some(ClosedReason::Revoked),
        // A link never grants more than its owner may read now. One that waits for its only file has none yet.
        _ if places.is_empty() && !link.files.is_empty() => Some(ClosedReason::Gone),
        LinkStatus::Ended => Some(ClosedReason::Ended),
        LinkStatus::Paused => Some(ClosedReason::Paused),
        LinkStatus::Uploading => Some(ClosedReason::Uploading),
        LinkStatus::Open => None,
    };
    Ok(PublicLinkView { link, recipient, from, places, closed })
}
