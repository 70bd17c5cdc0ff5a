//! The public page of a link: hidden files, what a chat shows of it, large folders, and what
//! is missing.

use std::fs;

use serde_json::Value;

use crate::support::links::{fields, make};
use crate::support::tus::writable;
use crate::support::web::{Browser, TestWeb};

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

async fn facts(web: &TestWeb, public: &str) -> Value {
    let mut program = web.browser();
    program.headers = vec![("accept", "application/json".to_owned())];
    serde_json::from_str(&program.get(public).await.body).unwrap()
}

#[actix_web::test]
async fn hidden_files_are_shared_where_the_sender_says_so_and_no_longer_when_they_change_their_mind() {
    let (web, mut ada) = ada().await;
    let folder = web.share("open").join("project");
    fs::create_dir_all(folder.join(".git")).unwrap();
    for (name, size) in [("a.txt", 1), (".env", 20), (".git/config", 300)] {
        fs::write(folder.join(name), "x".repeat(size)).unwrap();
    }
    let new = ada.get("/links/new?file=%2Fopen%2Fproject").await.body;
    assert!(new.contains("name=\"hidden_files\" type=\"checkbox\" value=\"yes\""), "not ticked: {new}");
    let single = ada.get("/links/new?file=%2Fopen%2Ffile.txt").await.body;
    assert!(!single.contains("hidden_files"), "a file has none");
    let terms = [
        ("files", "/open/project"),
        ("uses", ""),
        ("hidden_files", "yes"),
        ("recipients", "bob@example.org"),
        ("mail", "yes"),
    ];
    let made = make(&mut ada, &terms).await;
    let public = made.public[0].as_str();
    let page = web.browser().get(public).await.body;
    assert!(page.contains("<bdi>.env</bdi>") && page.contains("<bdi>.git/config</bdi>"), "{page}");
    assert_eq!(facts(&web, public).await["total"], 3);
    let mail = web.mails().await.remove(0);
    assert!(mail.text.contains("3 files, 321 bytes"), "{}", mail.text);
    assert_eq!(web.browser().post(public, &[("file", "0/.env")]).await.status, 303);
    for wrong in ["0/../file.txt", "0/%2e%2e/file.txt", "0/./a.txt"] {
        assert_eq!(web.browser().post(public, &[("file", wrong)]).await.status, 404, "{wrong}");
    }
    // The tick is kept by the form, and without it they are gone, with what was issued for them.
    assert!(
        ada.get(&made.page)
            .await
            .body
            .contains("name=\"hidden_files\" type=\"checkbox\" value=\"yes\" checked")
    );
    let revoked = "SELECT COUNT(*) FROM issued_tokens WHERE revoke = 1";
    let mut change = fields(&[("title", "T"), ("uses", "")]);
    change.retain(|(name, _)| !matches!(*name, "files" | "recipients"));
    assert_eq!(ada.fill(&made.page, &made.page, &change).await.status, 303);
    let count: i64 = sqlx::query_scalar(revoked).fetch_one(web.outside.db.reader()).await.unwrap();
    assert_eq!(count, 1);
    assert_eq!(facts(&web, public).await["total"], 1);
    assert_eq!(web.browser().post(public, &[("file", "0/.env")]).await.status, 404);
    web.stop().await;
}

/// The contents of the page's Open Graph tags, by property.
fn card(page: &str) -> Vec<(String, String)> {
    let tags = page.split("<meta property=\"og:").skip(1).map(|rest| {
        let (property, rest) = rest.split_once('"').unwrap();
        let content = rest.split_once("content=\"").unwrap().1.split('"').next().unwrap();
        (property.to_owned(), content.to_owned())
    });
    tags.collect()
}

#[actix_web::test]
async fn a_chat_shows_title_number_and_size_only_of_a_link_that_nothing_protects() {
    let (web, mut ada) = ada().await;
    let folder = web.share("open").join("photos");
    fs::create_dir(&folder).unwrap();
    for n in 0..3 {
        fs::write(folder.join(format!("{n}.jpg")), "x".repeat(500_000)).unwrap();
    }
    let made = make(&mut ada, &[("files", "/open/photos"), ("title", "Summer \"26\" <b>")]).await;
    let mut bot = web.browser();
    bot.headers = vec![("user-agent", "Slackbot-LinkExpanding 1.0".to_owned())];
    let page = bot.get(&made.public[0]).await.body;
    let tags = card(&page);
    let tag =
        |name: &str| tags.iter().find(|(property, _)| property == name).map(|(_, content)| content.as_str());
    assert_eq!(tag("title"), Some("Summer &#34;26&#34; &#60;b&#62;"));
    assert_eq!(tag("description"), Some("3 files, 1.5 MB"));
    assert!(page.find("og:title").unwrap() < page.find("</head>").unwrap());
    let all = tags.iter().map(|(_, content)| content.as_str()).collect::<String>();
    assert!(!all.contains("jpg") && !all.contains("Person"), "neither names nor people: {all}");
    let one = make(&mut ada, &[]).await;
    assert!(
        card(&bot.get(&one.public[0]).await.body)
            .contains(&("description".to_owned(), "1 file, 12 bytes".to_owned()))
    );
    for protected in [
        &[("password", "a secret word")][..],
        &[("recipients", "bob@example.org")],
        &[("recipients", "bob@example.org"), ("mailed_code", "yes")],
    ] {
        let made = make(&mut ada, protected).await;
        let page = bot.get(&made.public[0]).await;
        assert!(page.status == 200 && card(&page.body).is_empty(), "{protected:?}: {}", page.body);
    }
    // Nothing of a link that can't be used.
    ada.fill(&one.page, &format!("{}/pause", one.page), &[]).await;
    let paused = bot.get(&one.public[0]).await;
    assert!(card(&paused.body).is_empty() && !paused.body.contains("file.txt"), "{}", paused.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_large_folder_has_short_pages_a_search_and_a_total_without_scripts() {
    let (web, mut ada) = ada().await;
    let folder = web.share("open").join("many");
    fs::create_dir(&folder).unwrap();
    for n in 0..250 {
        fs::write(folder.join(format!("scan {n:03}.pdf")), "x".repeat(4_000)).unwrap();
    }
    let made = make(&mut ada, &[("files", "/open/many"), ("uses", "")]).await;
    let public = made.public[0].as_str();
    let first = web.browser().get(public).await.body;
    assert_eq!(first.matches("<li data-file=").count(), 100);
    assert!(first.contains("250 files, 1.0 MB") && first.contains("Page 1 of 3"), "{first}");
    assert!(first.len() < 80_000, "{}", first.len());
    let last = web.browser().get(&format!("{public}?page=3")).await.body;
    assert!(
        last.contains("<bdi>scan 249.pdf</bdi>")
            && last.contains("rel=\"prev\"")
            && !last.contains("rel=\"next\"")
    );
    let found = web.browser().get(&format!("{public}?q=scan+24")).await.body;
    assert_eq!(found.matches("<li data-file=").count(), 13, "024, 124, 224 and 240 to 249: {found}");
    assert_eq!(web.browser().fill(public, public, &[("file", "0/scan%20249.pdf")]).await.status, 303);
    let all = facts(&web, public).await;
    assert_eq!((all["files"].as_array().unwrap().len(), all["size"].as_u64()), (250, Some(1_000_000)));
    web.stop().await;
}

#[actix_web::test]
async fn of_a_link_whose_files_partly_vanished_the_rest_can_still_be_had() {
    let (web, mut ada) = ada().await;
    for name in ["a.txt", "b.txt", "c<b>.txt"] {
        fs::write(web.share("open").join(name), name).unwrap();
    }
    let made = make(&mut ada, &[("files", "/open/a.txt /open/b.txt /open/c%3Cb%3E.txt")]).await;
    let public = made.public[0].as_str();
    fs::remove_file(web.share("open").join("b.txt")).unwrap();
    let page = web.browser().get(public).await.body;
    assert!(
        page.contains("One item of this link is not available right now. You can download the rest."),
        "{page}"
    );
    assert!(page.contains("<li><bdi>b.txt</bdi></li>") && page.contains("2 files, "), "{page}");
    assert!(ada.get(&made.page).await.body.contains("The others can still be downloaded."));
    fs::remove_file(web.share("open").join("c<b>.txt")).unwrap();
    let page = web.browser().get(public).await.body;
    assert!(
        page.contains("2 items of this link") && page.contains("<li><bdi>c&#60;b&#62;.txt</bdi></li>"),
        "{page}"
    );
    let facts_now = facts(&web, public).await;
    assert_eq!(
        (facts_now["missing"].as_u64(), facts_now["missing_names"][0].as_str()),
        (Some(2), Some("b.txt"))
    );
    let mut guest = web.browser();
    for missing in ["1", "2"] {
        let refused = guest.fill(public, public, &[("file", missing)]).await;
        assert_eq!(refused.status, 404, "{}", refused.body);
        assert!(refused.body.contains("No download was counted"), "{}", refused.body);
    }
    assert_eq!(facts(&web, public).await["uses_left"], 1, "that cost nothing");
    assert_eq!(guest.fill(public, public, &[("file", "0")]).await.status, 303);
    fs::remove_file(web.share("open").join("a.txt")).unwrap();
    assert!(ada.get(&made.page).await.body.contains("All files of this link are missing"));
    web.stop().await;
}

#[actix_web::test]
async fn what_the_sender_may_no_longer_read_is_missing_for_both() {
    let web = TestWeb::spawn_with(writable).await;
    let account = web.account("kim@example.org", &["staff"]).await;
    let mut kim = web.logged_in("kim@example.org").await;
    let made = make(&mut kim, &[("files", "/open/file.txt /staff/file.txt")]).await;
    assert!(facts(&web, &made.public[0]).await["missing"] == 0);
    sqlx::query("DELETE FROM account_groups WHERE account = $1")
        .bind(account.id.as_str())
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    sqlx::query("UPDATE generations SET number = number + 1").execute(web.outside.db.writer()).await.unwrap();
    let mut kim = web.logged_in("kim@example.org").await;
    let page = web.browser().get(&made.public[0]).await.body;
    assert!(page.contains("One item of this link is not available"), "{page}");
    assert!(!page.contains("staff"), "{page}");
    let own = kim.get(&made.page).await.body;
    assert!(own.contains("Some files of this link are missing") && own.contains(">missing<"), "{own}");
    assert!(kim.get("/links").await.body.contains("file missing"));
    assert_eq!(web.browser().post(&made.public[0], &[("file", "1")]).await.status, 404);
    assert_eq!(web.browser().post(&made.public[0], &[("file", "0")]).await.status, 303);
    web.stop().await;
}

/// Whatever a link is, a person without an account is told what happened and whom to ask, and is never sent to a
/// log-in.
#[actix_web::test]
async fn a_refusal_is_written_for_somebody_without_an_account() {
    let (web, mut ada) = ada().await;
    let state = async |public: &str, words: &str| {
        let page = web.browser().get(public).await.body;
        let pressed = web.browser().post(public, &[]).await.body;
        for body in [page, pressed] {
            assert!(body.contains(words), "{words}: {body}");
            assert!(body.contains("<bdi>Test &#60;b&#62;Person&#60;/b&#62;</bdi>"), "{body}");
            let body = body.to_lowercase();
            assert!(
                !body.contains("log in") && !body.contains("/login") && !body.contains("account"),
                "{body}"
            );
        }
    };
    let made = make(&mut ada, &[]).await;
    ada.fill(&made.page, &format!("{}/pause", made.page), &[]).await;
    state(&made.public[0], "This link is paused").await;
    ada.fill(&made.page, &format!("{}/revoke", made.page), &[]).await;
    state(&made.public[0], "This link is no longer available").await;
    let used = make(&mut ada, &[]).await;
    assert_eq!(web.browser().post(&used.public[0], &[]).await.status, 303);
    state(&used.public[0], "The download limit has been reached").await;
    let ended = make(&mut ada, &[("ends", "2027-01-15T08:01")]).await;
    web.pass(60);
    state(&ended.public[0], "This link has expired").await;
    let lost = make(&mut ada, &[]).await;
    fs::remove_file(web.share("open").join("file.txt")).unwrap();
    state(&lost.public[0], "The file is not available right now").await;
    let cut = web.browser().get(&lost.public[0][..lost.public[0].len() - 1]).await;
    assert_eq!(cut.status, 404);
    assert!(!cut.body.to_lowercase().contains("log in"), "{}", cut.body);
    web.stop().await;
}
