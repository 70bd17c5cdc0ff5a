//! Flash messages: what the next page says, once, about what was just done. The cookie carries only the name
//! of one of these messages and possibly a number, so that a page never shows text from outside.

use crate::human;
use crate::web::http::layout::{Flash, FlashKind};
use crate::words::words;

words! {
    /// What the next page says, once.
    pub enum FlashMessage {
        /// The password was changed by a person who knew the old one.
        PasswordChanged = "password-changed",
        /// A new password was set through a mailed link.
        PasswordReset = "password-reset",
        /// The account was activated.
        Activated = "activated",
        /// The name was changed.
        NameChanged = "name-changed",
        /// A mail was sent to confirm the new address.
        AddressRequested = "address-requested",
        /// The address stays as it is.
        AddressKept = "address-kept",
        /// The address was changed.
        AddressChanged = "address-changed",
        /// An administrator's change was saved.
        Saved = "saved",
        /// A download service was removed.
        NodeRemoved = "node-removed",
        /// A new key was shown already.
        NodeKeyShown = "node-key-shown",
        /// Sessions were ended.
        SessionsEnded = "sessions-ended",
        /// A new API key was shown already.
        ApiKeyShown = "api-key-shown",
        /// An API key was revoked.
        ApiKeyRevoked = "api-key-revoked",
        /// The second factor was turned off.
        SecondFactorOff = "second-factor-off",
        /// The secret of a webhook was shown already.
        WebhookSecretShown = "webhook-secret-shown",
        /// A webhook was paused.
        WebhookPaused = "webhook-paused",
        /// A webhook was resumed.
        WebhookResumed = "webhook-resumed",
        /// A test will be sent to a webhook.
        WebhookTested = "webhook-tested",
        /// No test is sent to a webhook, because too many messages wait.
        WebhookFull = "webhook-full",
        /// A message will be sent again.
        WebhookResent = "webhook-resent",
        /// A webhook was deleted.
        WebhookDeleted = "webhook-deleted",
        /// The account was deleted.
        AccountDeleted = "account-deleted",
        /// A link was created.
        LinkMade = "link-made",
        /// The terms of a link were changed.
        LinkChanged = "link-changed",
        /// A link got a later end, or more downloads.
        LinkExtended = "link-extended",
        /// A link was duplicated; this is the copy.
        LinkDuplicated = "link-duplicated",
        /// Nothing was done, because the link was revoked.
        LinkIsRevoked = "link-is-revoked",
        /// A link was not extended, because the operator allows no more.
        LinkAtLimit = "link-at-limit",
        /// Recipients were added to a link.
        RecipientsAdded = "recipients-added",
        /// A recipient was removed from a link.
        RecipientRemoved = "recipient-removed",
        /// The only recipient of a link can't be removed.
        LastRecipient = "last-recipient",
        /// A link was paused.
        LinkPaused = "link-paused",
        /// A link was resumed.
        LinkResumed = "link-resumed",
        /// A link was revoked.
        LinkRevoked = "link-revoked",
        /// A link was paused or revoked, but the download service does not know yet.
        LinkClosedUndelivered = "link-closed-unheard",
        /// A file request was created.
        RequestMade = "request-made",
        /// The terms of a file request were changed.
        RequestChanged = "request-changed",
        /// A file request was stopped.
        RequestStopped = "request-stopped",
        /// A guest's files have arrived.
        FilesSent = "files-sent",
        /// A folder was created.
        FolderMade = "folder-made",
        /// A file or folder was renamed.
        Renamed = "renamed",
        /// A file or folder was moved.
        Moved = "moved",
        /// A file or folder was moved to the trash.
        Trashed = "trashed",
        /// An entry of the trash was restored.
        Restored = "restored",
        /// An entry of the trash was restored under another name.
        RestoredElsewhere = "restored-elsewhere",
        /// An entry of the trash was deleted permanently.
        Forgotten = "forgotten",
        /// Files were uploaded.
        Uploaded = "uploaded",
        /// The selected files and folders were moved.
        SelectionMoved = "selection-moved",
        /// The selected files and folders were moved to the trash.
        SelectionTrashed = "selection-trashed",
        /// More is selected than can be changed at once.
        TooManyChosen = "too-many-chosen",
        /// More is selected than a link can have.
        TooManyForLink = "too-many-for-link",
        /// More is selected than can be had as one archive.
        TooManyForZip = "too-many-for-zip",
        /// Nothing was done, because no file was selected.
        NothingChosen = "nothing-chosen",
        /// The mail with a link will be sent for the first time.
        LinkMailed = "link-mailed",
        /// The mail with a link will be sent again.
        MailQueued = "mail-queued",
        /// The mail with a link is not sent again, because it is already on its way.
        MailOnItsWay = "mail-on-its-way",
        /// The mail with a link is not sent again, because its recipient has had too many.
        MailboxFull = "mailbox-full",
        /// The mail with a link is not sent again, because its owner has had too many sent today.
        MailsUsedUp = "mails-used-up",
        /// A new signing key was created.
        KeyRotated = "key-rotated",
        /// No signing key was created, because there are too many.
        KeysFull = "keys-full",
        /// A signing key was removed.
        KeyRemoved = "key-removed",
        /// A signing key was removed, and a download service doesn't know yet.
        KeyRemovedUndelivered = "key-removed-undelivered",
        /// All mails in a state are tried again.
        MailsRetried = "mails-retried",
        /// Notices were turned on.
        NoticesOn = "notices-on",
        /// Notices were turned off.
        NoticesOff = "notices-off",
    }
}

impl FlashMessage {
    /// Returns what the page says.
    pub fn flash(self) -> Flash {
        let (kind, text) = self.parts();
        Flash { kind, text: text.to_owned() }
    }

    /// Returns what the page says about something that was done to `count` files and folders.
    pub fn counted(self, count: Option<u32>) -> Flash {
        let Some(count) = count else { return self.flash() };
        let items = human::counted(u64::from(count), "item");
        let text = match self {
            FlashMessage::SelectionMoved => format!("{items} moved to this folder."),
            FlashMessage::SelectionTrashed => {
                format!(
                    "{items} deleted. You can restore {} from the trash for a while.",
                    if count == 1 { "it" } else { "them" }
                )
            }
            _ => return self.flash(),
        };
        Flash { text, ..self.flash() }
    }

    /// Returns whether it is about a success, and the text.
    const fn parts(self) -> (FlashKind, &'static str) {
        match self {
            FlashMessage::PasswordChanged => (
                FlashKind::Done,
                "Your password has been changed. Any other browser that was logged in has to log in again.",
            ),
            FlashMessage::PasswordReset => (FlashKind::Done, "Your new password is saved. Log in with it."),
            FlashMessage::Activated => {
                (FlashKind::Done, "Your account is active. Log in with the password that you chose.")
            }
            FlashMessage::NameChanged => (FlashKind::Done, "Your name has been changed."),
            FlashMessage::AddressRequested => (
                FlashKind::Done,
                "An email is on its way to the new address. Open the link in it to confirm the change; until \
                 then your address stays the same.",
            ),
            FlashMessage::AddressKept => (FlashKind::Done, "Your address was not changed."),
            FlashMessage::AddressChanged => {
                (FlashKind::Done, "Your email address has been changed. From now on you log in with it.")
            }
            FlashMessage::Saved => (FlashKind::Done, "Changes saved."),
            FlashMessage::NodeRemoved => (FlashKind::Done, "The download service was removed."),
            FlashMessage::NodeKeyShown => (
                FlashKind::Failed,
                "The key was already shown and can’t be shown again. If you didn’t save it, create a new one.",
            ),
            FlashMessage::SessionsEnded => {
                (FlashKind::Done, "Done. Everyone who was logged in there is logged out.")
            }
            FlashMessage::WebhookSecretShown => (
                FlashKind::Failed,
                "The secret was already shown and can’t be shown again. If you didn’t save it, get a new one.",
            ),
            FlashMessage::WebhookPaused => {
                (FlashKind::Done, "The webhook is paused. Messages wait until you resume it.")
            }
            FlashMessage::WebhookResumed => (FlashKind::Done, "The webhook is on."),
            FlashMessage::WebhookTested => {
                (FlashKind::Done, "A test is on its way. Reload this page to see what came of it.")
            }
            FlashMessage::WebhookFull => {
                (FlashKind::Failed, "No test was sent, because too many messages are waiting.")
            }
            FlashMessage::WebhookResent => {
                (FlashKind::Done, "The message is sent again. Reload this page to see what came of it.")
            }
            FlashMessage::WebhookDeleted => (FlashKind::Done, "The webhook was deleted."),
            FlashMessage::ApiKeyShown => (
                FlashKind::Failed,
                "The key was already shown and can’t be shown again. If you didn’t save it, revoke it and make a new \
                 one.",
            ),
            FlashMessage::ApiKeyRevoked => {
                (FlashKind::Done, "The key is revoked. Programs that use it no longer have access.")
            }
            FlashMessage::SecondFactorOff => {
                (FlashKind::Done, "From now on you log in with your password only.")
            }
            FlashMessage::AccountDeleted => {
                (FlashKind::Done, "Your account has been deleted, and you are logged out everywhere.")
            }
            FlashMessage::LinkMade => (FlashKind::Done, "Your link is ready."),
            FlashMessage::LinkChanged => (FlashKind::Done, "The link has been changed."),
            FlashMessage::LinkExtended => (FlashKind::Done, "The link has been extended."),
            FlashMessage::LinkDuplicated => {
                (FlashKind::Done, "Your copy is ready. It has its own address; the original stays as it is.")
            }
            FlashMessage::LinkAtLimit => (
                FlashKind::Failed,
                "This link already has as much time, or as many downloads, as links may have here.",
            ),
            FlashMessage::LinkIsRevoked => (
                FlashKind::Failed,
                "You stopped sharing this link for good, so it can’t be changed. Duplicate it to share the files again.",
            ),
            FlashMessage::RecipientsAdded => (FlashKind::Done, "The recipients have been added."),
            FlashMessage::RecipientRemoved => (
                FlashKind::Done,
                "The recipient has been removed, and their downloads that were in progress have been stopped.",
            ),
            FlashMessage::LastRecipient => {
                (FlashKind::Failed, "This is the link’s only recipient. To end the link, stop sharing it.")
            }
            FlashMessage::LinkPaused => (
                FlashKind::Done,
                "The link is paused, and downloads that were in progress have been stopped.",
            ),
            FlashMessage::LinkResumed => (FlashKind::Done, "The link works again."),
            FlashMessage::LinkRevoked => (
                FlashKind::Done,
                "The link no longer works, and downloads that were in progress have been stopped.",
            ),
            FlashMessage::LinkClosedUndelivered => (
                FlashKind::Done,
                "The link no longer starts downloads. But the download service could not be reached: downloads \
                 that are in progress, or were started in the last few minutes, will be stopped as soon as it \
                 can be.",
            ),
            FlashMessage::RequestMade => {
                (FlashKind::Done, "Your link is ready: anyone who has it can send you files.")
            }
            FlashMessage::RequestChanged => (FlashKind::Done, "The request has been changed."),
            FlashMessage::RequestStopped => {
                (FlashKind::Done, "The request accepts no more files. What has arrived stays in your folder.")
            }
            FlashMessage::FilesSent => (FlashKind::Done, "Thank you! Your files have arrived."),
            FlashMessage::FolderMade => (FlashKind::Done, "Folder created."),
            FlashMessage::Renamed => (FlashKind::Done, "Renamed."),
            FlashMessage::Moved => (FlashKind::Done, "Moved to this folder."),
            FlashMessage::Trashed => {
                (FlashKind::Done, "Deleted. You can restore it from the trash for a while.")
            }
            FlashMessage::Restored => (FlashKind::Done, "Restored to where it was."),
            FlashMessage::RestoredElsewhere => {
                (FlashKind::Done, "Restored to this folder under another name, because its own was taken.")
            }
            FlashMessage::Forgotten => (FlashKind::Done, "Permanently deleted."),
            FlashMessage::Uploaded => (FlashKind::Done, "The upload is complete."),
            FlashMessage::NothingChosen => (
                FlashKind::Failed,
                "Choose at least one file or folder first: tick the boxes in front of their names.",
            ),
            FlashMessage::LinkMailed => (FlashKind::Done, "We’re sending the link."),
            FlashMessage::SelectionMoved => (FlashKind::Done, "Moved to this folder."),
            FlashMessage::SelectionTrashed => {
                (FlashKind::Done, "Deleted. You can restore everything from the trash for a while.")
            }
            FlashMessage::TooManyChosen => (
                FlashKind::Failed,
                "That is too much at once: you can change up to 5,000 files and folders at a time. Nothing was \
                 changed. Select fewer, or change the folder that contains them.",
            ),
            FlashMessage::TooManyForZip => (
                FlashKind::Failed,
                "You can download up to 100 files and folders as one ZIP file. Select fewer, or everything in this \
                 folder.",
            ),
            FlashMessage::TooManyForLink => (
                FlashKind::Failed,
                "A link can have up to 100 files and folders. Select fewer, or create a link to the folder that \
                 contains them.",
            ),
            FlashMessage::MailQueued => (FlashKind::Done, "We’re sending the link again."),
            FlashMessage::MailOnItsWay => (
                FlashKind::Failed,
                "We didn’t send the link again: that email is already on its way or was sent only a moment ago, \
                 or the link can’t be used now.",
            ),
            FlashMessage::KeyRotated => (FlashKind::Done, "New links are signed with the new key."),
            FlashMessage::KeysFull => (
                FlashKind::Failed,
                "There are as many keys as there can be. Wait until the oldest is no longer valid, or remove one.",
            ),
            FlashMessage::KeyRemoved => (
                FlashKind::Done,
                "The key is removed. Every download service refuses what it signed within a minute.",
            ),
            FlashMessage::KeyRemovedUndelivered => (
                FlashKind::Done,
                "The key is removed, and every download service refuses what it signed within a minute. But one \
                 could not be reached: its downloads in progress are cut off as soon as it can.",
            ),
            FlashMessage::MailsUsedUp => (
                FlashKind::Failed,
                "We didn’t send the link: you’ve had as many emails sent as are allowed within a day. Try again \
                 later, or copy the link and send it yourself.",
            ),
            FlashMessage::MailboxFull => (
                FlashKind::Failed,
                "We didn’t send the link again: this recipient has had several emails from you within the last \
                 hour. Try again later, or copy the link and send it yourself.",
            ),
            FlashMessage::MailsRetried => (FlashKind::Done, "We’re trying these emails again now."),
            FlashMessage::NoticesOn => (FlashKind::Done, "You’ll get emails about downloads again."),
            FlashMessage::NoticesOff => (FlashKind::Done, "You won’t get emails about downloads any more."),
        }
    }
}
