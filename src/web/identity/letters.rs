//! Letters that are meant to be mistaken for others.

use unicode_normalization::UnicodeNormalization;

/// Returns whether a text contains letters that are meant to be mistaken for others: compatibility forms such
/// as the Kelvin sign, and Latin letters among Greek or Cyrillic ones in one word.
pub(super) fn looks_like_another(text: &str) -> bool {
    // Each character is checked by itself, because different compositions of the same letter are fine.
    if text.chars().any(|letter| std::iter::once(letter).nfkc().ne(std::iter::once(letter))) {
        return true;
    }
    let is_foreign =
        |c: char| matches!(c, '\u{370}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{1f00}'..='\u{1fff}');
    let is_mixed = |word: &str| word.contains(is_foreign) && word.contains(|c: char| c.is_ascii_alphabetic());
    text.split(|c: char| !c.is_alphanumeric()).any(is_mixed)
}
