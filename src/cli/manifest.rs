//! What a backup says of itself: `manifest.json`, and its digest in `manifest.sha256`, in the form that
//! `sha256sum -c` reads.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The form of backups that this release makes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// The manifest's file.
pub(super) const MANIFEST: &str = "manifest.json";
/// The file with its digest.
pub(super) const MANIFEST_DIGEST: &str = "manifest.sha256";
/// Longest manifest that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// A backup can't be relied on.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It has no manifest, so it was not finished or is none.
    #[error("{} is no backup, or one that was not finished: it has no {MANIFEST}", .0.display())]
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
    /// The manifest is not what was written.
    #[error("the backup's {MANIFEST} is damaged; take another backup")]
    Damaged,
    /// A file is not what was written.
    #[error("{} of the backup is damaged or not the one that was written; take another backup", .0.display())]
    File(PathBuf),
    /// It was made by a release that knows more.
    #[error("the backup was made by a newer release of oncelink ({0}); restore it with that one")]
    Newer(String),
}

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// The release that made it.
    pub(super) oncelink: String,
    /// Seconds since 1970.
    pub(super) made_at: Timestamp,
    pub(super) database: BackedUpDatabase,
    pub(super) files: Vec<BackedUpFile>,
    /// What is not in it, in words.
    pub(super) left_out: Vec<String>,
}

/// Where accounts and links are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase")]
pub(super) enum BackedUpDatabase {
    /// In the backup; the step up to which its schema came.
    Sqlite { step: i64 },
    /// Not in the backup, but in a dump that the operator makes.
    Postgres,
}

/// A file of the backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BackedUpFile {
    /// Its path in the backup.
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl Manifest {
    /// Reads the manifest of the backup in `folder`, and checks it, but not the files that it names.
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
        // Before all of it is read: a newer form may have other members.
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

/// Whether that release is later than this one.
fn is_newer(release: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        let release = text.split(['-', '+']).next().unwrap_or_default();
        release.split('.').map(|number| number.parse().unwrap_or(u64::MAX)).collect()
    };
    numbers(release) > numbers(env!("CARGO_PKG_VERSION"))
}

/// Whether a path leads to somewhere below the folder that it starts from.
fn is_within(path: &Path) -> bool {
    path.components().count() > 0 && path.components().all(|part| matches!(part, Component::Normal(_)))
}

fn read(path: &Path) -> Result<Vec<u8>, ManifestError> {
    let failed = |source| ManifestError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Checks that a file is what the manifest says.
pub(super) fn check(folder: &Path, file: &BackedUpFile) -> Result<(), ManifestError> {
    let path = folder.join(&file.path);
    let failed = |source| ManifestError::Io { path: file.path.clone(), source };
    // A link would lead out of the backup.
    if !fs::symlink_metadata(&path).map_err(failed)?.is_file() {
        return Err(ManifestError::File(file.path.clone()));
    }
    let (size, sha256) = digest_of(File::open(&path).map_err(failed)?).map_err(failed)?;
    match size == file.size && sha256 == file.sha256 {
        true => Ok(()),
        false => Err(ManifestError::File(file.path.clone())),
    }
}

/// How many bytes there are, and their SHA-256 in hexadecimal.
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
