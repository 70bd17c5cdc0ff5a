//! Something to say on the next page, once: it travels in a cookie as one of these words, so that
//! nothing from outside is ever shown.

use crate::web::http::layout::{Flash, FlashKind};

/// Something to say on the next page, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
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

impl Note {
    const ALL: [Note; 31] = [
        Note::PasswordChanged,
        Note::PasswordReset,
        Note::Activated,
        Note::NameChanged,
        Note::AddressRequested,
        Note::AddressKept,
        Note::AddressChanged,
        Note::Saved,
        Note::SessionsEnded,
        Note::AccountDeleted,
        Note::LinkMade,
        Note::LinkChanged,
        Note::LinkPaused,
        Note::LinkResumed,
        Note::LinkRevoked,
        Note::LinkClosedUnheard,
        Note::FolderMade,
        Note::Renamed,
        Note::Moved,
        Note::Trashed,
        Note::Restored,
        Note::RestoredElsewhere,
        Note::Forgotten,
        Note::Uploaded,
        Note::NothingChosen,
        Note::MailQueued,
        Note::MailOnItsWay,
        Note::MailboxFull,
        Note::MailsRetried,
        Note::NoticesOn,
        Note::NoticesOff,
    ];

    /// The word in the cookie.
    pub const fn word(self) -> &'static str {
        match self {
            Note::PasswordChanged => "password-changed",
            Note::PasswordReset => "password-reset",
            Note::Activated => "activated",
            Note::NameChanged => "name-changed",
            Note::AddressRequested => "address-requested",
            Note::AddressKept => "address-kept",
            Note::AddressChanged => "address-changed",
            Note::Saved => "saved",
            Note::SessionsEnded => "sessions-ended",
            Note::AccountDeleted => "account-deleted",
            Note::LinkMade => "link-made",
            Note::LinkChanged => "link-changed",
            Note::LinkPaused => "link-paused",
            Note::LinkResumed => "link-resumed",
            Note::LinkRevoked => "link-revoked",
            Note::LinkClosedUnheard => "link-closed-unheard",
            Note::FolderMade => "folder-made",
            Note::Renamed => "renamed",
            Note::Moved => "moved",
            Note::Trashed => "trashed",
            Note::Restored => "restored",
            Note::RestoredElsewhere => "restored-elsewhere",
            Note::Forgotten => "forgotten",
            Note::Uploaded => "uploaded",
            Note::NothingChosen => "nothing-chosen",
            Note::MailQueued => "mail-queued",
            Note::MailOnItsWay => "mail-on-its-way",
            Note::MailboxFull => "mailbox-full",
            Note::MailsRetried => "mails-retried",
            Note::NoticesOn => "notices-on",
            Note::NoticesOff => "notices-off",
        }
    }

    /// The note with that word.
    pub fn parse(word: &str) -> Option<Note> {
        Note::ALL.into_iter().find(|note| note.word() == word)
    }

    /// What the page says.
    pub fn flash(self) -> Flash {
        let text = match self {
            Note::PasswordChanged => {
                "Your password is changed. Any other browser that was logged in has to log in again."
            }
            Note::PasswordReset => "Your new password is saved. Log in with it.",
            Note::Activated => "Your account is active. Log in with the password that you chose.",
            Note::NameChanged => "Your name is changed.",
            Note::AddressRequested => {
                "A mail is on its way to the new address. The link in it makes the change; until then \
                 nothing changes."
            }
            Note::AddressKept => "Your address stays as it is.",
            Note::AddressChanged => "Your e-mail address is changed. From now on you log in with it.",
            Note::Saved => "Changes saved.",
            Note::SessionsEnded => "Done: whoever was logged in there is logged out.",
            Note::AccountDeleted => "Your account is deleted, and you are logged out everywhere.",
            Note::LinkMade => "Your link is ready.",
            Note::LinkChanged => "The link is changed.",
            Note::LinkPaused => "The link is paused, and downloads that were in progress have been stopped.",
            Note::LinkResumed => "The link works again.",
            Note::LinkRevoked => {
                "The link no longer works, and downloads that were in progress have been stopped."
            }
            Note::LinkClosedUnheard => {
                "The link no longer starts downloads. But the download service could not be reached: downloads \
                 that are in progress, or were started in the last few minutes, will be stopped as soon as it \
                 can be."
            }
            Note::FolderMade => "Folder created.",
            Note::Renamed => "Renamed.",
            Note::Moved => "Moved to this folder.",
            Note::Trashed => "Deleted. You can restore it from the trash for a while.",
            Note::Restored => "Restored to where it was.",
            Note::RestoredElsewhere => {
                "Restored to this folder under another name, because its own was taken."
            }
            Note::Forgotten => "Permanently deleted.",
            Note::Uploaded => "The upload is complete.",
            Note::NothingChosen => {
                "Choose at least one file or folder first: tick the boxes in front of their names."
            }
            Note::MailQueued => "We’re sending the link again.",
            Note::MailOnItsWay => {
                "We didn’t send the link again: that email is already on its way or was sent only a moment ago, \
                 or the link can’t be used now."
            }
            Note::MailboxFull => {
                "We didn’t send the link again: this recipient has had several emails from you within the last \
                 hour. Try again later, or copy the link and send it yourself."
            }
            Note::MailsRetried => "We’re trying these emails again now.",
            Note::NoticesOn => "You’ll get emails about downloads again.",
            Note::NoticesOff => "You won’t get emails about downloads any more.",
        };
        let kind = match self {
            Note::NothingChosen | Note::MailOnItsWay | Note::MailboxFull => FlashKind::Failed,
            _ => FlashKind::Done,
        };
        Flash { kind, text: text.to_owned() }
    }
}
