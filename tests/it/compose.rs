//! The shipped compose file, rehearsed: two processes with the environment that it sets, where the web app
//! can't reach the public address of the download service.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::eventually;
use crate::support::pattern;
use crate::support::process::{PROGRAM, Process};
use crate::support::web::{Browser, PASSWORD};

const MIB: usize = 1024 * 1024;

/// The public address of the download service; the web app can't reach it.
const PUBLIC: &str = "http://files.invalid";

/// The `KEY: value` lines below `heading` with this indentation.
fn block(text: &str, heading: &str, indent: usize) -> BTreeMap<String, String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(heading));
    assert!(lines.next().is_some(), "no {heading}");
    let inner = " ".repeat(indent);
    let mut found = BTreeMap::new();
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(&inner)) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("<<") {
            continue;
        }
        let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
        found.insert(key.to_owned(), value.trim_matches('\'').to_owned());
    }
    found
}

/// The rest of `text`, from `heading` on.
fn below<'t>(text: &'t str, heading: &str) -> &'t str {
    &text[text.find(heading).unwrap_or_else(|| panic!("no {heading}"))..]
}

struct Rehearsal {
    folder: TempDir,
    web: SocketAddr,
    download: SocketAddr,
}

impl Rehearsal {
    fn new() -> Rehearsal {
        let folder = TempDir::new().unwrap();
        for name in ["web", "download", "node-key", "books", "home"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("books/big.bin"), pattern(24 * MIB)).unwrap();
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let at = |host, port| SocketAddr::from((Ipv4Addr::new(127, host, high, low.max(1)), port));
        Rehearsal { folder, web: at(60, 8080), download: at(61, 8081) }
    }

    /// The environment of a service, with this machine's addresses and folders instead of the containers'.
    fn environment(&self, service: &str) -> BTreeMap<String, String> {
        let text = fs::read_to_string("docker-compose.yml").unwrap();
        let mut found = block(&text, "x-shared-settings:", 2);
        let of_service = below(&text, &format!("\n  {service}:\n"));
        found.extend(block(below(of_service, "    environment:"), "    environment:", 6));
        let folder = |name: &str| self.folder.path().join(name).display().to_string();
        for value in found.values_mut() {
            *value = value
                .replace("${WEB_URL:-http://127.0.0.1:8080}", &format!("http://{}", self.web))
                .replace("${DOWNLOAD_URL:-http://127.0.0.1:8081}", PUBLIC)
                .replace("http://web:8080", &format!("http://{}", self.web))
                .replace("http://download:8081", &format!("http://{}", self.download))
                .replace("/node-key/", &format!("{}/", folder("node-key")))
                .replace("/shares/home", &folder("home"))
                .replace("/shares/books", &folder("books"));
            assert!(!value.contains("${"), "{value}");
        }
        // As in the image, except for the addresses.
        found.insert("ONCELINK_DATA_DIR".to_owned(), folder(service));
        found.insert("ONCELINK_WEB__LISTEN".to_owned(), self.web.to_string());
        found.insert("ONCELINK_DOWNLOAD__LISTEN".to_owned(), self.download.to_string());
        found
    }

    fn command(&self, service: &str, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.folder.path()).env_clear().envs(self.environment(service));
        command
    }

    fn start(&self, service: &str, address: SocketAddr) -> Process {
        let path = self.folder.path().join(format!("{service}.log"));
        let log = File::create(&path).unwrap();
        let mut command = self.command(service, &[service]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = Process::of(command.spawn().unwrap(), address, path);
        process.wait_until_ready();
        process
    }
}

#[actix_web::test]
async fn with_the_compose_files_environment_a_revocation_arrives() {
    let rehearsal = Rehearsal::new();
    let add = ["user", "add", "bob@example.org", "--password-stdin"];
    let mut child =
        rehearsal.command("web", &add).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let _web = rehearsal.start("web", rehearsal.web);
    let _download = rehearsal.start("download", rehearsal.download);
    let base = format!("http://{}", rehearsal.web);
    eventually("the web app finds the node, and it is that one", async || {
        Client::default().get(&format!("{base}/readyz")).await.body == b"ready\n"
    })
    .await;
    let mut browser = Browser::at(&base);
    assert_eq!(browser.log_in("bob@example.org", PASSWORD).await.status, 303);
    let mut links = Vec::new();
    for _ in 0..2 {
        let answer = browser.fill("/files/books", "/download", &[("file", "/books/big.bin")]).await;
        let address = answer.location.unwrap_or_else(|| panic!("{}", answer.body));
        assert!(address.starts_with(PUBLIC), "{address}");
        links.push(address.replace(PUBLIC, &format!("http://{}", rehearsal.download)));
    }
    let mut transfer = Partial::open(1, &links[0], "", MIB).await;
    assert_eq!(transfer.status(), 200);
    let disabled = rehearsal.command("web", &["user", "disable", "bob@example.org"]).output().unwrap();
    let said = String::from_utf8_lossy(&disabled.stderr).into_owned();
    assert!(disabled.status.success() && !said.contains("as soon as"), "{said}");
    assert!(transfer.read_to_end().await < 24 * MIB, "the running download is cut off");
    assert_eq!(Client::default().get(&links[1]).await.slug(), "revoked-token");
    for service in ["web", "download"] {
        let healthy = rehearsal.command(service, &["healthcheck", service]).output().unwrap();
        assert!(healthy.status.success(), "{service}: {healthy:?}");
    }
    let check = rehearsal.command("web", &["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains("has our public keys and presents the right node key"), "{said}");
}
