//! Guests of a file request: their tickets, what they may do with them, and what they may not.

use std::fs;

use hyper::Method;

use crate::support::pattern;
use crate::support::requests::{Guest, ask};
use crate::support::tus::{Uploader, metadata, writable};
use crate::support::web::{Browser, TestWeb};

/// On each database.
async fn stages() -> Vec<(TestWeb, Browser)> {
    let mut stages = Vec::new();
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let ada = web.logged_in("ada@example.org").await;
        stages.push((web, ada));
    }
    stages
}

#[actix_web::test]
async fn a_guest_sends_files_in_pieces_and_learns_nothing_about_the_folder() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[("name", "Eve")]).await;
        let content = pattern(700_000);
        // `file.txt` is there already.
        let address = guest.begin("file.txt", content.len()).await;
        assert_eq!(guest.patch(&address, 0, &content[..300_000]).await.status, 204);
        let head = guest.send("HEAD", &address, &[], Vec::new()).await;
        assert_eq!((head.status, head.offset()), (200, Some(300_000)));
        let last = guest.patch(&address, 300_000, &content[300_000..]).await;
        assert_eq!((last.status, last.offset()), (204, Some(700_000)));
        assert_eq!(
            last.header("content-location"),
            None,
            "it would show the folder, and that the name was taken"
        );
        let head = guest.send("HEAD", &address, &[], Vec::new()).await;
        assert_eq!((head.offset(), head.header("content-location")), (Some(700_000), None));
        let there = web.share("open");
        assert_eq!(fs::read(there.join("file.txt")).unwrap(), b"this is open", "nothing is replaced");
        assert_eq!(fs::read(there.join("file (2).txt")).unwrap(), content);
        let page = ada.get(&asked.page).await.body;
        assert!(page.contains("from <bdi>Eve</bdi>") && page.contains("file (2).txt"), "{page}");
        for shown in [guest_page(&web, &asked.public).await, last.body] {
            assert!(!shown.contains("/open") && !shown.contains("(2)"), "{shown}");
        }
        web.stop().await;
    }
}

async fn guest_page(web: &TestWeb, public: &str) -> String {
    let answer = web.browser().get(public).await;
    assert_eq!(answer.status, 200);
    answer.body
}

#[actix_web::test]
async fn a_folder_of_a_guest_becomes_a_folder_below_that_of_the_request() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        let said = [("filename", "one.jpg"), ("relativePath", "trip/day 1/one.jpg")];
        let begun = guest.try_begin(&said, 3).await;
        guest.patch(begun.header("location").unwrap(), 0, b"one").await;
        assert_eq!(fs::read(web.share("open").join("trip/day 1/one.jpg")).unwrap(), b"one");
        // A folder can't have the name of a file: its files arrive beside it.
        let said = [("filename", "two.jpg"), ("relativePath", "file.txt/two.jpg")];
        let begun = guest.try_begin(&said, 3).await;
        let sent = guest.patch(begun.header("location").unwrap(), 0, b"two").await;
        assert_eq!(sent.status, 204, "{sent:?}");
        assert_eq!(fs::read(web.share("open").join("two.jpg")).unwrap(), b"two");
        let page = ada.get(&asked.page).await.body;
        assert!(page.contains("trip/day 1/one.jpg") && page.contains("saved as"), "{page}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn an_upload_belongs_to_its_guest_alone() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let other = ask(&mut ada, &[("title", "Other")]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        let address = guest.begin("a.txt", 10).await;
        let same_request = Guest::admitted(&web.base, &asked.public, &[]).await;
        let other_request = Guest::admitted(&web.base, &other.public, &[]).await;
        let forged = Guest { ticket: "A".repeat(43), ..guest.clone() };
        for stranger in [&same_request, &other_request] {
            for method in ["HEAD", "DELETE"] {
                assert_eq!(stranger.send(method, &address, &[], Vec::new()).await.status, 404, "{method}");
            }
            assert_eq!(stranger.patch(&address, 0, b"0123456789").await.status, 404);
        }
        assert_eq!(forged.patch(&address, 0, b"0123456789").await.problem().0, "no-ticket");
        // Not even the account that asked, although the bytes count against its quota.
        let owner = Uploader::of(ada.clone()).await;
        assert_eq!(owner.head(&address).await.status, 404);
        assert_eq!(owner.patch(&address, 0, b"0123456789").await.status, 404);
        let owned = owner.begin("/open", "own.txt", 10).await;
        assert_eq!(guest.patch(&owned, 0, b"0123456789").await.status, 404, "and no guest has its uploads");
        // A guest can't join parts of others.
        let (size, said) = ("4", metadata(&[("filename", "part")]));
        let headers =
            [("upload-length", size), ("upload-metadata", said.as_str()), ("upload-concat", "partial")];
        let part = same_request.send("POST", "/uploads", &headers, Vec::new()).await;
        let part = part.header("location").unwrap().to_owned();
        same_request.patch(&part, 0, b"part").await;
        let join = format!("final;{part}");
        let headers = [("upload-concat", join.as_str()), ("upload-metadata", said.as_str())];
        assert_eq!(guest.send("POST", "/uploads", &headers, Vec::new()).await.problem().0, "parts-missing");
        let joined = same_request.send("POST", "/uploads", &headers, Vec::new()).await;
        assert_eq!(joined.status, 201, "{joined:?}");
        assert_eq!(fs::read(web.share("open").join("part")).unwrap(), b"part");
        assert_eq!(guest.patch(&address, 0, b"0123456789").await.status, 204, "nobody has touched it");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_guest_can_t_choose_where_a_file_goes() {
    for (web, mut ada) in stages().await {
        fs::create_dir(web.share("open").join("inbox")).unwrap();
        let asked = ask(&mut ada, &[("folder", "/open/inbox")]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        // The destination that a client names is ignored.
        for folder in ["/private", "/open", "../", "/open/inbox/../.."] {
            let begun = guest.try_begin(&[("filename", "a.txt"), ("folder", folder)], 1).await;
            assert_eq!(guest.patch(begun.header("location").unwrap(), 0, b"a").await.status, 204, "{folder}");
        }
        let names = |folder: &str| fs::read_dir(web.share(folder)).unwrap().count();
        assert_eq!(names("private"), 1, "only the file that was there");
        assert_eq!(fs::read_dir(web.share("open").join("inbox")).unwrap().count(), 4);
        let long = "x".repeat(300);
        let below = format!("a/{long}/b.txt");
        for (said, slug) in [
            (vec![("filename", "../escape.txt")], "name-not-allowed"),
            (vec![("filename", "..")], "name-not-allowed"),
            (vec![("filename", "a/b.txt")], "name-not-allowed"),
            (vec![("filename", ".oncelink")], "name-not-allowed"),
            (vec![("filename", long.as_str())], "name-not-allowed"),
            (vec![("filename", "b.txt"), ("relativePath", "../../b.txt")], "name-not-allowed"),
            (vec![("filename", "b.txt"), ("relativePath", "a//b.txt")], "name-not-allowed"),
            (vec![("filename", "b.txt"), ("relativePath", below.as_str())], "name-not-allowed"),
            (vec![], "name-not-allowed"),
        ] {
            let refused = guest.try_begin(&said, 1).await;
            assert_eq!(refused.problem().0, slug, "{said:?}");
        }
        let deep = format!("{}b.txt", "d/".repeat(2_100));
        let refused = guest.try_begin(&[("filename", "b.txt"), ("relativePath", &deep)], 1).await;
        assert!(["path-too-long", "invalid-request"].contains(&refused.problem().0.as_str()), "{refused:?}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_ticket_in_a_cookie_works_only_from_our_own_page() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let mut eve = web.browser();
        let csrf = eve.get(&asked.public).await.csrf();
        assert!(eve.cookies.keys().all(|name| !name.starts_with("ticket")), "a look gives none");
        eve.headers = vec![("accept", "application/json".to_owned())];
        let given = eve.post(&asked.public, &[("csrf", &csrf), ("name", "Eve")]).await;
        assert_eq!(given.status, 200, "{given:?}");
        let cookie = given.set_cookies.iter().find(|cookie| cookie.starts_with("ticket-")).unwrap();
        for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let given: serde_json::Value = serde_json::from_str(&given.body).unwrap();
        assert!(given.get("ticket").is_none(), "a script of a page can't read it");
        let (token, request) = (given["csrf"].as_str().unwrap(), given["request"].as_str().unwrap());
        let said = metadata(&[("filename", "a.txt")]);
        let post = async |headers: &[(&'static str, &str)]| {
            let mut eve = eve.clone();
            let usual =
                [("tus-resumable", "1.0.0"), ("upload-length", "1"), ("upload-metadata", said.as_str())];
            let all = usual.iter().chain(headers);
            eve.headers = all.map(|(name, value)| (*name, (*value).to_owned())).collect();
            eve.send(Method::POST, "/uploads", None).await.status
        };
        let own = [("upload-request", request), ("x-csrf-token", token)];
        assert_eq!(post(&own).await, 201);
        assert_eq!(post(&[("upload-request", request)]).await, 403, "without the token");
        assert_eq!(post(&[("upload-request", request), ("x-csrf-token", "x")]).await, 403);
        assert_eq!(post(&[("x-csrf-token", token)]).await, 401, "no guest, and nobody is logged in");
        assert_eq!(post(&[("upload-request", "other"), ("x-csrf-token", token)]).await, 401);
        for foreign in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            assert_eq!(post(&[own[0], own[1], foreign]).await, 403, "{foreign:?}");
        }
        // The account that is logged in in the same browser isn't used for a guest's request.
        let mut both = ada.clone();
        both.headers = vec![("tus-resumable", "1.0.0".to_owned()), ("upload-request", request.to_owned())];
        assert_eq!(both.send(Method::POST, "/uploads", None).await.status, 401);
        web.stop().await;
    }
}

#[actix_web::test]
async fn the_password_is_asked_once_and_guesses_are_slowed_down() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("password", "the right word")]).await;
        let mut eve = web.browser();
        let page = eve.get(&asked.public).await.body;
        assert!(page.contains("type=\"password\"") && !page.contains("type=\"file\""), "{page}");
        let wrong = eve.fill(&asked.public, &asked.public, &[("name", "Eve"), ("password", "wrong")]).await;
        assert_eq!(wrong.status, 403);
        assert!(wrong.body.contains("This password is not correct.") && wrong.body.contains("value=\"Eve\""));
        let none = Guest::try_admitted(&web.base, &asked.public, &[]).await;
        assert_eq!((none.status, none.problem().0.as_str()), (403, "password-required"));
        let right = [("name", "Eve"), ("password", "the right word")];
        let answer = eve.fill(&asked.public, &asked.public, &right).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some(asked.public.as_str())));
        let page = eve.get(&asked.public).await.body;
        assert!(page.contains("type=\"file\"") && !page.contains("type=\"password\""), "{page}");
        let mut refused = 0;
        for _ in 0..40 {
            let guess = Guest::try_admitted(&web.base, &asked.public, &[("password", "wrong")]).await;
            refused += u32::from(guess.status == 429);
        }
        assert!(refused > 15, "{refused}");
        // A new password ends the tickets that the old one gave.
        let fields = crate::support::requests::fields(&[("password", "another right word")]);
        let fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != "folder").collect();
        assert_eq!(ada.fill(&asked.page, &asked.page, &fields).await.status, 303);
        assert!(eve.get(&asked.public).await.body.contains("type=\"password\""));
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_look_by_a_scanner_or_a_preview_changes_nothing() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let before = ada.get(&asked.page).await.body;
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            for path in [asked.public.clone(), format!("{}/files", asked.public)] {
                web.browser().send(method.clone(), &path, None).await;
            }
        }
        let strip = |page: &str| -> String {
            page.lines().filter(|line| !line.contains("csrf")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(strip(&ada.get(&asked.page).await.body), strip(&before));
        let mut program = web.browser();
        program.headers = vec![("accept", "application/json".to_owned())];
        let facts = program.get(&asked.public).await;
        let facts: serde_json::Value = serde_json::from_str(&facts.body).unwrap();
        assert_eq!((facts["title"].as_str(), facts["max_files"].as_u64()), (Some("Photos"), Some(100)));
        assert!(facts.get("folder").is_none());
        web.stop().await;
    }
}

#[actix_web::test]
async fn neither_the_database_nor_a_log_of_it_opens_a_request() {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let asked = ask(&mut ada, &[]).await;
    let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
    let code = asked.public.strip_prefix("/r/").unwrap();
    for name in ["oncelink.sqlite", "oncelink.sqlite-wal"] {
        let path = web.settings.database_file().with_file_name(name);
        let bytes = fs::read(path).unwrap();
        for secret in [code, guest.ticket.as_str()] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{name} contains {secret}");
        }
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_guest_goes_on_after_a_restart_of_the_server() {
    for (mut web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        let address = guest.begin("long.bin", 8).await;
        assert_eq!(guest.patch(&address, 0, b"half").await.status, 204);
        // Another process on the same database and folders.
        let guest = Guest { base: web.twin().await, ..guest };
        let head = guest.send("HEAD", &address, &[], Vec::new()).await;
        assert_eq!(head.offset(), Some(4));
        assert_eq!(guest.patch(&address, 4, b"rest").await.status, 204);
        assert_eq!(fs::read(web.share("open").join("long.bin")).unwrap(), b"halfrest");
        web.stop().await;
    }
}
