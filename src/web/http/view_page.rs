//! The page on which a file is viewed. The file itself comes from the download service, into an element that
//! the page's policy allows for this page alone.

use askama::Template;

use crate::human;
use crate::viewable::ViewKind;
use crate::web::http::layout::{Chrome, Section};

/// The answer to `POST /view` and `POST /l/{code}/view`. Reloading it sends the form again, which issues a
/// fresh token.
#[derive(Clone, Debug, Template)]
#[template(path = "web/view.html")]
pub struct ViewPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The name of the file.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// How it is shown.
    pub kind: ViewKind,
    /// The address of the view.
    pub address: String,
    /// The address of the page that it was opened from, and its name.
    pub back: (String, String),
    /// The Download button.
    pub download: DownloadButton,
}

/// A button that downloads the file.
#[derive(Clone, Debug)]
pub struct DownloadButton {
    /// The address of the form; empty if the page that leads back has the button, because it asks for more.
    pub action: String,
    /// The CSRF token of the form.
    pub csrf: String,
    /// The name and value of the field that says which file.
    pub field: (&'static str, String),
}

impl ViewPage {
    fn shown_name(&self) -> std::borrow::Cow<'_, str> {
        human::name(&self.name)
    }

    fn icon(&self) -> &'static str {
        human::icon(&self.name)
    }

    fn size(&self) -> String {
        human::size(self.size)
    }

    const fn has_player(&self) -> bool {
        matches!(self.kind, ViewKind::Audio | ViewKind::Video)
    }

    fn sample(kind: ViewKind) -> ViewPage {
        ViewPage {
            chrome: Chrome::sample("View", Section::Files),
            name: "我 \"><script>alert(1)</script> \u{202e}gpj.exe".to_owned(),
            size: 3_456_789,
            kind,
            address: "http://download.example/v/\"><script>".to_owned(),
            back: ("/files/books/\"><b>".to_owned(), "books & <b>more".to_owned()),
            download: DownloadButton {
                action: "/download".to_owned(),
                csrf: "c\"srf".to_owned(),
                field: ("file_encoded", "/books/%22".to_owned()),
            },
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let public = ViewPage { chrome: Chrome::public("View"), ..ViewPage::sample(ViewKind::Picture) };
    let download = DownloadButton { action: String::new(), ..public.download.clone() };
    Ok(vec![
        ("view-picture", ViewPage::sample(ViewKind::Picture).render()?),
        ("view-pdf", ViewPage::sample(ViewKind::Pdf).render()?),
        ("view-text", ViewPage::sample(ViewKind::Text).render()?),
        ("view-audio", ViewPage::sample(ViewKind::Audio).render()?),
        ("view-video", ViewPage::sample(ViewKind::Video).render()?),
        ("view-public", ViewPage { download, ..public }.render()?),
    ])
}
