//! The manifest of a backup: `manifest.json`, and its digest in `manifest.sha256`, in the format that
//! `sha256sum -c` reads.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The backup format that this release writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// The name of the manifest's file.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the file with its digest.
pub(super) const MANIFEST_DIGEST: &str = "manifest.sha256";
/// Maximum size of a manifest, in bytes.
const LONGEST: u64 = 1 << 20;

/// A backup can't be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It has no manifest: it is unfinished, or not a backup.
    #[error("{} is not a backup, or is unfinished: it has no {MANIFEST}", .0.display())]
    Missing(PathBuf),
    /// A file can't be read.
    #[error("cannot read {} of the backup", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest was changed.
    #[error("the backup's {MANIFEST} is damaged; use another backup")]
    Damaged,
    /// A file was changed.
    #[error("{} in the backup is damaged or was replaced; use another backup", .0.display())]
    File(PathBuf),
    /// It was created by a newer release.
    #[error("the backup was created by a newer release of oncelink ({0}); restore it with that one")]
    Newer(String),
}

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// The release that created it.
    pub(super) oncelink: String,
    /// Seconds since 1970.
    pub(super) made_at: Timestamp,
    pub(super) database: BackedUpDatabase,
    pub(super) files: Vec<BackedUpFile>,
    /// Descriptions of what it doesn't contain.
    pub(super) left_out: Vec<String>,
}

/// Where the accounts and links are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase")]
pub(super) enum BackedUpDatabase {
    /// In the backup, with the last migration of its schema.
    Sqlite { step: i64 },
    /// Not in the backup, but in a dump that the operator creates.
    Postgres,
}

/// A file in the backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BackedUpFile {
    /// Its path in the backup.
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl Manifest {
    /// Reads and checks the manifest of the backup in `folder`, but not the files that it names.
    pub(super) fn read(folder: &Path, newest_step: i64) -> Result<Manifest, ManifestError> {
        let path = folder.join(MANIFEST);
        if !path.exists() {
            return Err(ManifestError::Missing(folder.to_owned()));
        }
        let text = read(&path)?;
        let expected = read(&folder.join(MANIFEST_DIGEST))?;
        let expected = expected.split(|byte| *byte == b' ').next().unwrap_or_default();
        if expected != digest_of(text.as_slice()).map_err(|_| ManifestError::Damaged)?.1.as_bytes() {
            return Err(ManifestError::Damaged);
        }
        // Checked first, because a newer format may have other members.
        let version: Version = serde_json::from_slice(&text).map_err(|_| ManifestError::Damaged)?;
        if version.format > FORMAT || is_newer(&version.oncelink) {
            return Err(ManifestError::Newer(version.oncelink));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| ManifestError::Damaged)?;
        if matches!(manifest.database, BackedUpDatabase::Sqlite { step } if step > newest_step) {
            return Err(ManifestError::Newer(manifest.oncelink));
        }
        if !manifest.files.iter().all(|file| is_within(&file.path)) {
            return Err(ManifestError::Damaged);
        }
        Ok(manifest)
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
    oncelink: String,
}

/// Returns whether that release is newer than this one.
fn is_newer(release: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        let release = text.split(['-', '+']).next().unwrap_or_default();
        release.split('.').map(|number| number.parse().unwrap_or(u64::MAX)).collect()
    };
    numbers(release) > numbers(env!("CARGO_PKG_VERSION"))
}

/// Returns whether a path stays inside the folder that it starts from.
fn is_within(path: &Path) -> bool {
    path.components().count() > 0 && path.components().all(|part| matches!(part, Component::Normal(_)))
}

fn read(path: &Path) -> Result<Vec<u8>, ManifestError> {
    let failed = |source| ManifestError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Checks a file against the manifest.
pub(super) fn check(folder: &Path, file: &BackedUpFile) -> Result<(), ManifestError> {
    let path = folder.join(&file.path);
    let failed = |source| ManifestError::Io { path: file.path.clone(), source };
    // A symbolic link could lead out of the backup.
    if !fs::symlink_metadata(&path).map_err(failed)?.is_file() {
        return Err(ManifestError::File(file.path.clone()));
    }
    let (size, sha256) = digest_of(File::open(&path).map_err(failed)?).map_err(failed)?;
    match size == file.size && sha256 == file.sha256 {
        true => Ok(()),
        false => Err(ManifestError::File(file.path.clone())),
    }
}

/// Returns the number of bytes and their SHA-256 in hexadecimal.
pub(super) fn digest_of(mut from: impl Read) -> io::Result<(u64, String)> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0_u64;
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if count == 0 {
            break;
        }
        context.update(buffer.get(..count).unwrap_or_default());
        size = size.saturating_add(count as u64);
    }
    let hex = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((size, hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_release_is_newer_and_its_own_is_not() {
        assert!(!is_newer(env!("CARGO_PKG_VERSION")));
        for newer in ["0.1.1", "0.2.0", "1.0.0", "10.0.0-beta", "strange"] {
            assert!(is_newer(newer), "{newer}");
        }
        assert!(!is_newer("0.0.9"));
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_no_path_of_a_backup() {
        for path in ["/etc/passwd", "../x", "keys/../../x", "", "./x"] {
            assert!(!is_within(Path::new(path)), "{path}");
        }
        assert!(is_within(Path::new("keys/keys.json")));
    }
}
