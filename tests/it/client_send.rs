//! `oncelink send` uploads and prints a link; `login`, `ls`, `links` and `link` use the API of a server; all over breaks
//! and kills.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use oncelink::web::api_keys::KeyForm;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::api::make_key;
use crate::support::pattern;
use crate::support::process::PROGRAM;
use crate::support::programs::{Ended, run};
use crate::support::proxy::{Line, Proxy, Uplink};
use crate::support::tus::personal;
use crate::web_link_downloads::Stage;

const MIB: usize = 1024 * 1024;
const SIZE: usize = 24 * MIB;

/// Both services, and a computer where Ada is logged in.
struct Computer {
    stage: Stage,
    home: TempDir,
}

impl Computer {
    async fn new() -> Computer {
        let stage = Stage::start_with(personal);
        Computer { stage: stage.await, home: TempDir::new().unwrap() }
    }

    /// Logs in at `server` with a key of these scopes.
    async fn log_in(&self, server: &str, scopes: &str) -> Ended {
        let account = self.stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap();
        let form =
            KeyForm { name: "computer".to_owned(), scopes: scopes.parse().unwrap(), ..KeyForm::default() };
        let key = make_key(&self.stage.desk, &account.unwrap(), form).await;
        let script = format!("echo '{key}' | '{PROGRAM}' login '{server}' --key-stdin");
        self.run("sh", &["-c", &script]).await
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Ended {
        run(self.home.path(), program, arguments).await
    }

    async fn client(&self, arguments: &[&str]) -> Ended {
        self.run(PROGRAM, arguments).await
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }
}

const USUAL: &str = "files:read files:write links requests";

/// The files below a folder, with their content.
fn tree(folder: &Path, below: &str, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        match entry.path().is_dir() {
            true => tree(&entry.path(), &format!("{name}/"), found),
            false => found.push((name, fs::read(entry.path()).unwrap())),
        }
    }
    found.sort();
}

#[actix_web::test]
async fn from_login_to_a_colleagues_get() {
    let computer = Computer::new().await;
    let base = computer.stage.base.clone();
    let nobody = computer.client(&["send", "report.txt"]).await;
    assert_eq!(nobody.code, Some(5), "{}", nobody.said);
    let logged_in = computer.log_in(&base, USUAL).await;
    assert!(logged_in.code == Some(0) && logged_in.said.contains("ada@example.org"), "{}", logged_in.said);
    let kept = computer.path(".config/oncelink/credentials.toml");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(kept.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);

    fs::write(computer.path("report.txt"), "the report").unwrap();
    let sent = computer.client(&["send", "report.txt", "--title", "Report"]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.said);
    let link = sent.said.trim();
    assert!(link.starts_with(&format!("{base}/l/")) && !link.contains('\n'), "the link alone: {}", sent.said);

    let colleague = TempDir::new().unwrap();
    let got = run(colleague.path(), PROGRAM, &["get", link]).await;
    assert_eq!((got.code, got.said.as_str()), (Some(0), "report.txt\n"));
    assert_eq!(fs::read_to_string(colleague.path().join("report.txt")).unwrap(), "the report");
    let again = run(colleague.path(), PROGRAM, &["get", link, "--output", "again"]).await;
    assert_eq!(again.code, Some(3), "one download is the usual: {}", again.said);

    let listed = computer.client(&["links", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.said).unwrap();
    assert_eq!((listed[0]["title"].as_str(), listed[0]["used"].as_u64()), (Some("Report"), Some(1)));
    let id = listed[0]["id"].as_str().unwrap();
    let downloads = computer.client(&["link", id]).await;
    assert!(downloads.code == Some(0) && downloads.said.contains("report.txt"), "{}", downloads.said);
    let revoked = computer.client(&["link", id, "revoke"]).await;
    assert_eq!(revoked.code, Some(0), "{}", revoked.said);
    let listed = computer.client(&["links"]).await;
    assert!(listed.said.contains("revoked"), "{}", listed.said);
    computer.stage.stop().await;
}

#[actix_web::test]
async fn a_folder_arrives_as_it_was_and_standard_input_with_the_name_it_is_given() {
    let computer = Computer::new().await;
    computer.log_in(&computer.stage.base, USUAL).await;
    for (name, content) in [("scans/1.txt", "one"), ("scans/old/2.txt", "two"), ("scans/empty", "")] {
        fs::create_dir_all(computer.path(name).parent().unwrap()).unwrap();
        fs::write(computer.path(name), content).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", computer.path("scans/passwd")).unwrap();
    for copy in ["first", "second"] {
        let sent = computer.client(&["send", "scans", "--uses", "2", "--until", "12h"]).await;
        assert_eq!(sent.code, Some(0), "{}", sent.said);
        let folder = TempDir::new().unwrap();
        let got = run(folder.path(), PROGRAM, &["get", sent.said.trim()]).await;
        assert_eq!(got.code, Some(0), "{copy}: {}", got.said);
        let mut found = Vec::new();
        tree(folder.path(), "", &mut found);
        let found: Vec<(&str, &[u8])> =
            found.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        assert_eq!(found, [("1.txt", b"one".as_slice()), ("empty", b""), ("old/2.txt", b"two")], "{copy}");
    }
    let listed = computer.client(&["ls"]).await;
    assert!(listed.said.contains("/home/"), "{}", listed.said);

    let script = format!("head -c 20000000 /dev/zero | '{PROGRAM}' send - --name zeros.bin --uses unlimited");
    let sent = computer.run("sh", &["-c", &script]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.said);
    let got = computer.client(&["get", sent.said.trim()]).await;
    assert_eq!((got.code, got.said.as_str()), (Some(0), "zeros.bin\n"));
    assert_eq!(fs::metadata(computer.path("zeros.bin")).unwrap().len(), 20_000_000);
    computer.stage.stop().await;
}

#[actix_web::test]
async fn after_a_kill_the_same_command_goes_on_and_makes_one_link() {
    let computer = Computer::new().await;
    let web = computer.stage.running.web.unwrap();
    let up = Uplink { cuts: 1, cut_after: 12 * MIB, speed: Some(8 * 1024 * 1024) };
    let proxy = Proxy::start_with(web, Line::default(), up).await;
    let server = format!("http://{}", proxy.address);
    let logged_in = computer.log_in(&server, USUAL).await;
    assert_eq!(logged_in.code, Some(0), "{}", logged_in.said);
    fs::write(computer.path("large.bin"), pattern(SIZE)).unwrap();
    // Killed once the server has some of it.
    let state = ".local/state/oncelink";
    let script = format!(
        "'{PROGRAM}' send large.bin & \
         for i in $(seq 600); do grep -qs begun {state}/send-*.json && break; sleep 0.05; done; sleep 0.5; \
         kill -9 $!; wait $!"
    );
    let killed = computer.run("sh", &["-c", &script]).await;
    assert_eq!(killed.code, Some(137), "{}", killed.said);
    let sent = computer.client(&["send", "large.bin"]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.said);
    let link = sent.said.lines().last().unwrap();
    let patches = proxy.requests().iter().filter(|head| head.starts_with("PATCH")).count();
    let posts = proxy.requests().iter().filter(|head| head.starts_with("POST /api/v1/uploads")).count();
    assert!(patches >= 2 && posts == 1, "{patches} pieces of {posts} uploads");
    let got = computer.client(&["get", link, "--output", "back"]).await;
    assert_eq!(got.code, Some(0), "{}", got.said);
    assert_eq!(fs::read(computer.path("back/large.bin")).unwrap(), pattern(SIZE));
    assert_eq!(fs::read_dir(computer.path(state)).unwrap().count(), 0, "nothing is remembered any more");
    let listed = computer.client(&["links", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&listed.said).unwrap().as_array().unwrap().len(), 1);
    computer.stage.stop().await;
}

#[actix_web::test]
async fn a_key_that_is_wrong_or_may_not_is_said_so_and_nothing_is_made() {
    let computer = Computer::new().await;
    let script = format!("echo olk_wrong | '{PROGRAM}' login '{}' --key-stdin", computer.stage.base);
    let wrong = computer.run("sh", &["-c", &script]).await;
    assert_eq!(wrong.code, Some(5), "{}", wrong.said);
    assert!(
        !computer.path(".config/oncelink/credentials.toml").exists(),
        "a key that doesn't work isn't kept"
    );
    computer.log_in(&computer.stage.base, "files:read").await;
    fs::write(computer.path("report.txt"), "the report").unwrap();
    let refused = computer.client(&["send", "report.txt"]).await;
    assert_eq!(refused.code, Some(5), "{}", refused.said);
    let logged_out = computer.client(&["logout", &computer.stage.base]).await;
    assert_eq!(logged_out.code, Some(0), "{}", logged_out.said);
    assert_eq!(computer.client(&["ls"]).await.code, Some(5));
    computer.stage.stop().await;
}
