//! `oncelink get` downloads what a link has, with one use, over breaks and kills; it asks for passwords and codes and
//! says in its exit code why it failed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;

use crate::support::deliveries::eventually;
use crate::support::pattern;
use crate::support::process::PROGRAM;
use crate::support::programs::{Ended, run};
use crate::support::proxy::{Line, Proxy};
use crate::support::web::Browser;
use crate::web_link_downloads::Stage;

const MIB: usize = 1024 * 1024;
const SIZE: usize = 24 * MIB;

async fn stage() -> Stage {
    Stage::start_with(|_| {}).await
}

async fn get(folder: &Path, link: &str, options: &[&str]) -> Ended {
    let mut arguments = vec!["get", link];
    arguments.extend(options);
    run(folder, PROGRAM, &arguments).await
}

fn link(stage: &Stage, public: &str) -> String {
    format!("{}{public}", stage.base)
}

/// The names in a folder, also those that begin with a dot.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn uses_left(stage: &Stage, public: &str) -> String {
    let mut browser = Browser::at(&stage.base);
    browser.headers.push(("accept", "application/json".to_owned()));
    let answer = browser.get(public).await;
    match answer.status {
        200 => {
            let facts: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            facts["uses_left"].to_string()
        }
        status => status.to_string(),
    }
}

#[actix_web::test]
async fn a_file_arrives_with_its_name_and_its_time_and_its_path_is_printed() {
    let mut stage = stage().await;
    let file = stage.folder.path().join("open/file.txt");
    let changed = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(&file).unwrap().set_modified(changed).unwrap();
    let made = stage.make(&[]).await;
    let home = TempDir::new().unwrap();
    let ended = get(home.path(), &link(&stage, &made.public[0]), &[]).await;
    assert_eq!((ended.code, ended.said.as_str()), (Some(0), "file.txt\n"));
    assert_eq!(names(home.path()), ["file.txt"], "nothing is left behind");
    let arrived = home.path().join("file.txt");
    assert_eq!(fs::read(&arrived).unwrap(), fs::read(&file).unwrap());
    assert_eq!(fs::metadata(&arrived).unwrap().modified().unwrap(), changed);

    let used_up = get(home.path(), &link(&stage, &made.public[0]), &["--output", "again"]).await;
    assert_eq!(used_up.code, Some(3), "{}", used_up.said);
    stage.stop().await;
}

#[actix_web::test]
async fn all_files_of_a_folder_are_one_use_and_so_is_their_archive() {
    let mut stage = stage().await;
    let scans = stage.folder.path().join("open/scans");
    fs::create_dir_all(scans.join("old")).unwrap();
    for (name, text) in [("one.txt", "1"), ("two.txt", "22"), ("old/three.txt", "333")] {
        fs::write(scans.join(name), text).unwrap();
    }
    let made = stage.make(&[("files", "/open/scans"), ("uses", "2")]).await;
    let address = link(&stage, &made.public[0]);
    let home = TempDir::new().unwrap();
    let ended = get(home.path(), &address, &["--output", "a", "--json"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let listed: serde_json::Value = serde_json::from_str(&ended.said).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    for (name, text) in [("one.txt", "1"), ("two.txt", "22"), ("old/three.txt", "333")] {
        assert_eq!(fs::read_to_string(home.path().join("a").join(name)).unwrap(), text);
    }
    assert_eq!(uses_left(&stage, &made.public[0]).await, "1");

    let ended = get(home.path(), &address, &["--output", "b", "--zip"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let zip = names(&home.path().join("b"));
    assert!(zip.len() == 1 && zip[0].ends_with(".zip"), "{zip:?}");
    eventually("both uses are known to be over", async || uses_left(&stage, &made.public[0]).await == "410")
        .await;
    stage.stop().await;
}

#[actix_web::test]
async fn a_password_is_asked_for_and_a_wrong_one_costs_no_use() {
    let mut stage = stage().await;
    let made = stage.make(&[("password", "open sesame")]).await;
    let address = link(&stage, &made.public[0]);
    let home = TempDir::new().unwrap();
    let missing = get(home.path(), &address, &[]).await;
    assert!(missing.code == Some(4) && missing.said.contains("--password-file"), "{}", missing.said);
    fs::write(home.path().join("wrong"), "open barley\n").unwrap();
    let wrong = get(home.path(), &address, &["--password-file", "wrong"]).await;
    assert_eq!(wrong.code, Some(4), "{}", wrong.said);
    assert_eq!(uses_left(&stage, &made.public[0]).await, "1");
    let arguments = ["ONCELINK_PASSWORD=open sesame", PROGRAM, "get", &address];
    let right = run(home.path(), "env", &arguments).await;
    assert_eq!(right.code, Some(0), "{}", right.said);
    stage.stop().await;
}

#[actix_web::test]
async fn an_existing_file_is_kept_and_costs_no_use() {
    let mut stage = stage().await;
    let made = stage.make(&[]).await;
    let address = link(&stage, &made.public[0]);
    let home = TempDir::new().unwrap();
    let mine = home.path().join("file.txt");
    fs::write(&mine, "mine").unwrap();
    let refused = get(home.path(), &address, &[]).await;
    assert!(refused.code == Some(2) && refused.said.contains("--force"), "{}", refused.said);
    assert_eq!(
        (fs::read_to_string(&mine).unwrap().as_str(), uses_left(&stage, &made.public[0]).await.as_str()),
        ("mine", "1")
    );
    let forced = get(home.path(), &address, &["--force"]).await;
    assert_eq!(forced.code, Some(0), "{}", forced.said);
    assert_eq!(fs::read_to_string(&mine).unwrap(), "this is open");
    stage.stop().await;
}

/// A stage whose downloads go through a proxy, and a link to a large file with one download.
async fn large(last: u8, line: Line) -> (Stage, Proxy, String) {
    large_with(last, line, "1").await
}

/// The same with `uses` downloads.
async fn large_with(last: u8, line: Line, uses: &str) -> (Stage, Proxy, String) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let node = SocketAddr::from(([127, 80 + last, high, low], 18_085));
    let proxy = Proxy::start(node, line).await;
    let public = format!("http://{}", proxy.address);
    let stage = Stage::start_with(|settings| {
        settings.download.listen = node.into();
        settings.download.public_url = public;
    });
    let mut stage = stage.await;
    fs::write(stage.folder.path().join("open/large.bin"), pattern(SIZE)).unwrap();
    let made = stage.make(&[("files", "/open/large.bin"), ("uses", uses)]).await;
    let address = link(&stage, &made.public[0]);
    (stage, proxy, address)
}

#[actix_web::test]
async fn broken_connections_are_continued_and_nothing_is_sent_twice() {
    let (stage, proxy, address) = large(0, Line { cuts: 4, cut_after: 5 * MIB, speed: None }).await;
    let home = TempDir::new().unwrap();
    let ended = get(home.path(), &address, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(fs::read(home.path().join("large.bin")).unwrap(), pattern(SIZE));
    assert_eq!(proxy.cuts(), 4);
    assert!(proxy.carried() < (SIZE + 4 * MIB) as u64, "{} bytes for a file of {SIZE}", proxy.carried());
    stage.stop().await;
}

/// Kills the client once some of the large file has arrived.
async fn kill_in_the_middle(home: &Path, address: &str) {
    let script = format!(
        "'{PROGRAM}' get '{address}' & \
         for i in $(seq 600); do [ $(stat -c %s large.bin.part 2>/dev/null || echo 0) -gt 2000000 ] && break; sleep 0.1; done; \
         kill -9 $!; wait $!"
    );
    let killed = run(home, "sh", &["-c", &script]).await;
    assert_eq!(killed.code, Some(137), "{}", killed.said);
    let part = fs::metadata(home.join("large.bin.part")).unwrap().len();
    assert!(part > 0 && part < SIZE as u64, "{part} bytes");
}

#[actix_web::test]
async fn after_a_kill_the_same_command_goes_on_with_the_same_use() {
    let (stage, proxy, address) =
        large(1, Line { cuts: 0, cut_after: 0, speed: Some(8 * 1024 * 1024) }).await;
    let home = TempDir::new().unwrap();
    kill_in_the_middle(home.path(), &address).await;
    let kept = names(home.path()).into_iter().find(|name| name.starts_with(".oncelink-")).unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(home.path().join(kept)).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "it has a token");

    let ended = get(home.path(), &address, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(fs::read(home.path().join("large.bin")).unwrap(), pattern(SIZE));
    assert_eq!(names(home.path()), ["large.bin"]);
    assert!(proxy.carried() < (SIZE + 8 * MIB) as u64, "{} bytes for a file of {SIZE}", proxy.carried());
    stage.stop().await;
}

#[actix_web::test]
async fn a_file_that_was_replaced_meanwhile_is_never_mixed_with_the_old_one() {
    let line = Line { cuts: 0, cut_after: 0, speed: Some(8 * 1024 * 1024) };
    let (stage, _proxy, address) = large_with(2, line, "2").await;
    let home = TempDir::new().unwrap();
    kill_in_the_middle(home.path(), &address).await;
    // As large as before, and its digest is not known: nothing but the version tells them apart.
    let other: Vec<u8> = pattern(SIZE).iter().map(|byte| !byte).collect();
    let fresh = stage.folder.path().join("fresh");
    fs::write(&fresh, &other).unwrap();
    fs::rename(fresh, stage.folder.path().join("open/large.bin")).unwrap();
    let ended = get(home.path(), &address, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(fs::read(home.path().join("large.bin")).unwrap() == other, "two versions were mixed");
    stage.stop().await;
}

#[actix_web::test]
async fn what_is_no_link_is_refused_before_anything_is_sent() {
    let home = TempDir::new().unwrap();
    for address in ["", "https://files.example.org/", "ftp://files.example.org/l/x", "files.example.org/l/x"]
    {
        let ended = get(home.path(), address, &[]).await;
        assert_eq!(ended.code, Some(2), "{address}: {}", ended.said);
    }
    let nobody = get(home.path(), "http://127.0.0.1:1/l/code", &[]).await;
    assert_eq!(nobody.code, Some(1), "{}", nobody.said);
    assert!(!nobody.said.contains("/l/code"), "{}", nobody.said);
}
