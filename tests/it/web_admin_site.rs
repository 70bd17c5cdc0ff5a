//! What administrators see of the site: its shares, the settings in force, and the signing keys, which they replace.

use std::fs;

use oncelink::config::{Settings, SettingsTable};
use oncelink::web::storage;

use crate::mail_operator::oncelink;
use crate::support::links::make;
use crate::support::tus::{Uploader, writable};
use crate::support::web::TestWeb;
use crate::support::web::{Browser, PASSWORD};
use crate::support::web_process::WebSite;
use crate::web_admin::administrator;

#[actix_web::test]
async fn the_shares_are_shown_with_rights_usage_quota_and_availability() {
    for web in TestWeb::on_each_database(|settings| {
        writable(settings);
        settings.shares[0].quota = 1_000_000;
        settings.shares[1].write = vec!["editors".to_owned()];
        settings.shares[1].manage = Vec::new();
        settings.shares[2].path = settings.shares[2].path.join("gone");
    })
    .await
    {
        let mut admin = administrator(&web, "root@example.org").await;
        web.account("ada@example.org", &[]).await;
        let ada = Uploader::of(web.logged_in("ada@example.org").await).await;
        storage::record_sizes(&web.outside.db, web.clock.now()).await.unwrap();
        ada.put("/open", "a.bin", &vec![1; 250_000]).await;
        web.pass(24 * 60 * 60);
        storage::record_sizes(&web.outside.db, web.clock.now()).await.unwrap();
        let mut admin = {
            admin.log_in("root@example.org", PASSWORD).await;
            admin
        };
        let page = admin.get("/admin/shares").await.body;
        for fact in [
            "250 kB in 1 file, 25 % of 1.0 MB",
            "Everyone who is logged in may read, add and change files",
            "<bdi dir=\"ltr\">editors</bdi> may read and add files",
            "<bdi dir=\"ltr\">staff</bdi> may read",
            "its folder cannot be opened",
        ] {
            assert!(page.contains(fact), "{fact}: {page}");
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_share_shows_how_much_it_has_grown_since_the_first_day_that_is_known() {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let ada = Uploader::of(web.logged_in("ada@example.org").await).await;
    ada.put("/open", "a.bin", &[1; 1_000]).await;
    let growth = async || {
        storage::record_sizes(&web.outside.db, web.clock.now()).await.unwrap();
        let folders = oncelink::files::ShareFolders::open(&web.settings.shares).unwrap();
        let shares = oncelink::web::shares::disk::WritableShares::new(folders);
        let rights = &web.outside.rights;
        let now = web.clock.now();
        let states =
            storage::shares(&web.outside.db, rights, &Default::default(), &shares, now).await.unwrap();
        states.into_iter().find(|share| share.name == "open").unwrap().growth
    };
    assert_eq!(growth().await, None, "nothing is known before today");
    ada.put("/open", "b.bin", &[1; 500]).await;
    web.pass(24 * 60 * 60);
    assert_eq!(growth().await, Some(500));
    web.pass(29 * 24 * 60 * 60);
    assert_eq!(growth().await, Some(500), "the first day is 30 days ago");
    web.pass(24 * 60 * 60);
    assert_eq!(growth().await, Some(0), "and then the second counts");
    web.stop().await;
}

#[actix_web::test]
async fn the_settings_in_force_are_shown_with_their_sources_and_without_passwords() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let file = web.settings.data_dir.join("oncelink.toml");
    fs::write(&file, "[web]\ndatabase = 'postgres://u:hunter2@db.example/x'\nform_max = '128KiB'\n").unwrap();
    let variable = ("ONCELINK_LINKS__MAILS".into(), "7".into());
    let (_, table): (Settings, SettingsTable) = Settings::load_with_table(Some(&file), [variable]).unwrap();
    web.app.show_settings(table);
    let page = admin.get("/admin/settings").await.body;
    let row = |key: &str| {
        let row = page.split("<li>").find(|row| row.contains(&format!("<strong>{key}</strong>")));
        row.unwrap_or_else(|| panic!("{key}: {page}")).to_owned()
    };
    assert!(row("web.database").contains("postgres://…@db.example/x") && !page.contains("hunter2"), "{page}");
    assert!(
        row("web.form_max").contains("128KiB") && row("web.form_max").contains("oncelink.toml"),
        "{page}"
    );
    assert!(row("links.mails").contains("<code>7</code>, from <bdi dir=\"ltr\">ONCELINK_LINKS__MAILS"));
    assert!(!row("web.trash_keep").contains("from"), "a default comes from nowhere");
    assert!(!row("download.keys").contains("from"), "neither does what follows from another key");
    web.stop().await;
}

#[actix_web::test]
async fn an_administrator_creates_a_signing_key_and_removes_the_old_one() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let mut admin = administrator(&web, "root@example.org").await;
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let made = make(&mut ada, &[("uses", "9")]).await;
        assert_eq!(web.browser().post(&made.public[0], &[]).await.status, 303);
        let kids = async || {
            let keys = web.browser().get("/.well-known/jwks.json").await.body;
            let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
            let keys = keys["keys"].as_array().unwrap().clone();
            keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let first = kids().await.remove(0);
        assert_eq!(admin.fill("/admin/keys", "/admin/keys/rotate", &[]).await.status, 303);
        let page = admin.get("/admin/keys").await.body;
        assert!(page.contains("New links are signed with the new key."), "{page}");
        web.pass(2);
        assert_eq!(kids().await.len(), 2, "what the old key signed stays valid");
        let removed = admin.fill("/admin/keys", "/admin/keys/remove", &[("kid", &first)]).await;
        assert_eq!(removed.status, 303, "{}", removed.body);
        web.pass(2);
        let left = kids().await;
        assert!(left.len() == 1 && !left.contains(&first), "{left:?}");
        assert!(!admin.get("/admin/keys").await.body.contains(&first));
        let revoked: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM issued_tokens WHERE revoke > 0")
            .fetch_one(web.outside.db.reader())
            .await
            .unwrap();
        assert_eq!(revoked, 1, "what it signed is revoked");
        let log = admin.get("/admin/audit?q=root%40example.org").await.body;
        assert!(log.contains("key rotated") || log.contains("key-rotated"), "{log}");
        assert!(log.contains("key removed") || log.contains("key-removed"), "{log}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn groups_are_chosen_from_those_that_shares_name() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let bob = web.account("bob@example.org", &["old"]).await;
    let page = format!("/admin/accounts/{}", bob.id.as_str());
    let form = admin.get(&page).await.body;
    assert!(form.contains("name=\"group\" type=\"checkbox\" value=\"staff\">"), "{form}");
    assert!(form.contains("name=\"groups\" type=\"text\"") && form.contains("value=\"old\""), "{form}");
    let rights = format!("{page}/rights");
    let chosen = [("group", "staff"), ("groups", "old new")];
    assert_eq!(admin.fill(&page, &rights, &chosen).await.status, 303);
    let form = admin.get(&page).await.body;
    assert!(form.contains("value=\"staff\" checked>") && form.contains("value=\"new old\""), "{form}");
    let mut browser = web.logged_in("bob@example.org").await;
    assert_eq!(browser.get("/files/staff").await.status, 200);
    assert_eq!(admin.fill(&page, &rights, &[("groups", "")]).await.status, 303);
    assert_eq!(browser.get("/files/staff").await.status, 404);
    web.stop().await;
}

#[actix_web::test]
async fn the_commands_show_shares_and_settings_for_people_and_programs() {
    let web = TestWeb::spawn().await;
    let (done, said) = oncelink(&web, &["shares", "--json"], "").await;
    assert!(done.status.success(), "{said}");
    let shares: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let names: Vec<&str> =
        shares.as_array().unwrap().iter().map(|share| share["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["books", "home"], "those of the settings of the command");
    assert_eq!(shares[0]["rights"][0], serde_json::json!({ "who": "everyone", "right": "read" }), "{said}");
    let (done, said) = oncelink(&web, &["settings", "--json"], "").await;
    assert!(done.status.success(), "{said}");
    let settings: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let line = settings.as_array().unwrap().iter().find(|line| line["key"] == "data_dir").unwrap();
    assert_eq!(line["source"], "ONCELINK_DATA_DIR");
    let (_, said) = oncelink(&web, &["settings"], "").await;
    assert!(said.contains("web.form_max = \"256KiB\"  # default"), "{said}");
    web.stop().await;
}

#[actix_web::test]
async fn the_program_shows_its_settings_on_the_page() {
    let site = WebSite::new(None, "");
    site.run(&["user", "add", "boss@example.org", "--admin", "--password-stdin"]);
    let app = site.start();
    let mut boss = Browser::at(&format!("http://{}", site.address));
    assert_eq!(boss.log_in("boss@example.org", PASSWORD).await.status, 303);
    let page = boss.get("/admin/settings").await.body;
    assert!(
        page.contains(&site.address.to_string()) && page.contains("from <bdi dir=\"ltr\">oncelink.toml"),
        "{page}"
    );
    app.kill();
}
