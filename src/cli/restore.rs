//! `oncelink restore DIR`: restores a backup while no service runs. Everything is checked and copied before
//! anything is moved. Existing data is set aside, never deleted. A mark tells the next start that data was
//! restored, so that it ends sessions and pauses links.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use crate::cli::backup_error::RestoreError;
use crate::cli::error::CliError;
use crate::cli::manifest::{self, BackedUpDatabase, BackedUpFile, Manifest};
use crate::cli::output::{print, remark};
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::server::ServeError;
use crate::server::data_dir::{DataDir, make_private, restore_mark};
use crate::standing::{replace, sync_folder_of};
use crate::web::db::Database;
use crate::web::restored::RESTORED_MARK;

/// The folders in a backup.
const FOLDERS: [&str; 2] = ["web", "keys"];

pub(super) fn run(settings: &Settings, backup: &Path, force: bool, now: Timestamp) -> Result<(), CliError> {
    let data_dir = settings.data_dir.as_path();
    let manifest = Manifest::read(backup, Database::newest_step()).map_err(RestoreError::from)?;
    let owner = new_owner(backup, data_dir)?;
    for file in &manifest.files {
        manifest::check(backup, file).map_err(RestoreError::from)?;
    }
    check_complete(&manifest)?;
    let _alone = DataDir::hold_alone(data_dir).map_err(ServeError::from)?;
    let occupied = FOLDERS.iter().any(|name| is_filled(&data_dir.join(name)));
    if occupied && !force {
        return Err(RestoreError::Occupied(data_dir.to_owned()).into());
    }
    let place = Place { data_dir, owner, suffix: format!("before-restore-{}", now.secs()) };
    let aside = place.put(backup, &manifest)?;
    print(&format!("restored the backup of {}\n", manifest.made_at))?;
    for path in aside {
        remark(&format!("the previous data is in {}", path.display()));
    }
    if matches!(manifest.database, BackedUpDatabase::Postgres) {
        remark("accounts and links are in PostgreSQL: restore the dump of that database as well");
    }
    if backup.join(crate::config::DEFAULT_FILE).exists() {
        remark("the settings file in the backup was not restored; compare it with yours");
    }
    remark(
        "when the services start, everyone is logged out, and links with a limited number of downloads are paused \
         until their owners or `oncelink links resume --restored` resume them",
    );
    Ok(())
}

/// Returns the new owner of the restored files, if this user may change owners. Refuses a backup whose owner
/// is neither this user nor the owner of the data.
fn new_owner(backup: &Path, data_dir: &Path) -> Result<Option<(u32, u32)>, RestoreError> {
    let failed = |path: &Path, source| RestoreError::Io { action: "access", path: path.to_owned(), source };
    let found = fs::metadata(backup).map_err(|source| failed(backup, source))?;
    let me = rustix::process::geteuid();
    let data = fs::metadata(data_dir).ok();
    let trusted = [Some(me.as_raw()), Some(0), data.as_ref().map(MetadataExt::uid)];
    if !trusted.contains(&Some(found.uid())) {
        return Err(RestoreError::Foreign { path: backup.to_owned(), owner: found.uid() });
    }
    Ok(data.filter(|_| me.is_root()).map(|data| (data.uid(), data.gid())))
}

fn check_complete(manifest: &Manifest) -> Result<(), RestoreError> {
    let has = |path: &str| manifest.files.iter().any(|file| file.path == Path::new(path));
    let database = matches!(manifest.database, BackedUpDatabase::Sqlite { .. });
    match (!database || has("web/oncelink.sqlite"), has("keys/keys.json")) {
        (false, _) => Err(RestoreError::Incomplete("account database")),
        (_, false) => Err(RestoreError::Incomplete("signing keys")),
        (true, true) => Ok(()),
    }
}

fn is_filled(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// Where the backup is restored to.
struct Place<'a> {
    data_dir: &'a Path,
    owner: Option<(u32, u32)>,
    /// The suffix for the names of the previous data.
    suffix: String,
}

impl Place<'_> {
    /// Copies first, then moves. Returns where the previous data was moved.
    fn put(&self, backup: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>, RestoreError> {
        let staged = self.data_dir.join("restore-staged");
        let staging = self.stage(backup, manifest, &staged);
        if let Err(error) = staging {
            let _left_behind = fs::remove_dir_all(&staged);
            return Err(error);
        }
        // While this mark exists, no service starts on a mix of old and new data.
        let mark = restore_mark(self.data_dir);
        replace(&mark, b"").map_err(|source| failed("mark", &mark, source))?;
        let mut aside = Vec::new();
        for name in FOLDERS {
            let (here, fresh) = (self.data_dir.join(name), staged.join(name));
            if here.exists() {
                let before = self.free_name(name);
                fs::rename(&here, &before).map_err(|source| failed("move aside", &here, source))?;
                aside.push(before);
            }
            fs::rename(&fresh, &here).map_err(|source| failed("put in place", &here, source))?;
        }
        sync_folder_of(&mark).map_err(|source| failed("sync", self.data_dir, source))?;
        fs::remove_dir(&staged).map_err(|source| failed("remove", &staged, source))?;
        fs::remove_file(&mark).map_err(|source| failed("unmark", &mark, source))?;
        sync_folder_of(&mark).map_err(|source| failed("sync", self.data_dir, source))?;
        Ok(aside)
    }

    fn stage(&self, backup: &Path, manifest: &Manifest, staged: &Path) -> Result<(), RestoreError> {
        // Left by an interrupted attempt.
        match fs::remove_dir_all(staged) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", staged, source));
            }
            _ => {}
        }
        for folder in FOLDERS.map(|name| staged.join(name)) {
            make_private(&folder).map_err(|source| failed("create", &folder, source))?;
            self.give(&folder)?;
        }
        for file in
            manifest.files.iter().filter(|file| FOLDERS.iter().any(|name| file.path.starts_with(name)))
        {
            self.copy(backup, file, staged)?;
        }
        let mark = staged.join("web").join(RESTORED_MARK);
        replace(&mark, format!("{}\n", manifest.made_at).as_bytes())
            .map_err(|source| failed("mark", &mark, source))?;
        self.give(&mark)
    }

    fn copy(&self, backup: &Path, file: &BackedUpFile, staged: &Path) -> Result<(), RestoreError> {
        let to = staged.join(&file.path);
        let copy = || -> io::Result<()> {
            let mut from = fs::File::open(backup.join(&file.path))?;
            let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to)?;
            io::copy(&mut from, &mut copy)?;
            copy.sync_all()?;
            sync_folder_of(&to)
        };
        copy().map_err(|source| failed("write", &to, source))?;
        self.give(&to)?;
        // Makes sure that the copied data is what was checked.
        Ok(manifest::check(staged, file)?)
    }

    fn give(&self, path: &Path) -> Result<(), RestoreError> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        chown(path, Some(user), Some(group)).map_err(|source| failed("change the owner of", path, source))
    }

    /// Returns an unused name.
    fn free_name(&self, name: &str) -> PathBuf {
        let named = |count: u32| {
            let more = if count == 0 { String::new() } else { format!("-{count}") };
            self.data_dir.join(format!("{name}.{}{more}", self.suffix))
        };
        (0..u32::MAX).map(named).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_default()
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> RestoreError {
    RestoreError::Io { action, path: path.to_owned(), source }
}
