//! Opens paths below a handle, so that no path, symlink or race leads out.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How many times an open is retried because a rename raced with it.
const RACES_MAX: u32 = 100;

/// Checks that the system supports the call that confines paths. Sandboxes refuse it in several ways, and old
/// kernels don't know it.
pub(super) fn can_confine() -> Result<(), Errno> {
    let root =
        rustix::fs::open(Path::new("/"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    open_beneath(&root, ".", OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty()).map(|_| ())
}

/// Opens `path`, which must not lead out of `root`, for reading.
pub(crate) fn open_beneath(
    root: &OwnedFd,
    path: &str,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut races = 0;
    loop {
        // EAGAIN without CACHED: a rename raced with the lookup, and the kernel asks to try again. Endless
        // renames must not block a thread forever.
        match rustix::fs::openat2(root, OsStr::new(path), flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !resolve.contains(ResolveFlags::CACHED) && races < RACES_MAX => races += 1,
            answer => return answer,
        }
    }
}
