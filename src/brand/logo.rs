//! The file of an operator's logo.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::brand::error::BrandError;

/// Maximum size of a logo. The download service's pages contain it, because they load no other files, and
/// should stay small for people on slow networks.
const SIZE_MAX: u64 = 32 * 1024;

/// A logo: a picture that browsers show.
#[derive(Clone, Debug)]
pub(super) struct Logo {
    pub(super) kind: LogoKind,
    pub(super) bytes: Vec<u8>,
}

/// The format of a logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogoKind {
    Png,
    Jpeg,
    WebP,
    Svg,
}

impl LogoKind {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            LogoKind::Png => "image/png",
            LogoKind::Jpeg => "image/jpeg",
            LogoKind::WebP => "image/webp",
            LogoKind::Svg => "image/svg+xml",
        }
    }

    pub(super) const fn file_name(self) -> &'static str {
        match self {
            LogoKind::Png => "logo.png",
            LogoKind::Jpeg => "logo.jpg",
            LogoKind::WebP => "logo.webp",
            LogoKind::Svg => "logo.svg",
        }
    }

    /// Returns the format of a file by its content; its name doesn't matter.
    fn of(bytes: &[u8]) -> Option<LogoKind> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(LogoKind::Png);
        }
        if bytes.starts_with(b"\xff\xd8\xff") {
            return Some(LogoKind::Jpeg);
        }
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Some(LogoKind::WebP);
        }
        // A document with an `svg` element, after a declaration and comments perhaps.
        let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
        (text.starts_with('<') && text.contains("<svg")).then_some(LogoKind::Svg)
    }
}

impl Logo {
    /// Reads the logo at `path`.
    ///
    /// # Errors
    /// When the file can't be read, is too large, or isn't a picture of a known format.
    pub(super) fn read(path: &Path) -> Result<Logo, BrandError> {
        let unreadable = |source| BrandError::Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(SIZE_MAX + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > SIZE_MAX {
            return Err(BrandError::TooLarge { path: path.to_owned() });
        }
        let kind = LogoKind::of(&bytes).ok_or_else(|| BrandError::NotAPicture { path: path.to_owned() })?;
        Ok(Logo { kind, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_recognized_by_its_content() {
        for (bytes, kind) in [
            (b"\x89PNG\r\n\x1a\n\0\0".as_slice(), Some(LogoKind::Png)),
            (b"\xff\xd8\xff\xe0", Some(LogoKind::Jpeg)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some(LogoKind::WebP)),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<svg/>", Some(LogoKind::Svg)),
            (b"<!doctype html><p>svg", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(LogoKind::of(bytes), kind, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
