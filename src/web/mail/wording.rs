//! How names of people and files appear in letters, and the layout of plain text letters: lines of at most
//! 76 columns, addresses that are never broken, and no name that can reverse the direction of a line.

use unicode_normalization::char::is_combining_mark;

use crate::human::{self, is_invisible};

/// Columns of a line in a plain text letter (RFC 5322 section 2.1.1 asks for at most 78).
const COLUMNS: usize = 76;
/// The line between a letter and its sender.
const FOOT: &str = "-- ";
/// Maximum number of characters of a title or file name; longer ones are cut and marked with an ellipsis.
const TITLE_MAX: usize = 72;
/// Maximum number of characters of a person's name or an address.
const NAME_MAX: usize = 254;
/// Maximum number of file names that a letter lists.
pub const LISTED: usize = 5;

/// A file or folder as listed in a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name.
    pub name: String,
    /// A description, such as its size; may be empty.
    pub about: String,
}

/// Returns text that a person typed as one line, without characters that could disturb a terminal or a
/// header.
pub(crate) fn line(text: &str) -> String {
    isolated(&shortened(text, NAME_MAX))
}

/// Returns a title for a line of its own.
pub(crate) fn title_line(title: &str) -> String {
    isolated(&shortened(title, TITLE_MAX))
}

/// Returns the name of a file. A long one is cut in the middle, because its last characters show the file's
/// type.
pub(crate) fn file_line(name: &str) -> String {
    const END: usize = 12;
    let name = human::name(name);
    let length = name.chars().count();
    if length <= TITLE_MAX {
        return isolated(&name);
    }
    let begin = name.chars().take(TITLE_MAX - END - 1);
    isolated(&begin.chain(['…']).chain(name.chars().skip(length - END)).collect::<String>())
}

/// Returns the first few files, one per line, and how many more there are.
pub(crate) fn listed(files: &[ListedFile], unlisted: usize) -> Vec<String> {
    let mut lines: Vec<String> = files
        .iter()
        .take(LISTED)
        .map(|file| match file.about.as_str() {
            "" => file_line(&file.name),
            about => format!("{} ({about})", file_line(&file.name)),
        })
        .collect();
    match files.len().saturating_sub(LISTED) + unlisted {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines
}

/// Returns the lines of text that a person typed, without characters that could disturb a terminal.
pub(crate) fn note_lines(note: &str) -> Vec<String> {
    note.trim().lines().map(|line| isolated(&human::name(line.replace('\t', " ").trim_end()))).collect()
}

/// Formats such lines for plain text, marked as a quotation.
pub(crate) fn quoted(lines: &[String]) -> String {
    let mut quoted = Vec::new();
    for line in lines {
        let mut wrapped = Vec::new();
        wrap_line(line, COLUMNS - 2, "", &mut wrapped);
        quoted.extend(wrapped.iter().map(|line| format!("> {line}").trim_end().to_owned()));
    }
    quoted.join("\n")
}

/// Wraps a letter from its template, in which each paragraph is one line, to the width of a terminal.
pub(crate) fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.trim().lines() {
        // Optional parts that are missing leave no gap.
        if line.trim().is_empty() && lines.last().is_some_and(String::is_empty) {
            continue;
        }
        // The signature separator ends with a space (RFC 3676 section 4.3).
        if line == FOOT || line.starts_with("> ") {
            lines.push(line.to_owned());
            continue;
        }
        let indent = if line.starts_with("- ") { "  " } else { "" };
        wrap_line(line.trim_end(), COLUMNS, indent, &mut lines);
    }
    lines.join("\n") + "\n"
}

/// Breaks a line at its spaces, and a word that is longer than a line at the end of the line. Each line
/// except the first is indented by `indent`. Web and email addresses are never broken, because they would
/// stop working.
fn wrap_line(text: &str, columns: usize, indent: &str, lines: &mut Vec<String>) {
    if width(text) <= columns {
        return lines.push(text.to_owned());
    }
    let (mut current, mut is_begun) = (String::new(), false);
    for word in text.split(' ') {
        let is_address = word.contains("://") || word.contains('@');
        // A word that is too long for any line continues on the current one.
        let fits_alone = is_address || width(indent) + width(word) <= columns;
        let room = columns.saturating_sub(width(&current) + 1);
        if is_begun && width(word) > room && (fits_alone || room < 2) {
            lines.push(std::mem::replace(&mut current, indent.to_owned()).trim_end().to_owned());
            is_begun = false;
        }
        if is_begun {
            current.push(' ');
        }
        is_begun = true;
        if is_address {
            current.push_str(word);
            continue;
        }
        for letter in word.chars() {
            if width(&current) + columns_of(letter) > columns {
                lines.push(std::mem::replace(&mut current, indent.to_owned()));
            }
            current.push(letter);
        }
    }
    lines.push(current);
}

fn shortened(text: &str, max: usize) -> String {
    let text = human::name(text.trim());
    if text.chars().count() <= max {
        return text.into_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

/// Isolates right-to-left text so that it does not reorder the text around it (UAX 9).
fn isolated(text: &str) -> String {
    match text.contains(is_right_to_left) {
        true => format!("\u{2068}{text}\u{2069}"),
        false => text.to_owned(),
    }
}

/// Whether a character is from one of the blocks that are written from right to left.
fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Returns the width of a character in a terminal; close enough to UAX 11 for breaking lines.
fn columns_of(c: char) -> usize {
    match c {
        _ if is_combining_mark(c) || is_invisible(c) => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_a_terminal_and_addresses_stay_whole() {
        let address = format!("https://files.example/l/{}", "a".repeat(90));
        let mailbox = format!("{}@{}.example", "a".repeat(60), "b".repeat(60));
        let text = format!(
            "Some words before it, so that the line is a long one: {address}\n\n{mailbox} sent {}\n- {} (2kB)\n\n\n\n-- \nend\n\n",
            "x".repeat(200),
            "文".repeat(72),
        );
        let wrapped = wrapped(&text);
        for line in wrapped.lines() {
            assert!(width(line) <= COLUMNS || line == address || line == mailbox, "{line}");
        }
        assert!(wrapped.lines().any(|line| line == address), "{wrapped}");
        assert!(wrapped.contains(&mailbox), "{wrapped}");
        assert_eq!(wrapped.matches('x').count() - wrapped.matches("example").count(), 200, "{wrapped}");
        assert!(wrapped.ends_with("\n\n-- \nend\n"), "{wrapped}");
        let list: Vec<_> = wrapped.lines().skip_while(|line| !line.starts_with("- ")).collect();
        assert!(list[0].starts_with("- 文") && list[1].starts_with("  文"), "{list:?}");
        assert_eq!(list[2], "  (2kB)");
    }

    #[test]
    fn a_note_is_marked_line_by_line_and_its_addresses_stay_whole() {
        let address = format!("https://example.org/{}", "b".repeat(140));
        let note = note_lines(&format!("Dear all,\r\n\r\nsee {address} for\t{}\u{202e}", "more ".repeat(30)));
        let quoted = quoted(&note);
        assert!(quoted.lines().all(|line| line.starts_with('>')), "{quoted}");
        assert!(quoted.contains(&address), "{quoted}");
        assert!(quoted.lines().all(|line| line.contains("://") || width(line) <= COLUMNS), "{quoted}");
        assert_eq!(quoted.lines().nth(1), Some(">"));
        assert!(!quoted.contains('\u{202e}'));
    }

    #[test]
    fn a_right_to_left_name_does_not_reorder_the_text_around_it() {
        assert_eq!(line("שרה"), "\u{2068}שרה\u{2069}");
        assert_eq!(line("Ann\u{202e}\nBcc: x"), "Ann\u{fffd}\u{fffd}Bcc: x");
        assert_eq!(title_line(&"t".repeat(200)).chars().count(), TITLE_MAX);
        assert!(title_line(&"t".repeat(200)).ends_with('…'));
        let long = file_line(&format!("{}.pdf", "n".repeat(200)));
        assert!(long.ends_with("n.pdf") && long.contains('…') && long.chars().count() == TITLE_MAX, "{long}");
    }
}
