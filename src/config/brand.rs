//! `[brand]`: how an operator makes the pages and emails their own.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

/// Maximum number of characters of a brand's name, so that it fits into a header and a page's title.
const NAME_MAX: usize = 40;

/// `[brand]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrandSettings {
    /// The name in titles, headers, footers and emails.
    pub name: String,
    /// The file of the logo; empty for the built-in one.
    pub logo: PathBuf,
    /// The accent color as `#rrggbb`; empty for the built-in one.
    pub color: String,
    /// An email address or a web address where people get help; empty for none.
    pub support: String,
}

impl Default for BrandSettings {
    fn default() -> BrandSettings {
        BrandSettings {
            name: "Oncelink".to_owned(),
            logo: PathBuf::new(),
            color: String::new(),
            support: String::new(),
        }
    }
}

/// A color in sRGB: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub [u8; 3]);

/// Where people get help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    /// The text to show: the address.
    pub shown: String,
    /// The target of a link: a `mailto:` or a web address.
    pub href: String,
}

/// A value of `[brand]` is not valid: the key, the problem and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting `{key}`: {problem}; {remedy}")]
pub struct InvalidBrand {
    /// The key's full name.
    pub key: &'static str,
    /// The problem.
    pub problem: String,
    /// How to fix it.
    pub remedy: &'static str,
}

impl BrandSettings {
    /// Returns the accent color, if one is set.
    ///
    /// # Errors
    /// When the setting isn't `#` and six hexadecimal digits.
    pub fn color(&self) -> Result<Option<Rgb>, InvalidBrand> {
        if self.color.is_empty() {
            return Ok(None);
        }
        let digits = self.color.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii());
        let number = digits.filter(|digits| !digits.starts_with('+'));
        match number.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(number) => {
                let [_, red, green, blue] = number.to_be_bytes();
                Ok(Some(Rgb([red, green, blue])))
            }
            None => Err(InvalidBrand {
                key: "brand.color",
                problem: format!("`{}` is not a color", self.color.escape_debug()),
                remedy: "write `#` and six hexadecimal digits, as in `#0b6a5f`",
            }),
        }
    }

    /// Returns where people get help, if that is set.
    ///
    /// # Errors
    /// When the setting is neither an email address nor an http or https address.
    pub fn support(&self) -> Result<Option<Support>, InvalidBrand> {
        let shown = self.support.trim();
        if shown.is_empty() {
            return Ok(None);
        }
        let web = Url::parse(shown).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if let Some(url) = web.filter(Url::has_host) {
            let shown = shown.trim_start_matches("https://").trim_end_matches('/').to_owned();
            return Ok(Some(Support { shown, href: url.into() }));
        }
        match shown.parse::<lettre::Address>() {
            Ok(address) => Ok(Some(Support { shown: shown.to_owned(), href: format!("mailto:{address}") })),
            Err(_) => Err(InvalidBrand {
                key: "brand.support",
                problem: format!("`{}` is not an address", shown.escape_debug()),
                remedy: "write an email address, as in `help@example.org`, or a page, as in `https://example.org/help`",
            }),
        }
    }

    /// Checks all values except the file of the logo.
    pub(super) fn check(&self) -> Result<(), InvalidBrand> {
        let is_shown = |c: char| !c.is_control() && !crate::human::is_invisible(c);
        let length = self.name.chars().count();
        if self.name.trim().is_empty() || length > NAME_MAX || !self.name.chars().all(is_shown) {
            return Err(InvalidBrand {
                key: "brand.name",
                problem: format!("`{}` is not a name that can be shown", self.name.escape_debug()),
                remedy: "choose 1 to 40 visible characters",
            });
        }
        self.color()?;
        self.support()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_color(color: &str) -> BrandSettings {
        BrandSettings { color: color.to_owned(), ..BrandSettings::default() }
    }

    fn with_support(support: &str) -> BrandSettings {
        BrandSettings { support: support.to_owned(), ..BrandSettings::default() }
    }

    #[test]
    fn a_color_is_six_hexadecimal_digits() {
        assert_eq!(with_color("#0b6A5f").color(), Ok(Some(Rgb([0x0b, 0x6a, 0x5f]))));
        assert_eq!(with_color("").color(), Ok(None));
        for wrong in
            ["blue", "#fff", "0b6a5f", "#0b6a5", "#0b6a5ff", "#+b6a5f", "#gg0000", "#éé0", " #0b6a5f"]
        {
            assert!(with_color(wrong).color().is_err(), "{wrong}");
        }
    }

    #[test]
    fn help_is_at_an_email_address_or_on_a_page() {
        let support = |text: &str| with_support(text).support().unwrap().unwrap();
        assert_eq!(support("help@example.org").href, "mailto:help@example.org");
        assert_eq!(support("https://example.org/help").href, "https://example.org/help");
        assert_eq!(support("https://example.org/help").shown, "example.org/help");
        assert_eq!(with_support(" ").support(), Ok(None));
        for wrong in ["help", "javascript:alert(1)", "ftp://example.org", "mailto:a@b.c", "call 123"] {
            assert!(with_support(wrong).support().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_can_be_seen() {
        for wrong in ["", "  ", "a\nb", "a\u{202e}b", &"n".repeat(41)] {
            assert!(BrandSettings { name: wrong.to_owned(), ..BrandSettings::default() }.check().is_err());
        }
        for fine in ["Åcme & Søn", "文件", "Acme, Inc. <files>"] {
            assert!(BrandSettings { name: fine.to_owned(), ..BrandSettings::default() }.check().is_ok());
        }
    }
}
