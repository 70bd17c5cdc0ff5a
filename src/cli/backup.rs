//! `oncelink backup DIR`: copies irreplaceable data to an empty folder while the services run. The manifest
//! is written last, so a backup without one is unfinished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};

use crate::cli::backup_error::BackupError;
use crate::cli::error::CliError;
use crate::cli::manifest::{
    BackedUpDatabase, BackedUpFile, FORMAT, MANIFEST, MANIFEST_DIGEST, Manifest, digest_of,
};
use crate::cli::output::{print, remark};
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::human::counted;
use crate::server::data_dir::make_private;
use crate::standing::sync_folder_of;

/// How long to wait for the database while another process writes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum size of a key or settings file, in bytes.
const LONGEST: u64 = 16 << 20;

pub(super) async fn run(
    settings: &Settings,
    config: Option<&Path>,
    folder: &Path,
    now: Timestamp,
) -> Result<(), CliError> {
    let own =
        fs::metadata(&settings.data_dir).map_err(|_| BackupError::Nothing(settings.data_dir.clone()))?;
    let has_database = settings.database_file().exists() || settings.web.database.is_shared();
    if !has_database || !settings.keys_dir().join("keys.json").exists() {
        return Err(BackupError::Nothing(settings.data_dir.clone()).into());
    }
    let made_folder = prepare(settings, folder, own.uid())?;
    let mut backup = Backup {
        folder,
        owner: (rustix::process::geteuid().is_root()).then(|| (own.uid(), own.gid())),
        files: Vec::new(),
        made: Vec::new(),
    };
    match backup.fill(settings, config, now).await {
        Ok(manifest) => {
            for left_out in &manifest.left_out {
                remark(&format!("not in the backup: {left_out}"));
            }
            let files = counted(manifest.files.len() as u64, "file");
            print(&format!("{files} in {}\n", folder.display()))
        }
        Err(error) => {
            backup.remove(made_folder);
            Err(error.into())
        }
    }
}

/// Creates the folder, or checks that it can be used. Returns whether it was created.
fn prepare(settings: &Settings, folder: &Path, data_owner: u32) -> Result<bool, BackupError> {
    let failed = |action, source| BackupError::Io { action, path: folder.to_owned(), source };
    let made = !folder.exists();
    make_private(folder).map_err(|source| failed("create the folder", source))?;
    let real = fs::canonicalize(folder).map_err(|source| failed("access", source))?;
    for share in &settings.shares {
        if fs::canonicalize(&share.path).is_ok_and(|share| real.starts_with(share)) {
            if made {
                let _left_empty = fs::remove_dir(folder);
            }
            return Err(BackupError::Shared { path: folder.to_owned(), share: share.name.clone() });
        }
    }
    if made {
        return Ok(true);
    }
    let found = fs::metadata(folder).map_err(|source| failed("access", source))?;
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me && found.uid() != data_owner {
        return Err(BackupError::Foreign { path: folder.to_owned(), owner: found.uid() });
    }
    let mut entries = fs::read_dir(folder).map_err(|source| failed("list", source))?;
    if entries.next().is_some() {
        return Err(BackupError::NotEmpty(folder.to_owned()));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(|source| failed("restrict access to", source))?;
    Ok(false)
}

/// A backup in progress.
struct Backup<'a> {
    folder: &'a Path,
    /// The new owner of the files, if this user may change owners.
    owner: Option<(u32, u32)>,
    files: Vec<BackedUpFile>,
    /// What was created, in order.
    made: Vec<PathBuf>,
}

impl Backup<'_> {
    async fn fill(
        &mut self,
        settings: &Settings,
        config: Option<&Path>,
        now: Timestamp,
    ) -> Result<Manifest, BackupError> {
        self.give(self.folder)?;
        let mut left_out = vec![
            "files in the shares, unfinished uploads and the trash".to_owned(),
            "the record of used tokens, which must never be restored".to_owned(),
        ];
        let database = match settings.web.database.is_shared() {
            true => {
                left_out.push(
                    "accounts and links: they are in PostgreSQL; use `pg_dump` for the database in \
                     `web.database`"
                        .to_owned(),
                );
                BackedUpDatabase::Postgres
            }
            false => self.copy_database(&settings.database_file()).await?,
        };
        // Copied after the database, so that it includes every key that the database refers to.
        self.copy_keys(&settings.keys_dir())?;
        let default = Path::new(crate::config::DEFAULT_FILE);
        match config.or_else(|| default.exists().then_some(default)) {
            Some(config) => self.copy(config, Path::new(crate::config::DEFAULT_FILE))?,
            None => left_out.push(
                "settings: there is no settings file; save your environment variables yourself".to_owned(),
            ),
        }
        let manifest = Manifest {
            format: FORMAT,
            oncelink: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: now,
            database,
            files: std::mem::take(&mut self.files),
            left_out,
        };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| self.failed("write", Path::new(MANIFEST), io::Error::other(error)))?;
        let (_, digest) =
            digest_of(text.as_slice()).map_err(|e| self.failed("read", Path::new(MANIFEST), e))?;
        self.write(Path::new(MANIFEST_DIGEST), format!("{digest}  {MANIFEST}\n").as_bytes())?;
        self.write(Path::new(MANIFEST), &text)?;
        sync_folder_of(self.folder).map_err(|source| self.failed("sync", Path::new(""), source))?;
        Ok(manifest)
    }

    /// Takes a consistent snapshot, however much is written in the meantime.
    async fn copy_database(&mut self, from: &Path) -> Result<BackedUpDatabase, BackupError> {
        let name = Path::new("web/oncelink.sqlite");
        self.make_folder(Path::new("web"))?;
        // Created first to set its permissions; SQLite accepts an empty file.
        let to = self.create(name)?.0;
        let options = SqliteConnectOptions::new().filename(from).busy_timeout(PATIENCE);
        let mut source = SqliteConnection::connect_with(&options).await.map_err(BackupError::Database)?;
        let copied = sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy()).execute(&mut source).await;
        copied.map_err(BackupError::Database)?;
        source.close().await.map_err(BackupError::Database)?;
        let options = SqliteConnectOptions::new().filename(&to).read_only(true);
        let mut copy = SqliteConnection::connect_with(&options).await.map_err(BackupError::Database)?;
        let step = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&mut copy).await;
        let step = step.map_err(BackupError::Database)?;
        let found: String = sqlx::query_scalar(AssertSqlSafe("PRAGMA quick_check(1)".to_owned()))
            .fetch_one(&mut copy)
            .await
            .map_err(BackupError::Database)?;
        copy.close().await.map_err(BackupError::Database)?;
        if found != "ok" {
            return Err(BackupError::Database(sqlx::Error::Protocol(found)));
        }
        self.finish(name, &to)?;
        Ok(BackedUpDatabase::Sqlite { step })
    }

    fn copy_keys(&mut self, keys: &Path) -> Result<(), BackupError> {
        let failed = |action, source| BackupError::Io { action, path: keys.to_owned(), source };
        // Key rotation holds this lock, so the copied keys are consistent.
        let handle = File::open(keys).map_err(|source| failed("open", source))?;
        handle.lock_shared().map_err(|source| failed("lock", source))?;
        self.make_folder(Path::new("keys"))?;
        let mut names = Vec::new();
        for entry in fs::read_dir(keys).map_err(|source| failed("list", source))? {
            let entry = entry.map_err(|source| failed("list", source))?;
            let is_file = entry.file_type().map_err(|source| failed("list", source))?.is_file();
            let name = entry.file_name();
            // Files with this extension were interrupted while they were written.
            if is_file && Path::new(&name).extension().is_none_or(|extension| extension != "new") {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            self.copy(&keys.join(&name), &Path::new("keys").join(&name))?;
        }
        Ok(())
    }

    fn copy(&mut self, from: &Path, name: &Path) -> Result<(), BackupError> {
        let read = || -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
            let mut bytes = zeroize::Zeroizing::new(Vec::new());
            match File::open(from)?.take(LONGEST).read_to_end(&mut bytes)? as u64 {
                LONGEST => Err(io::ErrorKind::FileTooLarge.into()),
                _ => Ok(bytes),
            }
        };
        let bytes =
            read().map_err(|source| BackupError::Io { action: "read", path: from.to_owned(), source })?;
        self.write(name, &bytes)
    }

    fn write(&mut self, name: &Path, bytes: &[u8]) -> Result<(), BackupError> {
        let (path, mut file) = self.create(name)?;
        file.write_all(bytes).map_err(|source| self.failed("write", name, source))?;
        drop(file);
        self.finish(name, &path)
    }

    fn create(&mut self, name: &Path) -> Result<(PathBuf, File), BackupError> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|source| self.failed("create", name, source))?;
        self.made.push(path.clone());
        self.give(&path)?;
        Ok((path, file))
    }

    /// Makes a file durable and adds it to the manifest.
    fn finish(&mut self, name: &Path, path: &Path) -> Result<(), BackupError> {
        let finish = || -> io::Result<(u64, String)> {
            let file = File::open(path)?;
            file.sync_all()?;
            sync_folder_of(path)?;
            digest_of(file)
        };
        let (size, sha256) = finish().map_err(|source| self.failed("write", name, source))?;
        self.files.push(BackedUpFile { path: name.to_owned(), size, sha256 });
        Ok(())
    }

    fn make_folder(&mut self, name: &Path) -> Result<(), BackupError> {
        let path = self.folder.join(name);
        make_private(&path).map_err(|source| self.failed("create", name, source))?;
        self.made.push(path.clone());
        self.give(&path)
    }

    /// Gives the backup to the owner of the data instead of the administrator who created it.
    fn give(&self, path: &Path) -> Result<(), BackupError> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        chown(path, Some(user), Some(group)).map_err(|source| BackupError::Io {
            action: "change the owner of",
            path: path.to_owned(),
            source,
        })
    }

    fn failed(&self, action: &'static str, name: &Path, source: io::Error) -> BackupError {
        BackupError::Io { action, path: self.folder.join(name), source }
    }

    /// Removes what was created, and nothing else. Anything that can't be removed has no manifest.
    fn remove(self, made_folder: bool) {
        for path in self.made.iter().rev() {
            let _left_behind = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
        if made_folder {
            let _left_behind = fs::remove_dir(self.folder);
        }
    }
}
