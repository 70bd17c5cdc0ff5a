//! Pages for administrators.

use crate::web::http::admin::{accounts_page, audit_page, mail_page};
use crate::web::http::layout::{Chrome, Section};

/// Turning the pages of a list.
#[derive(Clone, Debug, Default)]
pub struct Pager {
    /// The page before.
    pub newer: Option<String>,
    /// The page after.
    pub older: Option<String>,
}

pub(crate) fn sample_chrome(title: &str) -> Chrome {
    Chrome::sample(title, Section::Admin)
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let mut pages = accounts_page::samples()?;
    pages.extend(mail_page::samples()?);
    pages.extend(audit_page::samples()?);
    Ok(pages)
}
