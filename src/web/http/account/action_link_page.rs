//! Pages for action links that have done their work, or can't any more.

use askama::Template;

use crate::web::http::layout::Chrome;

/// What a link has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The account is active.
    Activated,
    /// The account has its password.
    PasswordChosen,
    /// The account has its new address.
    AddressChanged,
}

/// A link that has done its work: nothing is wrong, and nothing is left to do.
#[derive(Clone, Debug, Template)]
#[template(path = "web/link-done.html")]
pub struct LinkDone {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// What it did.
    pub what: Done,
}

impl LinkDone {
    /// The page for a link that did this.
    pub fn new(what: Done) -> LinkDone {
        LinkDone { chrome: Chrome::public("This is already done"), what }
    }

    const fn sentence(&self) -> &'static str {
        match self.what {
            Done::Activated => "Your account is already active.",
            Done::PasswordChosen => "This link was already used to set a password.",
            Done::AddressChanged => "Your account already has its new email address.",
        }
    }
}

/// Why a link can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Its time is over.
    Expired,
    /// A newer mail holds a newer one.
    Replaced,
    /// What it was for has changed in another way.
    Changed,
}

/// The form that asks for a new link.
#[derive(Clone, Debug)]
pub struct RenewForm {
    /// Where it goes.
    pub action: String,
    /// CSRF token of this browser.
    pub csrf: String,
}

/// A link that can't be used any more.
#[derive(Clone, Debug, Template)]
#[template(path = "web/link-over.html")]
pub struct LinkOver {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// Why not.
    pub why: Over,
    /// Asks for a new one; `None` where there is nobody to send it to.
    pub renew: Option<RenewForm>,
}

impl LinkOver {
    /// The page for a link that is over for that reason.
    pub fn new(why: Over, renew: Option<RenewForm>) -> LinkOver {
        LinkOver { chrome: Chrome::public("This link no longer works"), why, renew }
    }

    const fn sentence(&self) -> &'static str {
        match self.why {
            Over::Expired => "This link has expired. Links in emails work for a limited time only.",
            Over::Replaced => "We sent you a newer email since: only the link in the newest one works.",
            Over::Changed => {
                "Your account has changed since this email was sent, so its link no longer works."
            }
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let renew = RenewForm { action: "/activate/a.b.c/renew".to_owned(), csrf: "c\"srf".to_owned() };
    Ok(vec![
        ("link-done-activated", LinkDone::new(Done::Activated).render()?),
        ("link-done-password", LinkDone::new(Done::PasswordChosen).render()?),
        ("link-done-address", LinkDone::new(Done::AddressChanged).render()?),
        ("link-expired", LinkOver::new(Over::Expired, Some(renew.clone())).render()?),
        ("link-replaced", LinkOver::new(Over::Replaced, Some(renew)).render()?),
        ("link-changed", LinkOver::new(Over::Changed, None).render()?),
    ])
}
