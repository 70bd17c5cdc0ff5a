//! What can be in a share besides ordinary files: nothing hangs, no path leads out of the share, and a file
//! larger than 4 GiB is served like any other.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode};

use crate::support::client::{Client, Partial};
use crate::support::{Node, pattern};

const GIB: u64 = 1024 * 1024 * 1024;

#[actix_web::test]
async fn anything_but_a_regular_file_in_the_share_is_not_found_and_nothing_hangs() {
    let node = Node::start().await;
    let share = node.dir.path().join("share");
    fs::write(node.dir.path().join("secret"), "secret").unwrap();
    fs::create_dir(share.join("folder")).unwrap();
    rustix::fs::mkfifoat(CWD, share.join("fifo"), Mode::RWXU).unwrap();
    let _socket = UnixListener::bind(share.join("socket")).unwrap();
    symlink("/dev/zero", share.join("device-link")).unwrap();
    symlink("/etc/passwd", share.join("absolute")).unwrap();
    symlink("../secret", share.join("relative")).unwrap();
    symlink("../share/../secret", share.join("winding")).unwrap();
    symlink("..", share.join("parent")).unwrap();
    symlink("loop", share.join("loop")).unwrap();
    symlink("fifo", share.join("to-fifo")).unwrap();
    symlink("/proc/self/fd/0", share.join("magic")).unwrap();
    let device = rustix::fs::mknodat(
        CWD,
        share.join("device"),
        rustix::fs::FileType::CharacterDevice,
        Mode::RWXU,
        rustix::fs::makedev(1, 5),
    );
    let mut names = vec![
        "folder",
        "fifo",
        "socket",
        "device-link",
        "absolute",
        "relative",
        "winding",
        "parent",
        "parent/secret",
        "loop",
        "to-fifo",
        "magic",
        "missing",
        "folder/missing",
    ];
    // Only root can create one.
    names.extend(device.is_ok().then_some("device"));
    for name in names {
        let link = node.link(name);
        for _ in 0..2 {
            assert_eq!(Client::default().get(&link).await.slug(), "file-not-found", "{name}");
            assert_eq!(Client::default().head(&link).await.status, 404, "{name}");
        }
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_link_whose_file_was_missing_or_led_out_is_not_spent() {
    let node = Node::start().await;
    symlink("../elsewhere", node.dir.path().join("share/a.bin")).unwrap();
    let link = node.link("a.bin");
    assert_eq!(Client::default().get(&link).await.slug(), "file-not-found");
    fs::remove_file(node.dir.path().join("share/a.bin")).unwrap();
    node.put("a.bin", &pattern(100));
    assert_eq!(Client::default().get(&link).await.body, pattern(100));
    node.stop().await;
}

#[actix_web::test]
async fn a_symlink_that_stays_within_the_share_is_followed() {
    let node = Node::start().await;
    let share = node.dir.path().join("share");
    fs::create_dir(share.join("folder")).unwrap();
    node.put("folder/real.bin", &pattern(1000));
    symlink("folder/real.bin", share.join("direct.bin")).unwrap();
    symlink("folder", share.join("alias")).unwrap();
    symlink("../folder/real.bin", share.join("folder/up-and-down.bin")).unwrap();
    for name in ["direct.bin", "alias/real.bin", "folder/up-and-down.bin"] {
        assert_eq!(Client::default().get(&node.link(name)).await.body, pattern(1000), "{name}");
    }
    node.stop().await;
}

/// A sparse file of 5 GiB: only the parts that a test reads take space on the disk.
fn huge(node: &Node) {
    let mut file = File::create(node.dir.path().join("share/huge.bin")).unwrap();
    file.set_len(5 * GIB).unwrap();
    for offset in [4 * GIB - 8, 5 * GIB - 8] {
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(&offset.to_be_bytes()).unwrap();
    }
    file.seek(SeekFrom::Start(4 * GIB)).unwrap();
    file.write_all(b"beyond").unwrap();
}

#[actix_web::test]
async fn ranges_of_a_file_over_4_gib_are_right_on_both_sides_of_the_boundary() {
    let node = Node::start().await;
    huge(&node);
    let link = node.link("huge.bin");
    let head = Client::default().head(&link).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("5368709120")));
    let across = Client::default().get_with(&link, &[("range", "bytes=4294967288-4294967301")]).await;
    assert_eq!(across.status, 206);
    assert_eq!(across.header("content-range"), Some("bytes 4294967288-4294967301/5368709120"));
    assert_eq!(across.body, [&(4 * GIB - 8).to_be_bytes()[..], b"beyond"].concat());
    let key = across.etag();
    let end = Client::default().get_with(&link, &[("range", "bytes=-8"), ("if-range", &key)]).await;
    assert_eq!(end.header("content-range"), Some("bytes 5368709112-5368709119/5368709120"));
    assert_eq!(end.body, (5 * GIB - 8).to_be_bytes());
    let past = Client::default().get_with(&link, &[("range", "bytes=5368709120-"), ("if-range", &key)]).await;
    assert_eq!(past.slug(), "range-not-satisfiable");
    assert_eq!(past.header("content-range"), Some("bytes */5368709120"));
    node.stop().await;
}

#[actix_web::test]
async fn a_file_over_4_gib_starts_whole_and_resumes_near_its_end() {
    let node = Node::start().await;
    huge(&node);
    let link = node.link("huge.bin");
    let whole = Partial::open(1, &link, "", 100_000).await;
    assert_eq!((whole.status(), whole.header("content-length")), (200, Some("5368709120")));
    assert!(whole.body.iter().all(|byte| *byte == 0));
    drop(whole);
    let rest = Client::default().get_with(&link, &[("range", "bytes=5368709100-")]).await;
    assert_eq!((rest.status.as_u16(), rest.body.len()), (206, 20));
    assert_eq!(rest.body[12..], (5 * GIB - 8).to_be_bytes());
    node.stop().await;
}
