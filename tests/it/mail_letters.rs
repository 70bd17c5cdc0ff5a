//! The content of mails, as other programs read it: each kind is well formed, says the same in both of its
//! parts, and says what its recipient needs to know.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::needs;
use crate::support::letters::{LOOKS_ENCODED, Letters, OWNER, every_letter, name_of};
use crate::support::links::make;
use crate::support::mail::Mail;
use crate::support::scripted_smtp::{At, Does, ScriptedSmtp};
use crate::support::web::TestWeb;

/// A mail as `read_letters.py` reads it.
#[derive(Debug, Deserialize)]
struct Read {
    file: PathBuf,
    from: Vec<(String, String)>,
    reply_to: Vec<String>,
    headers: BTreeMap<String, String>,
    text: String,
    html_text: String,
    addresses: Vec<String>,
    problems: Vec<String>,
}

impl Read {
    /// The text without line breaks and without the spaces that align columns.
    fn prose(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Reads mails with Python; `None` where there is no Python, which is printed.
fn read(letters: &Letters) -> Option<BTreeMap<String, Read>> {
    if !needs::has_program("python3") {
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/read_letters.py");
    let output = Command::new("python3").arg(script).args(&letters.files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Vec<Read> = serde_json::from_slice(&output.stdout).unwrap();
    Some(read.into_iter().map(|letter| (name_of(&letter.file), letter)).collect())
}

#[actix_web::test]
async fn each_kind_is_well_formed_and_says_the_same_in_both_parts() {
    let letters = Box::pin(every_letter()).await;
    if let Some(folder) = needs::variable("ONCELINK_TEST_LETTERS") {
        std::fs::create_dir_all(&folder).unwrap();
        for file in &letters.files {
            std::fs::copy(file, Path::new(&folder).join(file.file_name().unwrap())).unwrap();
        }
    }
    let Some(read) = read(&letters) else { return };
    assert_eq!(read.len(), letters.names().len());
    for (name, letter) in &read {
        assert!(letter.problems.is_empty(), "{name}: {:#?}", letter.problems);
        assert_eq!(letter.from.len(), 1, "{name}");
        assert_eq!(letter.from[0].1, "noreply@files.example", "{name}");
        assert_eq!(letter.header("Auto-Submitted"), "auto-generated", "{name}");
        assert_eq!(letter.header("X-Auto-Response-Suppress"), "All", "{name}");
        let is_link = name.starts_with("link") && name != "link-code";
        let (sender, replies) = match is_link {
            true => (format!("{OWNER} via Oncelink"), vec!["ann@example.org".to_owned()]),
            false => ("Oncelink".to_owned(), Vec::new()),
        };
        assert_eq!((&letter.from[0].0, &letter.reply_to), (&sender, &replies), "{name}");
        let is_about_a_link = is_link || ["link-code", "taken", "received"].contains(&name.as_str());
        assert_eq!(letter.headers.contains_key("References"), is_about_a_link, "{name}");
        assert_eq!(letter.headers.get("References"), letter.headers.get("In-Reply-To"), "{name}");
        // Times, sizes, codes and numbers are in both parts.
        let own = letter.text.lines().filter(|line| !line.starts_with('>'));
        let figures =
            own.flat_map(str::split_whitespace).filter(|word| word.contains(|c: char| c.is_ascii_digit()));
        for word in figures {
            let is_address = word.contains("://");
            assert!(is_address || letter.html_text.contains(word), "{name}: {word}: {}", letter.html_text);
        }
    }
    assert_eq!(
        read["link-from-right-to-left"].header("Subject"),
        format!("{OWNER} sent you files: \u{2068}דוח שנתי 2026\u{2069}")
    );
    let looks = &read["link-that-looks-encoded"];
    assert!(looks.header("Subject").ends_with(&format!(": {LOOKS_ENCODED}")), "{looks:?}");
    assert_eq!(read["invite"].header("To"), "invited@xn--bcher-kva.example");
}

#[actix_web::test]
async fn a_letter_says_who_asked_how_much_it_is_when_it_expires_and_who_helps() {
    let letters = Box::pin(every_letter()).await;
    let Some(read) = read(&letters) else { return };
    let says = |name: &str, words: &[&str]| {
        let letter = &read[name];
        for word in words {
            assert!(letter.prose().contains(word), "{name} lacks {word:?}: {}", letter.text);
            assert!(letter.html_text.contains(word), "{name} lacks {word:?}: {}", letter.html_text);
        }
    };
    let asked = ["When: 15 Jan 2027, 08:00 UTC", "Browser: Firefox on Windows", "Network: 127.0.0.0/24"];
    for name in ["already-registered", "reset", "address-changed"] {
        says(name, &asked);
    }
    says("password-changed", &["Browser: Unknown browser on Android", "Network: 127.0.0.0/24"]);
    says("webhook-disabled", &["127.0.0.1", "It was turned off"]);
    let all = format!("{read:?}");
    assert!(!all.contains("555 0100") && !all.contains("evil.example"), "nothing that a stranger wrote");
    says("reset-by-administrator", &["שרה לוי", "an administrator of"]);
    assert!(!read["reset-by-administrator"].text.contains("Browser:"));
    says(
        "link",
        &[
            "sent you files",
            "Plans for the new house",
            "1 file, 12 bytes:",
            "file.txt (12 bytes)",
            "You can download it once. The link expires in 7 days, on Friday 22 January, 08:00 UTC.",
            &format!("Reply to this email to ask {OWNER} for a new link."),
        ],
    );
    says(
        "link-to-several",
        &["5 files, 3.5 MB:", "photos (folder, 3 files, 1.2 MB)", "(2.3 MB)", "each file once"],
    );
    for name in ["link-with-password", "link-with-code"] {
        assert!(!read[name].text.contains("file.txt") && !read[name].html_text.contains("bytes"), "{name}");
    }
    for (name, words) in [
        ("activate", "Sign up again, and you'll get a new link."),
        ("invite", "Ask \u{2068}שרה לוי\u{2069} for a new invitation."),
        ("confirm-address", "To get a new one, enter the address on your account page again."),
        ("link-code", "To get a new one, ask for it on that page."),
        ("link-code", "The code expires in 15 minutes, at 08:15 UTC."),
    ] {
        says(name, &[words]);
    }
    let own = read.values().flat_map(|letter| &letter.addresses);
    assert!(own.clone().count() > 12);
    assert!(own.clone().all(|address| address.len() <= 100 && !address.contains(['=', '%', '?'])));
}

#[actix_web::test]
async fn the_expiry_in_a_delayed_letter_counts_from_when_it_was_sent() {
    let smtp =
        ScriptedSmtp::start(|at, _| (at == At::Rcpt).then(|| Does::says("451 4.7.1 greylisted"))).await;
    let address = format!("smtp://127.0.0.1:{}", smtp.port);
    let web = TestWeb::spawn_with(|settings| settings.mail.send = address.into()).await;
    web.account("ada@example.org", &["readers"]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let made =
        make(&mut ada, &[("recipients", "bob@example.org"), ("mailed_code", "yes"), ("uses", "5")]).await;
    let public = made.public[0].as_str();
    let mut bob = web.browser();
    assert_eq!(bob.fill(public, &format!("{public}/code"), &[]).await.status, 303);
    assert_eq!(bob.fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await.status, 303);
    web.app.send_due_mails().await.unwrap();
    // Longer than a code is valid.
    web.pass(20 * 60);
    smtp.follow(|_, _| None);
    web.app.send_due_mails().await.unwrap();
    let mails: Vec<Mail> = smtp.seen().mails.iter().map(|raw| Mail::parse(raw)).collect();
    let [code, reset] = ["bob@example.org", "ada@example.org"]
        .map(|to| mails.iter().find(|mail| mail.header("to") == to).unwrap_or_else(|| panic!("{mails:?}")));
    assert!(code.prose().contains("The code expires in 15 minutes, at 08:35 UTC."), "{}", code.text);
    assert!(
        reset.prose().contains("It works once and expires in 30 minutes, at 08:50 UTC."),
        "{}",
        reset.text
    );
    let digits = code.header("subject").split(' ').next().unwrap().to_owned();
    web.pass(14 * 60);
    let pressed = bob.fill(public, public, &[("code", &digits)]).await;
    assert_eq!(pressed.status, 303, "the code is valid as long as its mail says: {}", pressed.body);
    web.pass(15 * 60);
    assert_eq!(web.browser().get(&reset.path()).await.status, 200, "and so does the link");
    web.stop().await;
}

#[actix_web::test]
async fn spam_filters_accept_every_letter() {
    if !needs::has_program("spamassassin") || !needs::has_program("python3") {
        return;
    }
    let letters = Box::pin(every_letter()).await;
    let mut mbox = Vec::new();
    for file in &letters.files {
        // As an outside server received it, a moment later.
        let mail = Mail::parse(&std::fs::read_to_string(file).unwrap());
        let date = mail.header("date").replace(" +0000", "");
        write!(
            mbox,
            "From {name}@files.example Fri Jan 15 08:00:00 2027\nReturn-Path: <noreply@files.example>\n\
             Received: from mail.files.example (mail.files.example [93.184.216.34]) by mx.example.org (Postfix) \
             with ESMTPS id 4AB; {date} +0000 (UTC)\n",
            name = name_of(file)
        )
        .unwrap();
        mbox.extend(
            std::fs::read_to_string(file)
                .unwrap()
                .replace("\r\n", "\n")
                .replace("\nFrom ", "\n>From ")
                .bytes(),
        );
        mbox.extend(b"\n");
    }
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new("spamassassin")
        .args(["--local", "--test-mode", "--mbox"])
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(&mbox).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    let verdicts: Vec<&str> = output.split("X-Spam-Status: ").skip(1).collect();
    assert_eq!(verdicts.len(), letters.files.len(), "{output}");
    for verdict in verdicts {
        let (status, rest) = verdict.split_once("autolearn").unwrap();
        let subject = rest.split("\nSubject: ").nth(1).unwrap_or_default().lines().next().unwrap_or_default();
        let status = status.split_whitespace().collect::<Vec<_>>().join(" ");
        let score = status.split("score=").nth(1).unwrap().split(' ').next().unwrap();
        assert!(score.parse::<f64>().unwrap() <= 0.0, "{subject}: {status}");
    }
}

#[actix_web::test]
async fn a_mail_reader_in_a_terminal_shows_the_whole_address_and_the_meaning() {
    if !needs::has_program("w3m") || !needs::has_program("python3") {
        return;
    }
    let letters = Box::pin(every_letter()).await;
    let Some(read) = read(&letters) else { return };
    let home = tempfile::tempdir().unwrap();
    for (name, letter) in &read {
        let page = home.path().join("page.html");
        std::fs::write(&page, Mail::parse(&std::fs::read_to_string(&letter.file).unwrap()).html).unwrap();
        let w3m = output(
            Command::new("w3m").args(["-dump", "-cols", "110", "-T", "text/html"]).arg(&page),
            home.path(),
        );
        for address in &letter.addresses {
            // Besides the button, which w3m shows as a link, a sentence has a link for logging in.
            let is_in_a_sentence = (name == "already-registered" && address.contains("/reset/"))
                || address.contains("/unsubscribe/");
            assert!(is_in_a_sentence || w3m.contains(address), "{name}: {w3m}");
        }
        let first = letter.prose().split('.').next().unwrap_or_default().to_owned();
        let shown = w3m.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = first.split(' ').filter(|word| word.len() < 60 && *word != ">");
        assert!(words.clone().all(|word| shown.contains(word)), "{name}, {first}: {w3m}");
    }
}

fn output(command: &mut Command, home: &Path) -> String {
    let output = command.env("HOME", home).env("LANG", "C.UTF-8").env("TERM", "xterm").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
