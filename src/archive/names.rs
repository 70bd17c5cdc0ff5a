//! Names for the entries of an archive: safe to unpack on every system, and different from each other also
//! where case or the composition of letters don't count.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use unicode_normalization::UnicodeNormalization;

/// Names that Windows reserves for devices, also with an ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Gives out names for one archive, each once. The same calls in the same order give the same names.
#[derive(Default)]
pub struct ArchiveNames {
    /// The names that are taken, folded, with the number to try next for another of the same name.
    taken: HashMap<String, u32>,
}

impl ArchiveNames {
    /// Returns the name of a folder called `name`, with a slash at its end. `parent` is empty or was returned
    /// by this function.
    pub fn folder(&mut self, parent: &str, name: &str) -> String {
        let mut name = self.take(parent, &safe(name), false);
        name.push('/');
        name
    }

    /// Returns the name of a file called `name`. `parent` is empty or was returned by
    /// [`ArchiveNames::folder`].
    pub fn file(&mut self, parent: &str, name: &str) -> String {
        self.take(parent, &safe(name), true)
    }

    fn take(&mut self, parent: &str, name: &str, has_ending: bool) -> String {
        let first = format!("{parent}{name}");
        let next = match self.taken.entry(folded(&first)) {
            Entry::Vacant(free) => {
                free.insert(2);
                return first;
            }
            Entry::Occupied(taken) => *taken.get(),
        };
        let (stem, ending) = match name.rsplit_once('.') {
            Some((stem, ending)) if has_ending && !stem.is_empty() => (stem, format!(".{ending}")),
            _ => (name, String::new()),
        };
        let mut number = next;
        loop {
            let other = format!("{parent}{stem} ({number}){ending}");
            number = number.saturating_add(1);
            if let Entry::Vacant(free) = self.taken.entry(folded(&other)) {
                free.insert(2);
                self.taken.insert(folded(&first), number);
                return other;
            }
        }
    }
}

/// Returns what file systems that ignore case and composition compare.
fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfkc().flat_map(char::to_lowercase).nfc().collect()
}

/// Returns one component of a name without what some system can't store or takes for something else.
fn safe(name: &str) -> String {
    let mild = |c: char| match c {
        '/' | '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*' => '_',
        // Bidirectional overrides and isolates let a name look like another one.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let mut safe: String = name.chars().map(mild).collect();
    // Windows drops dots and spaces at the end of a name.
    let kept = safe.trim_end_matches(['.', ' ']).len();
    let dropped = safe.len() - kept;
    safe.truncate(kept);
    safe.extend(std::iter::repeat_n('_', dropped));
    if is_device(&safe) {
        safe.insert(0, '_');
    }
    safe
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let is_numbered = |device: &str| {
        let number = stem.strip_prefix(device);
        number.is_some_and(|number| {
            matches!(number.as_bytes(), [b'1'..=b'9']) || matches!(number, "¹" | "²" | "³")
        })
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.into_iter().any(is_numbered)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_differ_only_by_case_or_composition_get_numbers() {
        let mut names = ArchiveNames::default();
        let mut file = |name: &str| names.file("", name);
        assert_eq!(
            ["a.txt", "A.txt", "a.TXT", "a (2).txt", "\u{e4}", "a\u{308}", "Ä"].map(&mut file),
            ["a.txt", "A (2).txt", "a (3).TXT", "a (2) (2).txt", "\u{e4}", "a\u{308} (2)", "Ä (3)"]
        );
        let folder = names.folder("", "Photos.2024");
        assert_eq!(folder, "Photos.2024/");
        assert_eq!(names.folder("", "photos.2024"), "photos.2024 (2)/");
        assert_eq!(names.file("", "PHOTOS.2024"), "PHOTOS (3).2024", "a file isn't a folder");
        assert_eq!(
            [names.file(&folder, "a.txt"), names.file(&folder, "A.txt")],
            ["Photos.2024/a.txt", "Photos.2024/A (2).txt"]
        );
    }

    #[test]
    fn names_that_a_system_would_misread_are_changed() {
        let mut names = ArchiveNames::default();
        for (name, safe) in [
            ("a\\b", "a_b"),
            ("C:x", "C_x"),
            ("a\nb\u{0}", "a_b_"),
            ("gpj.\u{202e}exe", "gpj._exe"),
            ("end. .", "end___"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("COM1", "_COM1"),
            ("COM0", "COM0"),
            ("console.log", "console.log"),
            (".env", ".env"),
            ("..", "__"),
        ] {
            assert_eq!(names.file("", name), safe, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_safe_and_given_once(
            parts in prop::collection::vec(prop_oneof![any::<String>(), "[aA .ä]{0,3}"], 1..30)
        ) {
            let (mut names, mut seen) = (ArchiveNames::default(), HashSet::new());
            let folder = names.folder("", "x");
            for part in parts.iter().filter(|part| !part.is_empty()) {
                for parent in ["", folder.as_str()] {
                    let name = names.file(parent, part);
                    let last = name.strip_prefix(parent).unwrap();
                    prop_assert!(!last.contains(['/', '\\', ':']) && !last.contains(char::is_control));
                    prop_assert!(!matches!(last, "" | "." | "..") && !last.ends_with(['.', ' ']));
                    prop_assert!(seen.insert(folded(&name)), "{name:?}");
                }
            }
        }
    }
}
