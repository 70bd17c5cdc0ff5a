//! The command line, through the real binary: what it prints to which stream, and its exit codes.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::Settings;
use oncelink::id::Jti;
use oncelink::used_tokens::UsedTokens;
use oncelink::used_tokens::sled::SledUsedTokens;
use oncelink::web::revocations::issued::{NewToken, TokenBasis};
use oncelink::web::services::Services;

use crate::support::unused_address;

/// A working directory with a share, and an otherwise empty environment.
struct Machine {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

/// The output of a command and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("storage/books")).unwrap();
        Machine { folder, variables: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Machine {
        self.variables.push((name, value.into()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Said {
        self.run_with(self.variables.clone(), arguments)
    }

    fn run_with<S: AsRef<OsStr>>(
        &self,
        variables: Vec<(&'static str, String)>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncelink"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(variables);
        let output = command.output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs `check` with ports that are free whatever else runs on this machine.
    fn check(&self, arguments: &[&str]) -> Said {
        let free = ["ONCELINK_WEB__LISTEN", "ONCELINK_DOWNLOAD__LISTEN"]
            .map(|name| (name, "127.0.0.1:0".to_owned()));
        let variables = free.into_iter().chain(self.variables.clone()).collect();
        self.run_with(variables, ["check"].iter().chain(arguments))
    }

    /// Runs a command that must succeed, and returns what it prints.
    fn ask<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{}", said.err);
        said.out
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn token_of(address: &str) -> &str {
    address.split("/d/").nth(1).unwrap().split('/').next().unwrap()
}

/// The claims of a token, not verified.
fn claims_of(token: &str) -> serde_json::Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Serves the given answers, one for each request, and returns the requests.
fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        answers
            .iter()
            .map(|answer| {
                let (mut peer, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    assert_eq!(peer.read(&mut byte).unwrap(), 1, "the request ends within its head");
                    head.push(byte[0]);
                }
                peer.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(head).unwrap()
            })
            .collect()
    });
    (address, served)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_mistake_in_the_command_names_the_argument_and_the_remedy_and_ends_with_2() {
    let machine = Machine::new();
    for (line, argument, remedy) in [
        ("frobnicate", "frobnicate", "--help"),
        ("--confg x", "--confg", "--config"),
        ("token mint books/x.pdf", "<FILE>", "must start with a slash"),
        ("token mint /books/../x", "<FILE>", "`..`"),
        ("token mint /books", "FILE", "/share/path"),
        ("token mint /books/x --lifetime 5", "--lifetime", "`30s`"),
        ("token mint /books/x --lifetime 0s", "--lifetime", "token.max_lifetime"),
        ("token mint /books/x --lifetime 8d", "--lifetime", "token.max_lifetime"),
        ("token mint /books/x --name a/b", "--name", "without `/`"),
        ("token mint /books/x --name ..", "--name", "`..`"),
        ("token mint /books/x --audience host", "--audience", "download.public_url"),
        ("token mint /books/x --audience https://host/", "--audience", "download.public_url"),
        ("token", "Usage", "mint"),
        ("revoke", "JTI", "--help"),
        ("revoke abc", "JTI", "22 characters"),
        ("keys rotate --algorithm RS256", "--algorithm", "EdDSA"),
        ("completions tcsh", "SHELL", "zsh"),
        ("user add", "EMAIL", "--help"),
    ] {
        let said = machine.run(words(line));
        assert_eq!(said.code, 2, "{line}: {}", said.err);
        assert_eq!(said.out, "", "{line}");
        assert!(said.err.contains(argument) && said.err.contains(remedy), "{line}: {}", said.err);
    }
    assert!(!machine.path("data").exists(), "a mistyped command created files");
}

#[test]
fn a_mistake_in_the_settings_is_one_line_and_ends_with_2() {
    for line in ["serve", "web", "download", "keys list", "token mint /books/x", "check", "user list"] {
        let machine = Machine::new().set("ONCELINK_WEB__LISTEN", "8080");
        let said = machine.run(words(line));
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert_eq!(
            said.err,
            "oncelink: setting `web.listen` (in the environment variable ONCELINK_WEB__LISTEN): \
             `8080` is not an address and port, `unix:` and a path, or `systemd`; write it as in `listen = \"127.0.0.1:8080\"`\n",
            "{line}"
        );
    }
    let said = Machine::new().run(["--config", "missing.toml", "keys", "list"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("missing.toml") && said.err.contains("--config"), "{}", said.err);
}

#[test]
fn the_file_in_the_working_directory_is_read_and_another_when_named() {
    let machine = Machine::new();
    fs::write(machine.path("oncelink.toml"), "[download]\npublic_url = \"https://one.example\"\n").unwrap();
    assert!(machine.ask(words("token mint /books/x")).starts_with("https://one.example/d/"));
    fs::create_dir(machine.path("etc")).unwrap();
    fs::write(
        machine.path("etc/o.toml"),
        "data_dir = \"state\"\n[download]\npublic_url = \"https://two.example\"\n",
    )
    .unwrap();
    for line in ["--config etc/o.toml token mint /books/x", "token mint /books/x --config etc/o.toml"] {
        assert!(machine.ask(words(line)).starts_with("https://two.example/d/"), "{line}");
    }
    assert!(machine.path("etc/state/keys").is_dir(), "data_dir is relative to the file");
}

#[test]
fn mint_prints_the_address_alone_and_verify_and_inspect_read_it() {
    let machine = Machine::new();
    let said = machine.run([
        "token",
        "mint",
        "/books/我 %2F.pdf",
        "--confirm",
        "--name",
        "b c.pdf",
        "--lifetime",
        "1h",
    ]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let address = said.out.strip_suffix('\n').unwrap();
    assert!(!address.contains(char::is_whitespace), "{address}");
    assert!(address.starts_with("http://127.0.0.1:8081/d/") && address.ends_with("/b%20c.pdf"), "{address}");
    let claims = claims_of(token_of(address));
    assert_eq!(claims["file"], "/books/我 %2F.pdf");
    assert_eq!(claims["confirm"], true);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);

    for text in [address, token_of(address)] {
        let said = machine.run(["token", "verify", text]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.out.starts_with("valid: /books/我 %2F.pdf until "), "{}", said.out);
        let said = machine.run(["token", "inspect", text]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(
            said.out.contains("\"alg\": \"EdDSA\"") && said.out.contains("/books/我 %2F.pdf"),
            "{}",
            said.out
        );
        assert!(said.out.starts_with("NOT VERIFIED") && !said.out.contains("good"), "{}", said.out);
    }
}

#[test]
fn verify_says_which_check_failed_and_ends_with_1() {
    let machine = Machine::new();
    let address = machine.ask(["token", "mint", "/books/x.pdf"]);
    let token = token_of(&address);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = machine.ask(["token", "mint", "/books/y.pdf"]);
    let (_, other_signature) = token_of(&other).rsplit_once('.').unwrap();
    let elsewhere = machine.ask(["token", "mint", "/books/x.pdf", "--audience", "https://else.example"]);
    let stranger = Machine::new().ask(["token", "mint", "/books/x.pdf"]);
    for (text, reason) in [
        (format!("{signed}.{other_signature}"), "bad-signature"),
        (format!("{signed}.{}", &signature[4..]), "signature-length"),
        (format!("{token}="), "alphabet"),
        (signed.to_owned(), "part-count"),
        (token_of(&elsewhere).to_owned(), "wrong-audience"),
        (token_of(&stranger).to_owned(), "unknown-key"),
        ("https://h/other".to_owned(), "alphabet"),
    ] {
        let said = machine.run(["token", "verify", &text]);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{reason}: {}", said.err);
        assert!(
            said.err.starts_with("oncelink: refused: ") && said.err.contains(reason),
            "{reason}: {}",
            said.err
        );
        assert!(!said.err.contains(signed), "the error shows the token");
    }
}

#[test]
fn verify_needs_only_public_keys() {
    let signer = Machine::new();
    let address = signer.ask(["token", "mint", "/books/x.pdf"]);
    let jwks = signer.ask(["keys", "export"]);

    let reader = Machine::new();
    fs::write(reader.path("jwks.json"), &jwks).unwrap();
    let reader = reader.set("ONCELINK_DOWNLOAD__KEYS", "jwks.json");
    reader.ask(["token", "verify", address.trim()]);

    let (at, served) = serve(vec![answer("200 OK", &jwks)]);
    let reader = Machine::new().set("ONCELINK_DOWNLOAD__KEYS", format!("{at}/.well-known/jwks.json"));
    reader.ask(["token", "verify", address.trim()]);
    assert!(served.join().unwrap()[0].starts_with("GET /.well-known/jwks.json HTTP/1.1\r\n"));
    assert!(!reader.path("data").exists(), "verifying created keys");

    let (at, served) = serve(vec![answer("200 OK", "{\"keys\":[]}")]);
    let said = Machine::new().set("ONCELINK_DOWNLOAD__KEYS", &at).run(["token", "verify", address.trim()]);
    served.join().unwrap();
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&at) && said.err.contains("has no keys"), "{}", said.err);
}

#[test]
fn mint_warns_of_an_unknown_share_but_prints_the_address() {
    let said = Machine::new().run(["token", "mint", "/films/x.mkv"]);
    assert_eq!(said.code, 0);
    assert_eq!(said.out.lines().count(), 1);
    assert!(said.err.contains("warning") && said.err.contains("`films`"), "{}", said.err);
}

#[test]
fn keys_rotate_and_older_tokens_still_verify() {
    let machine = Machine::new();
    let listed = machine.run(["keys", "list"]);
    assert_eq!((listed.code, listed.out.as_str()), (0, ""));
    assert!(listed.err.contains("no keys yet"), "{}", listed.err);
    assert!(!machine.path("data").exists(), "listing created files");

    let address = machine.ask(["token", "mint", "/books/x.pdf"]);
    let first: serde_json::Value = serde_json::from_str(&machine.ask(["keys", "list", "--json"])).unwrap();
    let second = machine.ask(["keys", "rotate", "--algorithm", "ES256"]);
    machine.ask(["token", "verify", address.trim()]);
    let newer = machine.ask(["token", "mint", "/books/x.pdf"]);
    machine.ask(["token", "verify", newer.trim()]);

    let listed: serde_json::Value = serde_json::from_str(&machine.ask(["keys", "list", "--json"])).unwrap();
    assert_eq!(listed[0]["kid"], second.trim());
    assert_eq!(listed[0]["algorithm"], "ES256");
    assert_eq!(listed[1]["kid"], first[0]["kid"]);
    assert!(listed[0]["retired_until"].is_null() && listed[1]["retired_until"].is_u64());
    let for_people = machine.ask(["keys", "list"]);
    assert!(for_people.contains("active") && for_people.contains("valid until 20"), "{for_people}");

    let jwks: serde_json::Value = serde_json::from_str(&machine.ask(["keys", "export", "--jwks"])).unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.get("d").is_none()), "a private key is exported");

    for entry in fs::read_dir(machine.path("data/keys")).unwrap() {
        let found = entry.unwrap().metadata().unwrap();
        assert_eq!(found.mode() & 0o777, 0o600);
    }
}

#[test]
fn revoke_asks_the_download_service_with_a_signed_command() {
    let (at, served) = serve(vec![answer("204 No Content", ""), answer("204 No Content", "")]);
    let machine = Machine::new().set("ONCELINK_DOWNLOAD__INNER_URL", &at);
    let jtis: Vec<String> = (0..65).map(|n: u8| URL_SAFE_NO_PAD.encode([n; 16])).collect();
    let out = machine.ask(["revoke".to_owned()].iter().chain(&jtis));
    assert_eq!(out.lines().count(), 65);

    let mut revoked = Vec::new();
    for head in served.join().unwrap() {
        assert!(head.starts_with("POST /revocations HTTP/1.1\r\n"), "{head}");
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&header).unwrap()["typ"], "cmd+jwt");
        let claims = claims_of(token);
        assert_eq!(claims["aud"], "http://127.0.0.1:8081", "its audience is the node's public address");
        revoked
            .extend(claims["revoke"].as_array().unwrap().iter().map(|jti| jti.as_str().unwrap().to_owned()));
    }
    let mut jtis = jtis;
    jtis.sort_unstable();
    revoked.sort_unstable();
    assert_eq!(revoked, jtis);
}

#[test]
fn a_jti_that_begins_with_a_hyphen_is_not_taken_for_an_option() {
    let (at, served) = serve(vec![answer("204 No Content", "")]);
    let machine = Machine::new();
    fs::write(machine.path("other.toml"), format!("[download]\ninner_url = '{at}'\n")).unwrap();
    let out =
        machine.ask(["revoke", "-AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA", "--config", "other.toml"]);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert_eq!(served.join().unwrap().len(), 1);
    let said = machine.run(["revoke", "AAAAAAAAAAAAAAAAAAAAAA", "--no-such-option"]);
    assert_eq!(said.code, 2, "{}", said.err);
}

#[test]
fn revoke_says_when_nothing_was_revoked() {
    let free = unused_address();
    let machine = Machine::new().set("ONCELINK_DOWNLOAD__INNER_URL", format!("http://{free}"));
    let said = machine.run(["revoke", "AAAAAAAAAAAAAAAAAAAAAA"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains(&free.to_string()) && said.err.contains("is it running"), "{}", said.err);

    for (status, remedy) in [
        ("403 Forbidden", "with the same settings"),
        ("503 Service Unavailable", "try again"),
        ("404 Not Found", "something else answers"),
        // A redirect could send the command to another server.
        ("307 Temporary Redirect", "check its log"),
    ] {
        let (at, served) = serve(vec![answer(status, "")]);
        let machine = Machine::new().set("ONCELINK_DOWNLOAD__INNER_URL", &at);
        let said = machine.run(["revoke", "AAAAAAAAAAAAAAAAAAAAAA"]);
        served.join().unwrap();
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{status}");
        assert!(said.err.contains(&status[..3]) && said.err.contains(remedy), "{status}: {}", said.err);
    }
}

/// The machine's accounts, as the web app opens them.
async fn desk(machine: &Machine) -> Services {
    let settings = Settings { data_dir: machine.path("data"), ..Settings::default() };
    Services::open(&settings, Clock::wall()).await.unwrap()
}

#[actix_web::test]
async fn the_audit_log_is_shown_and_tampering_with_it_is_found() {
    let machine = Machine::new();
    assert_eq!(machine.ask(words("audit verify")), "0:\nreceipts 0:\n");
    for name in ["ada", "bob"] {
        machine.ask(["user", "add", &format!("{name}@example.org")]);
    }
    let first = machine.ask(words("audit verify"));
    let (first, receipts) = first.split_once("\nreceipts ").unwrap();
    let (number, digest) = first.trim().split_once(':').unwrap();
    assert!(number == "2" && digest.len() == 43, "{first}");
    machine.ask(words("user disable bob@example.org"));
    machine.ask(words("user enable bob@example.org"));
    assert!(
        machine
            .ask(["audit", "verify", "--expect", first, "--expect-receipts", receipts.trim()])
            .starts_with("4:")
    );

    let shown = machine.ask(words("audit list"));
    let actions: Vec<&str> = shown.lines().map(|line| line.split('\t').nth(4).unwrap()).collect();
    assert_eq!(actions, ["enabled", "disabled", "account-made", "account-made"], "{shown}");
    assert!(shown.lines().all(|line| line.contains("\toperator\t")), "{shown}");
    assert_eq!(machine.ask(words("audit list ada")).lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&machine.ask(words("audit list --json ada"))).unwrap();
    assert_eq!((&line["number"], &line["subject"]), (&1.into(), &"ada@example.org".into()));

    let wrong = machine.run(["audit", "verify", "--expect", &format!("3:{digest}")]);
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{}", wrong.err);
    let desk = desk(&machine).await;
    for (statement, found) in [
        ("DELETE FROM audit WHERE number = 4", "line 4 is missing"),
        ("UPDATE audit SET subject = 'eve@example.org' WHERE number = 3", "line 3 was altered"),
    ] {
        sqlx::query(statement).execute(desk.db.writer()).await.unwrap();
        let said = machine.run(words("audit verify"));
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{statement}: {}", said.err);
        assert!(said.err.contains(found), "{statement}: {}", said.err);
    }
    desk.db.close().await;
}

#[test]
fn the_only_administrator_can_t_be_disabled_here_either() {
    let machine = Machine::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncelink"));
    let mut child = command
        .args(words("user add root@example.org --admin --password-stdin"))
        .current_dir(machine.folder.path())
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"seven quiet herons wait\n").unwrap();
    assert!(child.wait().unwrap().success());
    // Another administrator who has no password yet can't replace the only one who can log in.
    machine.ask(words("user add second@example.org --admin"));
    let said = machine.run(words("user disable root@example.org"));
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("only administrator"), "{}", said.err);
    machine.ask(words("user disable second@example.org"));
}

#[actix_web::test]
async fn disabling_revokes_download_links_at_once_or_says_that_they_wait() {
    let free = unused_address();
    let machine = Machine::new().set("ONCELINK_DOWNLOAD__INNER_URL", format!("http://{free}"));
    machine.ask(words("user add bob@example.org"));
    machine.ask(words("user add eve@example.org"));
    let desk = desk(&machine).await;
    let mut jtis = Vec::new();
    for name in ["bob", "eve"] {
        let email = format!("{name}@example.org").parse().unwrap();
        let account = desk.accounts.by_email(&email).await.unwrap().unwrap();
        let (jti, now) = (Jti::random().unwrap(), desk.clock.now());
        let (file, node) = ("/books/a.txt".parse().unwrap(), &desk.issuer.audience);
        let basis = TokenBasis { node, kid: "", link: None };
        let token = NewToken { account: &account.id, jti, file: &file, expires_at: now, basis };
        assert!(desk.issued.record(&token, now).await.unwrap());
        jtis.push(jti.to_string());
    }
    let said = machine.run(words("user disable bob@example.org"));
    assert_eq!(said.code, 0, "the account is disabled nevertheless: {}", said.err);
    assert!(said.err.contains("revoked when the web app reaches"), "{}", said.err);
    let waiting: String =
        sqlx::query_scalar("SELECT jti FROM revocations").fetch_one(desk.db.reader()).await.unwrap();
    assert_eq!(waiting, jtis[0]);

    let (at, served) = serve(vec![answer("204 No Content", "")]);
    // Plain HTTP must not need the system's certificates: a minimal container has none.
    let machine = machine.set("SSL_CERT_FILE", "/nonexistent").set("SSL_CERT_DIR", "/nonexistent");
    let machine = machine.set("ONCELINK_DOWNLOAD__INNER_URL", &at);
    let said = machine.run(words("user disable eve@example.org"));
    assert!(said.code == 0 && !said.err.contains("as soon as"), "{}", said.err);
    let asked = served.join().unwrap().remove(0);
    let token = asked.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap();
    let claims = claims_of(token);
    let mut revoked: Vec<&str> =
        claims["revoke"].as_array().unwrap().iter().map(|jti| jti.as_str().unwrap()).collect();
    revoked.sort_unstable();
    jtis.sort_unstable();
    assert_eq!(revoked, jtis, "the revocations that were waiting are sent too");
    let left: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM revocations").fetch_one(desk.db.reader()).await.unwrap();
    assert_eq!(left, 0);
    desk.db.close().await;
}

#[actix_web::test]
async fn check_finds_that_a_running_service_has_other_keys() {
    use oncelink::server::{self, Role};
    let folder = tempfile::tempdir().unwrap();
    let settings = crate::support::deliveries::settings(&folder);
    let other = server::start(settings, Role::Both, Clock::wall()).await.unwrap();
    // Older keys than the running service has, as after a move of the data directory.
    let machine = Machine::new();
    machine.ask(words("user add ann@example.org"));
    let ours: serde_json::Value = serde_json::from_str(&machine.ask(words("keys list --json"))).unwrap();
    let public_url = other.settings.web.public_url.clone();
    let machine = machine
        .set("ONCELINK_WEB__PUBLIC_URL", &public_url)
        .set("ONCELINK_WEB__LISTEN", other.web.unwrap().to_string())
        .set("ONCELINK_DOWNLOAD__PUBLIC_URL", &other.settings.download.public_url)
        .set("ONCELINK_DOWNLOAD__INNER_URL", &other.settings.download.public_url);
    let said = tokio::task::spawn_blocking(move || machine.check(&[])).await.unwrap();
    assert_eq!(said.code, 2, "{}", said.out);
    let lack = format!("don't include yours, {}", ours[0]["kid"].as_str().unwrap());
    assert!(said.out.contains(&lack), "{}", said.out);
    assert!(said.out.contains("refuses our commands"), "{}", said.out);
    other.stop().await;
}

#[test]
fn nodes_are_added_listed_rekeyed_and_removed() {
    let nodes = r#"[{ name = "eu", public_url = "https://eu.example", inner_url = "http://10.0.0.7:8081" }]"#;
    let machine = Machine::new().set("ONCELINK_NODE", nodes);
    let state = |machine: &Machine| -> String {
        let listed: serde_json::Value =
            serde_json::from_str(&machine.ask(words("nodes list --json"))).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
        assert_eq!((listed[0]["name"].as_str(), listed[0]["waiting"].as_i64()), (Some("eu"), Some(0)));
        listed[0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&machine), "no-key");
    let first = machine.ask(words("nodes add eu"));
    assert!(first.trim().len() >= 43 && first.lines().count() == 1, "only the key is printed");
    assert_eq!(state(&machine), "active");
    let again = machine.run(words("nodes add eu"));
    assert!(again.code == 1 && again.out.is_empty() && again.err.contains("nodes rekey eu"), "{}", again.err);
    assert_ne!(machine.ask(words("nodes rekey eu")), first);
    machine.ask(words("nodes remove eu"));
    assert_eq!(state(&machine), "removed");
    for (command, why) in [
        ("nodes remove eu", "no node `eu`"),
        ("nodes rekey eu", "has no key"),
        ("nodes add mars", "have no `[[node]]`"),
        ("nodes rekey mars", "have no `[[node]]`"),
    ] {
        let said = machine.run(words(command));
        assert!(said.code == 1 && said.err.contains(why), "{command}: {}", said.err);
    }
    machine.ask(words("nodes add eu"));
    assert_eq!(state(&machine), "active");
    let said = machine.ask(words("nodes list"));
    assert!(said.contains("eu\thttps://eu.example\tactive"), "{said}");
    let audit = machine.ask(words("audit list"));
    for action in ["node-added", "node-rekeyed", "node-removed"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    let database = fs::read(machine.path("data/web/oncelink.sqlite")).unwrap();
    let key = first.trim().as_bytes();
    assert!(!database.windows(key.len()).any(|found| found == key), "the key itself is stored nowhere");
}

#[test]
fn completions_need_no_settings() {
    let machine = Machine::new().set("ONCELINK_WEB__LISTEN", "nonsense");
    for shell in ["bash", "zsh", "fish"] {
        let script = machine.ask(["completions", shell]);
        assert!(script.contains("oncelink") && script.contains("revoke"), "{shell}");
    }
}

#[test]
fn the_completions_for_bash_are_bash() {
    if !crate::needs::has_program("bash") {
        return;
    }
    let machine = Machine::new();
    fs::write(machine.path("script"), machine.ask(["completions", "bash"])).unwrap();
    let checked =
        Command::new("bash").args(["-n", "script"]).current_dir(machine.folder.path()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_reader_that_stops_early_is_not_a_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncelink"));
    let mut child = command
        .args(["completions", "zsh"])
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn check_finds_nothing_wrong_on_a_new_machine() {
    let machine = Machine::new();
    let said = machine.check(&[]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.lines().all(|line| line.starts_with("ok ")), "{}", said.out);
    assert!(!machine.path("data").exists(), "inspecting created files");

    machine.ask(["token", "mint", "/books/x"]);
    let said = machine.check(&[]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("; no older key is valid"), "{}", said.out);
}

#[test]
fn check_tells_programs_the_same_as_people() {
    let machine = Machine::new().set("ONCELINK_SHARE", "[{ name = 'team', path = 'team' }]");
    let (shown, told) = (machine.check(&[]), machine.check(&["--json"]));
    assert_eq!((shown.code, told.code), (2, 2), "{}", told.err);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&told.out).unwrap();
    assert_eq!(findings.len(), shown.out.lines().count());
    let problem = findings.iter().find(|finding| finding["level"] == "problem").unwrap();
    assert_eq!(problem["subject"], "share `team`");
    for member in ["text", "remedy"] {
        assert!(shown.out.contains(problem[member].as_str().unwrap()), "{problem}");
    }
    assert!(findings.iter().any(|finding| finding["level"] == "ok" && finding["remedy"].is_null()));
}

/// The one line of `check` that is not "ok", and the exit code.
fn finding(machine: &Machine) -> (String, i32) {
    let said = machine.check(&[]);
    // `mail_operator` tests the line about mail.
    let mut wrong = said.out.lines().filter(|line| !line.starts_with("ok ") && !line.contains(" mail: "));
    let line = wrong.next().unwrap_or_default().to_owned();
    assert_eq!(wrong.next(), None, "{}", said.out);
    (line, said.code)
}

#[test]
fn check_says_what_is_wrong_and_how_to_fix_it() {
    // Only the folders of the default shares are created: any other may be a disk that isn't mounted.
    let machine = Machine::new();
    fs::remove_dir(machine.path("storage/books")).unwrap();
    assert_eq!(finding(&machine), (String::new(), 0));
    let machine = Machine::new().set("ONCELINK_SHARE", "[{ name = 'team', path = 'team' }]");
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.starts_with("problem  share `team`") && line.contains("create it"), "{line}");

    let machine = Machine::new();
    fs::create_dir(machine.path("data")).unwrap();
    fs::set_permissions(machine.path("data"), fs::Permissions::from_mode(0o755)).unwrap();
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.starts_with("problem  data_dir") && line.contains("chmod 700 data"), "{line}");

    let machine = Machine::new();
    fs::write(machine.path("data"), "").unwrap();
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.contains("is not a folder"), "{line}");

    let machine = Machine::new().set("ONCELINK_DATA_DIR", "storage/books/data");
    machine.ask(["token", "mint", "/books/x"]);
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.contains("contains the data directory"), "{line}");

    let machine = Machine::new();
    machine.ask(["token", "mint", "/books/x"]);
    let key = fs::read_dir(machine.path("data/keys")).unwrap().map(|entry| entry.unwrap().path());
    let key = key.into_iter().find(|path| path.extension().is_some_and(|end| end == "pem")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.starts_with("problem  keys") && line.contains("chmod go-rwx"), "{line}");

    let machine = Machine::new().set("ONCELINK_WEB__PUBLIC_URL", "http://files.example.org");
    let machine = machine.set("ONCELINK_DOWNLOAD__KEYS", "http://127.0.0.1:1/k");
    let machine = machine.set("ONCELINK_WEB__TRUSTED_PROXIES", "[\"127.0.0.1\"]");
    let (line, code) = finding(&machine);
    assert!(code == 1 && line.starts_with("warning  web.public_url") && line.contains("https"), "{line}");

    let machine = Machine::new().set("ONCELINK_DOWNLOAD__PUBLIC_URL", "https://get.example.org");
    let (line, code) = finding(&machine);
    assert!(code == 1 && line.starts_with("warning  download.trusted_proxies"), "{line}");

    let machine = Machine::new().set("ONCELINK_WEB__TRUSTED_PROXIES", "[\"0.0.0.0/0\"]");
    let (line, code) = finding(&machine);
    assert!(code == 1 && line.starts_with("warning  web.trusted_proxies"), "{line}");

    let machine = Machine::new().set("ONCELINK_DOWNLOAD__KEYS", "missing.json");
    let (line, code) = finding(&machine);
    assert!(code == 1 && line.contains("missing.json"), "{line}");

    let machine = Machine::new();
    fs::create_dir_all(machine.path("data/download")).unwrap();
    fs::set_permissions(machine.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(machine.path("data/download/receipts.sqlite"), "").unwrap();
    let (line, code) = finding(&machine);
    assert!(code == 1 && line.starts_with("warning  download.node_key"), "{line}");

    let machine = Machine::new().set("ONCELINK_DOWNLOAD__NODE_KEY", "key");
    fs::write(machine.path("key"), "0123456789012345678901234567890123456789012\n").unwrap();
    fs::set_permissions(machine.path("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.contains("chmod 600"), "{line}");

    let machine = Machine::new().set("ONCELINK_TOKEN__SHARED_SECRET", "[{kid=\"a\", file=\"short\"}]");
    fs::write(machine.path("short"), "0123456789\n").unwrap();
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.contains("at least 32 bytes"), "{line}");
}

#[actix_web::test]
async fn check_reads_the_store_and_its_clock() {
    let machine = Machine::new();
    let data = machine.path("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let dir = data.join("download/used-tokens");
    fs::create_dir_all(&dir).unwrap();
    let store = open_store(&dir, &Clock::wall());
    let said = machine.check(&[]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("the store is open in the running download service"), "{}", said.out);
    store.close().await;

    let said = machine.check(&[]);
    assert!(said.out.contains("the store opens"), "{}", said.out);

    let ahead = Timestamp::from_secs(Clock::wall().now().secs() + 100_000);
    let store = open_store(&dir, &Clock::manual(ahead));
    store.record_time(ahead).await.unwrap();
    store.close().await;
    let (line, code) = finding(&machine);
    assert!(code == 2 && line.starts_with("problem  clock") && line.contains("NTP"), "{line}");
}

#[test]
fn check_sees_a_clock_that_was_never_set() {
    if !crate::needs::has_program("faketime") {
        return;
    }
    let machine = Machine::new();
    crate::support::faketime::sweep();
    let output = Command::new("faketime")
        .args(["1999-12-31 12:00:00", env!("CARGO_BIN_EXE_oncelink"), "check"])
        .current_dir(machine.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("problem  clock: the system clock shows 1999-12-31"), "{said}");
}

fn open_store(dir: &Path, clock: &Clock) -> SledUsedTokens {
    SledUsedTokens::open(dir, clock, Some(Timestamp::EPOCH)).unwrap()
}
