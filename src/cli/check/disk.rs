//! Checks the data directory and the shares.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::slice;

use rustix::fs::Access;

use crate::cli::check::findings::Findings;
use crate::config::{Settings, ShareSettings};
use crate::files::Shares;
use crate::id::FilePath;

/// With less free space than this, a store that writes a few bytes per download will soon be full.
const LOW_SPACE: u64 = 64 << 20;

/// How many unreadable files are named, and among how many files they are searched for.
const UNREADABLE_SHOWN: usize = 3;
const UNREADABLE_SEEN: usize = 20_000;

/// Returns whether the data directory exists and this user may enter it.
pub(super) fn look_at_data_dir(settings: &Settings, findings: &mut Findings) -> bool {
    let path = settings.data_dir.as_path();
    let shown = path.display();
    let subject = "data_dir";
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            look_at_place_of(path, findings);
            return false;
        }
        Err(error) => {
            findings.problem(subject, &format!("cannot access {shown}: {error}"), "fix its permissions");
            return false;
        }
    };
    if !found.is_dir() {
        findings.problem(subject, &format!("{shown} is not a folder"), "move it away, or choose another");
        return false;
    }
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me {
        findings.problem(
            subject,
            &format!("{shown} belongs to user {}, and this is user {me}", found.uid()),
            "run this command and the service as its owner",
        );
        return false;
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.problem(
            subject,
            &format!("users other than its owner can access {shown} (mode {mode:03o})"),
            &format!("run `chmod 700 {shown}`"),
        );
    } else if rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        findings.problem(
            subject,
            &format!("cannot write to {shown}"),
            "fix its permissions or its file system",
        );
    } else {
        findings.ok(subject, &format!("{shown} is writable, by its owner only"));
    }
    look_at_space(path, findings);
    true
}

/// The data directory is created at the first start, so its parent must allow that.
fn look_at_place_of(path: &Path, findings: &mut Findings) {
    let shown = path.display();
    if may_create(path) {
        findings.ok("data_dir", &format!("{shown} does not exist yet; the first start creates it"));
    } else {
        let remedy = "create it, make the service's user its owner and run `chmod 700` on it";
        findings.problem("data_dir", &format!("{shown} does not exist and cannot be created"), remedy);
    }
}

/// Returns whether this user may create a folder at `path`, with the missing folders above it.
fn may_create(path: &Path) -> bool {
    let parent = path.ancestors().skip(1).map(or_here).find(|parent| parent.exists());
    parent.is_some_and(|parent| rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// The parent of a relative name has an empty path: it is the working directory.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn look_at_space(path: &Path, findings: &mut Findings) {
    let Ok(space) = rustix::fs::statvfs(path) else { return };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < LOW_SPACE {
        let text = format!("only {} MiB are free in {}", free >> 20, path.display());
        findings.warning("data_dir", &text, "free some space; downloads fail when the disk is full");
    }
}

pub(super) fn look_at_shares(settings: &Settings, findings: &mut Findings) {
    if settings.shares.is_empty() {
        findings.warning(
            "share",
            "no share is configured, so there is nothing to download",
            "add a `[[share]]`",
        );
    }
    for share in &settings.shares {
        look_at_share(share, &settings.data_dir, findings);
    }
}

fn look_at_share(share: &ShareSettings, data_dir: &Path, findings: &mut Findings) {
    let subject = format!("share `{}`", share.name.escape_debug());
    let opened = match Shares::unopened(slice::from_ref(share)) {
        Ok(opened) => opened,
        Err(error) => return findings.error(&subject, &error),
    };
    let shown = share.path.display();
    if let Some(why) = opened.why_unavailable(&share.name) {
        if Settings::creates_folder_of(share) && !share.path.exists() && may_create(&share.path) {
            return findings.ok(&subject, &format!("{shown} does not exist yet; the first start creates it"));
        }
        let text = format!("{shown} is unavailable: {why}");
        let remedy = "create it, mount its disk or fix `path`; the other shares are not affected";
        return findings.problem(&subject, &text, remedy);
    }
    if holds(&share.path, data_dir) {
        let text = format!("{shown} contains the data directory, so keys and accounts could be downloaded");
        return findings.problem(&subject, &text, "move one of the two");
    }
    if holds(data_dir, &share.path) {
        let text = format!("{shown} is in the data directory, where the service keeps its own files");
        return findings.problem(&subject, &text, "move it elsewhere");
    }
    if let Some(why) = unwritable(share) {
        let setting = if share.personal { "it is personal" } else { "`write` or `manage` is set" };
        let text = format!("{setting}, but {shown} {why}");
        findings.warning(
            &subject,
            &text,
            "mount it writable or fix its permissions; uploads fail until then",
        );
    }
    let Ok(root) = format!("/{}", share.name).parse::<FilePath>() else { return };
    match opened.folder(&root) {
        Ok(entries) => {
            let entries = crate::human::counted(entries.len() as u64, "entry");
            findings.ok(&subject, &format!("{shown} is readable, {entries}"));
        }
        Err(error) => return findings.error(&subject, &error),
    }
    let (unreadable, _) = opened.unreadable(&root, UNREADABLE_SHOWN, UNREADABLE_SEEN);
    if !unreadable.is_empty() {
        let names: Vec<String> = unreadable.iter().map(|path| format!("{path:?}")).collect();
        let text = format!("this user cannot read {}", names.join(", "));
        findings.warning(&subject, &text, "fix their permissions; nobody can download them");
    }
}

/// Returns why a share isn't writable although its settings let someone write.
fn unwritable(share: &ShareSettings) -> Option<&'static str> {
    if share.write.is_empty() && share.manage.is_empty() && !share.personal {
        return None;
    }
    let space = rustix::fs::statvfs(&share.path).ok()?;
    if space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Some("is mounted read-only");
    }
    let refused = rustix::fs::access(&share.path, Access::WRITE_OK | Access::EXEC_OK).is_err();
    refused.then_some("isn't writable by this user")
}

/// Returns whether `inner` is `outer` or is inside it, after resolving symbolic links.
fn holds(outer: &Path, inner: &Path) -> bool {
    let real = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    matches!((real(outer), real(inner)), (Some(outer), Some(inner)) if inner.starts_with(&outer))
}
