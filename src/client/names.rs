//! Where a downloaded file goes. The names come from somebody else's server, so none leads out of the folder.

use std::path::{Path, PathBuf};

use crate::client::error::ClientError;

/// The longest part of a name, in bytes, that common file systems accept. `.part` is appended to it for a while.
const LONGEST: usize = 250;

/// Returns the path in `folder` for a file that the link calls `name`, which may have folders in it.
///
/// # Errors
/// When no part of the name can be used.
pub(crate) fn place(folder: &Path, name: &str) -> Result<PathBuf, ClientError> {
    let parts: Vec<String> = name.split(['/', '\\']).filter_map(usable).collect();
    if parts.is_empty() {
        return Err(ClientError::Usage(format!("the link has a file with an unusable name: {name:?}")));
    }
    Ok(parts.iter().fold(folder.to_owned(), |path, part| path.join(part)))
}

/// Returns the path of the file while it is incomplete.
pub(crate) fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.part"))
}

/// Returns a part of a name without what a terminal or a file system would take for something else.
fn usable(part: &str) -> Option<String> {
    let clean: String =
        part.chars().map(|c| if c.is_control() || is_override(c) { '_' } else { c }).collect();
    let clean = clean.trim();
    let mut end = clean.len().min(LONGEST);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    let clean = clean.get(..end).unwrap_or_default();
    // Also the names of what the client keeps for itself.
    let is_ours = clean.starts_with(".oncelink-");
    (!matches!(clean, "" | "." | "..") && !is_ours).then(|| clean.to_owned())
}

/// Whether a character changes the direction of the text that follows, and so could hide how a name ends.
const fn is_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = Path::new("/downloads");
        for (name, expected) in [
            ("report.pdf", "report.pdf"),
            ("scans/page 1.png", "scans/page 1.png"),
            ("../../etc/passwd", "etc/passwd"),
            ("/etc/passwd", "etc/passwd"),
            ("..\\boot.ini", "boot.ini"),
            ("a/./b//c", "a/b/c"),
            ("evil\u{202e}fdp.exe", "evil_fdp.exe"),
            ("line\nbreak", "line_break"),
        ] {
            assert_eq!(place(folder, name).unwrap(), folder.join(expected), "{name:?}");
        }
        for name in ["", "..", "/", "../..", ".oncelink-0123.json"] {
            assert!(place(folder, name).is_err(), "{name:?}");
        }
        let long = place(folder, &"ä".repeat(300)).unwrap();
        assert_eq!(long.file_name().unwrap().len(), LONGEST);
    }
}
