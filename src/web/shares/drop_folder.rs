//! The folder that takes several files that were dropped at once. Nobody chose its name, so the recipients of
//! its link don't see it: neither in the names of the files, nor in an archive of them.

use crate::clock::Timestamp;
use crate::human;
use crate::web::shares::rights::Readable;

const FIRST_WORD: &str = "Shared";
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the name of a folder for what is dropped now: `Shared 29 Nov 2026`.
pub(crate) fn name(now: Timestamp) -> String {
    format!("{FIRST_WORD} {}", human::date(now))
}

/// Returns whether that is such a folder: one directly in *My files* that still has its first name.
pub(crate) fn is_one(place: &Readable) -> bool {
    let is_personal = !place.root().within_share().is_empty();
    let within = place.path().as_str().strip_prefix(place.root().as_str());
    let name = within.and_then(|within| within.strip_prefix('/')).filter(|name| !name.contains('/'));
    is_personal && name.is_some_and(is_name)
}

/// Returns whether `name` has the form of [`name`], with a number behind it if that name was taken.
fn is_name(name: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| number.to_string() == text);
    let mut words = name.split(' ');
    let is_dated = words.next() == Some(FIRST_WORD)
        && words.next().and_then(number).is_some_and(|day| (1..=31).contains(&day))
        && words.next().is_some_and(|month| MONTHS.contains(&month))
        && words.next().and_then(number).is_some_and(|year| (1970..=9999).contains(&year));
    let is_numbered =
        |word: &str| word.strip_prefix('(').and_then(|word| number(word.strip_suffix(')')?)).is_some();
    is_dated && words.next().is_none_or(is_numbered) && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_nobody_chose_is_recognized() {
        for at in [0, 1_795_910_400, 1_800_000_000, 4_102_444_800] {
            let name = name(Timestamp::from_secs(at));
            assert!(is_name(&name) && is_name(&format!("{name} (2)")), "{name}");
        }
        for other in [
            "Shared",
            "Shared ",
            "Shared things",
            "Shared 29 November 2026",
            "Shared 029 Nov 2026",
            "Shared 32 Nov 2026",
            "Shared 29 Nov 2026 ",
            "Shared 29 Nov 2026 (x)",
            "Shared 29 Nov 2026 (2) (3)",
            "Shared  29 Nov 2026",
            "shared 29 Nov 2026",
            "29 Nov 2026",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }
}
