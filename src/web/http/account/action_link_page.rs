//! The pages of action links that have done their work or can't be used any more.

use askama::Template;

use crate::web::http::layout::Chrome;

/// What an action link has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletedAction {
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
pub struct ActionDonePage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// What the link did.
    pub what: CompletedAction,
}

impl ActionDonePage {
    /// Returns the page for a link that did this.
    pub fn new(what: CompletedAction) -> ActionDonePage {
        ActionDonePage { chrome: Chrome::public("This is already done"), what }
    }

    const fn sentence(&self) -> &'static str {
        match self.what {
            CompletedAction::Activated => "Your account is already active.",
            CompletedAction::PasswordChosen => "This link was already used to set a password.",
            CompletedAction::AddressChanged => "Your account already has its new email address.",
        }
    }
}

/// Why an action link can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableReason {
    /// It has expired.
    Expired,
    /// A newer mail contains a newer link.
    Replaced,
    /// The account has changed in another way since.
    Changed,
}

/// The form that asks for a new link.
#[derive(Clone, Debug)]
pub struct RenewForm {
    /// The address that it is sent to.
    pub action: String,
    /// The CSRF token of this browser.
    pub csrf: String,
}

/// A link that can't be used any more.
#[derive(Clone, Debug, Template)]
#[template(path = "web/link-over.html")]
pub struct UnusableLinkPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The reason.
    pub why: UnusableReason,
    /// Asks for a new link; `None` where there is nobody to send it to.
    pub renew: Option<RenewForm>,
}

impl UnusableLinkPage {
    /// Returns the page for a link that can't be used for that reason.
    pub fn new(why: UnusableReason, renew: Option<RenewForm>) -> UnusableLinkPage {
        UnusableLinkPage { chrome: Chrome::public("This link no longer works"), why, renew }
    }

    const fn sentence(&self) -> &'static str {
        match self.why {
            UnusableReason::Expired => "This link has expired. Links in emails work for a limited time only.",
            UnusableReason::Replaced => {
                "We sent you a newer email since: only the link in the newest one works."
            }
            UnusableReason::Changed => {
                "Your account has changed since this email was sent, so its link no longer works."
            }
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let renew = RenewForm { action: "/activate/a.b.c/renew".to_owned(), csrf: "c\"srf".to_owned() };
    Ok(vec![
        ("link-done-activated", ActionDonePage::new(CompletedAction::Activated).render()?),
        ("link-done-password", ActionDonePage::new(CompletedAction::PasswordChosen).render()?),
        ("link-done-address", ActionDonePage::new(CompletedAction::AddressChanged).render()?),
        ("link-expired", UnusableLinkPage::new(UnusableReason::Expired, Some(renew.clone())).render()?),
        ("link-replaced", UnusableLinkPage::new(UnusableReason::Replaced, Some(renew)).render()?),
        ("link-changed", UnusableLinkPage::new(UnusableReason::Changed, None).render()?),
    ])
}
