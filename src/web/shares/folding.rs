//! Folds text for comparison without regard to case and accents. For searching and sorting names, never for
//! deciding whether two names are the same.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization;

/// Returns `text` in lower case, without accents and with ligatures spelled out, so that `Äpfel` and `apfel`
/// are equal.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let letters = text.nfkd().flat_map(char::to_lowercase).filter(|c| !is_accent(*c));
    let mut folded = String::with_capacity(text.len());
    for letter in letters {
        match spelt(letter) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(letter),
        }
    }
    // Composes syllables and letters again whose marks aren't accents.
    folded.nfc().collect()
}

/// Marks of Latin, Greek and Cyrillic letters, points of Hebrew, vowel signs of Arabic. Readers of other
/// scripts consider marks to be letters of their own.
const fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{652}' | '\u{670}')
}

/// Returns the spelling of letters that no normalization decomposes.
const fn spelt(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'þ' => "th",
        'ı' => "i",
        'ħ' => "h",
        'ŧ' => "t",
        'ς' => "σ",
        _ => return None,
    })
}

/// Compares folded names in natural order: digits by their value.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.chars(), b.chars());
    loop {
        let (l_text, r_text) = (left.as_str(), right.as_str());
        let (Some(l), Some(r)) = (left.next(), right.next()) else {
            return l_text.len().cmp(&r_text.len());
        };
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let ((l_digits, l_rest), (r_digits, r_rest)) = (digits(l_text), digits(r_text));
            match l_digits.len().cmp(&r_digits.len()).then_with(|| l_digits.cmp(r_digits)) {
                Ordering::Equal => (left, right) = (l_rest.chars(), r_rest.chars()),
                order => return order,
            }
        } else if l != r {
            return l.cmp(&r);
        }
    }
}

/// Returns the number at the start of `text` without leading zeros, and what follows it.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (number.trim_start_matches('0'), rest)
}

/// A search query: words that a name must all contain, or patterns such as `*.pdf` that it must match.
#[derive(Clone, Debug)]
pub struct NameQuery(Vec<String>);

impl NameQuery {
    /// Splits a text into words.
    pub fn new(text: &str) -> NameQuery {
        NameQuery(text.split_whitespace().map(fold).collect())
    }

    /// Returns whether a name matches all words.
    pub fn fits(&self, name: &str) -> bool {
        let name = fold(name);
        self.0.iter().all(|word| {
            name.contains(word.as_str()) || (word.contains(['*', '?']) && fits_pattern(word, &name))
        })
    }
}

/// Returns whether all of `name` matches `pattern`, in which `*` stands for any characters and `?` for one.
fn fits_pattern(pattern: &str, name: &str) -> bool {
    let (first, rest) = match pattern.split_once('*') {
        None => return after(pattern, name) == Some(""),
        Some(split) => split,
    };
    let Some(mut name) = after(first, name) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        // The earliest match leaves the most text for the pieces that follow.
        let starts = name.char_indices().map(|(at, _)| at).chain([name.len()]);
        let found = starts.filter_map(|at| name.get(at..)).find_map(|from| after(piece, from));
        match found {
            Some(rest) => name = rest,
            None => return false,
        }
    }
    let surplus = name.chars().count().checked_sub(last.chars().count());
    surplus.is_some_and(|surplus| {
        let at = name.char_indices().nth(surplus).map_or(name.len(), |(at, _)| at);
        name.get(at..).and_then(|end| after(last, end)) == Some("")
    })
}

/// Returns what follows `piece` in a name that begins with it; `?` in `piece` stands for one character.
fn after<'n>(piece: &str, name: &'n str) -> Option<&'n str> {
    let mut rest = name.chars();
    let begins =
        piece.chars().all(|wanted| rest.next().is_some_and(|there| wanted == '?' || wanted == there));
    begins.then_some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_case_and_ligatures_make_no_difference() {
        for (one, other) in [
            ("Äpfel", "apfel"),
            ("re\u{301}sume\u{301}", "RÉSUMÉ"),
            ("Straße", "STRASSE"),
            ("İstanbul", "istanbul"),
            ("ŁÓDŹ", "lodz"),
            ("ﬁle", "file"),
            ("Ⅻ", "xii"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [("か", "が"), ("कि", "की"), ("我", "你")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn words_and_patterns_are_found() {
        let fits = |query: &str, name: &str| NameQuery::new(query).fits(name);
        for (query, name) in [
            ("resume", "Notes – résumé & ideas.txt"),
            ("IDEAS notes", "Notes – résumé & ideas.txt"),
            ("*.pdf", "a.PDF"),
            ("a*b*c", "aXbXbc"),
            ("scan?", "scan7"),
            ("*", ""),
            ("what?.txt", "so what?.txt"),
            ("", "anything"),
        ] {
            assert!(fits(query, name), "{query:?} {name:?}");
        }
        for (query, name) in [
            ("*.pdf", "a.pdf.exe"),
            ("a*b", "ba"),
            ("scan?", "scan"),
            ("?", ""),
            ("x y", "x"),
            ("a*b", "axbx"),
        ] {
            assert!(!fits(query, name), "{query:?} {name:?}");
        }
    }
}
