//! The link behind an address, with what its owner may give of it now.

use crate::web::http::error::WebError;
use crate::web::http::links::public_link_page::Closed;
use crate::web::http::respond::App;
use crate::web::links::{Link, Recipient, Standing};
use crate::web::shares::rights::Readable;

/// A link that somebody opened.
pub(crate) struct Opened {
    /// The link.
    pub(crate) link: Link,
    /// Whose address it was.
    pub(crate) recipient: Recipient,
    /// What to call its owner.
    pub(crate) from: String,
    /// Those of its files and folders that its owner may read now, each with its place among all.
    pub(crate) places: Vec<(usize, Readable)>,
    /// Why nothing of it can be taken.
    pub(crate) closed: Option<Closed>,
}

impl Opened {
    /// Whether a press on the page must be repeated before it counts: where the link is most likely in a
    /// mail, whose scanners press buttons, too, and a press would cost a download and asks for nothing.
    pub(crate) fn needs_second_press(&self) -> bool {
        let asks_for_something = self.link.password.is_some() || self.link.mailed_code;
        self.recipient.email.is_some() && self.link.uses.is_some() && !asks_for_something
    }
}

/// The link of that code; changes nothing.
pub(crate) async fn open(app: &App, code: &str) -> Result<Opened, WebError> {
    let administration = &app.administration;
    let found = administration.links.by_code(code).await?;
    let (link, recipient) = found.ok_or(WebError::NotFound)?;
    let owner = administration.accounts.by_id(&link.owner).await?.filter(|owner| !owner.disabled);
    let (mut from, mut places) = (String::new(), Vec::new());
    if let Some(owner) = &owner {
        owner.name.as_str().clone_into(&mut from);
        let files = link.files.iter().cloned().enumerate();
        places = files.filter_map(|(place, file)| Some((place, app.rights.readable(owner, file)?))).collect();
    }
    let closed = match link.standing(administration.clock.now()) {
        Standing::Revoked => Some(Closed::Revoked),
        // Whoever lost the right to read lost the right to give.
        _ if places.is_empty() => Some(Closed::Gone),
        Standing::Ended => Some(Closed::Ended),
        Standing::Paused => Some(Closed::Paused),
        Standing::Open => None,
    };
    Ok(Opened { link, recipient, from, places, closed })
}
