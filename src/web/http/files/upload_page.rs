//! The page after an upload by a plain form, for browsers without scripts: what arrived, what did not and
//! why, and the form again.

use std::borrow::Cow;

use askama::Template;

use crate::human;
use crate::web::http::files::row::ShownFolder;
use crate::web::http::layout::{Chrome, Section};

/// A file that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// Its name, as it was sent.
    pub name: String,
    /// A sentence that says why.
    pub why: String,
}

/// A file that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedFile {
    /// Its name, as it was sent.
    pub name: String,
    /// Its new name, if its own was taken.
    pub renamed: Option<String>,
}

/// The answer to a form of `POST /files-upload` that was not done completely; posts `folder` and `file`
/// there.
#[derive(Clone, Debug, Template)]
#[template(path = "web/upload.html")]
pub struct UploadPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The folder.
    pub folder: ShownFolder,
    /// The files that arrived.
    pub arrived: Vec<ArrivedFile>,
    /// The files that did not arrive.
    pub refused: Vec<RefusedFile>,
    /// Whether the form broke off, so that there may have been more files.
    pub broke_off: bool,
    /// The address of the form for a link to what arrived, if that was wanted.
    pub link: Option<String>,
}

impl UploadPage {
    fn arrived_shown(&self) -> Vec<(Cow<'_, str>, Option<Cow<'_, str>>)> {
        let names = self.arrived.iter().map(|file| (&file.name, file.renamed.as_deref()));
        names.map(|(name, renamed)| (human::name(name), renamed.map(human::name))).collect()
    }

    fn error(&self) -> Option<&'static str> {
        match self.refused.len() {
            _ if self.broke_off => Some(
                "The upload broke off. Files that are not listed here did not arrive: choose them again.",
            ),
            0 if self.arrived.is_empty() => Some("No file was chosen. Choose at least one."),
            0 => None,
            1 => Some("One file did not arrive. Fix the problem, then choose it again."),
            _ => Some("Some files did not arrive. Fix the problems, then choose them again."),
        }
    }

    /// Returns a page with two files, of which one did not arrive.
    pub fn sample() -> Option<UploadPage> {
        Some(UploadPage {
            chrome: Chrome::sample("Upload", Section::Files),
            folder: ShownFolder::new("/books/Novels & <b>more".parse().ok()?, None),
            arrived: vec![ArrivedFile {
                name: "<script>alert(1)</script>.txt".to_owned(),
                renamed: Some("<script>alert(1)</script> (2).txt".to_owned()),
            }],
            refused: vec![RefusedFile {
                name: "film\u{202e}\".mkv".to_owned(),
                why: "The file is too large: at most 1.0 GB are allowed.".to_owned(),
            }],
            broke_off: false,
            link: Some("/links/new?file_encoded=%2Fbooks%2Fa".to_owned()),
        })
    }
}

impl RefusedFile {
    fn shown(&self) -> Cow<'_, str> {
        human::name(&self.name)
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let mut pages = Vec::new();
    if let Some(page) = UploadPage::sample() {
        pages.push(("upload-refused", page.render()?));
        pages.push(("upload-broke-off", UploadPage { broke_off: true, ..page.clone() }.render()?));
        pages.push((
            "upload-nothing",
            UploadPage { arrived: Vec::new(), refused: Vec::new(), ..page }.render()?,
        ));
    }
    Ok(pages)
}
