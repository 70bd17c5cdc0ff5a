//! The page before several files, or a folder, are downloaded as one archive.

use askama::Template;

use crate::web::http::layout::{Chrome, Section};
use crate::web::http::zip_words;

/// `GET /zip`; posts `files` and `csrf` to the same address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/zip.html")]
pub struct ZipPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The files and folders, as they are shown.
    pub files: Vec<String>,
    /// Their paths, as the form carries them.
    pub files_field: String,
    /// The address of the page on which they were selected.
    pub back: String,
    /// Why the archive was not downloaded yet.
    pub news: Option<String>,
    /// The id of the archive while it is being made.
    pub job: Option<String>,
}

impl ZipPage {
    /// Returns a page with names of every kind.
    pub fn sample() -> ZipPage {
        ZipPage {
            chrome: Chrome::sample("Download as ZIP", Section::Files),
            files: vec!["/books/<script>alert(1)</script>.pdf".to_owned(), "My files/Photos".to_owned()],
            files_field: "/books/%3Cscript%3E /home/0123/Photos".to_owned(),
            back: "/files/books?sort=\"><script>".to_owned(),
            news: None,
            job: None,
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let page = ZipPage::sample();
    let preparing = ZipPage {
        news: Some(zip_words::preparing(zip_words::sample())),
        job: Some("j\"ob".to_owned()),
        ..page.clone()
    };
    Ok(vec![("zip", page.render()?), ("zip-preparing", preparing.render()?)])
}
