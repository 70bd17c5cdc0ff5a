//! Letters that are made to be taken for others.

use unicode_normalization::UnicodeNormalization;

/// Whether a text has letters that are made to be taken for others: compatibility forms such as the Kelvin
/// sign, and Latin letters among Greek or Cyrillic ones within one word.
pub(super) fn looks_like_another(text: &str) -> bool {
    // Letter by letter: how a letter is composed of several is its typist's business.
    if text.chars().any(|letter| std::iter::once(letter).nfkc().ne(std::iter::once(letter))) {
        return true;
    }
    let is_foreign =
        |c: char| matches!(c, '\u{370}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{1f00}'..='\u{1fff}');
    let is_mixed = |word: &str| word.contains(is_foreign) && word.contains(|c: char| c.is_ascii_alphabetic());
    text.split(|c: char| !c.is_alphanumeric()).any(is_mixed)
}
