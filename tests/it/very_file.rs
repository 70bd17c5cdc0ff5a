//! The identity of a file: no download mixes two files, and one that only grows is served at its old length.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use oncelink::config::Identity;

use crate::support::client::{Client, Partial, Reply};
use crate::support::{Node, Setup, path, pattern};

const MIB: usize = 1024 * 1024;

/// Sets the fixed modification time that reproducible builds give every file.
fn set_time(path: &Path) {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(315_532_800);
    OpenOptions::new().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn other(len: usize) -> Vec<u8> {
    pattern(len).into_iter().map(|byte| byte ^ 0x55).collect()
}

fn append(path: &Path, content: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(content).unwrap();
}

/// Replaces a file with another one of the same size and time, in one of several ways.
fn replace(path: &Path, how: &str, content: &[u8]) {
    match how {
        "renamed over it" => {
            let next = path.with_extension("next");
            fs::write(&next, content).unwrap();
            set_time(&next);
            fs::rename(next, path).unwrap();
        }
        "removed and made again" => {
            fs::remove_file(path).unwrap();
            fs::write(path, content).unwrap();
        }
        "written in place" => fs::write(path, content).unwrap(),
        "written in its middle" => {
            use std::os::unix::fs::FileExt;
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&[1, 2, 3, 4], content.len() as u64 / 2).unwrap();
        }
        how => panic!("{how}"),
    }
    set_time(path);
}

const WAYS: [&str; 4] =
    ["renamed over it", "removed and made again", "written in place", "written in its middle"];

fn assert_changed(reply: &Reply, what: &str) {
    assert_eq!((reply.status.as_u16(), reply.slug().as_str()), (409, "file-changed"), "{what}");
}

#[actix_web::test]
async fn another_file_of_the_same_size_and_time_is_not_mixed_into_a_resumed_download() {
    let mut node = Node::start().await;
    for how in WAYS {
        for restarted in [false, true] {
            let file = node.put("a.bin", &pattern(24 * MIB));
            set_time(&file);
            let issued = node.issue("a.bin", |_| {});
            let begun = Partial::open(1, &issued.address, "", 2 * MIB).await;
            let key = begun.header("etag").unwrap().to_owned();
            drop(begun);
            replace(&file, how, &other(24 * MIB));
            if restarted {
                node = node.restart().await;
            }
            let what = format!("{how}, restarted: {restarted}");
            let fields = [("range", "bytes=2097152-"), ("if-range", &*key)];
            assert_changed(&Client::default().get_with(&issued.address, &fields).await, &what);
            let again = node.continuation(issued.jti, "a.bin", |_| {});
            assert_changed(&Client::default().get(&again).await, &what);
            if !restarted {
                assert_changed(&Client::default().get_with(&issued.address, &fields[..1]).await, &what);
            }
        }
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_transfer_is_cut_when_its_file_is_written_in_place_even_if_its_time_is_restored() {
    let node = Node::start().await;
    for how in ["written in place", "written in its middle"] {
        let file = node.put("a.bin", &pattern(24 * MIB));
        set_time(&file);
        let mut running = Partial::open(1, &node.link("a.bin"), "", MIB).await;
        replace(&file, how, &other(24 * MIB));
        let got = running.read_to_end().await;
        assert!(got < 24 * MIB, "{how}: {got} bytes arrived");
        // In the middle, none of it was with the kernel yet; the rest was cut off before.
        assert!(running.body == pattern(24 * MIB)[..got], "{how}");
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_file_that_was_replaced_since_the_press_is_refused_and_not_spent() {
    let node = Node::start().await;
    let (file, name) = (node.put("a.bin", &pattern(20_000)), path("a.bin"));
    for how in WAYS {
        fs::write(&file, pattern(20_000)).unwrap();
        set_time(&file);
        let version = node.version("a.bin");
        let issued =
            node.issue_at(&name, |order| (order.size, order.version) = (Some(20_000), Some(&*version)));
        replace(&file, how, &other(20_000));
        assert_changed(&Client::default().get(&issued.address).await, how);
        assert_eq!(Client::default().head(&issued.address).await.status, 409, "{how}");
        let version = node.version("a.bin");
        let fresh = node.issue_at(&name, |order| order.version = Some(&version));
        assert_eq!(Client::default().get(&fresh.address).await.status, 200, "{how}");
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_version_claim_of_an_earlier_release_still_counts() {
    let node = Node::start().await;
    let (file, name) = (node.put("a.bin", &pattern(1000)), path("a.bin"));
    let now = node.version("a.bin");
    let parts: Vec<&str> = now.split('-').collect();
    let earlier = format!("{}-{}", parts[0], parts[1]);
    let issue = || node.issue_at(&name, |order| order.version = Some(&earlier)).address;
    assert_eq!(Client::default().get(&issue()).await.status, 200);
    append(&file, b"more");
    assert_changed(&Client::default().get(&issue()).await, "grown");
    node.stop().await;
}

#[actix_web::test]
async fn a_file_that_grew_since_the_press_is_served_to_the_length_that_it_had() {
    let node = Node::start().await;
    let name = path("app.log");
    for size in [0, 1, 5000, 9 * MIB] {
        let content = pattern(size);
        let file = node.put("app.log", &content);
        let version = node.version("app.log");
        let len = size as u64;
        let issued = node.issue_at(&name, |order| (order.size, order.version) = (Some(len), Some(&*version)));
        append(&file, b"one more line\n");
        let head = Client::default().head(&issued.address).await;
        assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some(&*size.to_string())));
        append(&file, &pattern(20_000));
        let reply = Client::default().get(&issued.address).await;
        assert_eq!(reply.status, 200, "{size}");
        assert!(reply.body == content, "{size}: {} bytes arrived", reply.body.len());
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_file_that_grows_while_it_is_sent_is_sent_and_resumed_to_the_length_that_it_had() {
    let mut node = Node::start().await;
    let content = pattern(24 * MIB);
    for restarted in [false, true] {
        let file = node.put("app.log", &content);
        let link = node.link("app.log");
        let mut running = Partial::open(1, &link, "", MIB).await;
        let key = running.header("etag").unwrap().to_owned();
        for _ in 0..5 {
            append(&file, b"one more line\n");
            running.read(MIB).await;
        }
        let mut got = std::mem::take(&mut running.body);
        drop(running);
        append(&file, b"one more line\n");
        if restarted {
            node = node.restart().await;
        }
        let range = format!("bytes={}-", got.len());
        let rest = Client::default().get_with(&link, &[("range", &range), ("if-range", &key)]).await;
        assert_eq!(rest.status, 206, "restarted: {restarted}");
        let whole = format!("bytes {}-{}/{}", got.len(), content.len() - 1, content.len());
        assert_eq!(rest.header("content-range"), Some(&*whole));
        got.extend(rest.body);
        assert!(got == content);
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_longer_file_with_other_edges_is_another_file() {
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    let mut other_start = content.clone();
    other_start[100] ^= 1;
    let mut other_end = content.clone();
    other_end[24 * MIB - 100] ^= 1;
    for mut longer in [other_start, other_end] {
        let file = node.put("a.bin", &content);
        let (name, version) = (path("a.bin"), node.version("a.bin"));
        let pressed = node.issue_at(&name, |order| order.version = Some(&version));
        let link = node.link("a.bin");
        let mut running = Partial::open(1, &link, "", MIB).await;
        let key = running.header("etag").unwrap().to_owned();
        longer.extend_from_slice(b"more");
        fs::write(&file, &longer).unwrap();
        let got = running.read_to_end().await;
        assert!(got < 24 * MIB && running.body == content[..got], "{got} bytes arrived");
        let fields = [("range", "bytes=1000-1999"), ("if-range", &*key)];
        assert_changed(&Client::default().get_with(&link, &fields).await, "resumed");
        assert_changed(&Client::default().get(&pressed.address).await, "pressed before");
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_file_that_was_cut_ends_the_transfer_and_is_not_resumed() {
    let node = Node::start().await;
    let file = node.put("a.bin", &pattern(24 * MIB));
    let link = node.link("a.bin");
    let mut running = Partial::open(1, &link, "", MIB).await;
    let key = running.header("etag").unwrap().to_owned();
    File::options().write(true).open(&file).unwrap().set_len(20 * MIB as u64).unwrap();
    assert!(running.read_to_end().await < 24 * MIB);
    let fields = [("range", "bytes=1000-1999"), ("if-range", &*key)];
    assert_changed(&Client::default().get_with(&link, &fields).await, "shorter");
    node.stop().await;
}

#[actix_web::test]
async fn a_transfer_continues_while_its_file_is_renamed_linked_deleted_or_gets_other_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    for how in ["renamed", "linked", "deleted", "rights"] {
        let file = node.put("a.bin", &content);
        let beside = file.with_extension("beside");
        let mut running = Partial::open(1, &node.link("a.bin"), "", MIB).await;
        match how {
            "renamed" => fs::rename(&file, &beside).unwrap(),
            "linked" => fs::hard_link(&file, &beside).unwrap(),
            "deleted" => fs::remove_file(&file).unwrap(),
            _ => fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap(),
        }
        running.read_to_end().await;
        assert!(running.body == content, "{how}: {} bytes arrived", running.body.len());
        let _there_or_not = (fs::remove_file(&file), fs::remove_file(&beside));
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_share_identified_by_time_compares_only_size_and_time() {
    let mut setup = Setup::default();
    setup.settings.shares[0].identity = Identity::Time;
    let node = setup.start().await;
    let content = pattern(24 * MIB);
    let file = node.put("a.bin", &content);
    set_time(&file);
    let link = node.link("a.bin");
    let begun = Partial::open(1, &link, "", MIB).await;
    let key = begun.header("etag").unwrap().to_owned();
    drop(begun);
    // As on a file system that gives a file another inode number each time.
    replace(&file, "renamed over it", &content);
    let fields = [("range", "bytes=1000-1999"), ("if-range", &*key)];
    assert_eq!(Client::default().get_with(&link, &fields).await.status, 206);
    append(&file, b"more");
    assert_changed(&Client::default().get_with(&link, &fields).await, "grown");
    // A running transfer has the file open, and may go on.
    let mut running = Partial::open(1, &node.link("a.bin"), "", MIB).await;
    append(&file, b"more");
    assert_eq!(running.read_to_end().await, 24 * MIB + 4);
    node.stop().await;
}
