//! What was wrong with a press on the page of a public link: shown at a field of the page, or as a problem
//! document to a program.

use actix_web::http::StatusCode;

/// What was wrong with a press.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub enum PressError {
    /// The link asks for a password, and none was given.
    NoPassword,
    /// The password is wrong.
    WrongPassword,
    /// The link asks for a mailed code, and none was given.
    NoCode,
    /// The code is wrong, or a newer one was mailed.
    WrongCode,
    /// The code has expired.
    ExpiredCode,
    /// The link has several files, and none was chosen.
    NoFile,
    /// The link does not have this file.
    UnknownFile,
}

/// Where on the page an error is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PressField {
    Password,
    Code,
    Files,
}

impl PressError {
    /// Returns the stable name that is the `type` of the problem document.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            PressError::NoPassword => "password-required",
            PressError::WrongPassword => "wrong-password",
            PressError::NoCode => "code-required",
            PressError::WrongCode => "wrong-code",
            PressError::ExpiredCode => "code-over",
            PressError::NoFile => "invalid-request",
            PressError::UnknownFile => "not-found",
        }
    }

    /// Returns the status of the answer.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            PressError::NoFile => StatusCode::BAD_REQUEST,
            PressError::UnknownFile => StatusCode::NOT_FOUND,
            _ => StatusCode::FORBIDDEN,
        }
    }

    /// Returns the sentence for the reader.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            PressError::NoPassword => "This link asks for a password.",
            PressError::WrongPassword => "This password is not correct.",
            PressError::NoCode => "This link asks for the code that we email to its recipient.",
            PressError::WrongCode => "That code is wrong or has been replaced by a newer one.",
            PressError::ExpiredCode => "That code is no longer valid. Request a new one.",
            PressError::NoFile => "Choose which file to download.",
            PressError::UnknownFile => "This link does not have that file. Choose one of those below.",
        }
    }

    /// Returns the field at which the page shows the error.
    pub(crate) const fn field(self) -> PressField {
        match self {
            PressError::NoPassword | PressError::WrongPassword => PressField::Password,
            PressError::NoCode | PressError::WrongCode | PressError::ExpiredCode => PressField::Code,
            PressError::NoFile | PressError::UnknownFile => PressField::Files,
        }
    }
}
