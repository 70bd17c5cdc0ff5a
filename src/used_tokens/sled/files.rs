//! The store's own small files: the lock that keeps a second process out, and the witness beside
//! the store's folder that tells a restored copy from the original.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, StatxFlags};

use crate::used_tokens::sled::record::StoreId;

/// What tells a file from a copy of it: its inode number and the moment of its birth (zero where
/// the file system keeps none). Both outlive a rename, and a copy has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) inode: u64,
    pub(super) born_secs: i64,
    pub(super) born_nanos: u32,
}

impl Identity {
    pub(super) fn of(file: &File) -> io::Result<Identity> {
        let flags = StatxFlags::INO | StatxFlags::BTIME;
        let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, flags)?;
        let born = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        Ok(Identity {
            inode: stat.stx_ino,
            born_secs: if born { stat.stx_btime.tv_sec } else { 0 },
            born_nanos: if born { stat.stx_btime.tv_nsec } else { 0 },
        })
    }
}

/// Keeps other processes out of a store for as long as it lives.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the store in `dir`; `None` when another process has it.
    pub(super) fn take(dir: &Path) -> io::Result<Option<Lock>> {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock"))?;
        let locked = patiently(|| match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => None,
            answer => Some(answer),
        });
        match locked {
            Some(Ok(())) => Ok(Some(Lock { _file: file })),
            Some(Err(errno)) => Err(errno.into()),
            None => Ok(None),
        }
    }
}

/// How long a lock that somebody else holds is waited for. A process that is just ending holds it a
/// moment longer, and so does a child that was being started when it was let go.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Makes an attempt again and again while somebody else's lock is in its way; `None` when that lasts.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
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
    // A relative path of one component has an empty parent.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// What the witness says: no copy of the store that is older than this is the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) store: StoreId,
    pub(super) starts: u64,
    pub(super) generation: u64,
}

/// What was found where a witness should be.
#[derive(Debug)]
pub(super) enum FoundWitness {
    Missing,
    Damaged,
    /// Whole, but not the file that was written: it was put back from a copy.
    Copied,
    Original(Witness),
}

/// The witness of the store in `dir`: beside the folder, so that who puts the folder back from a
/// copy leaves the witness as it is.
pub(super) fn witness_path(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".witness");
    dir.with_file_name(name)
}

impl Witness {
    /// Reads the witness at `path`.
    pub(super) fn read(path: &Path) -> io::Result<FoundWitness> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(FoundWitness::Missing),
            Err(e) => return Err(e),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some(witness) = Witness::parse(&bytes) else { return Ok(FoundWitness::Damaged) };
        let original = bytes == witness.text(Identity::of(&file)?).as_bytes();
        Ok(if original { FoundWitness::Original(witness) } else { FoundWitness::Copied })
    }

    /// Replaces the witness at `path`, durably.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("witness.new");
        if let Err(e) = fs::remove_file(&fresh)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(e);
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
        let text = self.text(Identity::of(&file)?);
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    fn text(&self, file: Identity) -> String {
        let mut text =
            String::from("# Written by the used-token store beside this file; do not copy or restore.\n");
        let store = u128::from_be_bytes(self.store);
        // Writing to a string does not fail.
        let _ = writeln!(text, "store {store:032x} starts {} generation {}", self.starts, self.generation);
        let _ = writeln!(text, "file {} {} {}", file.inode, file.born_secs, file.born_nanos);
        let _ = writeln!(text, "crc {:08x}", crc32fast::hash(text.as_bytes()));
        text
    }

    fn parse(bytes: &[u8]) -> Option<Witness> {
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
        Some(Witness {
            store: u128::from_str_radix(store, 16).ok()?.to_be_bytes(),
            starts: starts.parse().ok()?,
            generation: generation.parse().ok()?,
        })
    }
}
