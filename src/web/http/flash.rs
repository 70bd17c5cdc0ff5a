//! Something to say on the next page, once: it travels in a cookie as one of these words, so that
//! nothing from outside is ever shown.

use crate::web::http::layout::{Flash, FlashKind};
use crate::words::words;

words! {
    /// Something to say on the next page, once.
    pub enum Note {
        /// The password was changed by who knew the old one.
        PasswordChanged = "password-changed",
        /// Another password was chosen by a mailed link.
        PasswordReset = "password-reset",
        /// The account was activated.
        Activated = "activated",
        /// The name was changed.
        NameChanged = "name-changed",
        /// A mail asks to confirm another address.
        AddressRequested = "address-requested",
        /// The address stays as it is.
        AddressKept = "address-kept",
        /// The account has another address.
        AddressChanged = "address-changed",
        /// What an administrator asked for is done.
        Saved = "saved",
        /// Sessions were ended.
        SessionsEnded = "sessions-ended",
        /// The account is gone.
        AccountDeleted = "account-deleted",
        /// A link is there.
        LinkMade = "link-made",
        /// A link has other terms.
        LinkChanged = "link-changed",
        /// A link is paused.
        LinkPaused = "link-paused",
        /// A link works again.
        LinkResumed = "link-resumed",
        /// A link is revoked.
        LinkRevoked = "link-revoked",
        /// A link gives out nothing more, but the download service does not know yet.
        LinkClosedUnheard = "link-closed-unheard",
        /// A folder was made.
        FolderMade = "folder-made",
        /// A file or folder has another name.
        Renamed = "renamed",
        /// A file or folder is in another folder.
        Moved = "moved",
        /// A file or folder is in the trash.
        Trashed = "trashed",
        /// It is where it was before it was deleted.
        Restored = "restored",
        /// It is back, but under another name.
        RestoredElsewhere = "restored-elsewhere",
        /// It is gone from the trash, too.
        Forgotten = "forgotten",
        /// Files have arrived.
        Uploaded = "uploaded",
        /// A link was to be made, and nothing was chosen.
        NothingChosen = "nothing-chosen",
        /// A link's mail is sent again.
        MailQueued = "mail-queued",
        /// A link's mail was to be sent again, and is on its way.
        MailOnItsWay = "mail-on-its-way",
        /// A link's mail was to be sent again, and its recipient has had many.
        MailboxFull = "mailbox-full",
        /// All mails of a state are tried again.
        MailsRetried = "mails-retried",
        /// Notices are turned on.
        NoticesOn = "notices-on",
        /// Notices are turned off.
        NoticesOff = "notices-off",
    }
}

impl Note {
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
