//! What a program sends to make or change a file request, and what is wrong with it. The rules are those of the forms.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::http::api::field::Field;
use crate::web::http::api::link_body::end;
use crate::web::http::api::time::Time;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::links::lifetime::Lifetime;
use crate::web::links::limits::LinkLimits;
use crate::web::links::moment;
use crate::web::requests::size_field;
use crate::web::requests::terms::{RequestForm, RequestFormErrors, USUAL_BYTES, USUAL_FILES};

/// A file request to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRequestBody {
    /// The path of the folder that the files go to.
    #[schema(example = "/books/incoming")]
    folder: String,
    /// The title, which guests see.
    #[serde(default)]
    #[schema(example = "Your photos", max_length = 200)]
    title: Option<String>,
    /// A message to the guests.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// Maximum number of bytes of all files together; 2 GiB if missing.
    #[serde(default)]
    #[schema(example = 500_000_000, minimum = 1)]
    max_bytes: Option<u64>,
    /// Maximum number of files; 100 if missing.
    #[serde(default)]
    #[schema(example = 20, minimum = 1, maximum = 10_000)]
    max_files: Option<u32>,
    /// When it ends; in 7 days if missing.
    #[serde(default)]
    ends_at: Option<Time>,
    /// Instead of `ends_at`: after how many seconds it ends.
    #[serde(default)]
    #[schema(example = 86_400, minimum = 1)]
    ends_in: Option<u32>,
    /// A password that guests must enter, of at least 8 characters.
    #[serde(default)]
    #[schema(min_length = 8, max_length = 256)]
    password: Option<String>,
    /// Whether the account gets an email when files arrive.
    #[serde(default)]
    notify: bool,
}

impl NewRequestBody {
    /// Returns the folder.
    ///
    /// # Errors
    /// [`ApiError::InvalidFields`].
    pub(crate) fn path(&self) -> Result<FilePath, ApiError> {
        self.folder.parse().map_err(|_| {
            let wrong = FieldProblem::member("folder", "Send the path of a folder, such as /books/incoming.");
            ApiError::InvalidFields(vec![wrong])
        })
    }

    /// Returns the terms as a form has them.
    ///
    /// # Errors
    /// [`ApiError::InvalidFields`].
    pub(crate) fn form(self, limits: &LinkLimits, now: Timestamp) -> Result<RequestForm, ApiError> {
        let usual = limits.clamp_end(Lifetime::default().end(now), now);
        let ends_at = self.ends_at.map_or(Field::Absent, Field::Value);
        Ok(RequestForm {
            title: self.title.unwrap_or_default(),
            note: self.note.unwrap_or_default(),
            max_bytes: size_field::field(self.max_bytes.unwrap_or(USUAL_BYTES)),
            max_files: self.max_files.map_or_else(|| USUAL_FILES.to_string(), |files| files.to_string()),
            ends: end(ends_at, self.ends_in, usual, now)?.map(moment::exact).unwrap_or_default(),
            password: self.password.unwrap_or_default(),
            notify: self.notify,
            ..RequestForm::default()
        })
    }
}

/// New terms of a file request. What is missing stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestChangeBody {
    /// The title, which guests see.
    #[serde(default)]
    #[schema(example = "All your photos", max_length = 200)]
    title: Option<String>,
    /// A message to the guests.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// Maximum number of bytes of all files together.
    #[serde(default)]
    #[schema(example = 500_000_000, minimum = 1)]
    max_bytes: Option<u64>,
    /// Maximum number of files.
    #[serde(default)]
    #[schema(example = 20, minimum = 1, maximum = 10_000)]
    max_files: Option<u32>,
    /// When it ends.
    #[serde(default)]
    ends_at: Option<Time>,
    /// Instead of `ends_at`: after how many seconds from now it ends.
    #[serde(default)]
    #[schema(example = 86_400, minimum = 1)]
    ends_in: Option<u32>,
    /// A new password; `null` to remove it. Guests must enter a new one before they can go on.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 256)]
    password: Field<String>,
    /// Whether the account gets an email when files arrive.
    #[serde(default)]
    notify: Option<bool>,
}

impl RequestChangeBody {
    /// Returns the new terms of a request with these terms, and whether its password is removed.
    ///
    /// # Errors
    /// [`ApiError::InvalidFields`].
    pub(crate) fn form(self, before: RequestForm, now: Timestamp) -> Result<(RequestForm, bool), ApiError> {
        let ends = match (self.ends_at, self.ends_in) {
            (None, None) => before.ends,
            (at, seconds) => {
                let at = at.map_or(Field::Absent, Field::Value);
                end(at, seconds, None, now)?.map(moment::exact).unwrap_or_default()
            }
        };
        let remove = self.password == Field::Null;
        let form = RequestForm {
            title: self.title.unwrap_or(before.title),
            note: self.note.unwrap_or(before.note),
            max_bytes: self.max_bytes.map_or(before.max_bytes, size_field::field),
            max_files: self.max_files.map_or(before.max_files, |files| files.to_string()),
            ends,
            password: self.password.or(None).unwrap_or_default(),
            notify: self.notify.unwrap_or(before.notify),
            ..RequestForm::default()
        };
        Ok((form, remove))
    }
}

/// Returns what is wrong with the terms of a file request, by the members of a body.
pub(crate) fn refusal(errors: RequestFormErrors) -> ApiError {
    let RequestFormErrors { form, title, note, max_bytes, max_files, ends, password } = errors;
    let whole = form.map(|detail| FieldProblem { pointer: Some(String::new()), parameter: None, detail });
    let members = [
        ("title", title),
        ("note", note),
        ("max_bytes", max_bytes),
        ("max_files", max_files),
        ("ends_at", ends),
        ("password", password),
    ];
    let members = members.into_iter().filter_map(|(name, error)| Some(FieldProblem::member(name, error?)));
    ApiError::InvalidFields(whole.into_iter().chain(members).collect())
}
