//! The name under which each program saves a file, whatever the file is called in the share.

use std::fs;

use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::Node;
use crate::support::programs::run;

/// Names in the share, and the name to save as where it differs. A file system accepts them all; what is
/// replaced could harm the person who downloads.
const NAMES: &[(&str, &str)] = &[
    ("report.pdf", "report.pdf"),
    ("我这一辈子.pdf", "我这一辈子.pdf"),
    ("two words.txt", "two words.txt"),
    ("Größe – «naïve».txt", "Größe – «naïve».txt"),
    ("🎉👩‍👩‍👧.txt", "🎉👩‍👩‍👧.txt"),
    ("עברית\u{200f}.txt", "עברית\u{200f}.txt"),
    ("a;b=c, d.txt", "a;b=c, d.txt"),
    ("it's.txt", "it's.txt"),
    ("100%41.txt", "100%41.txt"),
    ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
    ("say \"hi\".txt", "say \"hi\".txt"),
    ("é\"é.txt", "é\"é.txt"),
    ("back\\slash.txt", "back_slash.txt"),
    ("line\nbreak\r\n.txt", "line_break__.txt"),
    ("tab\there.txt", "tab_here.txt"),
    ("bell\u{7}.txt", "bell_.txt"),
    ("\u{202e}fdp.exe", "_fdp.exe"),
    (".hidden", "_.hidden"),
    ("  spaces  ", "spaces"),
    ("-o evil", "-o evil"),
    ("plain", "plain"),
];

/// The names above, and two of the maximum length.
fn names() -> Vec<(String, String)> {
    let long = format!("{}.txt", "x".repeat(251));
    let long_and_wide = format!("{}.txt", "我".repeat(83));
    NAMES
        .iter()
        .map(|(name, saved)| ((*name).to_owned(), (*saved).to_owned()))
        .chain([(long.clone(), long), (long_and_wide.clone(), long_and_wide)])
        .collect()
}

/// A node whose share has files with all these names.
async fn node() -> Node {
    let node = Node::start().await;
    for (name, _) in names() {
        node.put(&name, name.as_bytes());
    }
    node
}

/// The only file in a folder: its name and content.
fn saved(home: &TempDir) -> (String, String) {
    let files: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    (files[0].file_name().into_string().unwrap(), fs::read_to_string(files[0].path()).unwrap())
}

#[actix_web::test]
async fn curl_oj_saves_under_the_files_name() {
    if !has_program("curl") {
        return;
    }
    let node = node().await;
    let mut wrong = Vec::new();
    for (name, expected) in names() {
        let home = TempDir::new().unwrap();
        let done = run(home.path(), "curl", &["-sSf", "-OJ", &node.link(&name)]).await;
        assert_eq!(done.code, Some(0), "{name:?}: {done:?}");
        // curl reads only `filename`, which can represent neither of these two.
        let expected = expected.replace(['"', '%'], "_");
        let saved = saved(&home);
        if saved != (expected.clone(), name) {
            wrong.push((saved, expected));
        }
    }
    assert_eq!(wrong, [], "(saved name, content) and the expected name");
    node.stop().await;
}

#[actix_web::test]
async fn wget_content_disposition_saves_under_the_files_name() {
    if !has_program("wget") {
        return;
    }
    let node = node().await;
    let mut wrong = Vec::new();
    // wget percent-decodes once too often, and shortens names of more than 236 bytes.
    let spoilt = |name: &str| name.contains('%') || name.len() > 236;
    for (name, expected) in names().into_iter().filter(|(name, _)| !spoilt(name)) {
        let home = TempDir::new().unwrap();
        // Otherwise wget takes parts of UTF-8 sequences for control characters.
        let utf8 = "--restrict-file-names=nocontrol";
        let done = run(home.path(), "wget", &["-q", "--content-disposition", utf8, &node.link(&name)]).await;
        assert_eq!(done.code, Some(0), "{name:?}: {done:?}");
        let saved = saved(&home);
        if saved != (expected.clone(), name) {
            wrong.push((saved, expected));
        }
    }
    assert_eq!(wrong, [], "(saved name, content) and the expected name");
    node.stop().await;
}

#[actix_web::test]
async fn aria2_saves_under_the_files_name() {
    if !has_program("aria2c") {
        return;
    }
    let node = node().await;
    let mut wrong = Vec::new();
    for (name, expected) in names() {
        let home = TempDir::new().unwrap();
        let done = run(
            home.path(),
            "aria2c",
            &["-q", "--no-conf=true", "--file-allocation=none", &node.link(&name)],
        )
        .await;
        assert_eq!(done.code, Some(0), "{name:?}: {done:?}");
        let saved = saved(&home);
        if saved != (expected.clone(), name) {
            wrong.push((saved, expected));
        }
    }
    assert_eq!(wrong, [], "(saved name, content) and the expected name");
    node.stop().await;
}
