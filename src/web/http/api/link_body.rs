//! What a program sends to make or change a link, and what is wrong with it. The rules are those of the forms.

use std::time::Duration;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::http::api::field::Field;
use crate::web::http::api::time::Time;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::file_query::MAX_FILES;
use crate::web::links::lifetime::Lifetime;
use crate::web::links::limits::LinkLimits;
use crate::web::links::moment;
use crate::web::links::terms::{LinkForm, LinkFormErrors};

/// How many times each recipient may download, unless the program says otherwise.
const USUAL_USES: u32 = 1;

/// When the owner gets an email about downloads.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NotifyWord {
    /// Never.
    Never,
    /// After the first complete download.
    First,
    /// After every complete download.
    Every,
}

impl NotifyWord {
    const fn as_str(self) -> &'static str {
        match self {
            NotifyWord::Never => "never",
            NotifyWord::First => "first",
            NotifyWord::Every => "every",
        }
    }
}

/// A link to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLinkBody {
    /// The paths of its files and folders, 1 to 100.
    #[schema(example = json!(["/books/report.pdf"]), min_items = 1, max_items = 100)]
    pub(crate) files: Vec<String>,
    /// The title; the name of the first file if missing.
    #[serde(default)]
    #[schema(example = "The report", max_length = 200)]
    title: Option<String>,
    /// A message to the recipients.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// How many times each recipient may download; 1 if missing, `null` for no limit.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 1, minimum = 1, maximum = 1_000_000)]
    uses: Field<u32>,
    /// When it ends; in 7 days if missing, `null` for never.
    #[serde(default)]
    #[schema(value_type = Option<Time>)]
    ends_at: Field<Time>,
    /// Instead of `ends_at`: after how many seconds it ends.
    #[serde(default)]
    #[schema(example = 86_400, minimum = 1)]
    ends_in: Option<u32>,
    /// A password that recipients must enter, of at least 8 characters.
    #[serde(default)]
    #[schema(min_length = 8, max_length = 256)]
    password: Option<String>,
    /// The email addresses of its recipients; anyone who has the link if missing. Each recipient gets an address of
    /// their own.
    #[serde(default)]
    #[schema(example = json!(["bob@example.org"]), max_items = 1000)]
    recipients: Vec<String>,
    /// Whether to email the link to its recipients.
    #[serde(default)]
    pub(crate) mail: bool,
    /// Whether recipients must enter a code that is emailed to them.
    #[serde(default)]
    mailed_code: bool,
    /// Whether hidden files in its folders are shared, too.
    #[serde(default)]
    hidden_files: bool,
    /// Whether its files may be viewed in the browser even if the number of downloads is limited.
    #[serde(default)]
    viewable: bool,
    /// When the account gets an email about downloads; never if missing.
    #[serde(default)]
    notify: Option<NotifyWord>,
    /// Whether its files go to the trash when it is over; only for files in the account's own folder.
    #[serde(default)]
    delete_files: bool,
}

impl NewLinkBody {
    /// Returns the files.
    ///
    /// # Errors
    /// [`ApiError::InvalidFields`].
    pub(crate) fn paths(&self) -> Result<Vec<FilePath>, ApiError> {
        if !(1..=MAX_FILES).contains(&self.files.len()) {
            let wrong = FieldProblem::member("files", format!("Send 1 to {MAX_FILES} paths."));
            return Err(ApiError::InvalidFields(vec![wrong]));
        }
        let path = |(at, text): (usize, &String)| {
            let wrong =
                || FieldProblem::member(&format!("files/{at}"), "This is not a path like /books/report.pdf.");
            text.parse::<FilePath>().map_err(|_| wrong())
        };
        let (paths, wrong): (Vec<_>, Vec<_>) =
            self.files.iter().enumerate().map(path).partition(Result::is_ok);
        let wrong: Vec<FieldProblem> = wrong.into_iter().filter_map(Result::err).collect();
        match wrong.is_empty() {
            true => Ok(paths.into_iter().flatten().collect()),
            false => Err(ApiError::InvalidFields(wrong)),
        }
    }

    /// Returns the terms as a form has them.
    ///
    /// # Errors
    /// [`ApiError::InvalidFields`].
    pub(crate) fn form(self, limits: &LinkLimits, now: Timestamp) -> Result<LinkForm, ApiError> {
        let usual = limits.clamp_end(Lifetime::default().end(now), now);
        let ends_at = end(self.ends_at, self.ends_in, usual, now)?;
        Ok(LinkForm {
            title: self.title.unwrap_or_default(),
            note: self.note.unwrap_or_default(),
            uses_per_recipient: typed_uses(self.uses.or(Some(USUAL_USES))),
            ends: ends_at.map(moment::exact).unwrap_or_default(),
            password: password(self.password)?.unwrap_or_default(),
            mailed_code: self.mailed_code,
            hidden_files: self.hidden_files,
            viewable: self.viewable,
            notify: self.notify.unwrap_or(NotifyWord::Never).as_str().to_owned(),
            recipients: self.recipients.join("\n"),
            delete_files: self.delete_files,
            ..LinkForm::default()
        })
    }
}

/// New terms of a link. What is missing stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkChangeBody {
    /// The title.
    #[serde(default)]
    #[schema(example = "The final report", max_length = 200)]
    title: Option<String>,
    /// A message to the recipients.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// How many times each recipient may download; `null` for no limit.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 3, minimum = 1, maximum = 1_000_000)]
    uses: Field<u32>,
    /// When it ends; `null` for never.
    #[serde(default)]
    #[schema(value_type = Option<Time>)]
    ends_at: Field<Time>,
    /// Instead of `ends_at`: after how many seconds from now it ends.
    #[serde(default)]
    #[schema(example = 86_400, minimum = 1)]
    ends_in: Option<u32>,
    /// A new password; `null` to remove it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 256)]
    password: Field<String>,
    /// Whether recipients must enter a code that is emailed to them.
    #[serde(default)]
    mailed_code: Option<bool>,
    /// Whether hidden files in its folders are shared, too.
    #[serde(default)]
    hidden_files: Option<bool>,
    /// Whether its files may be viewed in the browser even if the number of downloads is limited.
    #[serde(default)]
    viewable: Option<bool>,
    /// When the account gets an email about downloads.
    #[serde(default)]
    notify: Option<NotifyWord>,
    /// Whether its files go to the trash when it is over.
    #[serde(default)]
    delete_files: Option<bool>,
}

impl LinkChangeBody {
    /// Returns the new terms of a link with these terms, and whether its password is removed.
    ///
    /// # Errors
    /// [`ApiError::InvalidFields`].
    pub(crate) fn form(self, before: LinkForm, now: Timestamp) -> Result<(LinkForm, bool), ApiError> {
        let ends = match (self.ends_at.is_absent(), self.ends_in) {
            (true, None) => before.ends,
            _ => end(self.ends_at, self.ends_in, None, now)?.map(moment::exact).unwrap_or_default(),
        };
        let uses_per_recipient = match self.uses {
            Field::Absent => before.uses_per_recipient,
            uses => typed_uses(uses.or(None)),
        };
        let remove = self.password == Field::Null;
        let form = LinkForm {
            title: self.title.unwrap_or(before.title),
            note: self.note.unwrap_or(before.note),
            uses_per_recipient,
            ends,
            password: password(self.password.or(None))?.unwrap_or_default(),
            mailed_code: self.mailed_code.unwrap_or(before.mailed_code),
            hidden_files: self.hidden_files.unwrap_or(before.hidden_files),
            viewable: self.viewable.unwrap_or(before.viewable),
            notify: self.notify.map_or(before.notify, |notify| notify.as_str().to_owned()),
            delete_files: self.delete_files.unwrap_or(before.delete_files),
            ..LinkForm::default()
        };
        Ok((form, remove))
    }
}

fn typed_uses(uses: Option<u32>) -> String {
    uses.map(|uses| uses.to_string()).unwrap_or_default()
}

/// An empty password would mean none, in a form.
fn password(password: Option<String>) -> Result<Option<String>, ApiError> {
    match password {
        Some(password) if password.is_empty() => {
            let wrong =
                FieldProblem::member("password", "Send at least 8 characters, or null for no password.");
            Err(ApiError::InvalidFields(vec![wrong]))
        }
        password => Ok(password),
    }
}

/// Returns when something ends, from the two ways to say it.
pub(crate) fn end(
    ends_at: Field<Time>,
    ends_in: Option<u32>,
    usual: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>, ApiError> {
    match (ends_at, ends_in) {
        (Field::Absent, None) => Ok(usual),
        (Field::Absent, Some(seconds)) => Ok(Some(now.plus(Duration::from_secs(u64::from(seconds))))),
        (ends_at, None) => Ok(ends_at.or(None).map(|time| time.0)),
        (_, Some(_)) => {
            let wrong = FieldProblem::member("ends_in", "Send either ends_at or ends_in.");
            Err(ApiError::InvalidFields(vec![wrong]))
        }
    }
}

/// Returns what is wrong with the terms of a link, by the members of a body.
pub(crate) fn refusal(errors: LinkFormErrors) -> ApiError {
    let LinkFormErrors { form, title, note, uses_per_recipient, ends, password, mailed_code, recipients } =
        errors;
    let whole = form.map(|detail| FieldProblem { pointer: Some(String::new()), parameter: None, detail });
    let members = [
        ("title", title),
        ("note", note),
        ("uses", uses_per_recipient),
        ("ends_at", ends),
        ("password", password),
        ("mailed_code", mailed_code),
    ];
    let members = members.into_iter().filter_map(|(name, error)| Some(FieldProblem::member(name, error?)));
    let recipients = recipients.into_iter().map(|error| FieldProblem::member("recipients", error));
    ApiError::InvalidFields(whole.into_iter().chain(members).chain(recipients).collect())
}
