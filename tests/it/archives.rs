//! All files of a link, or a selection of one's own, as one ZIP file: every program reads it, it is one
//! download, and it can be continued at any byte.
//!
//! `ONCELINK_TEST_ARCHIVES=long` tests it with 70,000 files and with a file over 4 GiB.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use oncelink::secret::Digest;
use oncelink::server::{self, Role};
use serde_json::Value;

use crate::needs::{has_program, variable};
use crate::support::client::{Client, Partial, Reply};
use crate::support::deliveries::eventually;
use crate::support::links::Made;
use crate::support::web::{Answer, Browser, TestWeb};
use crate::support::{pattern, stop_and_free};
use crate::web_link_downloads::Stage;

const MIB: usize = 1024 * 1024;

/// Names that are hard for some system, and what they are called in the archive.
const NAMES: [(&str, &str); 9] = [
    ("a.txt", "a (2).txt"),
    ("A.txt", "A.txt"),
    ("\u{e4}.txt", "\u{e4} (2).txt"),
    ("a\u{308}.txt", "a\u{308}.txt"),
    ("我这一辈子.pdf", "我这一辈子.pdf"),
    ("back\\slash:colon.txt", "back_slash_colon.txt"),
    ("line\nbreak.txt", "line_break.txt"),
    ("NUL.txt", "_NUL.txt"),
    ("empty.bin", "empty.bin"),
];

async fn start() -> Stage {
    Stage::start_with(|_| {}).await
}

/// Puts a folder `photos` with difficult names, an empty folder and a folder in a folder into the share.
fn put_photos(stage: &Stage) {
    let photos = stage.folder.path().join("open/photos");
    fs::create_dir_all(photos.join("nothing here")).unwrap();
    fs::create_dir_all(photos.join("deep/er")).unwrap();
    for (n, (name, _)) in NAMES.iter().enumerate() {
        let content = if name.starts_with("empty") { Vec::new() } else { pattern(1_000 * n + 1) };
        fs::write(photos.join(name), content).unwrap();
    }
    fs::write(photos.join("deep/er/large.bin"), pattern(3 * MIB)).unwrap();
    fs::write(photos.join(".hidden"), "not for others").unwrap();
}

async fn press(stage: &Stage, made: &Made, what: &str) -> Answer {
    let mut browser = Browser::at(&stage.base);
    press_as(&mut browser, made, what).await
}

async fn press_as(browser: &mut Browser, made: &Made, what: &str) -> Answer {
    browser.fill(&made.public[0], &made.public[0], &[("file", what)]).await
}

/// The state of all files as one archive that the page shows this visitor.
async fn state_of_all(browser: &mut Browser, made: &Made) -> String {
    let state = browser.get(&format!("{}/state", made.public[0])).await;
    let state: Value = serde_json::from_str(&state.body).unwrap();
    state["zip"]["state"].as_str().unwrap().to_owned()
}

fn address_of(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location.as_deref().unwrap()
}

fn assert_whole(reply: &Reply) {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-length").unwrap(), reply.body.len().to_string());
    assert_eq!(reply.header("content-type"), Some("application/zip"));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
}

/// Reads the archive with `unzip`, 7-Zip, bsdtar (also from a pipe, as it arrives) and Python.
fn read_with_all_programs(archive: &Path, files: usize) {
    let path = archive.to_str().unwrap();
    if has_program("unzip") {
        succeeds(Command::new("unzip").args(["-tqq", path]));
    }
    if has_program("7z") {
        succeeds(Command::new("7z").args(["t", "-bd", path]));
    }
    if has_program("bsdtar") {
        succeeds(Command::new("bsdtar").args(["-xOf", path]).stdout(Stdio::null()));
        let pipe = Stdio::from(File::open(archive).unwrap());
        let (mut cat, out) = piped("cat", pipe);
        succeeds(Command::new("bsdtar").args(["-xO", "-f", "-"]).stdin(out).stdout(Stdio::null()));
        cat.wait().unwrap();
    }
    if has_program("python3") {
        let code = "import sys, zipfile\n\
            z = zipfile.ZipFile(sys.argv[1])\n\
            assert z.testzip() is None\n\
            n = sum(not i.is_dir() for i in z.infolist())\n\
            assert n == int(sys.argv[2]), n\n\
            assert all(i.flag_bits == 0x800 and i.compress_type == 0 for i in z.infolist())\n\
            assert len({i.filename for i in z.infolist()}) == len(z.infolist())";
        succeeds(Command::new("python3").args(["-c", code, path, &files.to_string()]));
    }
}

/// Runs a program that passes on its input to a pipe.
fn piped(program: &str, input: Stdio) -> (std::process::Child, Stdio) {
    let mut child = Command::new(program).stdin(input).stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    (child, out.into())
}

fn succeeds(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
}

/// The names and contents of an archive, as Python reads them.
fn unpack(archive: &Path, to: &Path) {
    let code = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    succeeds(Command::new("python3").args(["-c", code]).arg(archive).arg(to));
}

#[actix_web::test]
async fn a_folder_is_one_archive_that_every_program_reads_and_one_download() {
    let mut stage = start().await;
    put_photos(&stage);
    let made = stage.make(&[("files", "/open/photos"), ("title", "Holiday: <1>")]).await;
    let mut browser = Browser::at(&stage.base);
    let page = browser.get(&made.public[0]).await.body;
    assert!(page.contains("Download all (ZIP)") && page.contains("value=\"zip\""), "{page}");
    let answer = press_as(&mut browser, &made, "zip").await;
    let reply = Client::at(1).get(address_of(&answer)).await;
    assert_whole(&reply);
    assert!(reply.header("content-disposition").unwrap().contains("Holiday_ _1_.zip"), "{reply:?}");
    let folder = tempfile::TempDir::new().unwrap();
    let archive = folder.path().join("archive.zip");
    fs::write(&archive, &reply.body).unwrap();
    read_with_all_programs(&archive, NAMES.len() + 1);
    if has_program("python3") {
        unpack(&archive, folder.path());
        let (from, to) = (stage.folder.path().join("open/photos"), folder.path().join("photos"));
        for (name, archived) in NAMES {
            assert_eq!(fs::read(from.join(name)).unwrap(), fs::read(to.join(archived)).unwrap(), "{name:?}");
        }
        assert_eq!(fs::read(to.join("deep/er/large.bin")).unwrap(), pattern(3 * MIB));
        assert!(to.join("nothing here").is_dir() && !to.join(".hidden").exists());
    }
    // It was the only download of the link, of all its files.
    assert_eq!(Client::at(1).get(address_of(&answer)).await.slug(), "used-token");
    for what in ["zip", "0/a.txt"] {
        assert_eq!(Browser::at(&stage.base).post(&made.public[0], &[("file", what)]).await.status, 410);
    }
    eventually("the delivery is complete", async || {
        let page = stage.ada.clone().get(&made.page).await.body;
        page.contains(&format!("All {} files (ZIP)", NAMES.len() + 1)) && page.contains("complete")
    })
    .await;
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("1 of 1 download used"), "{own}");
    stage.stop().await;
}

#[actix_web::test]
async fn an_archive_takes_a_use_of_its_own() {
    let mut stage = start().await;
    put_photos(&stage);
    let made = stage.make(&[("files", "/open/photos"), ("uses", "2")]).await;
    let mut browser = Browser::at(&stage.base);
    let file = press_as(&mut browser, &made, "0/a.txt").await;
    assert_eq!(Client::at(1).get(address_of(&file)).await.status, 200);
    let all = press_as(&mut browser, &made, "zip").await;
    // The button pressed twice is one download.
    let twice = press_as(&mut browser, &made, "zip").await;
    assert_whole(&Client::at(1).get(address_of(&all)).await);
    assert_eq!(Client::at(1).get(address_of(&twice)).await.slug(), "used-token");
    // The first use still has the other files, each once. The second has nothing left.
    let other = press_as(&mut browser, &made, "0/empty.bin").await;
    assert_eq!(Client::at(1).get(address_of(&other)).await.status, 200);
    eventually("it is reported", async || state_of_all(&mut browser, &made).await == "downloaded").await;
    for what in ["0/a.txt", "zip"] {
        assert_eq!(press_as(&mut browser, &made, what).await.status, 410, "{what}");
    }
    stage.stop().await;
}

/// A sequence of numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[actix_web::test]
async fn an_archive_is_continued_at_a_thousand_random_bytes_also_after_a_restart_without_the_web_app() {
    let mut stage = start().await;
    put_photos(&stage);
    let made = stage.make(&[("files", "/open/photos")]).await;
    let answer = press(&stage, &made, "zip").await;
    let address = address_of(&answer).to_owned();
    let head = Client::at(1).head(&address).await;
    let whole = Client::at(1).get(&address).await;
    assert_whole(&whole);
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    let key = whole.etag();
    let mut numbers = Numbers(20_261_129);
    let mut cuts: Vec<usize> = (0..1_000).map(|_| numbers.below(whole.body.len())).collect();
    cuts.extend([0, whole.body.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let pieces: Vec<_> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
    let (before, after) = pieces.split_at(pieces.len() / 2);
    let mut pasted = Vec::new();
    let client = Client::at(1);
    let fetch = async |pieces: &[std::ops::Range<usize>], pasted: &mut Vec<u8>| {
        for piece in pieces {
            let range = format!("bytes={}-{}", piece.start, piece.end - 1);
            let reply = client.get_with(&address, &[("range", &range), ("if-range", &key)]).await;
            assert_eq!(reply.status, 206, "{range}: {reply:?}");
            pasted.extend(reply.body);
        }
    };
    fetch(before, &mut pasted).await;
    // The same node alone, without a web app to fetch the manifest from.
    let mut settings = stage.running.settings.clone();
    let clock = stage.clock.clone();
    settings.download.listen = stage.running.download.unwrap().into();
    stage.desk.db.close().await;
    stop_and_free(stage.running).await;
    settings.download.keys = settings.data_dir.join("keys.json").to_str().unwrap().to_owned();
    let keys = oncelink::web::tokens::signer::Signer::open(&settings.keys_dir(), clock.now()).unwrap();
    fs::write(&settings.download.keys, keys.jwks(clock.now())).unwrap();
    let alone = Box::pin(server::start(settings, Role::Download, clock)).await.unwrap();
    fetch(after, &mut pasted).await;
    assert!(Digest::of(&pasted) == Digest::of(&whole.body), "the pieces are the whole");
    Box::pin(alone.stop()).await;
}

#[actix_web::test]
async fn a_file_that_changed_is_refused_before_and_cuts_a_running_download() {
    let mut stage = start().await;
    put_photos(&stage);
    let photos = stage.folder.path().join("open/photos");
    fs::write(photos.join("z.bin"), pattern(8 * MIB)).unwrap();
    let made = stage.make(&[("files", "/open/photos"), ("uses", "9")]).await;
    let before = press(&stage, &made, "zip").await;
    let original = fs::read(photos.join("z.bin")).unwrap();
    let changed: Vec<u8> = original.iter().map(|byte| byte ^ 1).collect();
    fs::write(photos.join("z.bin"), &changed).unwrap();
    for method in [hyper::Method::HEAD, hyper::Method::GET] {
        let reply = Client::at(1).request(method.clone(), address_of(&before), &[]).await;
        assert_eq!(reply.status, 409, "{method}");
    }
    assert_eq!(Client::at(1).get(address_of(&before)).await.slug(), "file-changed", "nothing was spent");
    // What was pressed after that has the new file.
    let after = press(&stage, &made, "zip").await;
    let mut transfer = Partial::open(1, address_of(&after), "", MIB).await;
    assert_eq!(transfer.status(), 200);
    let whole: usize = transfer.header("content-length").unwrap().parse().unwrap();
    let key = transfer.header("etag").unwrap().to_owned();
    fs::write(photos.join("z.bin"), &original).unwrap();
    let got = transfer.read_to_end().await;
    assert!(got < whole, "the transfer was cut off");
    let range = format!("bytes={}-", whole - 7 * MIB);
    let reply = Client::at(1).get_with(address_of(&after), &[("range", &range), ("if-range", &key)]).await;
    assert_eq!((reply.status.as_u16(), reply.slug().as_str()), (409, "file-changed"));
    stage.stop().await;
}

#[actix_web::test]
async fn a_visitor_continues_their_archive_although_the_folder_got_another_file() {
    let mut stage = start().await;
    put_photos(&stage);
    let photos = stage.folder.path().join("open/photos");
    fs::write(photos.join("z.bin"), pattern(24 * MIB)).unwrap();
    let made = stage.make(&[("files", "/open/photos")]).await;
    let mut browser = Browser::at(&stage.base);
    // Its checksum is being calculated in the background.
    eventually("the archive is ready", async || press_as(&mut browser, &made, "zip").await.status == 303)
        .await;
    let first = press_as(&mut browser, &made, "zip").await;
    let partial = Partial::open(1, address_of(&first), "", 2 * MIB).await;
    assert_eq!(partial.status(), 200);
    eventually("the start is reported", async || state_of_all(&mut browser, &made).await == "running").await;
    drop(partial);
    eventually("the break is reported", async || state_of_all(&mut browser, &made).await == "interrupted")
        .await;
    fs::write(photos.join("new.txt"), "new").unwrap();
    let again = press_as(&mut browser, &made, "zip").await;
    let whole = Client::at(9).get(address_of(&again)).await;
    assert_whole(&whole);
    eventually("it is complete", async || state_of_all(&mut browser, &made).await == "downloaded").await;
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("1 of 1 download used"), "{own}");
    stage.stop().await;
}

#[actix_web::test]
async fn ones_own_selection_is_one_archive_with_hidden_files() {
    let mut stage = start().await;
    put_photos(&stage);
    let page = stage.ada.get("/zip?file=%2Fopen%2Fphotos&file=%2Fopen%2Ffile.txt").await;
    assert!(page.status == 200 && page.body.contains("Download ZIP"), "{}", page.body);
    let fields = [("files", "/open/photos /open/file.txt")];
    let answer = stage.ada.fill("/zip?file=%2Fopen%2Fphotos", "/zip", &fields).await;
    let reply = Client::at(1).get(address_of(&answer)).await;
    assert_whole(&reply);
    assert!(reply.header("content-disposition").unwrap().contains("photos and 1 more.zip"));
    let folder = tempfile::TempDir::new().unwrap();
    let archive = folder.path().join("archive.zip");
    fs::write(&archive, &reply.body).unwrap();
    read_with_all_programs(&archive, NAMES.len() + 3);
    assert_eq!(Client::at(1).get(address_of(&answer)).await.slug(), "used-token");
    // Nothing was selected, and what doesn't exist or isn't readable looks the same.
    assert_eq!(stage.ada.get("/zip?from=%2Ffiles%2Fopen").await.status, 303);
    for missing in ["%2Fopen%2Fnone.txt", "%2Fother%2Fa", "%2Fopen%2F..%2Fx"] {
        assert_eq!(stage.ada.get(&format!("/zip?file={missing}")).await.status, 404, "{missing}");
    }
    let nothing = [("files", "/open/photos/nothing%20here")];
    let answer = stage.ada.fill("/zip?file=%2Fopen%2Fphotos", "/zip", &nothing).await;
    assert!(answer.status == 409 && answer.body.contains("There are no files"), "{}", answer.body);
    stage.stop().await;
}

#[actix_web::test]
async fn what_is_not_prepared_yet_is_409_and_uses_nothing_up() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let share = web.share("open").to_owned();
    for name in ["one.bin", "two.bin", "three.bin"] {
        File::create(share.join(name)).unwrap().set_len(20 * MIB as u64).unwrap();
    }
    let mut ada = web.logged_in("ada@example.org").await;
    let made = crate::support::links::make(
        &mut ada,
        &[("files", "/open/one.bin /open/two.bin /open/file.txt"), ("uses", "5")],
    )
    .await;
    let mut program = Browser::at(&web.base);
    program.headers.push(("accept", "application/json".to_owned()));
    let early = program.post(&made.public[0], &[("file", "zip")]).await;
    let problem: Value = serde_json::from_str(&early.body).unwrap();
    assert_eq!((early.status, problem["type"].as_str()), (409, Some("still-preparing")), "{}", early.body);
    assert_eq!(early.header("retry-after"), "3");
    let page = press_as(&mut Browser::at(&web.base), &made, "zip").await;
    assert!(page.status == 409 && page.body.contains("1 of 3 files."), "{}", page.body);
    // In the background, one after the other.
    let now = web.clock.now();
    while web.app.archives().prepare_next(now).await.unwrap() {}
    let ready = program.post(&made.public[0], &[("file", "zip")]).await;
    assert_eq!(ready.status, 303, "{}", ready.body);
    // A file that changed is prepared again.
    File::options().write(true).open(share.join("one.bin")).unwrap().write_all(b"changed").unwrap();
    assert_eq!(Browser::at(&web.base).post(&made.public[0], &[("file", "zip")]).await.status, 409);
    web.stop().await;
}

#[actix_web::test]
async fn an_archive_of_one_file_is_prepared_when_somebody_waits_for_it() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    File::create(web.share("open").join("one.bin")).unwrap().set_len(20 * MIB as u64).unwrap();
    let mut ada = web.logged_in("ada@example.org").await;
    let fields = [("files", "/open/one.bin")];
    let early = ada.fill("/account", "/zip", &fields).await;
    assert!(early.status == 409 && early.body.contains("0 of 1 file."), "{}", early.body);
    let now = web.clock.now();
    while web.app.archives().prepare_next(now).await.unwrap() {}
    let ready = ada.fill("/account", "/zip", &fields).await;
    assert_eq!(ready.status, 303, "{}", ready.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_manifest_is_only_for_download_services() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    let digest = "A".repeat(43);
    assert_eq!(browser.get(&format!("/manifests/{digest}")).await.status, 401);
    browser.headers.push(("authorization", "Bearer wrong".to_owned()));
    assert_eq!(browser.get(&format!("/manifests/{digest}")).await.status, 403);
    let key = fs::read_to_string(web.settings.keys_dir().join("node-key")).unwrap();
    browser.headers = vec![("authorization", format!("Bearer {}", key.trim()))];
    for unknown in [digest.as_str(), "x"] {
        assert_eq!(browser.get(&format!("/manifests/{unknown}")).await.status, 404);
    }
    web.stop().await;
}

/// Presses until the archive is prepared. The checksums of gigabytes take a while.
async fn prepared(browser: &mut Browser, made: &Made) -> Answer {
    browser.headers.push(("accept", "application/json".to_owned()));
    let pressing = async {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            tick.tick().await;
            let began = tokio::time::Instant::now();
            let answer = browser.post(&made.public[0], &[("file", "zip")]).await;
            // However many files there are, nobody waits for all of them in one request.
            let took = began.elapsed();
            assert!(took < Duration::from_secs(8), "{took:?}");
            if answer.status == 303 {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(900), pressing).await.expect("it is prepared")
}

#[actix_web::test]
async fn an_archive_of_many_files_or_of_a_very_large_one_is_read_by_every_program() {
    let long = variable("ONCELINK_TEST_ARCHIVES").is_some();
    let (files, large) = if long { (70_000, (4 << 30) + 12_345) } else { (700, 20 * MIB as u64) };
    let mut stage = start().await;
    let share = stage.folder.path().join("open");
    for n in 0..files {
        let folder = share.join(format!("many/{}", n % 100));
        if n < 100 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(format!("{n}.txt")), format!("file {n}")).unwrap();
    }
    fs::create_dir_all(share.join("large")).unwrap();
    let sparse = File::create(share.join("large/sparse.bin")).unwrap();
    sparse.set_len(large).unwrap();
    fs::write(share.join("large/small.txt"), "after it").unwrap();
    for (folder, count) in [("many", files), ("large", 2)] {
        let made = stage.make(&[("files", &format!("/open/{folder}"))]).await;
        let mut browser = Browser::at(&stage.base);
        let answer = prepared(&mut browser, &made).await;
        let archive = stage.folder.path().join("archive.zip");
        let mut transfer = Command::new("curl");
        transfer.args(["-sSf", "-o", archive.to_str().unwrap(), address_of(&answer)]);
        if has_program("curl") {
            tokio::task::spawn_blocking(move || {
                succeeds(&mut transfer);
                read_with_all_programs(&archive, count);
            })
            .await
            .unwrap();
        }
    }
    stage.stop().await;
}
