//! Large files are sent by the kernel (`sendfile`), which sends their pages as they are at that moment. No client
//! ever has all bytes of a file that changed meanwhile, and what the kernel can't send is copied.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::needs::has_program;
use crate::support::client::{Client, Partial};
use crate::support::deliveries::eventually;
use crate::support::process::Site;
use crate::support::{Node, Setup, pattern};

/// Neither a multiple of a page nor of a portion.
const LEN: usize = 3 * 1024 * 1024 + 777;
/// What is sent at the end, when the client has everything before.
const END: usize = 12 * 1024;

/// Changes a file in one of several ways.
fn change(path: &Path, how: &str) {
    let file = File::options().write(true).open(path).unwrap();
    match how {
        "a byte at the start" => file.write_all_at(b"!", 0).unwrap(),
        "a byte in the middle" => file.write_all_at(b"!", LEN as u64 / 2).unwrap(),
        "a byte at the end" => file.write_all_at(b"!", LEN as u64 - 1).unwrap(),
        "every byte" => file.write_all_at(&vec![b'!'; LEN], 0).unwrap(),
        "shorter" => file.set_len(LEN as u64 / 2 + 1).unwrap(),
        "shorter and longer again" => {
            file.set_len(1000).unwrap();
            file.set_len(LEN as u64).unwrap();
        }
        "written anew" => fs::write(path, vec![b'!'; LEN]).unwrap(),
        how => panic!("{how}"),
    }
}

const WAYS: [&str; 7] = [
    "a byte at the start",
    "a byte in the middle",
    "a byte at the end",
    "every byte",
    "shorter",
    "shorter and longer again",
    "written anew",
];

#[actix_web::test]
async fn whenever_a_file_changes_a_client_that_gets_all_of_it_has_the_old_one() {
    let node = Node::start().await;
    let content = pattern(LEN);
    let mut cut = 0;
    for read in [0, 1, 100_000, LEN / 2, LEN - 300_000, LEN - 70_000, LEN - END - 1, LEN - END, LEN - 1] {
        for how in WAYS {
            let file = node.put("a.bin", &content);
            let link = node.link("a.bin");
            let mut running = Partial::open(1, &link, "", read).await;
            let key = running.header("etag").unwrap().to_owned();
            change(&file, how);
            if running.read_to_end().await == LEN {
                assert!(running.body == content, "{how} after {read} bytes: two versions were mixed");
                continue;
            }
            cut += 1;
            let fields = [("range", "bytes=1000-1999"), ("if-range", &*key)];
            let resumed = Client::default().get_with(&link, &fields).await;
            assert_eq!(resumed.slug(), "file-changed", "{how} after {read} bytes");
        }
    }
    // As long as most of the file is still to be sent, there is no other way.
    assert!(cut >= 5 * WAYS.len(), "{cut}");
    node.stop().await;
}

#[actix_web::test]
async fn the_end_is_not_sent_until_a_program_on_this_machine_has_read_the_rest() {
    /// What the client doesn't read at first; its kernel has it.
    const UNREAD: usize = 40_000;
    let node = Node::start().await;
    let content = pattern(LEN);
    let file = node.put("a.bin", &content);
    let mut running = Partial::open(1, &node.link("a.bin"), "", LEN - END - UNREAD).await;
    eventually("all but the end", async || running.arrived() == UNREAD as u64).await;
    // The receiving socket still refers to the pages of the file.
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .write_all_at(&[b'!'; 30_000], (LEN - END - UNREAD) as u64)
        .unwrap();
    let got = running.read_to_end().await;
    assert!(got <= LEN - END, "{got} bytes arrived");
    node.stop().await;
}

/// Gets a file at once, and in parts that are large enough for the kernel.
async fn assert_sent(node: &Node, content: &[u8]) {
    let len = content.len();
    let link = node.link("a.bin");
    let whole = Client::default().get(&link).await;
    assert_eq!((whole.status.as_u16(), whole.header("content-length")), (200, Some(&*len.to_string())));
    assert!(whole.header("transfer-encoding").is_none());
    assert!(whole.body == content);
    for range in [0..len, 1..len, 100_001..len - 1, len - 600_000..len, 0..512 * 1024] {
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let part = Client::default().get_with(&node.link("a.bin"), &[("range", &header)]).await;
        assert_eq!(part.status, 206, "{header}");
        assert!(part.body == content[range], "{header}");
    }
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
}

#[actix_web::test]
async fn a_kernel_without_sendfile_and_files_without_it_give_the_same_bytes() {
    let content = pattern(LEN);
    for (sendfile, replaced_only) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut setup = Setup::default();
        setup.settings.connection_limits.sendfile = sendfile;
        setup.settings.shares[0].replaced_only = replaced_only;
        let node = setup.start().await;
        node.put("a.bin", &content);
        assert_sent(&node, &content).await;
        node.stop().await;
    }
    // A file system that can't say what is in memory, like those in user space.
    let memory = TempDir::new_in("/dev/shm").unwrap();
    let mut setup = Setup::default();
    setup.settings.shares[0].path = memory.path().to_owned();
    let node = setup.start().await;
    fs::write(memory.path().join("a.bin"), &content).unwrap();
    assert_sent(&node, &content).await;
    node.stop().await;
}

#[actix_web::test]
async fn a_file_of_which_any_part_is_not_in_memory_is_sent_whole() {
    for replaced_only in [false, true] {
        assert_sent_from_disk(replaced_only).await;
    }
}

async fn assert_sent_from_disk(replaced_only: bool) {
    let mut setup = Setup::default();
    setup.settings.shares[0].replaced_only = replaced_only;
    let node = setup.start().await;
    let content = pattern(LEN);
    for (offset, len) in [(0, 0), (1 << 20, 200_000), (0, 4096), (2 << 20, 0), (LEN as u64 - 5000, 0)] {
        let path = node.put("a.bin", &content);
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        // Zero means up to the end.
        rustix::fs::fadvise(&file, offset, std::num::NonZeroU64::new(len), rustix::fs::Advice::DontNeed)
            .unwrap();
        assert!(
            Client::default().get(&node.link("a.bin")).await.body == content,
            "without {offset} and {len} more"
        );
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_part_beyond_four_gigabytes_is_sent() {
    const START: u64 = (4 << 30) - 700_000;
    let node = Node::start().await;
    let content = pattern(1_400_000);
    let file = File::create(node.dir.path().join("share/a.bin")).unwrap();
    file.set_len(5 << 30).unwrap();
    file.write_all_at(&content, START).unwrap();
    let range = format!("bytes={START}-{}", START + 1_399_999);
    let part = Client::default().get_with(&node.link("a.bin"), &[("range", &range)]).await;
    assert_eq!(part.status, 206);
    assert!(part.body == content);
    node.stop().await;
}

/// Sends requests at once, and returns everything that comes back.
async fn exchange(node: &Node, version: &str, links: &[String]) -> Vec<u8> {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let mut requests = String::new();
    for (number, link) in links.iter().enumerate() {
        let path = link.split_once(&node.address.to_string()).unwrap().1;
        let close = if number + 1 == links.len() { "Connection: close\r\n" } else { "" };
        requests += &format!("GET {path} HTTP/{version}\r\nHost: {}\r\n{close}\r\n", node.address);
    }
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

#[actix_web::test]
async fn answers_to_requests_that_were_sent_at_once_keep_their_order() {
    for replaced_only in [false, true] {
        assert_in_order(replaced_only).await;
    }
}

async fn assert_in_order(replaced_only: bool) {
    let mut setup = Setup::default();
    setup.settings.shares[0].replaced_only = replaced_only;
    let node = setup.start().await;
    let sizes = [LEN, 10, 600_000, 100_000, 0, 20_000, LEN];
    let links: Vec<String> = sizes
        .iter()
        .enumerate()
        .map(|(number, size)| {
            let name = format!("{number}.bin");
            node.put(&name, &vec![b'0' + number as u8; *size]);
            node.link(&name)
        })
        .collect();
    let all = exchange(&node, "1.1", &links).await;
    let mut rest = &all[..];
    for (number, size) in sizes.iter().enumerate() {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-length: {size}\r\n")),
            "{head}"
        );
        let (body, next) = rest[end..].split_at(*size);
        assert!(body.iter().all(|byte| *byte == b'0' + number as u8), "{number}");
        rest = next;
    }
    assert!(rest.is_empty());
    let old = exchange(&node, "1.0", &[node.link("0.bin")]).await;
    let head = String::from_utf8_lossy(&old[..1500]).into_owned();
    assert!(head.starts_with("HTTP/1.0 200") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(old.len() - head.find("\r\n\r\n").unwrap() - 4, LEN);
    node.stop().await;
}

#[actix_web::test]
async fn a_file_that_is_replaced_on_the_way_arrives_as_it_was() {
    let mut setup = Setup::default();
    setup.settings.shares[0].replaced_only = true;
    let node = setup.start().await;
    let content = pattern(LEN);
    for read in [0, 1, LEN / 2, LEN - 1] {
        let file = node.put("a.bin", &content);
        let link = node.link("a.bin");
        let mut running = Partial::open(1, &link, "", read).await;
        let other = file.with_extension("new");
        fs::write(&other, vec![b'!'; LEN]).unwrap();
        fs::rename(&other, &file).unwrap();
        assert_eq!(running.read_to_end().await, LEN, "after {read} bytes");
        assert!(running.body == content, "after {read} bytes");
        assert_eq!(Client::default().get(&link).await.slug(), "file-changed");
    }
    // A promise that isn't kept: what can be seen is cut off.
    let file = node.put("a.bin", &content);
    let mut running = Partial::open(1, &node.link("a.bin"), "", 1).await;
    File::options().write(true).open(&file).unwrap().set_len(1000).unwrap();
    assert!(running.read_to_end().await < LEN);
    node.stop().await;
}

#[test]
fn the_kernel_sends_all_of_a_large_file_but_its_end() {
    let Some(sent) = sent_by_kernel(LEN, "") else { return };
    assert_eq!(sent, LEN - 16 * 1024);
}

#[test]
fn the_kernel_sends_all_of_a_file_that_is_only_ever_replaced() {
    for len in [LEN, 64 * 1024] {
        let Some(sent) = sent_by_kernel(len, "replaced_only = true\n") else { return };
        assert_eq!(sent, len);
    }
}

/// Returns how many bytes of a file the kernel sends; `None` without strace. `more` are settings of its share.
fn sent_by_kernel(len: usize, more: &str) -> Option<usize> {
    if !has_program("strace") {
        return None;
    }
    let site = Site::new();
    let settings = site.path().join("oncelink.toml");
    fs::write(&settings, fs::read_to_string(&settings).unwrap() + more).unwrap();
    site.put("large.bin", &pattern(len));
    let trace = site.path().join("trace");
    let wrapper = ["strace", "-f", "-y", "-o", trace.to_str().unwrap(), "-e", "trace=sendfile"];
    let mut node = site.launch(site.command(&wrapper));
    node.wait_until_ready();
    assert!(site.get(&site.ticket("large.bin")).unwrap().body == pattern(len));
    node.kill();
    let trace = fs::read_to_string(trace).unwrap();
    // A call that another thread interrupts takes two lines, of which the second has the result.
    let sent = trace
        .lines()
        .filter(|line| line.contains("sendfile"))
        .filter_map(|line| line.rsplit_once(" = ")?.1.parse::<usize>().ok())
        .sum();
    Some(sent)
}
