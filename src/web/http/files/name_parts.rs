//! Splits long names, so that a phone can shorten them in the middle and their end, often the part that
//! matters, stays visible.

/// The width up to which a name fits into one line on a phone, in half the width of a Chinese character.
const FITS: usize = 24;
/// The width of the part that stays visible.
const END: usize = 10;

/// Splits `name`; `None` if it is short, or if it can't be split without separating what belongs together.
pub fn split(name: &str) -> Option<(&str, &str)> {
    if name.chars().map(width).sum::<usize>() <= FITS {
        return None;
    }
    let mut end = 0;
    for (at, c) in name.char_indices().rev() {
        end += width(c);
        if end > FITS {
            return None;
        }
        if end >= END && stands_alone(c) {
            return name.split_at_checked(at).filter(|(start, _)| !start.is_empty());
        }
    }
    None
}

/// Returns whether a character begins a new unit whatever precedes it. Letters that join with their neighbours,
/// combining marks, and the parts of emoji don't.
fn stands_alone(c: char) -> bool {
    c.is_ascii()
        || matches!(c, '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{482}' | '\u{48a}'..='\u{52f}')
        || is_wide(c)
}

/// Returns whether it is a character of Chinese, Japanese or Korean, which is twice as wide as a Latin letter.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

fn width(c: char) -> usize {
    if is_wide(c) { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_name_stays_whole() {
        for (name, end) in [
            ("report.pdf", None),
            ("exactly twenty-four long", None),
            ("a-very-long-name-without-any-space-1.txt", Some("pace-1.txt")),
            ("Résumé of the negotiations in März.pdf", Some(" März.pdf")),
            ("我这一辈子我这一辈子我这一辈子.pdf", Some("一辈子.pdf")),
            ("كتاب الألف ليلة وليلة الجزء الأول.epub", Some("لأول.epub")),
            ("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", None),
        ] {
            let parts = split(name);
            assert!(parts.is_none_or(|(start, end)| format!("{start}{end}") == name), "{name}");
            match end {
                None => assert_eq!(parts, None, "{name}"),
                Some(end) => {
                    assert!(parts.is_some_and(|(_, is)| is.ends_with(end.trim())), "{name}: {parts:?}")
                }
            }
        }
    }
}
