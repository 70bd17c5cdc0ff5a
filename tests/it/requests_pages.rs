//! The pages of file requests for the people who ask: making one, watching what arrives, changing it.

use std::fs;

use crate::support::requests::{Guest, ask, fields};
use crate::support::tus::writable;
use crate::support::web::{Browser, TestWeb};

/// On each database.
async fn stages() -> Vec<(TestWeb, Browser)> {
    let mut stages = Vec::new();
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        web.account("bob@example.org", &[]).await;
        let ada = web.logged_in("ada@example.org").await;
        stages.push((web, ada));
    }
    stages
}

#[actix_web::test]
async fn a_folder_leads_to_a_link_and_its_page_shows_what_arrives() {
    for (web, mut ada) in stages().await {
        fs::create_dir(web.share("open").join("50% & more")).unwrap();
        let folder = ada.get("/files/open/50%25%20%26%20more").await.body;
        let ask_at = "/requests/new?folder=/open/50%25%20%26%20more";
        assert!(folder.contains(&format!("href=\"{ask_at}\"")), "{folder}");
        let form = ada.get(ask_at).await;
        assert!(form.body.contains("<option value=\"/open/50%25%20%26%20more\" selected>"), "{}", form.body);
        assert!(form.body.contains("value=\"2 GiB\"") && form.body.contains("value=\"100\""));
        assert!(form.body.contains("value=\"2027-01-22T08:00\""), "a week from now");
        let asked =
            ask(&mut ada, &[("folder", "/open/50%25%20%26%20more"), ("note", "Please\nall of them")]).await;
        let page = ada.get(&asked.page).await.body;
        assert!(page.contains("Nothing has arrived yet") && page.contains("QR code"), "{page}");
        let live = format!("{}/live", asked.page);
        let before = ada.get(&live).await;
        let mut watching = ada.clone();
        watching.headers = vec![("if-none-match", before.header("etag").to_owned())];
        assert_eq!(watching.get(&live).await.status, 304);
        let guest = Guest::admitted(&web.base, &asked.public, &[("name", "Eve")]).await;
        let address = guest.begin("film.mkv", 10).await;
        guest.patch(&address, 0, b"01234").await;
        let now = watching.get(&live).await;
        assert_eq!(now.status, 200);
        assert!(now.body.contains("50 %") && now.body.contains("5 bytes of 10 bytes"), "{}", now.body);
        guest.patch(&address, 5, b"56789").await;
        let now = ada.get(&live).await.body;
        assert!(now.contains("film.mkv") && now.contains("from <bdi>Eve</bdi>"), "{now}");
        assert!(now.contains("1 file, 10 bytes") && !now.contains("On the way"), "{now}");
        let list = ada.get("/requests").await.body;
        assert!(list.contains("1 file received, 10 bytes") && list.contains(&asked.page), "{list}");
        assert_eq!(fs::read(web.share("open").join("50% & more/film.mkv")).unwrap(), b"0123456789");
        let picture = ada.get(&format!("{}/qr", asked.page)).await;
        assert_eq!((picture.status, picture.header("content-type")), (200, "image/svg+xml"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn nobody_else_sees_or_changes_a_request() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let mut bob = web.logged_in("bob@example.org").await;
        for path in ["", "/live", "/qr"] {
            assert_eq!(bob.get(&format!("{}{path}", asked.page)).await.status, 404, "{path}");
        }
        assert_eq!(bob.fill("/account", &format!("{}/stop", asked.page), &[]).await.status, 404);
        let fields = fields(&[("title", "Mine")]);
        let fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != "folder").collect();
        assert_eq!(bob.fill("/account", &asked.page, &fields).await.status, 404);
        assert!(!bob.get("/requests").await.body.contains("Photos"));
        assert!(ada.get(&asked.page).await.body.contains("open"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_request_needs_a_folder_to_which_its_owner_may_write() {
    for (web, mut ada) in stages().await {
        for folder in ["/staff", "/missing", "/open/missing", "/open/file.txt", "open", ""] {
            let answer = ada.fill("/account", "/requests", &fields(&[("folder", folder)])).await;
            assert_eq!(answer.status, 422, "{folder}");
            assert!(answer.body.contains("This folder no longer exists"), "{}", answer.body);
        }
        for folder in ["/staff", "/open/missing", "x"] {
            assert_eq!(ada.get(&format!("/requests/new?folder={folder}")).await.status, 404, "{folder}");
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn wrong_terms_are_shown_again_with_a_sentence_for_each() {
    for (web, mut ada) in stages().await {
        let wrong = [
            ("title", "two\nlines"),
            ("max_bytes", "much"),
            ("max_files", "0"),
            ("ends", "2020-01-01T00:00"),
            ("password", "short"),
            ("note", "Kept <b>note</b>"),
        ];
        let answer = ada.fill("/account", "/requests", &fields(&wrong)).await;
        assert_eq!(answer.status, 422);
        for sentence in [
            "on one line",
            "Enter a size like 500 MB or 2 GiB.",
            "Enter a whole number from 1 to 10,000.",
            "Choose a time in the future.",
            "Use at least 8 characters.",
        ] {
            assert!(answer.body.contains(sentence), "{sentence}: {}", answer.body);
        }
        assert!(answer.body.contains("Kept &#60;b&#62;note") || answer.body.contains("Kept &lt;b&gt;note"));
        assert!(!answer.body.contains("value=\"short\""), "a password isn't sent back");
        assert!(ada.get("/requests").await.body.contains("No file requests yet"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn limits_can_be_changed_while_files_arrive() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("max_files", "1")]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        guest.put("one.txt", b"1").await;
        assert_eq!(guest.try_put("two.txt", b"2").await.problem().0, "request-files");
        let changed = fields(&[("max_files", "2"), ("title", "")]);
        let changed: Vec<_> = changed.into_iter().filter(|(name, _)| *name != "folder").collect();
        assert_eq!(ada.fill(&asked.page, &asked.page, &changed).await.status, 303);
        guest.put("two.txt", b"2").await;
        let page = ada.get(&asked.page).await.body;
        assert!(page.contains("<bdi>Photos</bdi>"), "an empty title keeps the old one: {page}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_form_that_is_sent_twice_makes_one_request() {
    for (web, mut ada) in stages().await {
        let csrf = ada.get("/requests/new").await.csrf();
        let fields = [&fields(&[])[..], &[("csrf", csrf.as_str())]].concat();
        let first = ada.post("/requests", &fields).await;
        let second = ada.post("/requests", &fields).await;
        assert_eq!((first.status, first.location.clone()), (303, second.location));
        assert_eq!(ada.get("/requests").await.body.matches("<li>\n<span class=\"main\">").count(), 1);
        web.stop().await;
    }
}
