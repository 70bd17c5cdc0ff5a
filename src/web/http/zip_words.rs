//! What pages say about ZIP files, and what such a file is called.

use crate::archive::{ArchiveNames, ENTRIES_MAX};
use crate::human;
use crate::web::archives::ArchiveProgress;
use crate::web::links::offers::Offer;

/// The value of the button that downloads all files of a link. No file has this key.
pub(crate) const ALL_FILES: &str = "zip";

/// Maximum length of a name without its ending, in bytes.
const NAME_MAX: usize = 200;

/// Returns how far the preparation of a ZIP file is.
pub(crate) fn preparing(progress: ArchiveProgress) -> String {
    format!("{} Nothing has been downloaded yet. Try again in a few seconds.", progress_of(progress))
}

/// Returns the same for a page whose script presses the button again.
pub(crate) fn preparing_live(progress: ArchiveProgress) -> String {
    format!("{} The download will start by itself.", progress_of(progress))
}

fn progress_of(ArchiveProgress { ready, files }: ArchiveProgress) -> String {
    match files {
        0 => "Preparing the ZIP file…".to_owned(),
        _ => {
            let (ready, files) = (human::grouped(ready), human::counted(files, "file"));
            format!("Preparing the ZIP file… {ready} of {files}.")
        }
    }
}

/// A sample for pages.
pub(crate) const fn sample() -> ArchiveProgress {
    ArchiveProgress { ready: 3, files: 40 }
}

/// Returns why there is no ZIP file of so many files.
pub(crate) fn too_large() -> String {
    let most = human::grouped(u64::try_from(ENTRIES_MAX).unwrap_or(u64::MAX));
    format!("These files are too many for one ZIP file: it can have at most {most}.")
}

/// Returns the name of the ZIP file with that title.
pub(crate) fn file_name(title: &str) -> String {
    let mut name = ArchiveNames::default().file("", if title.is_empty() { "download" } else { title });
    let end = (0..=NAME_MAX.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    name.truncate(end.unwrap_or_default());
    if name.to_ascii_lowercase().ends_with(".zip") { name } else { format!("{name}.zip") }
}

/// Returns the text of the button for all files; `None` where it has none.
pub(crate) fn button(offer: Offer) -> Option<String> {
    match offer {
        Offer::Download | Offer::Starting | Offer::LostAgain => Some("Download all (ZIP)".to_owned()),
        Offer::DoneAgain => Some("Download all again (ZIP)".to_owned()),
        other => other.button(),
    }
}

/// Returns the state of the visitor's download of all files; empty where there is nothing to say.
pub(crate) fn status(offer: Offer) -> String {
    match offer {
        Offer::DoneAgain | Offer::Done => "You have downloaded all files".to_owned(),
        Offer::Gone => "The ZIP file needs a download of its own, and none is left".to_owned(),
        other => other.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_the_files_once_they_are_known() {
        let words = |ready, files| progress_of(ArchiveProgress { ready, files });
        assert_eq!(words(12_000, 70_000), "Preparing the ZIP file… 12,000 of 70,000 files.");
        assert_eq!(words(0, 0), "Preparing the ZIP file…");
    }

    #[test]
    fn a_zip_file_is_named_after_its_title() {
        for (title, name) in [
            ("Photos", "Photos.zip"),
            ("", "download.zip"),
            ("a/b:c", "a_b_c.zip"),
            ("old.zip", "old.zip"),
            ("report.pdf and 1 more", "report.pdf and 1 more.zip"),
        ] {
            assert_eq!(file_name(title), name);
        }
        let long = file_name(&"ä".repeat(300));
        assert_eq!(long.len(), 204);
    }
}
