//! Switches a command that root runs to the owner of the data directory before it opens anything, so that it
//! leaves no files that the service's user can't read.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::config::Settings;

/// The command could not become the owner of the data directory.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data directory {} belongs to user {uid}, and this command can't become that user; run it as that user, \
     as in `sudo -u '#{uid}' oncelink …`",
    path.display()
)]
pub struct NotTheOwner {
    path: PathBuf,
    uid: u32,
    #[source]
    source: io::Error,
}

/// Restarts this process as the owner of the data directory if it runs as root and the owner is another user.
/// Returns if that isn't necessary, or if there is no data directory yet.
///
/// # Errors
/// If the process can't become that user.
pub(super) fn become_owner(settings: &Settings) -> Result<(), NotTheOwner> {
    let path = &settings.data_dir;
    let Ok(found) = std::fs::metadata(path) else { return Ok(()) };
    let (uid, gid) = (found.uid(), found.gid());
    if !rustix::process::geteuid().is_root() || uid == 0 {
        return Ok(());
    }
    let failed = |source| NotTheOwner { path: path.clone(), uid, source };
    let program = std::env::current_exe().map_err(failed)?;
    let mut words = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    // Standard input and output, the environment and the working directory stay the same. So does the
    // process id, so the parent process waits for the right one.
    Err(failed(command.args(words).gid(gid).uid(uid).exec()))
}
