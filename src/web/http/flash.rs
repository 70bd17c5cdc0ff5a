//! Something to say on the next page, once: it travels in a cookie as one of these words, so that
//! nothing from outside is ever shown.

use crate::web::http::layout::{Flash, FlashKind};

/// Something to say on the next page, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashMessage {
    /// The password was changed by who knew the old one.
    PasswordChanged,
    /// Another password was chosen by a mailed link.
    PasswordReset,
    /// The account was activated.
    Activated,
    /// The name was changed.
    NameChanged,
    /// A mail asks to confirm another address.
    AddressRequested,
    /// The address stays as it is.
    AddressKept,
    /// The account has another address.
    AddressChanged,
    /// What an administrator asked for is done.
    Saved,
    /// Sessions were ended.
    SessionsEnded,
    /// The account is gone.
    AccountDeleted,
    /// A link is there.
    LinkMade,
    /// A link has other terms.
    LinkChanged,
    /// A link is paused.
    LinkPaused,
    /// A link works again.
    LinkResumed,
    /// A link is revoked.
    LinkRevoked,
    /// A link gives out nothing more, but the download service does not know yet.
    LinkClosedUnheard,
    /// A folder was made.
    FolderMade,
    /// A file or folder has another name.
    Renamed,
    /// A file or folder is in another folder.
    Moved,
    /// A file or folder is in the trash.
    Trashed,
    /// It is where it was before it was deleted.
    Restored,
    /// It is back, but under another name.
    RestoredElsewhere,
    /// It is gone from the trash, too.
    Forgotten,
    /// Files have arrived.
    Uploaded,
    /// A link was to be made, and nothing was chosen.
    NothingChosen,
    /// A link's mail is sent again.
    MailQueued,
    /// A link's mail was to be sent again, and is on its way.
    MailOnItsWay,
    /// A link's mail was to be sent again, and its recipient has had many.
    MailboxFull,
    /// All mails of a state are tried again.
    MailsRetried,
    /// Notices are turned on.
    NoticesOn,
    /// Notices are turned off.
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

    /// The word in the cookie.
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

    /// The note with that word.
    pub fn parse(word: &str) -> Option<FlashMessage> {
        FlashMessage::ALL.into_iter().find(|note| note.word() == word)
    }

    /// What the page says.
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
            FlashMessage::AddressChanged => "Your e-mail address is changed. From now on you log in with it.",
            FlashMessage::Saved => "Changes saved.",
            FlashMessage::SessionsEnded => "Done: whoever was logged in there is logged out.",
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
