//! libfaketime, with which tests set a program's clock.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::needs::has_program;

/// The path of libfaketime; `None`, with a printed note, where it is not installed.
pub fn library() -> Option<String> {
    if !has_program("faketime") {
        return None;
    }
    sweep();
    let output = Command::new("faketime").args(["-m", "-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"]).output();
    let library = String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned();
    assert!(library.contains("faketime"), "{library}");
    Some(library)
}

/// Removes the shared memory of killed processes: libfaketime fails to start in a process that happens to
/// get the id of one.
pub fn sweep() {
    let Ok(entries) = fs::read_dir("/dev/shm") else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let of = ["faketime_shm_", "sem.faketime_sem_"].iter().find_map(|start| name.strip_prefix(start));
        if of.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another test may have removed it first.
            let _gone = fs::remove_file(entry.path());
        }
    }
}
