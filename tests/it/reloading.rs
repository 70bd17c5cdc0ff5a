//! SIGHUP: what can be changed changes while requests are served, what can't is named, and settings that are wrong
//! change nothing. Through the real program.

use std::fs;

use rustix::process::Signal;

use crate::support::process::{Process, signal, wait_for};
use crate::support::web::{Browser, PASSWORD};
use crate::support::web_process::WebSite;

/// Changes the settings file, and waits until the program has answered `count` reloads so far.
fn reload(site: &WebSite, app: &Process, change: impl FnOnce(String) -> String, count: usize) {
    let path = site.dir.path().join("oncelink.toml");
    let before = fs::read_to_string(&path).unwrap();
    let after = change(before.clone());
    assert_ne!(after, before);
    fs::write(&path, after).unwrap();
    signal(app.id(), Signal::HUP);
    wait_for("the answer to a SIGHUP", || {
        site.log().matches("SIGHUP: reloaded; ").count()
            + site.log().matches("SIGHUP: the settings were not reloaded").count()
            >= count
    });
}

async fn log_in(site: &WebSite, email: &str) -> Browser {
    let mut browser = Browser::at(&format!("http://{}", site.address));
    assert_eq!(browser.log_in(email, PASSWORD).await.status, 303, "{}", site.log());
    browser
}

#[actix_web::test]
async fn shares_rights_limits_and_the_log_level_change_while_people_work() {
    let site = WebSite::new(None, "");
    let app = site.start();
    let mut ada = log_in(&site, "ada@example.org").await;
    fs::write(site.share.join("a.txt"), "a").unwrap();
    let more = site.dir.path().join("more");
    fs::create_dir(&more).unwrap();
    fs::write(more.join("b.txt"), "b").unwrap();
    assert_eq!(ada.get("/files/second").await.status, 404);
    let second = format!("\n[[share]]\nname = 'second'\npath = '{}'\nread = ['everyone']\n", more.display());
    let change = |text: String| {
        text.replace("level = 'info'", "level = 'debug'") + second.as_str() + "[links]\nmost_downloads = 3\n"
    };
    reload(&site, &app, change, 1);
    let log = site.log();
    assert!(log.contains("links.most_downloads, log.level, share"), "{log}");
    assert!(!log.contains("need a restart"), "{log}");
    assert!(ada.get("/files/second").await.body.contains("b.txt"));
    let form = ada.get("/links/new?file=/second/b.txt").await.body;
    assert!(form.contains("at most 3."), "{form}");
    wait_for("lines of the new level", || site.log().contains("DEBUG"));
    let folder = |name| [("folder", "/open"), ("name", name)];
    assert_eq!(ada.fill("/account", "/manage/make-folder", &folder("one")).await.status, 303);
    // The right to write is gone, and so is the share.
    reload(
        &site,
        &app,
        |text| text.replace(&second, "\n").replace("write = ['everyone']\nmanage", "read = ['everyone']\n#"),
        2,
    );
    assert_eq!(ada.get("/files/second").await.status, 404);
    assert!(ada.get("/files/open").await.body.contains("a.txt"));
    assert_eq!(ada.fill("/account", "/manage/make-folder", &folder("two")).await.status, 404);
    app.kill();
}

#[actix_web::test]
async fn what_needs_a_restart_is_named_and_keeps_its_value() {
    let site = WebSite::new(None, "");
    let app = site.start();
    let change = |text: String| text.replace("[log]", "signup = 'closed'\nform_max = '128KiB'\n[log]");
    reload(&site, &app, change, 1);
    let log = site.log();
    let line = log.lines().find(|line| line.contains("need a restart")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("web.form_max, web.signup"), "{line}");
    let mut browser = Browser::at(&format!("http://{}", site.address));
    assert_eq!(browser.get("/signup").await.status, 200, "anyone may still sign up");
    // It is still waiting at the next reload.
    reload(&site, &app, |text| text + "[links]\nmost_downloads = 3\n", 2);
    assert_eq!(site.log().matches("web.form_max, web.signup").count(), 2, "{}", site.log());
    app.kill();
}

#[actix_web::test]
async fn settings_that_are_wrong_change_nothing_and_the_log_says_why() {
    let site = WebSite::new(None, "");
    fs::write(site.share.join("a.txt"), "a").unwrap();
    let app = site.start();
    let mut ada = log_in(&site, "ada@example.org").await;
    let before = fs::read_to_string(site.dir.path().join("oncelink.toml")).unwrap();
    for (n, (wrong, why)) in [
        ("[links]\nmost_downloads = 3\nlongest = '1s'\n", "links.longest"),
        ("[links]\nmost_downloads = 3\nmost = 4\n", "links.most"),
        ("[links]\nmost_downloads = ", "line "),
        (
            "[links]\nmost_downloads = 3\n[mail]\nsend = 'smtp://127.0.0.1'\ncredentials = 'none'\n",
            "mail.credentials",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        reload(&site, &app, |_| format!("{before}{wrong}"), n + 1);
        let log = site.log();
        let line = log.lines().rfind(|line| line.contains("the settings were not reloaded"));
        assert!(line.is_some_and(|line| line.contains(why)), "{why}: {log}");
        let form = ada.get("/links/new?file=/open/a.txt").await.body;
        assert!(form.contains("Leave empty for unlimited."), "{wrong}: {form}");
    }
    reload(&site, &app, |_| format!("{before}[links]\nmost_downloads = 3\n"), 5);
    assert!(ada.get("/links/new?file=/open/a.txt").await.body.contains("at most 3."));
    app.kill();
}

#[actix_web::test]
async fn mail_leaves_in_the_new_way() {
    let site = WebSite::new(None, "");
    site.run(&["user", "add", "boss@example.org", "--admin", "--password-stdin"]);
    let app = site.start();
    let mut boss = log_in(&site, "boss@example.org").await;
    reload(&site, &app, |text| text + "[mail]\nfrom = 'New sender <new@example.org>'\n", 1);
    let sent = boss.fill("/admin/mail", "/admin/mail/test", &[("address", "kim@example.org")]).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let mut ada = Browser::at(&format!("http://{}", site.address));
    assert_eq!(ada.fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await.status, 303);
    let outbox = site.dir.path().join("data/outbox");
    let from_new = || {
        let letters = fs::read_dir(&outbox).into_iter().flatten().flatten();
        let texts = letters.filter_map(|letter| fs::read_to_string(letter.path()).ok());
        texts.filter(|text| text.contains("new@example.org")).count()
    };
    wait_for("the test mail and the one that was queued", || from_new() == 2);
    app.kill();
}

#[actix_web::test]
async fn trusted_proxies_change() {
    let site = WebSite::new(None, "receipt_address = 'full'");
    site.run(&["user", "add", "boss@example.org", "--admin", "--password-stdin"]);
    let app = site.start();
    let mut boss = log_in(&site, "boss@example.org").await;
    let through = vec![("x-forwarded-for", "203.0.113.77".to_owned())];
    reload(&site, &app, |text| text.replace("[log]", "trusted_proxies = ['127.0.0.0/8']\n[log]"), 1);
    let mut ada = Browser::at(&format!("http://{}", site.address));
    ada.headers = through;
    assert_eq!(ada.log_in("ada@example.org", PASSWORD).await.status, 303);
    let log = boss.get("/admin/audit?q=203.0.113.77").await.body;
    assert!(!log.contains("No entries."), "{log}");
    app.kill();
}

#[test]
fn other_signals_are_told_nothing() {
    let site = WebSite::new(None, "");
    let mut app = site.start();
    for harmless in [Signal::USR1, Signal::USR2, Signal::HUP] {
        signal(app.id(), harmless);
    }
    wait_for("the answer to a SIGHUP", || site.log().contains("SIGHUP: reloaded; "));
    assert!(app.ended().is_none() && !site.log().contains("USR"), "{}", site.log());
    app.kill();
}
