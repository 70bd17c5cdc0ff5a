//! Names that people give to files and folders: kept as typed, but never a path, never invisible, never
//! reserved.
//!
//! Names that Windows reserves (`CON`, `nul.txt`) are ordinary names here. A browser that saves such a file
//! knows what its system supports.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::id::is_reserved;

/// Maximum length of a file name, in bytes (NAME_MAX).
const NAME_MAX: usize = 255;

/// The name of a file or folder to be created.
///
/// Invariant: one component that a [`crate::id::FilePath`] can have, without control characters,
/// bidirectional overrides or backslashes, and without white space at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(Box<str>);

/// The text is not a valid name. Each message says what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It contains only white space.
    #[error("The name is empty.")]
    Empty,
    /// It contains a slash or a backslash.
    #[error("A name can't contain a slash.")]
    Path,
    /// It is `.` or `..`.
    #[error("A name can't consist of dots only.")]
    Dots,
    /// It is reserved for the service.
    #[error("The name .oncelink is reserved.")]
    Ours,
    /// It contains invisible characters.
    #[error("The name contains line breaks or other invisible characters. Remove them.")]
    Unseen,
    /// It is too long.
    #[error("The name is too long. The maximum is 255 bytes, which is 255 Latin or 85 Chinese characters.")]
    Length,
}

impl FileName {
    /// Parses a name that someone typed, refusing invalid characters.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn typed(text: &str) -> Result<FileName, NameError> {
        let name = text.trim();
        if name.contains(['/', '\\']) {
            return Err(NameError::Path);
        }
        if name.contains(is_invisible_or_bidi) {
            return Err(NameError::Unseen);
        }
        FileName::checked(name)
    }

    /// Converts the name of a file from elsewhere, where other rules apply: backslashes and invisible
    /// characters become `_`. A slash is refused, because no system allows it in a name.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn uploaded(text: &str) -> Result<FileName, NameError> {
        if text.contains('/') {
            return Err(NameError::Path);
        }
        let mild = |c: char| if c == '\\' || is_invisible_or_bidi(c) { '_' } else { c };
        let name: String = text.trim().chars().map(mild).collect();
        FileName::checked(&name)
    }

    fn checked(name: &str) -> Result<FileName, NameError> {
        match name {
            "" => Err(NameError::Empty),
            "." | ".." => Err(NameError::Dots),
            name if is_reserved(name) => Err(NameError::Ours),
            name if name.len() > NAME_MAX => Err(NameError::Length),
            name => Ok(FileName(name.into())),
        }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name with a number before its extension, such as `report (2).pdf`, shortened if it would
    /// be too long.
    pub fn numbered(&self, number: u32) -> FileName {
        // A leading dot doesn't start an extension, and extensions are short.
        let ending = match self.0.rfind('.') {
            Some(at) if at > 0 && self.0.len() - at <= 20 => at,
            _ => self.0.len(),
        };
        let (stem, ending) = self.0.split_at(ending);
        let number = format!(" ({number})");
        let mut room = NAME_MAX.saturating_sub(number.len() + ending.len()).min(stem.len());
        while !stem.is_char_boundary(room) {
            room -= 1;
        }
        let stem = stem.get(..room).unwrap_or_default();
        FileName(format!("{stem}{number}{ending}").into())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Folds names that people and some file systems consider the same: those that differ only in case or in
/// Unicode composition.
pub fn fold_name(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Returns whether a character is a control character or changes the direction of text.
fn is_invisible_or_bidi(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_inserted_before_the_extension_and_fits() {
        let numbered = |name: &str| FileName::typed(name).unwrap().numbered(2).0.to_string();
        assert_eq!(numbered("report.pdf"), "report (2).pdf");
        assert_eq!(numbered("folder"), "folder (2)");
        assert_eq!(numbered(".profile"), ".profile (2)");
        assert_eq!(numbered("a.tar.gz"), "a.tar (2).gz");
        assert_eq!(numbered(&"x".repeat(255)).len(), 255);
        let chinese = numbered(&format!("{}.pdf", "我".repeat(83)));
        assert!(chinese.len() <= 255 && chinese.ends_with("我 (2).pdf"), "{chinese}");
    }

    #[test]
    fn names_that_differ_only_in_case_or_composition_are_the_same() {
        assert_eq!(fold_name("RÉSUMÉ.txt"), fold_name("re\u{301}sume\u{301}.TXT"));
        assert_ne!(fold_name("a.txt"), fold_name("b.txt"));
    }
}
