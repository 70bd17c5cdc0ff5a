//! Flash messages: what the next page says, once, about what was just done. The cookie carries only the name
//! of one of these messages, so that a page never shows text from outside.

use crate::web::http::layout::{Flash, FlashKind};

/// What the next page says, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashMessage {
    /// The password was changed by a person who knew the old one.
    PasswordChanged,
    /// A new password was set through a mailed link.
    PasswordReset,
    /// The account was activated.
    Activated,
    /// The name was changed.
    NameChanged,
    /// A mail was sent to confirm the new address.
    AddressRequested,
    /// The address stays as it is.
    AddressKept,
    /// The address was changed.
    AddressChanged,
    /// An administrator's change was saved.
    Saved,
    /// Sessions were ended.
    SessionsEnded,
    /// The account was deleted.
    AccountDeleted,
    /// A link was created.
    LinkMade,
    /// The terms of a link were changed.
    LinkChanged,
    /// A link was paused.
    LinkPaused,
    /// A link was resumed.
    LinkResumed,
    /// A link was revoked.
    LinkRevoked,
    /// A link was paused or revoked, but the download service does not know yet.
    LinkClosedUnheard,
    /// A folder was created.
    FolderMade,
    /// A file or folder was renamed.
    Renamed,
    /// A file or folder was moved.
    Moved,
    /// A file or folder was moved to the trash.
    Trashed,
    /// An entry of the trash was restored.
    Restored,
    /// An entry of the trash was restored under another name.
    RestoredElsewhere,
    /// An entry of the trash was deleted permanently.
    Forgotten,
    /// Files were uploaded.
    Uploaded,
    /// A link can't be created, because no file was selected.
    NothingChosen,
    /// The mail with a link will be sent again.
    MailQueued,
    /// The mail with a link is not sent again, because it is already on its way.
    MailOnItsWay,
    /// The mail with a link is not sent again, because its recipient has had too many.
    MailboxFull,
    /// All mails in a state are tried again.
    MailsRetried,
    /// Notices were turned on.
    NoticesOn,
    /// Notices were turned off.
    NoticesOff,
}

impl FlashMessage {
    const ALL: [FlashMessage; 31] = [
        FlashMessage::PasswordChanged,
        FlashMessage::PasswordReset,
        FlashMessage::Activated,
        FlashMessage::NameChanged,
        FlashMessage::AddressRequested,
        FlashMessage::AddressKept,
        FlashMessage::AddressChanged,
        FlashMessage::Saved,
        FlashMessage::SessionsEnded,
        FlashMessage::AccountDeleted,
        FlashMessage::LinkMade,
        FlashMessage::LinkChanged,
        FlashMessage::LinkPaused,
        FlashMessage::LinkResumed,
        FlashMessage::LinkRevoked,
        FlashMessage::LinkClosedUnheard,
        FlashMessage::FolderMade,
        FlashMessage::Renamed,
        FlashMessage::Moved,
        FlashMessage::Trashed,
        FlashMessage::Restored,
        FlashMessage::RestoredElsewhere,
        FlashMessage::Forgotten,
        FlashMessage::Uploaded,
        FlashMessage::NothingChosen,
        FlashMessage::MailQueued,
        FlashMessage::MailOnItsWay,
        FlashMessage::MailboxFull,
        FlashMessage::MailsRetried,
        FlashMessage::NoticesOn,
        FlashMessage::NoticesOff,
    ];

    /// Returns the name of the message in the cookie.
    pub const fn word(self) -> &'static str {
        self.parts().0
    }

    /// Returns the message with that name.
    pub fn parse(word: &str) -> Option<FlashMessage> {
        FlashMessage::ALL.into_iter().find(|message| message.word() == word)
    }

    /// Returns what the page says.
    pub fn flash(self) -> Flash {
        let (_, kind, text) = self.parts();
        Flash { kind, text: text.to_owned() }
    }

    /// Returns the name, whether it is about a success, and the text.
    const fn parts(self) -> (&'static str, FlashKind, &'static str) {
        match self {
            FlashMessage::PasswordChanged => (
                "password-changed",
                FlashKind::Done,
                "Your password has been changed. Any other browser that was logged in has to log in again.",
            ),
            FlashMessage::PasswordReset => {
                ("password-reset", FlashKind::Done, "Your new password is saved. Log in with it.")
            }
            FlashMessage::Activated => (
                "activated",
                FlashKind::Done,
                "Your account is active. Log in with the password that you chose.",
            ),
            FlashMessage::NameChanged => ("name-changed", FlashKind::Done, "Your name has been changed."),
            FlashMessage::AddressRequested => (
                "address-requested",
                FlashKind::Done,
                "An email is on its way to the new address. Open the link in it to confirm the change; until \
                 then your address stays the same.",
            ),
            FlashMessage::AddressKept => ("address-kept", FlashKind::Done, "Your address was not changed."),
            FlashMessage::AddressChanged => (
                "address-changed",
                FlashKind::Done,
                "Your email address has been changed. From now on you log in with it.",
            ),
            FlashMessage::Saved => ("saved", FlashKind::Done, "Changes saved."),
            FlashMessage::SessionsEnded => {
                ("sessions-ended", FlashKind::Done, "Done. Everyone who was logged in there is logged out.")
            }
            FlashMessage::AccountDeleted => (
                "account-deleted",
                FlashKind::Done,
                "Your account has been deleted, and you are logged out everywhere.",
            ),
            FlashMessage::LinkMade => ("link-made", FlashKind::Done, "Your link is ready."),
            FlashMessage::LinkChanged => ("link-changed", FlashKind::Done, "The link has been changed."),
            FlashMessage::LinkPaused => (
                "link-paused",
                FlashKind::Done,
                "The link is paused, and downloads that were in progress have been stopped.",
            ),
            FlashMessage::LinkResumed => ("link-resumed", FlashKind::Done, "The link works again."),
            FlashMessage::LinkRevoked => (
                "link-revoked",
                FlashKind::Done,
                "The link no longer works, and downloads that were in progress have been stopped.",
            ),
            FlashMessage::LinkClosedUnheard => (
                "link-closed-unheard",
                FlashKind::Done,
                "The link no longer starts downloads. But the download service could not be reached: downloads \
                 that are in progress, or were started in the last few minutes, will be stopped as soon as it \
                 can be.",
            ),
            FlashMessage::FolderMade => ("folder-made", FlashKind::Done, "Folder created."),
            FlashMessage::Renamed => ("renamed", FlashKind::Done, "Renamed."),
            FlashMessage::Moved => ("moved", FlashKind::Done, "Moved to this folder."),
            FlashMessage::Trashed => {
                ("trashed", FlashKind::Done, "Deleted. You can restore it from the trash for a while.")
            }
            FlashMessage::Restored => ("restored", FlashKind::Done, "Restored to where it was."),
            FlashMessage::RestoredElsewhere => (
                "restored-elsewhere",
                FlashKind::Done,
                "Restored to this folder under another name, because its own was taken.",
            ),
            FlashMessage::Forgotten => ("forgotten", FlashKind::Done, "Permanently deleted."),
            FlashMessage::Uploaded => ("uploaded", FlashKind::Done, "The upload is complete."),
            FlashMessage::NothingChosen => (
                "nothing-chosen",
                FlashKind::Failed,
                "Choose at least one file or folder first: tick the boxes in front of their names.",
            ),
            FlashMessage::MailQueued => ("mail-queued", FlashKind::Done, "We’re sending the link again."),
            FlashMessage::MailOnItsWay => (
                "mail-on-its-way",
                FlashKind::Failed,
                "We didn’t send the link again: that email is already on its way or was sent only a moment ago, \
                 or the link can’t be used now.",
            ),
            FlashMessage::MailboxFull => (
                "mailbox-full",
                FlashKind::Failed,
                "We didn’t send the link again: this recipient has had several emails from you within the last \
                 hour. Try again later, or copy the link and send it yourself.",
            ),
            FlashMessage::MailsRetried => {
                ("mails-retried", FlashKind::Done, "We’re trying these emails again now.")
            }
            FlashMessage::NoticesOn => {
                ("notices-on", FlashKind::Done, "You’ll get emails about downloads again.")
            }
            FlashMessage::NoticesOff => {
                ("notices-off", FlashKind::Done, "You won’t get emails about downloads any more.")
            }
        }
    }
}
