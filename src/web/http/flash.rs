//! Flash messages: what the next page says, once, about what was just done. The cookie carries only the name of one of
//! these messages, so that a page never shows text from outside.

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
    /// A link was closed, but the download service does not know yet.
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
        match self {
            FlashMessage::PasswordChanged => "password-changed",
            FlashMessage::PasswordReset => "password-reset",
            FlashMessage::Activated => "activated",
            FlashMessage::NameChanged => "name-changed",
            FlashMessage::AddressRequested => "address-requested",
            FlashMessage::AddressKept => "address-kept",
            FlashMessage::AddressChanged => "address-changed",
            FlashMessage::Saved => "saved",
            FlashMessage::SessionsEnded => "sessions-ended",
            FlashMessage::AccountDeleted => "account-deleted",
            FlashMessage::LinkMade => "link-made",
            FlashMessage::LinkChanged => "link-changed",
            FlashMessage::LinkPaused => "link-paused",
            FlashMessage::LinkResumed => "link-resumed",
            FlashMessage::LinkRevoked => "link-revoked",
            FlashMessage::LinkClosedUnheard => "link-closed-unheard",
            FlashMessage::FolderMade => "folder-made",
            FlashMessage::Renamed => "renamed",
            FlashMessage::Moved => "moved",
            FlashMessage::Trashed => "trashed",
            FlashMessage::Restored => "restored",
            FlashMessage::RestoredElsewhere => "restored-elsewhere",
            FlashMessage::Forgotten => "forgotten",
            FlashMessage::Uploaded => "uploaded",
            FlashMessage::NothingChosen => "nothing-chosen",
            FlashMessage::MailQueued => "mail-queued",
            FlashMessage::MailOnItsWay => "mail-on-its-way",
            FlashMessage::MailboxFull => "mailbox-full",
            FlashMessage::MailsRetried => "mails-retried",
            FlashMessage::NoticesOn => "notices-on",
            FlashMessage::NoticesOff => "notices-off",
        }
    }

    /// Returns the message with that name.
    pub fn parse(word: &str) -> Option<FlashMessage> {
        FlashMessage::ALL.into_iter().find(|message| message.word() == word)
    }

    /// Returns what the page says.
    pub fn flash(self) -> Flash {
        let text = match self {
            FlashMessage::PasswordChanged => {
                "Your password is changed. Any other browser that was logged in has to log in again."
            }
            FlashMessage::PasswordReset => "Your new password is saved. Log in with it.",
            FlashMessage::Activated => "Your account is active. Log in with the password that you chose.",
            FlashMessage::NameChanged => "Your name is changed.",
            FlashMessage::AddressRequested => {
                "A mail is on its way to the new address. The link in it makes the change; until then \
                 nothing changes."
            }
            FlashMessage::AddressKept => "Your address stays as it is.",
            FlashMessage::AddressChanged => "Your email address is changed. From now on you log in with it.",
            FlashMessage::Saved => "Changes saved.",
            FlashMessage::SessionsEnded => "Done. Everyone who was logged in there is logged out.",
            FlashMessage::AccountDeleted => "Your account is deleted, and you are logged out everywhere.",
            FlashMessage::LinkMade => "Your link is ready.",
            FlashMessage::LinkChanged => "The link is changed.",
            FlashMessage::LinkPaused => {
                "The link is paused, and downloads that were in progress have been stopped."
            }
            FlashMessage::LinkResumed => "The link works again.",
            FlashMessage::LinkRevoked => {
                "The link no longer works, and downloads that were in progress have been stopped."
            }
            FlashMessage::LinkClosedUnheard => {
                "The link no longer starts downloads. But the download service could not be reached: downloads \
                 that are in progress, or were started in the last few minutes, will be stopped as soon as it \
                 can be."
            }
            FlashMessage::FolderMade => "Folder created.",
            FlashMessage::Renamed => "Renamed.",
            FlashMessage::Moved => "Moved to this folder.",
            FlashMessage::Trashed => "Deleted. You can restore it from the trash for a while.",
            FlashMessage::Restored => "Restored to where it was.",
            FlashMessage::RestoredElsewhere => {
                "Restored to this folder under another name, because its own was taken."
            }
            FlashMessage::Forgotten => "Permanently deleted.",
            FlashMessage::Uploaded => "The upload is complete.",
            FlashMessage::NothingChosen => {
                "Choose at least one file or folder first: tick the boxes in front of their names."
            }
            FlashMessage::MailQueued => "We’re sending the link again.",
            FlashMessage::MailOnItsWay => {
                "We didn’t send the link again: that email is already on its way or was sent only a moment ago, \
                 or the link can’t be used now."
            }
            FlashMessage::MailboxFull => {
                "We didn’t send the link again: this recipient has had several emails from you within the last \
                 hour. Try again later, or copy the link and send it yourself."
            }
            FlashMessage::MailsRetried => "We’re trying these emails again now.",
            FlashMessage::NoticesOn => "You’ll get emails about downloads again.",
            FlashMessage::NoticesOff => "You won’t get emails about downloads any more.",
        };
        let kind = match self {
            FlashMessage::NothingChosen | FlashMessage::MailOnItsWay | FlashMessage::MailboxFull => {
                FlashKind::Failed
            }
            _ => FlashKind::Done,
        };
        Flash { kind, text: text.to_owned() }
    }
}
