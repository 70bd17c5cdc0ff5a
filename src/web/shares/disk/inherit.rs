//! Gives a file that was created elsewhere what it would have inherited from its folder: the group of a
//! set-group-ID folder, and the folder's default access control list.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use crate::web::shares::disk::error::WriteError;

/// The extended attributes with the default list of a folder and the list of a file.
const DEFAULT_LIST: &str = "system.posix_acl_default";
const OWN_LIST: &str = "system.posix_acl_access";

/// More entries than any real list has.
const LIST_MAX: usize = 16 * 1024;

/// Gives the file `name` in `staging` what it would have inherited if it had been created in `folder`.
pub(super) fn from_folder(folder: &OwnedFd, staging: &OwnedFd, name: &str) -> Result<(), WriteError> {
    let stat = rustix::fs::fstat(folder)?;
    let list = default_list(folder)?;
    let hands_down_group = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID);
    if !hands_down_group && list.is_none() {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(staging, name, flags, Mode::empty())?;
    if hands_down_group {
        give_group(&file, stat.st_gid)?;
    }
    if let Some(list) = list {
        match rustix::fs::fsetxattr(&file, OWN_LIST, &for_a_file(list), XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn give_group(file: &OwnedFd, group: u32) -> Result<(), WriteError> {
    match rustix::fs::fchown(file.as_fd(), None, Some(Gid::from_raw(group))) {
        Ok(()) => Ok(()),
        // Only the kernel can assign a group that the service isn't in.
        Err(Errno::PERM) => {
            tracing::warn!(
                group,
                "cannot give an upload the group of its folder; add the service's user to that group"
            );
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Returns the folder's default list in the kernel's format; `None` if it has none.
fn default_list(folder: &OwnedFd) -> Result<Option<Vec<u8>>, WriteError> {
    let mut list = vec![0; LIST_MAX];
    match rustix::fs::fgetxattr(folder, DEFAULT_LIST, list.as_mut_slice()) {
        Ok(length) => {
            list.truncate(length);
            Ok(Some(list))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns the list as a new file inherits it, as if created with mode 0666: nobody may execute it.
///
/// A list consists of a version of four bytes and entries of eight bytes: tag, permissions (two bytes each,
/// little endian) and id.
fn for_a_file(mut list: Vec<u8>) -> Vec<u8> {
    const OWNER: u8 = 0x01;
    const GROUP: u8 = 0x04;
    const MASK: u8 = 0x10;
    const OTHERS: u8 = 0x20;
    const EXECUTE: u8 = 0x01;
    let entries = list.get_mut(4..).unwrap_or_default();
    let has_mask = entries.chunks_exact(8).any(|entry| entry.first() == Some(&MASK));
    for entry in entries.chunks_exact_mut(8) {
        let [tag, _, permissions, ..] = entry else { continue };
        // With a mask, the group's own entry is limited by the mask.
        let is_limited = matches!(*tag, OWNER | MASK | OTHERS) || (*tag == GROUP && !has_mask);
        if is_limited {
            *permissions &= !EXECUTE;
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u8, u8)]) -> Vec<u8> {
        let mut list = vec![2, 0, 0, 0];
        for (tag, permissions) in entries {
            list.extend([*tag, 0, *permissions, 0, 0xff, 0xff, 0xff, 0xff]);
        }
        list
    }

    #[test]
    fn nobody_may_execute_what_was_uploaded() {
        let plain = for_a_file(list(&[(0x01, 7), (0x04, 5), (0x20, 1)]));
        assert_eq!(plain, list(&[(0x01, 6), (0x04, 4), (0x20, 0)]));
        let masked = for_a_file(list(&[(0x01, 7), (0x02, 7), (0x04, 7), (0x10, 7), (0x20, 0)]));
        assert_eq!(masked, list(&[(0x01, 6), (0x02, 7), (0x04, 7), (0x10, 6), (0x20, 0)]));
        assert_eq!(for_a_file(vec![2, 0]), [2, 0], "a list that is none stays as it is");
    }
}
