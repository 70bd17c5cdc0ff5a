//! The status, the slug and the sentence for people of an error about something in a share.

use actix_web::http::StatusCode;

use crate::human;
use crate::web::forms::idempotency::IdempotencyError;
use crate::web::shares::error::{RequestLimit, StorageError};

impl StorageError {
    /// Returns what happened and what to do, for the person.
    pub fn sentence(&self) -> String {
        let text = match self {
            StorageError::Missing => "It no longer exists, or you may not change it. Reload the page.",
            StorageError::Taken { by } => {
                return format!("There is already something called “{by}”. Choose another name.");
            }
            StorageError::Name(error) => return error.to_string(),
            StorageError::TooLong => {
                "The path would be too long. Choose a shorter name, or a folder higher up."
            }
            StorageError::Unlinkable => {
                "The path of this file is too long for a download link. Give its folders shorter names, or move it \
                 further up."
            }
            StorageError::TooLarge { max } => {
                return format!("The file is too large: at most {} are allowed.", human::size(*max));
            }
            StorageError::AccountQuota { left } => {
                return format!(
                    "Your files would exceed your limit; {} are left. Delete something first, or ask your \
                     operator for more.",
                    human::size(*left)
                );
            }
            StorageError::ShareQuota { left } => {
                return format!(
                    "The share would exceed its limit; {} are left. Ask your operator for more.",
                    human::size(*left)
                );
            }
            StorageError::TooMany => {
                "You have too many unfinished uploads. Finish or cancel some of them first."
            }
            StorageError::NoRoom => {
                "The disk is full. Tell your operator. An upload in progress can continue as soon as there is \
                 space."
            }
            StorageError::Forbidden(_) => "The service may not write into this folder. Tell your operator.",
            StorageError::Unreadable(_) => {
                "The service is not allowed to read this. Ask the person who runs it to check the permissions."
            }
            StorageError::ShareGone => {
                "This share is unavailable right now: its disk can't be reached. Nothing is lost; it comes back by \
                 itself as soon as its disk does."
            }
            StorageError::OtherDisk => {
                "The folder is on another disk than the rest of its share, so nothing can be moved there."
            }
            StorageError::IntoItself => "A folder can't be moved into itself.",
            StorageError::Busy => "Another operation is using it right now. Try again in a moment.",
            StorageError::Offset { .. } => "The bytes don't start where the received part of the file ends.",
            StorageError::Beyond => "More bytes arrived than the file was announced to have.",
            StorageError::Checksum => "The bytes were damaged on the way. Send them again.",
            StorageError::BrokeOff => "The connection broke off. What has arrived is kept.",
            StorageError::SessionEnded => "You are not logged in any more. What has arrived is kept.",
            StorageError::NotExpected => {
                "The link for these files no longer waits for them. Drop the files again to create a new link."
            }
            StorageError::Parts => "Not all parts of the file have arrived.",
            StorageError::Request(RequestLimit::Files) => {
                "No more files are accepted: the largest number of files has been reached."
            }
            StorageError::Request(RequestLimit::Bytes) => {
                "This file doesn’t fit: not enough is left of the total size that is accepted here."
            }
            StorageError::Request(RequestLimit::Space) => {
                "The person who asked for files has no space left for this one. Let them know; what you sent \
                 before is safe."
            }
            StorageError::Request(RequestLimit::Over) => {
                "No more files are accepted here. What you sent before has arrived."
            }
            StorageError::Request(RequestLimit::Away) => {
                "Files can’t be received right now, because the folder for them is missing. Let the person who \
                 asked know; what you sent before is safe."
            }
            StorageError::Failed(_)
            | StorageError::Query(_)
            | StorageError::Random(_)
            | StorageError::Interrupted => "That did not work. Try again in a moment.",
        };
        text.to_owned()
    }

    /// Returns the status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            StorageError::Missing => StatusCode::NOT_FOUND,
            StorageError::Taken { .. }
            | StorageError::OtherDisk
            | StorageError::IntoItself
            | StorageError::Parts
            | StorageError::NotExpected
            | StorageError::Offset { .. } => StatusCode::CONFLICT,
            StorageError::Name(_) | StorageError::TooLong | StorageError::Unlinkable => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            StorageError::TooLarge { .. }
            | StorageError::AccountQuota { .. }
            | StorageError::ShareQuota { .. }
            | StorageError::Beyond => StatusCode::PAYLOAD_TOO_LARGE,
            StorageError::Request(RequestLimit::Files | RequestLimit::Bytes) => StatusCode::PAYLOAD_TOO_LARGE,
            StorageError::Request(RequestLimit::Over) => StatusCode::GONE,
            StorageError::Request(RequestLimit::Away) => StatusCode::NOT_FOUND,
            StorageError::TooMany => StatusCode::TOO_MANY_REQUESTS,
            StorageError::Request(RequestLimit::Space) | StorageError::NoRoom => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            StorageError::Forbidden(_) | StorageError::Unreadable(_) => StatusCode::FORBIDDEN,
            StorageError::Busy => StatusCode::LOCKED,
            StorageError::BrokeOff => StatusCode::BAD_REQUEST,
            StorageError::SessionEnded => StatusCode::UNAUTHORIZED,
            StorageError::ShareGone
            | StorageError::Failed(_)
            | StorageError::Query(_)
            | StorageError::Random(_)
            | StorageError::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            // Defined by tus 1.0; no registered status fits.
            StorageError::Checksum => StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST),
        }
    }

    /// Returns the status and the sentence of an error that the person can do something about.
    ///
    /// # Errors
    /// The error itself, if it is not such a one.
    pub(crate) fn for_user(self) -> Result<(StatusCode, String), StorageError> {
        match self {
            StorageError::Missing
            | StorageError::Failed(_)
            | StorageError::Query(_)
            | StorageError::Random(_)
            | StorageError::Interrupted => Err(self),
            error => Ok((error.status(), error.sentence())),
        }
    }

    /// Returns the error as a guest of a file request may know it.
    pub(crate) fn for_guest(self) -> StorageError {
        if matches!(self, StorageError::NoRoom | StorageError::Forbidden(_) | StorageError::Unreadable(_)) {
            // An operator has to act, and the guest's answer doesn't say why.
            tracing::warn!(cause = crate::telemetry::chain(&self), "a guest's file can't be received");
        }
        match self {
            StorageError::AccountQuota { .. } | StorageError::ShareQuota { .. } | StorageError::NoRoom => {
                StorageError::Request(RequestLimit::Space)
            }
            StorageError::SessionEnded => StorageError::Request(RequestLimit::Over),
            StorageError::Taken { .. }
            | StorageError::OtherDisk
            | StorageError::Forbidden(_)
            | StorageError::Unreadable(_) => StorageError::Request(RequestLimit::Away),
            error => error,
        }
    }

    /// Returns the stable name that is the `type` of the problem document.
    pub const fn slug(&self) -> &'static str {
        match self {
            StorageError::Missing => "not-found",
            StorageError::Taken { .. } => "name-taken",
            StorageError::Name(_) => "name-not-allowed",
            StorageError::TooLong | StorageError::Unlinkable => "path-too-long",
            StorageError::TooLarge { .. } => "file-too-large",
            StorageError::AccountQuota { .. } => "account-quota",
            StorageError::ShareQuota { .. } => "share-quota",
            StorageError::TooMany => "too-many-uploads",
            StorageError::NoRoom => "no-room",
            StorageError::Forbidden(_) => "not-writable",
            StorageError::Unreadable(_) => "not-readable",
            StorageError::ShareGone => "share-gone",
            StorageError::OtherDisk => "other-disk",
            StorageError::IntoItself => "into-itself",
            StorageError::Busy => "in-use",
            StorageError::Offset { .. } => "wrong-offset",
            StorageError::Beyond => "too-many-bytes",
            StorageError::Checksum => "wrong-checksum",
            StorageError::BrokeOff => "broke-off",
            StorageError::SessionEnded => "not-signed-in",
            StorageError::Parts => "parts-missing",
            StorageError::NotExpected => "link-not-waiting",
            StorageError::Request(RequestLimit::Files) => "request-files",
            StorageError::Request(RequestLimit::Bytes) => "request-bytes",
            StorageError::Request(RequestLimit::Space) => "request-space",
            StorageError::Request(RequestLimit::Over) => "request-over",
            StorageError::Request(RequestLimit::Away) => "request-folder",
            StorageError::Failed(_)
            | StorageError::Query(_)
            | StorageError::Random(_)
            | StorageError::Interrupted => "unavailable",
        }
    }
}

impl From<IdempotencyError> for StorageError {
    fn from(error: IdempotencyError) -> StorageError {
        match error {
            IdempotencyError::Busy => StorageError::Busy,
            IdempotencyError::Query(error) => error.into(),
        }
    }
}
