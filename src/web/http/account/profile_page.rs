//! The page of a person's own account.

use askama::Template;

use crate::clock::Timestamp;
use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::{Chrome, Flash, FlashKind, Section, User};

/// The forms of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountForm {
    /// None of them.
    None,
    /// `POST /account/name`: `name`.
    Name,
    /// `POST /account/password`: `current_password`, `password`, `password_again`.
    Password,
    /// `POST /account/email`: `email`, `current_password`.
    Email,
    /// `POST /account/delete`: `current_password`.
    Delete,
}

/// `GET /account`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/profile.html")]
pub struct ProfilePage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The person's name.
    pub name: String,
    /// The person's address.
    pub email: String,
    /// Whether the person is an administrator.
    pub admin: bool,
    /// Whether they are the only administrator, so that the account can't be deleted.
    pub last_admin: bool,
    /// The groups the person is in.
    pub groups: Vec<String>,
    /// When the account was created.
    pub created: Timestamp,
    /// The minimum length of a password.
    pub password_min: usize,
    /// The new address, if it is not confirmed yet.
    pub pending_email: Option<String>,
    /// Whether they get emails when their links are downloaded.
    pub wants_download_notices: bool,
    /// The name in its form.
    pub typed_name: String,
    /// The new address in its form.
    pub typed_email: String,
    /// The form with errors.
    pub errors_for: AccountForm,
    /// The errors in that form.
    pub errors: FieldErrors,
}

impl ProfilePage {
    /// Returns the errors in a form.
    fn of(&self, form: AccountForm) -> FieldErrors {
        if self.errors_for == form { self.errors.clone() } else { FieldErrors::default() }
    }

    /// Returns what was not done, for the top of the page, because the form may be far below.
    fn not_done(&self) -> Option<NotDone> {
        let (section, sentence) = match self.errors_for {
            AccountForm::None => return None,
            AccountForm::Name => ("change-name", "Your name was not changed."),
            AccountForm::Password => ("change-password", "Your password was not changed."),
            AccountForm::Email => ("change-email", "Your email address was not changed."),
            AccountForm::Delete => ("delete", "Your account was not deleted."),
        };
        Some(NotDone { section, sentence, because: self.errors.form.clone() })
    }

    /// Returns a page with errors in the form for the password.
    pub fn sample() -> ProfilePage {
        let mut chrome = Chrome::sample("Your account", Section::Account);
        chrome.user = chrome.user.map(|user| User { admin: true, ..user });
        ProfilePage {
            chrome,
            name: "Lin Mei <script>alert(1)</script>".to_owned(),
            email: "lin@example.org".to_owned(),
            admin: true,
            last_admin: true,
            groups: vec!["staff".to_owned(), "<b>readers</b>".to_owned()],
            created: Timestamp::from_secs(1_790_000_000),
            password_min: 15,
            pending_email: Some("lin@new.example\"><script>".to_owned()),
            wants_download_notices: true,
            typed_name: "Lin Mei <script>".to_owned(),
            typed_email: String::new(),
            errors_for: AccountForm::Password,
            errors: FieldErrors {
                current_password: Some("This is not your current password.".to_owned()),
                password: Some("This password is too common; choose another one.".to_owned()),
                ..FieldErrors::default()
            },
        }
    }
}

/// What was not done: the section of the page, a sentence, and the reason if it is not shown at a field.
struct NotDone {
    section: &'static str,
    sentence: &'static str,
    because: Option<String>,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let account = ProfilePage::sample();
    let text = "Your password has been changed.".to_owned();
    let calm = ProfilePage {
        chrome: Chrome {
            flash: Some(Flash { kind: FlashKind::Done, text }),
            ..Chrome::sample("Your account", Section::Account)
        },
        name: "Lin Mei".to_owned(),
        admin: false,
        last_admin: false,
        groups: Vec::new(),
        wants_download_notices: false,
        pending_email: None,
        errors_for: AccountForm::None,
        ..account.clone()
    };
    let quiet = Chrome::sample("Your account", Section::Account);
    let email = ProfilePage {
        chrome: quiet.clone(),
        errors_for: AccountForm::Email,
        typed_email: "no address\"><b>".to_owned(),
        errors: FieldErrors {
            email: Some("Enter an email address like name@example.org.".to_owned()),
            ..account.errors.clone()
        },
        ..calm.clone()
    };
    let delete = ProfilePage { chrome: quiet, errors_for: AccountForm::Delete, ..calm.clone() };
    Ok(vec![
        ("account", calm.render()?),
        ("account-errors", account.render()?),
        ("account-email-errors", email.render()?),
        ("account-delete-errors", delete.render()?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_in_the_form_that_it_belongs_to() {
        let errors = FieldErrors {
            current_password: Some("This is not your current password.".to_owned()),
            ..FieldErrors::default()
        };
        for (form, action) in [
            (AccountForm::Email, "/account/email"),
            (AccountForm::Password, "/account/password"),
            (AccountForm::Delete, "/account/delete"),
        ] {
            let page = ProfilePage {
                errors_for: form,
                errors: errors.clone(),
                last_admin: false,
                ..ProfilePage::sample()
            };
            let html = page.render().unwrap();
            let (before, from) = html.split_once(&format!("action=\"{action}\"")).unwrap();
            let (its_form, after) = from.split_once("</form>").unwrap();
            assert!(its_form.contains("This is not your current password."), "{form:?}");
            assert!(!before.contains("aria-invalid") && !after.contains("aria-invalid"), "{form:?}");
        }
    }
}
