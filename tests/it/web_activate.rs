//! Action links: for the first administrator and for choosing a password, each once; and the commands that
//! create them while the app runs.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use hyper::Method;

use oncelink::clock::Timestamp;
use oncelink::web::tokens::issuer::ActionClaim;

use crate::support::web::{Browser, PASSWORD, TestWeb};

const FIELDS: [(&str, &str); 4] = [
    ("email", "root@example.org"),
    ("name", "The First"),
    ("password", PASSWORD),
    ("password_again", PASSWORD),
];

/// The path of the first administrator's link.
async fn first_link(web: &TestWeb) -> String {
    let link = web.app.first_admin_link().await.unwrap().unwrap();
    link.strip_prefix(&web.base).unwrap().to_owned()
}

#[actix_web::test]
async fn the_first_administrator_is_created_once_however_many_click_at_once() {
    let mut web = TestWeb::spawn().await;
    let twin = web.twin().await;
    let path = first_link(&web).await;
    let mut browser = web.browser();
    for _ in 0..3 {
        assert_eq!(browser.get(&path).await.status, 200);
        assert_eq!(browser.send(Method::HEAD, &path, None).await.status, 200, "opening it spends nothing");
    }
    let csrf = browser.get(&path).await.csrf();
    let clicks = (0..64).map(|n| {
        let (mut browser, path, csrf) = (browser.clone(), path.clone(), csrf.clone());
        // Half of them in another process, so that a lock in the first can't help.
        if n % 2 == 1 {
            browser.base.clone_from(&twin);
        }
        async move {
            let email = format!("root{n}@example.org");
            let mut fields = FIELDS.to_vec();
            fields[0].1 = &email;
            fields.push(("csrf", &csrf));
            let answer = browser.post(&path, &fields).await;
            (answer, browser)
        }
    });
    let answers = futures_util::future::join_all(clicks).await;
    let made: Vec<&(_, Browser)> = answers.iter().filter(|(answer, _)| answer.status == 303).collect();
    assert_eq!(made.len(), 1);
    for (answer, _) in answers.iter().filter(|(answer, _)| answer.status != 303) {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains("This is already done"), "{}", answer.body);
    }
    let accounts = web.outside.accounts.list().await.unwrap();
    assert_eq!(accounts.len(), 1);
    assert!(accounts[0].admin);
    assert_eq!(made[0].1.clone().get("/account").await.status, 200, "the new administrator is logged in");
    assert!(web.app.first_admin_link().await.unwrap().is_none(), "no further link");
    let again = browser.get(&path).await;
    assert!(again.status == 200 && again.body.contains("This is already done"));
    web.stop().await;
}

#[actix_web::test]
async fn a_form_with_mistakes_spends_nothing() {
    let web = TestWeb::spawn().await;
    web.account("taken@example.org", &[]).await;
    let path = first_link(&web).await;
    let mut browser = web.browser();
    for (n, value, sentence) in [
        (0, "no address", "Enter an email address like name@example.org."),
        (0, "Taken@example.org", "There is an account with this address already."),
        (1, "", "A name must be on one line and have 1 to 100 characters."),
        (2, "short", "A password must have at least 15 characters."),
        (3, "something else", "The two passwords differ."),
    ] {
        let mut fields = FIELDS;
        fields[n].1 = value;
        let answer = browser.fill(&path, &path, &fields).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains(sentence), "{sentence}: {}", answer.body);
        assert!(!answer.body.contains(PASSWORD), "a password is never sent back");
    }
    assert_eq!(browser.fill(&path, &path, &FIELDS).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn a_link_for_the_first_administrator_ends_with_its_first_use_or_after_a_day() {
    let web = TestWeb::spawn().await;
    let (one, other) = (first_link(&web).await, first_link(&web).await);
    let mut browser = web.browser();
    assert_eq!(browser.fill(&one, &one, &FIELDS).await.status, 303);
    assert!(browser.get(&other).await.body.contains("This is already done"));
    web.stop().await;

    let web = TestWeb::spawn().await;
    let path = first_link(&web).await;
    let mut browser = web.browser();
    web.pass(24 * 60 * 60 - 1);
    let csrf = browser.get(&path).await.csrf();
    web.pass(1 + web.settings.token.leeway.as_secs());
    assert_eq!(browser.get(&path).await.status, 410);
    let fields = [&FIELDS[..], &[("csrf", csrf.as_str())]].concat();
    assert_eq!(browser.post(&path, &fields).await.status, 410);
    assert!(!web.outside.accounts.has_administrator().await.unwrap());
    web.stop().await;
}

#[actix_web::test]
async fn a_forged_link_or_one_of_another_kind_is_refused() {
    let web = TestWeb::spawn().await;
    let path = first_link(&web).await;
    let mut browser = web.browser();
    let csrf = browser.get(&path).await.csrf();
    // The part of the address behind the code is a token, which opens the same page by itself.
    let claim = ActionClaim {
        subject: "nobody".to_owned(),
        purpose: "first-admin".to_owned(),
        state: "no-administrator".to_owned(),
        jti: oncelink::id::Jti::random().unwrap(),
        issued_at: web.clock.now(),
        expires_at: Timestamp::from_secs(web.clock.now().secs() + 600),
    };
    let token = web.outside.issuer.issue_action_claim(&claim, web.clock.now()).unwrap();
    let long = format!("/activate/{token}");
    assert_eq!(browser.get(&long).await.status, 200);
    let (head, signature) = long.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let download = ada.fill("/account", "/download", &[("file", "/open/file.txt")]).await.location.unwrap();
    let download = download.split("/d/").nth(1).unwrap().split('/').next().unwrap();
    for path in [
        format!("{head}.{flipped}{}", &signature[1..]),
        format!("{head}."),
        format!("{path}a"),
        format!("/activate/{}", "a".repeat(26)),
        format!("/activate/{download}"),
        "/activate/%00".to_owned(),
        format!("/activate/{}", "a".repeat(5_000)),
    ] {
        assert_eq!(browser.get(&path).await.status, 404, "{path}");
        let fields = [&FIELDS[..], &[("csrf", csrf.as_str())]].concat();
        assert_eq!(browser.post(&path, &fields).await.status, 404, "{path}");
    }
    let without = browser.post(&path, &FIELDS).await;
    assert_eq!(without.status, 403, "a link does nothing without its form");
    assert!(!web.outside.accounts.has_administrator().await.unwrap());
    web.stop().await;
}

/// Runs the real program on the app's data directory.
fn oncelink(web: &TestWeb, arguments: &[&str], input: &str) -> Output {
    let settings = web.settings.data_dir.with_file_name("oncelink.toml");
    let text = format!("data_dir = \"data\"\n[web]\npublic_url = \"{}\"\n", web.base);
    std::fs::write(&settings, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_oncelink"))
        .args(arguments)
        .arg("--config")
        .arg(&settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[actix_web::test]
async fn accounts_are_managed_while_the_app_runs() {
    let web = TestWeb::spawn().await;
    let added = oncelink(&web, &["user", "add", "Kim@example.org", "--group", "staff", "--admin"], "");
    assert!(added.status.success(), "{}", text(&added.stderr));
    let link = text(&added.stdout);
    let path = link.trim_end().strip_prefix(&web.base).unwrap_or_else(|| panic!("only the link: {link}"));
    assert!(web.app.first_admin_link().await.unwrap().is_none(), "there is an administrator now");

    assert_eq!(web.browser().log_in("kim@example.org", "").await.status, 403, "no password yet");
    let mut browser = web.browser();
    assert!(browser.get(path).await.body.contains("Kim@example.org"));
    let fields = [("name", "Kim"), ("password", PASSWORD), ("password_again", PASSWORD)];
    assert_eq!(browser.fill(path, path, &fields).await.status, 303);
    assert_eq!(browser.get("/files/staff").await.status, 200);
    assert!(browser.get(path).await.body.contains("This is already done"));

    let again = oncelink(&web, &["user", "add", "kim@EXAMPLE.org"], "");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("already has an account"));

    let listed = oncelink(&web, &["user", "list", "--json"], "");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["email"], "Kim@example.org");
    assert_eq!((&listed[0]["admin"], &listed[0]["groups"][0]), (&true.into(), &"staff".into()));
    assert!(listed[0].get("password").is_none());

    let last = oncelink(&web, &["user", "disable", "KIM@example.org"], "");
    assert_eq!(last.status.code(), Some(1));
    assert!(text(&last.stderr).contains("only administrator"), "{}", text(&last.stderr));
    let second = ["user", "add", "root@example.org", "--admin", "--password-stdin"];
    assert!(oncelink(&web, &second, "a long password of root\n").status.success());
    assert!(oncelink(&web, &["user", "disable", "KIM@example.org"], "").status.success());
    web.pass(1);
    assert_eq!(browser.get("/account").await.status, 303, "logged out at once");
    assert!(oncelink(&web, &["user", "enable", "kim@example.org"], "").status.success());
    assert_eq!(browser.log_in("kim@example.org", PASSWORD).await.status, 303);

    // A link stops working when the password changes in another way.
    let link = text(&oncelink(&web, &["user", "passwd", "kim@example.org"], "").stdout);
    let path = link.trim_end().strip_prefix(&web.base).unwrap();
    assert_eq!(browser.get(path).await.status, 200);
    let set = oncelink(
        &web,
        &["user", "passwd", "kim@example.org", "--password-stdin"],
        "one more long password\nignored\n",
    );
    assert!(set.status.success(), "{}", text(&set.stderr));
    assert!(set.stdout.is_empty());
    web.pass(1);
    assert_eq!(browser.get("/account").await.status, 303, "logged out everywhere");
    assert_eq!(browser.get(path).await.status, 410);
    assert_eq!(browser.log_in("kim@example.org", "one more long password").await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn mistakes_on_the_command_line_are_named() {
    let web = TestWeb::spawn().await;
    for (arguments, input, code, said) in [
        (&["user", "add", "nonsense"][..], "", 2, "enter an email address like"),
        (&["user", "add", "a@b.org", "--group", "everyone"], "", 2, "--group"),
        (&["user", "add", "a@b.org", "--name", ""], "", 2, "--name"),
        (&["user", "add", "a@b.org", "--password-stdin"], "short\n", 2, "at least 15 characters"),
        (&["user", "disable", "nobody@example.org"], "", 1, "has no account"),
        (&["user", "passwd", "nobody@example.org"], "", 1, "has no account"),
    ] {
        let output = oncelink(&web, arguments, input);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
    assert!(web.outside.accounts.list().await.unwrap().is_empty());
    web.stop().await;
}
