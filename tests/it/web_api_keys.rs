//! API keys: making, listing and revoking them, on the page and with commands, and when they end.

use crate::support::process::PROGRAM;
use crate::support::web::{Answer, Browser, PASSWORD, TestWeb};

const TERMS: [(&str, &str); 5] = [
    ("name", "Build server"),
    ("days", "30"),
    ("shares", ""),
    ("networks", ""),
    ("current_password", PASSWORD),
];

/// Makes a key with these fields besides the usual ones.
async fn make(browser: &mut Browser, more: &[(&str, &str)]) -> Answer {
    let kept = TERMS.iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    let fields: Vec<(&str, &str)> = kept.chain(more).copied().collect();
    browser.fill("/account/keys", "/account/keys", &fields).await
}

/// The key that a page shows.
fn shown(page: &str) -> String {
    let (_, rest) = page.split_once("olk_").unwrap_or_else(|| panic!("no key: {page}"));
    format!("olk_{}", rest.split('<').next().unwrap())
}

async fn status(web: &TestWeb, key: &str) -> u16 {
    let mut program = web.browser();
    program.headers.push(("authorization", format!("Bearer {key}")));
    program.get("/api/v1/account").await.status
}

#[actix_web::test]
async fn a_key_is_shown_once_listed_by_its_beginning_and_ends_at_once() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[("links", "yes"), ("files_read", "yes")]).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let key = shown(&made.body);
    assert_eq!(key.len(), 53);
    assert_eq!(status(&web, &key).await, 200);
    web.app.upkeep().flush_key_uses().await;
    let list = ada.get("/account/keys").await.body;
    assert!(!list.contains(&key) && list.contains(&format!("<code>{}</code>", &key[..8])), "{list}");
    for words in
        ["Build server", "Make and manage your links", "See shares", "from <bdi dir=\"ltr\">127.0.0.1"]
    {
        assert!(list.contains(words), "{words}: {list}");
    }
    let row = list.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    // Somebody else's key is not there for anyone.
    web.account("bob@example.org", &[]).await;
    let mut bob = web.logged_in("bob@example.org").await;
    assert_eq!(bob.fill("/account/keys", "/account/keys/revoke", &[("id", &row)]).await.status, 404);
    assert_eq!(status(&web, &key).await, 200);
    assert_eq!(ada.fill("/account/keys", "/account/keys/revoke", &[("id", &row)]).await.status, 303);
    assert_eq!(status(&web, &key).await, 401);
    assert!(ada.get("/account/keys").await.body.contains("revoked"));
    let (lines, _) = oncelink::web::audit::list(&web.outside.db, "api-key", 0, 10).await.unwrap();
    let words: Vec<&str> = lines.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(words, ["api-key-revoked", "api-key-made"]);
    assert!(lines.iter().all(|line| line.subject.contains("Build server") && !line.subject.contains(&key)));
    web.stop().await;
}

#[actix_web::test]
async fn a_form_sent_twice_makes_one_key_and_shows_it_once() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let csrf = ada.get("/account/keys").await.csrf();
    let mut fields = TERMS.to_vec();
    fields.extend([("links", "yes"), ("csrf", &csrf)]);
    assert_eq!(ada.post("/account/keys", &fields).await.status, 200);
    assert_eq!(ada.post("/account/keys", &fields).await.status, 303);
    let list = ada.get("/account/keys").await.body;
    assert_eq!(list.matches("Revoke this key").count(), 1);
    assert!(list.contains("can’t be shown again"), "{list}");
    web.stop().await;
}

#[actix_web::test]
async fn a_key_needs_the_password_a_purpose_and_valid_limits() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    for (more, words) in [
        (vec![], "at least one thing"),
        (vec![("admin", "yes")], "Only administrators"),
        (vec![("links", "yes"), ("name", "")], "Enter a name"),
        (vec![("links", "yes"), ("days", "x")], "whole number of days"),
        (vec![("links", "yes"), ("shares", "nowhere")], "no share “nowhere”"),
        // A share that others may read is as unknown as one that doesn't exist.
        (vec![("links", "yes"), ("shares", "staff")], "no share “staff”"),
        (vec![("links", "yes"), ("networks", "10.0.0.1/8")], "bits after its prefix"),
        (vec![("links", "yes"), ("current_password", "wrong password")], "not your current password"),
    ] {
        let answer = make(&mut ada, &more).await;
        assert_eq!(answer.status, 422, "{more:?}");
        assert!(answer.body.contains(words), "{words}: {}", answer.body);
        assert!(!answer.body.contains("olk_"));
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_key_ends_by_itself_with_a_reset_password_and_with_its_account() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let account = web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let short = shown(&make(&mut ada, &[("links", "yes"), ("days", "7")]).await.body);
        let long = shown(&make(&mut ada, &[("links", "yes"), ("days", "")]).await.body);
        web.pass(7 * 24 * 3600 - 1);
        assert_eq!((status(&web, &short).await, status(&web, &long).await), (200, 200));
        web.pass(1);
        assert_eq!((status(&web, &short).await, status(&web, &long).await), (401, 200));

        // Changing the password by who knows it leaves keys as they are.
        let mut ada = web.logged_in("ada@example.org").await;
        let new = "another long password";
        let fields = [("current_password", PASSWORD), ("password", new), ("password_again", new)];
        assert_eq!(ada.fill("/account", "/account/password", &fields).await.status, 303);
        assert_eq!(status(&web, &long).await, 200);
        let now = web.clock.now();
        let seen = web.outside.accounts.by_id(&account.id).await.unwrap().unwrap();
        let old = account.password.clone().unwrap();
        assert!(web.outside.accounts.set_password(&seen, &old, now).await.unwrap());
        web.pass(1);
        assert_eq!(status(&web, &long).await, 401, "an operator has set the password");

        let mut ada = web.logged_in("ada@example.org").await;
        let key = shown(&make(&mut ada, &[("links", "yes")]).await.body);
        assert_eq!(status(&web, &key).await, 200);
        let seen = web.outside.accounts.by_id(&account.id).await.unwrap().unwrap();
        let operator = oncelink::web::audit::Actor::operator();
        for disabled in [true, false] {
            let admin = &web.outside.account_admin;
            admin.set_disabled(&seen, disabled, &operator, web.clock.now()).await.unwrap();
            web.pass(1);
            assert_eq!(status(&web, &key).await, 401, "{disabled}");
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn another_process_knows_of_a_revoked_key_within_a_second() {
    let mut web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let key = shown(&make(&mut ada, &[("links", "yes")]).await.body);
    let twin = web.twin().await;
    let mut there = Browser::at(&twin);
    there.headers.push(("authorization", format!("Bearer {key}")));
    assert_eq!(there.get("/api/v1/account").await.status, 200);
    let row = ada.get("/account/keys").await.body;
    let row = row.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    ada.fill("/account/keys", "/account/keys/revoke", &[("id", &row)]).await;
    web.pass(1);
    assert_eq!(there.get("/api/v1/account").await.status, 401);
    web.stop().await;
}

#[actix_web::test]
async fn commands_make_list_and_revoke_keys_while_the_app_runs() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oncelink.toml");
    let share = web.share("open").display().to_string();
    let text = format!(
        "data_dir = {:?}\n[[share]]\nname = \"open\"\npath = {share:?}\n",
        web.settings.data_dir.display().to_string()
    );
    std::fs::write(&file, text).unwrap();
    let run = |words: &[&str]| {
        let output = std::process::Command::new(PROGRAM)
            .args(["--config", file.to_str().unwrap(), "api-keys"])
            .args(words)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let add = ["add", "ada@example.org", "--name", "Build", "--scope", "links", "--days", "30"];
    let (code, key, remark) = run(&add);
    assert_eq!(code, Some(0), "{remark}");
    assert_eq!(status(&web, key.trim()).await, 200);
    let (_, listed, _) = run(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["account"], "ada@example.org");
    assert_eq!(listed[0]["scopes"], serde_json::json!(["links"]));
    assert_eq!(listed[0]["state"], "active");
    assert!(!listed.to_string().contains(key.trim()));
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert!(run(&["list", "ada@example.org"]).1.contains(&id));
    let (code, revoked, remark) = run(&["revoke", "--json", &id]);
    let wanted = format!("[{{\"id\":\"{id}\",\"revoked\":true}}]");
    assert_eq!((code, revoked.trim()), (Some(0), wanted.as_str()), "{remark}");
    web.pass(1);
    assert_eq!(status(&web, key.trim()).await, 401);
    for (words, about) in [
        (vec!["revoke", "nothing"], "no API key nothing"),
        (vec!["add", "bob@example.org", "--name", "x", "--scope", "links"], "has no account"),
        (vec!["add", "ada@example.org", "--name", "x", "--scope", "admin"], "--scope: Only administrators"),
        (vec!["add", "ada@example.org", "--name", "x", "--scope", "all"], "use one of files:read"),
    ] {
        let (code, _, error) = run(&words);
        assert!(code != Some(0) && error.contains(about), "{words:?}: {error}");
    }
    web.stop().await;
}
