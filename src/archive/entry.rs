//! One entry of a manifest, and its line.

use crate::files::FileVersion;
use crate::files::identity::ClaimedVersion;
use crate::id::FilePath;

/// Maximum length of a name in an archive, in bytes. Some programs fail on longer ones.
const NAME_MAX: usize = 8_192;

/// A file or an empty folder in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// The path of the file or folder in its share.
    pub path: FilePath,
    /// Its name in the archive, with slashes between folders. That of a folder ends with one.
    pub name: String,
    /// The version of the file that is meant, including its size.
    pub version: ClaimedVersion,
    /// The CRC-32 of that version.
    pub crc32: u32,
}

impl ArchiveEntry {
    /// Creates the entry of an empty folder, whose `name` ends with a slash.
    pub fn folder(path: FilePath, name: String, modified_ns: u64) -> ArchiveEntry {
        let version = ClaimedVersion::of_time(FileVersion { len: 0, modified_ns });
        ArchiveEntry { path, name, version, crc32: 0 }
    }

    /// Returns whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Returns the size of the file in bytes.
    pub const fn size(&self) -> u64 {
        self.version.version().len
    }

    /// Returns the line of the manifest, with its line break.
    pub fn line(&self) -> String {
        let fields =
            (&self.path, &self.name, self.size(), self.version.to_string(), format!("{:08x}", self.crc32));
        // Strings and numbers can always be written as JSON.
        let mut line = serde_json::to_string(&fields).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Reads a line, without its line break. `None` if it is not one that [`ArchiveEntry::line`] writes, or
    /// its name would lead out of the folder in which an archive is unpacked.
    pub fn parse(line: &str) -> Option<ArchiveEntry> {
        let (path, name, size, version, crc32): (FilePath, String, u64, String, String) =
            serde_json::from_str(line).ok()?;
        let version: ClaimedVersion = version.parse().ok()?;
        if crc32.len() != 8 || version.version().len != size || !is_safe(&name) {
            return None;
        }
        let crc32 = u32::from_str_radix(&crc32, 16).ok()?;
        let entry = ArchiveEntry { path, name, version, crc32 };
        let is_whole = !entry.is_folder() || (size == 0 && crc32 == 0);
        (is_whole && entry.line().trim_end() == line).then_some(entry)
    }
}

/// Returns whether a name stays within the folder in which it is unpacked, on every system.
fn is_safe(name: &str) -> bool {
    let within = name.strip_suffix('/').unwrap_or(name);
    name.len() <= NAME_MAX
        && !name.contains(|c: char| c == '\\' || c == ':' || c.is_control())
        && within.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> ArchiveEntry {
        ArchiveEntry {
            path: "/books/a\n\"b\u{7f}.txt".parse().unwrap(),
            name: name.to_owned(),
            version: "1234-5-abc-0001020304050607".parse().unwrap(),
            crc32: 0xabc,
        }
    }

    #[test]
    fn a_line_reads_as_it_is_written_and_in_no_other_way() {
        let entry = entry("more/我 \"b\".txt");
        let line = entry.line();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let line = line.trim_end();
        assert_eq!(ArchiveEntry::parse(line), Some(entry.clone()));
        for other in [
            "".to_owned(),
            format!(" {line}"),
            line.replace("00000abc", "00000ABC"),
            line.replace("00000abc", "abc"),
            line.replace(",5,", ",6,"),
            line.replace(",5,", ",5.0,"),
        ] {
            assert_eq!(ArchiveEntry::parse(&other), None, "{other}");
        }
        let folder = ArchiveEntry::folder("/books/more".parse().unwrap(), "more/".to_owned(), 7);
        assert!(folder.is_folder());
        assert_eq!(ArchiveEntry::parse(folder.line().trim_end()), Some(folder));
    }

    #[test]
    fn no_name_leads_out() {
        for name in ["/a", "../a", "a/../b", "a//b", "a/./b", "a\\b", "C:a", "a\u{1b}", "", "/", "..", "a/.."]
        {
            assert_eq!(ArchiveEntry::parse(entry(name).line().trim_end()), None, "{name:?}");
        }
        assert_eq!(ArchiveEntry::parse(entry("a/").line().trim_end()), None, "a folder has no bytes");
    }
}
