//! The store's own small files: the lock that keeps a second process out, and the witness (a sentinel) next
//! to the store's folder, which distinguishes a restored copy from the original.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, StatxFlags};

use crate::used_tokens::sled::record::StoreId;

/// Distinguishes a file from a copy: its inode number and its birth time (zero if the file system has none).
/// Both survive a rename, and a copy has different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) inode: u64,
    pub(super) born_secs: i64,
    pub(super) born_nanos: u32,
}

impl FileId {
    pub(super) fn of(file: &File) -> io::Result<FileId> {
        let flags = StatxFlags::INO | StatxFlags::BTIME;
        let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, flags)?;
        let born = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        Ok(FileId {
            inode: stat.stx_ino,
            born_secs: if born { stat.stx_btime.tv_sec } else { 0 },
            born_nanos: if born { stat.stx_btime.tv_nsec } else { 0 },
        })
    }
}

/// Keeps other processes out of a store as long as this lives.
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of the store in `dir`; `None` if another process has it.
    pub(super) fn take(dir: &Path) -> io::Result<Option<StoreLock>> {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock"))?;
        let locked =
            retry_while_locked(|| match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => None,
                answer => Some(answer),
            });
        match locked {
            Some(Ok(())) => Ok(Some(StoreLock { _file: file })),
            Some(Err(errno)) => Err(errno.into()),
            None => Ok(None),
        }
    }
}

/// How long to wait for a lock that someone else holds. A process that is ending holds it a moment longer,
/// and so does a child that was being started when it was released.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Retries an attempt while someone else holds a lock; `None` if that lasts too long.
pub(super) fn retry_while_locked<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        let done = attempt();
        if done.is_some() || Instant::now() >= until {
            return done;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Makes the names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    // A relative path with one component has an empty parent.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// The content of the witness: a store older than this isn't the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentinel {
    pub(super) store: StoreId,
    pub(super) starts: u64,
    pub(super) generation: u64,
}

/// What was found in place of a witness.
#[derive(Debug)]
pub(super) enum FoundSentinel {
    Missing,
    Damaged,
    /// Intact, but not the file that was written: it was restored from a copy.
    Copied,
    Original(Sentinel),
}

/// Returns the path of the witness of the store in `dir`. It is next to the folder, so that restoring the
/// folder from a copy doesn't replace the witness.
pub(super) fn sentinel_path(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".witness");
    dir.with_file_name(name)
}

impl Sentinel {
    /// Reads the witness at `path`.
    pub(super) fn read(path: &Path) -> io::Result<FoundSentinel> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(FoundSentinel::Missing),
            Err(e) => return Err(e),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some(witness) = Sentinel::parse(&bytes) else { return Ok(FoundSentinel::Damaged) };
        let original = bytes == witness.text(FileId::of(&file)?).as_bytes();
        Ok(if original { FoundSentinel::Original(witness) } else { FoundSentinel::Copied })
    }

    /// Durably replaces the witness at `path`.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("witness.new");
        if let Err(e) = fs::remove_file(&fresh)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(e);
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
        let text = self.text(FileId::of(&file)?);
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    fn text(&self, file: FileId) -> String {
        let mut text =
            String::from("# Written by the used-token store beside this file; do not copy or restore.\n");
        let store = u128::from_be_bytes(self.store);
        // Writing to a string can't fail.
        let _ = writeln!(text, "store {store:032x} starts {} generation {}", self.starts, self.generation);
        let _ = writeln!(text, "file {} {} {}", file.inode, file.born_secs, file.born_nanos);
        let _ = writeln!(text, "crc {:08x}", crc32fast::hash(text.as_bytes()));
        text
    }

    fn parse(bytes: &[u8]) -> Option<Sentinel> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, crc) = text.split_at_checked(text.rfind("crc ")?)?;
        if crc != format!("crc {:08x}\n", crc32fast::hash(body.as_bytes())) {
            return None;
        }
        let line = body.lines().nth(1)?;
        let mut words = line.split(' ');
        let (Some("store"), Some(store), Some("starts"), Some(starts), Some("generation"), Some(generation)) =
            (words.next(), words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        Some(Sentinel {
            store: u128::from_str_radix(store, 16).ok()?.to_be_bytes(),
            starts: starts.parse().ok()?,
            generation: generation.parse().ok()?,
        })
    }
}
