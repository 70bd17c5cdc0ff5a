//! Pages for administrators.

use crate::web::pages::{Chrome, Section};

pub mod accounts;
pub mod audit;
pub mod mail;

/// Turning the pages of a list.
#[derive(Clone, Debug, Default)]
pub struct Pager {
    /// The page before.
    pub newer: Option<String>,
    /// The page after.
    pub older: Option<String>,
}

fn sample_chrome(title: &str) -> Chrome {
    Chrome::sample(title, Section::Admin)
}

pub(super) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let mut pages = accounts::samples()?;
    pages.extend(mail::samples()?);
    pages.extend(audit::samples()?);
    Ok(pages)
}
