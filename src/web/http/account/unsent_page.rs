//! The page that shows a kept form again after the next login.

use std::borrow::Cow;

use askama::Template;

use crate::human;
use crate::web::http::layout::{Chrome, Section};

/// `GET /unsent/{id}`; posts the unchanged fields to the address that the form was sent to.
#[derive(Clone, Debug, Template)]
#[template(path = "web/unsent.html")]
pub struct UnsentPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The address that the form is sent to: a path of this app.
    pub action: String,
    /// The names and values of its fields.
    pub fields: Vec<(String, String)>,
}

impl UnsentPage {
    /// Returns the fields that a person recognizes: typed texts, but no passwords.
    fn shown(&self) -> Vec<(String, Cow<'_, str>)> {
        let shown = self.fields.iter().filter(|(name, value)| {
            let is_secret = name.contains("password") || name == "code";
            let is_technical = matches!(name.as_str(), "id" | "to" | "next" | "file_encoded");
            !value.trim().is_empty() && !is_secret && !is_technical
        });
        shown
            .map(|(name, value)| {
                let label = name.replace('_', " ");
                let mut letters = label.chars();
                let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
                (format!("{first}{}", letters.as_str()), human::name(value))
            })
            .collect()
    }

    /// Returns a form with values that an attacker might send.
    pub fn sample() -> UnsentPage {
        let fields =
            [("file", "/books/a.pdf"), ("note", "<script>alert(1)</script>"), ("password", "secret")];
        UnsentPage {
            chrome: Chrome::sample("Send your form again", Section::None),
            action: "/links".to_owned(),
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    Ok(vec![("unsent", UnsentPage::sample().render()?)])
}
