//! The operator's own name, logo, color and support address, as both services show them.
//!
//! Nothing here runs scripts or loads files from elsewhere: the color becomes a few declarations of a style
//! sheet, and the logo is a picture served under [`LOGO_POLICY`].

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::assets;
pub use crate::brand::error::BrandError;
use crate::brand::logo::Logo;
use crate::brand::palette::{Hex, Palette};
use crate::config::{BrandSettings, Support};

mod error;
mod logo;
mod palette;

/// The policy of a logo, so that an SVG file that is opened by itself can't run scripts or load anything.
pub const LOGO_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The color of buttons in emails, and of the text on them, if the operator sets none.
const MAIL_FILL: (&str, &str) = ("#0b6a5f", "#ffffff");

/// A file of the brand, served at an address that contains a hash of its content.
#[derive(Clone, Debug)]
pub struct BrandFile {
    /// Its path: `/static/{hash}/{name}`.
    pub url: String,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The name, logo, color and support address. [`Brand::default`] is the built-in one.
#[derive(Clone, Debug)]
pub struct Brand {
    /// The name.
    pub name: String,
    /// Where people get help, if that is known.
    pub support: Option<Support>,
    /// The logo, if there is one.
    pub logo: Option<BrandFile>,
    /// The style sheet with the colors, if the operator chose one.
    pub style: Option<BrandFile>,
    /// The color of buttons in emails.
    pub mail_fill: String,
    /// The color of text on these buttons.
    pub mail_on_fill: String,
    /// Whether the operator chose the name.
    pub is_named: bool,
    page_style: String,
    page_style_source: String,
}

static BUILT_IN: LazyLock<Arc<Brand>> =
    LazyLock::new(|| Arc::new(Brand::new(&BrandSettings::default(), None, None, None)));

impl Default for Brand {
    fn default() -> Brand {
        Brand::clone(&BUILT_IN)
    }
}

impl Brand {
    /// Returns the built-in brand.
    pub fn built_in() -> Arc<Brand> {
        BUILT_IN.clone()
    }

    /// Reads what the settings name.
    ///
    /// # Errors
    /// See [`BrandError`].
    pub fn open(settings: &BrandSettings) -> Result<Arc<Brand>, BrandError> {
        let palette = settings.color()?.map(Palette::of);
        let support = settings.support()?;
        let logo = match settings.logo.as_os_str().is_empty() {
            true => None,
            false => Some(Logo::read(&settings.logo)?),
        };
        Ok(Arc::new(Brand::new(settings, palette, support, logo)))
    }

    fn new(
        settings: &BrandSettings,
        palette: Option<Palette>,
        support: Option<Support>,
        logo: Option<Logo>,
    ) -> Brand {
        let colors = palette.map(|palette| palette.css());
        let page_style = format!("{}{}", assets::inline_style(), colors.as_deref().unwrap_or_default());
        let (fill, on_fill) = match palette {
            Some(Palette { light, .. }) => (Hex(light.fill).to_string(), Hex(light.on_fill).to_string()),
            None => (MAIL_FILL.0.to_owned(), MAIL_FILL.1.to_owned()),
        };
        Brand {
            is_named: settings.name != BrandSettings::default().name,
            name: settings.name.trim().to_owned(),
            support,
            logo: logo
                .map(|Logo { kind, bytes }| BrandFile::new(kind.file_name(), kind.content_type(), bytes)),
            style: colors.map(|css| BrandFile::new("brand.css", "text/css; charset=utf-8", css.into_bytes())),
            mail_fill: fill,
            mail_on_fill: on_fill,
            page_style_source: assets::hash_source(&page_style),
            page_style,
        }
    }

    /// Returns the file at `/static/{hash}/{name}`, if it belongs to the brand.
    pub fn file(&self, hash: &str, name: &str) -> Option<&BrandFile> {
        let url = assets::address(hash, name);
        [&self.logo, &self.style].into_iter().flatten().find(|file| file.url == url)
    }

    /// The style that the download service inlines into its pages.
    pub fn page_style(&self) -> &str {
        &self.page_style
    }

    /// The CSP source that allows exactly [`Brand::page_style`]: `'sha256-…'`.
    pub fn page_style_source(&self) -> &str {
        &self.page_style_source
    }

    /// The logo as a `data:` URL, for a page that loads no other files.
    pub fn logo_data(&self) -> Option<String> {
        let logo = self.logo.as_ref()?;
        Some(format!("data:{};base64,{}", logo.content_type, STANDARD.encode(&logo.bytes)))
    }

    /// Returns how an email calls this server: by the name that the operator chose, or else by its host.
    pub fn place<'a>(&'a self, host: &'a str) -> &'a str {
        if self.is_named { &self.name } else { host }
    }
}

impl BrandFile {
    fn new(name: &str, content_type: &'static str, bytes: Vec<u8>) -> BrandFile {
        let url = assets::address(&assets::content_hash(&bytes), name);
        BrandFile { url, content_type, bytes }
    }

    /// Whether it is a picture, which gets [`LOGO_POLICY`].
    pub fn is_picture(&self) -> bool {
        self.content_type.starts_with("image/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_under_its_own_address_only() {
        let folder = tempfile::tempdir().unwrap();
        let logo = folder.path().join("logo");
        std::fs::write(&logo, b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
        let settings = BrandSettings { logo, color: "#123456".to_owned(), ..BrandSettings::default() };
        let brand = Brand::open(&settings).unwrap();
        for file in [brand.logo.as_ref().unwrap(), brand.style.as_ref().unwrap()] {
            let parts: Vec<&str> = file.url.split('/').collect();
            assert_eq!(brand.file(parts[2], parts[3]).unwrap().bytes, file.bytes);
            assert!(brand.file("", parts[3]).is_none());
        }
        assert!(brand.page_style().ends_with("}}\n") && !brand.page_style().contains('<'));
        assert_ne!(brand.page_style_source(), Brand::default().page_style_source());
        assert!(brand.logo_data().unwrap().starts_with("data:image/svg+xml;base64,PHN2"));
    }

    #[test]
    fn a_logo_that_cannot_be_shown_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let open = |bytes: Option<&[u8]>| {
            let logo = folder.path().join("logo");
            if let Some(bytes) = bytes {
                std::fs::write(&logo, bytes).unwrap();
            }
            Brand::open(&BrandSettings { logo, ..BrandSettings::default() }).map(|_| ())
        };
        assert!(matches!(open(None), Err(BrandError::Unreadable { .. })));
        assert!(matches!(open(Some(b"text")), Err(BrandError::NotAPicture { .. })));
        assert!(matches!(open(Some(&[b' '; 32 * 1024 + 1])), Err(BrandError::TooLarge { .. })));
    }
}
