//! A small mounted ext4 file system in a file, to be filled up or to lose power.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::run;
use crate::needs::skip;

/// A mounted file system. Unmounted when dropped.
pub struct Volume {
    pub root: PathBuf,
}

impl Volume {
    /// Mounts the file system in the file `image` on the folder `root`. Nothing is written to the file
    /// without an fsync: the file system's own commit, every 5 s by default, would hide a missing one.
    pub fn mount(image: &Path, root: &Path) -> Volume {
        fs::create_dir_all(root).unwrap();
        run("mount", &["-o", "loop,commit=300", image.to_str().unwrap(), root.to_str().unwrap()]);
        Volume { root: root.to_owned() }
    }

    /// Fills the file system to its last block; returns the file that fills it.
    pub fn fill(&self) -> PathBuf {
        let path = self.root.join("filler");
        let mut file = File::create(&path).unwrap();
        for block in [1 << 20, 4096] {
            while std::io::Write::write_all(&mut file, &vec![1; block]).is_ok() {}
        }
        // Allocates the delayed blocks, which until now are only reserved.
        let _ = file.sync_all();
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.root).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            // Still in use, as after a panic: it disappears when the last user ends.
            let _ = Command::new("umount").arg("--lazy").arg(&self.root).status();
        }
    }
}

/// Creates a file system of `mebibytes` MiB in the file `image`.
pub fn make_image(image: &Path, mebibytes: u64) {
    File::create(image).unwrap().set_len(mebibytes << 20).unwrap();
    let mkfs = if Path::new("/sbin/mkfs.ext4").exists() { "/sbin/mkfs.ext4" } else { "mkfs.ext4" };
    run(mkfs, &["-q", "-F", "-m", "0", image.to_str().unwrap()]);
}

/// Whether this machine lets the test mount a file system. If not, says so.
pub fn can_mount() -> bool {
    let try_it = || -> Option<()> {
        let dir = TempDir::new().ok()?;
        let (image, root) = (dir.path().join("image"), dir.path().join("root"));
        File::create(&image).ok()?.set_len(8 << 20).ok()?;
        fs::create_dir(&root).ok()?;
        let success = |program: &str, arguments: &[&str]| {
            let output =
                Command::new(program).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(arguments).output();
            output.is_ok_and(|output| output.status.success()).then_some(())
        };
        success("mkfs.ext4", &["-q", "-F", image.to_str()?])?;
        success("mount", &["-o", "loop", image.to_str()?, root.to_str()?])?;
        success("umount", &[root.to_str()?])
    };
    try_it().is_some() || skip("to be root, mkfs.ext4 and a loop device")
}
