//! The files that are to be sent: each with its path below what was named on the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::client::error::{ClientError, file_error};

/// How many files one command sends.
const MOST: usize = 100_000;

/// A file or folder that was named.
pub(crate) struct Named {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is a folder.
    pub(crate) is_folder: bool,
    /// Its files; of a file, itself.
    pub(crate) files: Vec<LocalFile>,
}

/// A file to send.
pub(crate) struct LocalFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its path below the folder that was named; of a file, its name.
    pub(crate) relative: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When it was changed, in nanoseconds since 1970.
    changed: u128,
}

impl LocalFile {
    /// Returns what identifies the file as it is now.
    pub(crate) fn key(&self) -> String {
        format!("{}\n{}\n{}", self.path.display(), self.size, self.changed)
    }
}

/// Looks at what was named.
///
/// # Errors
/// When something can't be read, or has no name that can be sent.
pub(crate) fn look(paths: &[PathBuf]) -> Result<Vec<Named>, ClientError> {
    paths.iter().map(|path| named(path)).collect()
}

fn named(typed: &Path) -> Result<Named, ClientError> {
    // Its name, also if it is `.`, and the same wherever the command runs.
    let path = fs::canonicalize(typed).map_err(file_error("read", typed))?;
    let name = text(path.file_name().map(Path::new).unwrap_or(typed))?;
    let is_folder = path.is_dir();
    let mut files = Vec::new();
    if is_folder {
        walk(&path, "", &mut files)?;
    } else {
        files.push(file(path, name.clone())?);
    }
    if files.is_empty() {
        return Err(ClientError::Usage(format!("{} has no files", typed.display())));
    }
    Ok(Named { name, is_folder, files })
}

/// Adds the files in a folder, sorted by name. Symbolic links within it are left out: they could lead anywhere.
fn walk(folder: &Path, below: &str, files: &mut Vec<LocalFile>) -> Result<(), ClientError> {
    let failed = || file_error("read", folder);
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(failed())?.collect();
    let mut entries = entries.map_err(failed())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(file_error("read", entry.path()))?;
        let name = text(Path::new(&entry.file_name()))?;
        let relative = if below.is_empty() { name } else { format!("{below}/{name}") };
        if kind.is_dir() {
            walk(&entry.path(), &relative, files)?;
        } else if kind.is_file() {
            files.push(file(entry.path(), relative)?);
        }
        if files.len() > MOST {
            return Err(ClientError::Usage(format!("{} has more than {MOST} files", folder.display())));
        }
    }
    Ok(())
}

fn file(path: PathBuf, relative: String) -> Result<LocalFile, ClientError> {
    let found = fs::metadata(&path).map_err(file_error("read", &path))?;
    if !found.is_file() {
        return Err(ClientError::Usage(format!("{} is neither a file nor a folder", path.display())));
    }
    let changed = found.modified().ok().and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
    let changed = changed.map_or(0, |since| since.as_nanos());
    Ok(LocalFile { size: found.len(), path, relative, changed })
}

fn text(name: &Path) -> Result<String, ClientError> {
    let text = name.to_str().map(str::to_owned);
    text.ok_or_else(|| ClientError::Usage(format!("the name {} is not UTF-8", name.display())))
}
