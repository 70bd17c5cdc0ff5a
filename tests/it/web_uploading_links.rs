//! Links that are there before their files: what a visitor and the owner see, when they open, and when they end.

use std::fs;

use hyper::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::support::links;
use crate::support::tus::{Answer as TusAnswer, Uploader, metadata, personal};
use crate::support::web::{Browser, FORM, TestWeb};

/// What was dropped: a link that waits for files, and where they go.
struct Drop {
    id: String,
    folder: String,
    /// The public address, without the host.
    public: String,
}

async fn webs() -> Vec<TestWeb> {
    TestWeb::on_each_database(personal).await
}

/// Ada, with a browser, a client for uploads, and her own folder.
struct Ada {
    browser: Browser,
    uploader: Uploader,
    home: String,
}

impl Ada {
    async fn of(web: &TestWeb) -> Ada {
        let id = web.account("ada@example.org", &[]).await.id;
        let browser = web.logged_in("ada@example.org").await;
        Ada { uploader: Uploader::of(browser.clone()).await, browser, home: format!("/home/{id}") }
    }

    async fn drop(&mut self, files: &str, items: &str, name: &str, folder: bool) -> Drop {
        let mut fields = vec![("files", files), ("items", items), ("name", name), ("drop", "a drop")];
        if folder {
            fields.push(("folder", "yes"));
        }
        let made = self.browser.fill("/files/", "/links/uploading", &fields).await;
        assert_eq!(made.status, 303, "{}", made.body);
        let sheet = self.browser.get(made.location.as_deref().unwrap()).await.body;
        let value = |name: &str| {
            let rest = sheet.split(&format!("{name}=\"")).nth(1).unwrap_or_else(|| panic!("{name}: {sheet}"));
            rest.split('"').next().unwrap().to_owned()
        };
        let address = value("data-copy");
        Drop {
            id: value("data-link"),
            folder: percent_decode_str(&value("data-folder")).decode_utf8().unwrap().into_owned(),
            public: address[address.find("/l/").unwrap()..].to_owned(),
        }
    }

    async fn begin(&self, drop: &Drop, item: u32, name: &str, size: usize) -> TusAnswer {
        let item = item.to_string();
        let metadata =
            metadata(&[("folder", &drop.folder), ("filename", name), ("link", &drop.id), ("item", &item)]);
        let headers = [("upload-length", &*size.to_string()), ("upload-metadata", &*metadata)];
        self.uploader.send("POST", "/uploads", &headers, Vec::new()).await
    }

    async fn upload(&self, drop: &Drop, item: u32, name: &str, content: &[u8]) -> TusAnswer {
        let begun = self.begin(drop, item, name, content.len()).await;
        assert_eq!(begun.status, 201, "{begun:?}");
        self.uploader.patch(begun.header("location").unwrap(), 0, content).await
    }

    async fn page_of(&mut self, drop: &Drop) -> String {
        self.browser.get(&format!("/links/{}", drop.id)).await.body
    }
}

/// A press by a program: the status, the slug, and after how many seconds to try again.
async fn press(web: &TestWeb, drop: &Drop) -> (u16, Value, String) {
    let mut browser = web.browser();
    browser.headers = vec![("accept", "application/json".to_owned())];
    let answer = browser.send(Method::POST, &drop.public, Some((FORM, String::new()))).await;
    let problem: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    (answer.status, problem["type"].clone(), answer.header("retry-after").to_owned())
}

async fn state(web: &TestWeb, drop: &Drop) -> Value {
    serde_json::from_str(&web.browser().get(&format!("{}/state", drop.public)).await.body).unwrap()
}

#[actix_web::test]
async fn a_link_is_there_before_its_files_and_opens_with_the_last_one() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let drop = ada.drop("2", "2", "a.txt", false).await;
        assert!(drop.folder.starts_with(&format!("{}/Shared ", ada.home)), "{}", drop.folder);
        let page = web.browser().get(&drop.public).await;
        assert_eq!(page.status, 200);
        assert!(
            page.body.contains("Still uploading (<span id=\"arrived\">0 of 2 files</span>)"),
            "{}",
            page.body
        );
        assert!(page.body.contains("a.txt and 1 more") && !page.body.contains("<button"), "{}", page.body);
        assert!(page.body.contains("http-equiv=\"refresh\""), "without scripts, it is loaded again");
        assert_eq!(press(&web, &drop).await, (409, json!("still-uploading"), "10".to_owned()));
        let pressed = web.browser().post(&drop.public, &[]).await;
        assert_eq!((pressed.status, pressed.header("retry-after")), (409, "10"));
        assert!(pressed.body.contains("No download was counted"), "{}", pressed.body);

        assert_eq!(ada.upload(&drop, 1, "b.txt", b"b").await.status, 204);
        assert_eq!(state(&web, &drop).await["uploading"], json!({ "arrived": 1, "words": "1 of 2 files" }));
        assert!(ada.page_of(&drop).await.contains("Uploading: 1 of 2 files so far."));
        assert!(ada.browser.get("/links").await.body.contains(">uploading</span>"));
        assert_eq!(press(&web, &drop).await.0, 409);

        assert_eq!(ada.upload(&drop, 0, "a.txt", b"a").await.status, 204);
        assert_eq!(state(&web, &drop).await["uploading"], Value::Null);
        let page = web.browser().get(&drop.public).await.body;
        assert!(page.contains("a.txt") && page.contains("b.txt") && page.contains("Download"), "{page}");
        let page = ada.page_of(&drop).await;
        assert!(page.contains(">open</span>") && page.contains("0 of 1 download used"), "{page}");
        let mut visitor = web.browser();
        let key = |name: &str| format!("0/{name}");
        let pressed = visitor.fill(&drop.public, &drop.public, &[("file", &key("a.txt"))]).await;
        assert_eq!(pressed.status, 303, "{}", pressed.body);
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_single_file_is_shared_under_the_name_that_it_got() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        ada.uploader.put(&ada.home, "report.pdf", b"an older one").await;
        let drop = ada.drop("1", "1", "report.pdf", false).await;
        assert_eq!(drop.folder, ada.home);
        let page = web.browser().get(&drop.public).await.body;
        assert!(page.contains("0 of 1 file<") && page.contains("report.pdf"), "{page}");
        let done = ada.upload(&drop, 0, "report.pdf", b"pages").await;
        assert_eq!(
            done.header("content-location"),
            Some(&*format!("/files{}/report%20%282%29.pdf", ada.home))
        );
        let page = web.browser().get(&drop.public).await.body;
        assert!(page.contains("report (2).pdf") && !page.contains("an older one"), "{page}");
        // It is an ordinary link now: its file may be renamed.
        let path = format!("{}/report%20%282%29.pdf", ada.home);
        let fields = [("path", path.as_str()), ("name", "final.pdf")];
        assert_eq!(ada.browser.fill("/account", "/manage/rename", &fields).await.status, 303);
        assert!(web.browser().get(&drop.public).await.body.contains("final.pdf"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_dropped_folder_shares_nothing_that_was_there_before() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let photos = web.share("home").join(&ada.home["/home/".len()..]).join("Photos");
        fs::create_dir_all(&photos).unwrap();
        fs::write(photos.join("private.jpg"), "old").unwrap();
        let drop = ada.drop("1", "1", "Photos", true).await;
        assert_eq!(drop.folder, format!("{}/Photos (2)", ada.home));
        assert_eq!(ada.upload(&drop, 0, "new.jpg", b"new").await.status, 204);
        let page = web.browser().get(&drop.public).await.body;
        assert!(page.contains("new.jpg") && !page.contains("private.jpg"), "{page}");

        // A folder whose name no folder can have is shared all the same.
        let name = "x".repeat(300);
        let long = ada.drop("1", "1", &name, true).await;
        assert!(long.folder.contains("/Shared "), "{}", long.folder);

        // A file that would not be in the link's folder is refused, and so is one that the link does not wait for.
        let elsewhere = Drop { folder: ada.home.clone(), ..long };
        let refused = ada.begin(&elsewhere, 0, "a.txt", 1).await;
        assert_eq!((refused.status, refused.problem().0.as_str()), (409, "link-not-waiting"));
        let refused = ada.begin(&drop, 1, "late.txt", 1).await;
        assert_eq!((refused.status, refused.problem().0.as_str()), (409, "link-not-waiting"));
        web.account("eve@example.org", &[]).await;
        let eve = Uploader::of(web.logged_in("eve@example.org").await).await;
        let foreign = metadata(&[("filename", "x"), ("link", &elsewhere.id), ("item", "0")]);
        let headers = [("upload-length", "1"), ("upload-metadata", &*foreign)];
        let refused = eve.send("POST", "/uploads", &headers, Vec::new()).await;
        assert_eq!(refused.problem().0, "link-not-waiting");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_canceled_upload_ends_its_link_and_its_owner_reads_why() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let drop = ada.drop("2", "2", "a.txt", false).await;
        assert_eq!(ada.upload(&drop, 0, "a.txt", b"a").await.status, 204);
        let begun = ada.begin(&drop, 1, "b.txt", 10).await;
        let address = begun.header("location").unwrap();
        assert_eq!(ada.uploader.patch(address, 0, b"half").await.status, 204);
        assert_eq!(ada.uploader.send("DELETE", address, &[], Vec::new()).await.status, 204);
        assert_eq!(press(&web, &drop).await.1, json!("link-ended"));
        let page = web.browser().get(&drop.public).await;
        assert_eq!(page.status, 410);
        assert!(page.body.contains(" didn’t finish uploading the files."), "{}", page.body);
        let page = ada.page_of(&drop).await;
        assert!(page.contains("The upload was canceled or not finished in time"), "{page}");
        assert!(
            page.contains("1 of 2 files arrived.") && page.contains(">upload not finished</span>"),
            "{page}"
        );
        let sheet = ada.browser.get(&format!("/links/{}/sheet", drop.id)).await.body;
        assert!(sheet.contains("this link has ended") && !sheet.contains("data-copy"), "{sheet}");
        let file = web.share("home").join(&drop.folder["/home/".len()..]).join("a.txt");
        assert_eq!(fs::read(file).unwrap(), b"a", "what arrived is kept");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_file_that_is_left_out_does_not_end_the_link() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let drop = ada.drop("4", "4", "a.txt", false).await;
        assert_eq!(ada.upload(&drop, 0, "a.txt", b"a").await.status, 204);
        let begun = ada.begin(&drop, 1, "b.txt", 10).await;
        let address = format!("{}?leave-out", begun.header("location").unwrap());
        assert_eq!(ada.uploader.send("DELETE", &address, &[], Vec::new()).await.status, 204);
        assert_eq!(state(&web, &drop).await["uploading"]["words"], "1 of 3 files");
        // The two that were never begun are left out by the owner, here without a script.
        let page = format!("/links/{}", drop.id);
        let settled = ada.browser.fill(&page, &format!("{page}/settle"), &[]).await;
        assert_eq!(settled.status, 303);
        let page = web.browser().get(&drop.public).await.body;
        assert!(page.contains("a.txt") && page.contains("Download"), "{page}");

        // Of a single file, nothing is left.
        let drop = ada.drop("1", "1", "only.txt", false).await;
        let begun = ada.begin(&drop, 0, "only.txt", 10).await;
        let address = format!("{}?leave-out", begun.header("location").unwrap());
        assert_eq!(ada.uploader.send("DELETE", &address, &[], Vec::new()).await.status, 204);
        assert_eq!(web.browser().get(&drop.public).await.status, 410);
        web.stop().await;
    }
}

#[actix_web::test]
async fn an_upload_that_nobody_continues_ends_its_link() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let begun = ada.drop("1", "1", "a.txt", false).await;
        assert_eq!(ada.begin(&begun, 0, "a.txt", 10).await.status, 201);
        let never_begun = ada.drop("3", "3", "b.txt", false).await;
        web.pass(23 * 3600);
        web.app.upkeep().prune().await;
        for drop in [&begun, &never_begun] {
            assert_eq!(press(&web, drop).await.0, 409);
        }
        web.pass(2 * 3600);
        web.app.upkeep().prune().await;
        for drop in [&begun, &never_begun] {
            assert_eq!(press(&web, drop).await.1, json!("link-ended"), "{}", drop.id);
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_request_that_is_repeated_continues_the_upload_and_counts_its_file_once() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let drop = ada.drop("3", "3", "empty.txt", false).await;
        // A file without bytes is complete with its first request, whose response may be lost.
        for _ in 0..2 {
            assert_eq!(ada.begin(&drop, 0, "empty.txt", 0).await.status, 201);
        }
        assert_eq!(state(&web, &drop).await["uploading"]["arrived"], 1);
        let first = ada.begin(&drop, 1, "b.txt", 4).await;
        ada.uploader.patch(first.header("location").unwrap(), 0, b"ab").await;
        // The page was reloaded, and the same files were dropped again.
        let again = ada.begin(&drop, 1, "b.txt", 4).await;
        assert_eq!((again.header("location"), again.offset()), (first.header("location"), Some(2)));
        ada.uploader.patch(first.header("location").unwrap(), 2, b"cd").await;
        let whole = ada.begin(&drop, 1, "b.txt", 4).await;
        assert_eq!(whole.offset(), Some(4));
        // A file that was changed in between begins anew.
        let changed = ada.begin(&drop, 2, "c.txt", 4).await;
        let longer = ada.begin(&drop, 2, "c.txt", 5).await;
        assert!(
            longer.status == 201 && longer.header("location") != changed.header("location"),
            "{longer:?}"
        );
        assert_eq!(state(&web, &drop).await["uploading"]["words"], "2 of 3 files");
        ada.uploader.patch(longer.header("location").unwrap(), 0, b"12345").await;
        assert_eq!(state(&web, &drop).await["uploading"], Value::Null);
        let folder = web.share("home").join(&drop.folder["/home/".len()..]);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 3);
        web.stop().await;
    }
}

#[actix_web::test]
async fn what_is_uploaded_for_a_folder_that_is_renamed_meanwhile_arrives_there() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let drop = ada.drop("2", "1", "Photos", true).await;
        let begun = ada.begin(&drop, 0, "a.jpg", 4).await;
        let address = begun.header("location").unwrap();
        ada.uploader.patch(address, 0, b"ab").await;
        let fields = [("path", drop.folder.as_str()), ("name", "Holidays")];
        assert_eq!(ada.browser.fill("/account", "/manage/rename", &fields).await.status, 303);
        assert_eq!(ada.uploader.patch(address, 2, b"cd").await.status, 204);
        assert_eq!(ada.begin(&drop, 1, "b.jpg", 0).await.status, 404, "at the old place");
        let moved = Drop { folder: format!("{}/Holidays", ada.home), ..drop };
        assert_eq!(ada.begin(&moved, 1, "b.jpg", 0).await.status, 201);
        let page = web.browser().get(&moved.public).await.body;
        assert!(page.contains("a.jpg") && page.contains("b.jpg"), "{page}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn the_same_form_makes_one_link_and_another_drop_another() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let csrf = ada.browser.get("/files/").await.csrf();
        let token = ada.browser.get("/files/").await.body;
        let token = token.split("id=\"upload-form\"").nth(1).unwrap().split("value=\"").nth(1).unwrap();
        let token = token.split('"').next().unwrap();
        assert_ne!(token, csrf, "the form has a one-time id");
        let mut places = Vec::new();
        for drop in ["x", "x", "y"] {
            let fields = [("files", "2"), ("items", "2"), ("name", "a"), ("drop", drop), ("csrf", token)];
            let made = ada.browser.post("/links/uploading", &fields).await;
            assert_eq!(made.status, 303, "{}", made.body);
            places.push(made.location.unwrap());
        }
        assert!(places[0] == places[1] && places[1] != places[2], "{places:?}");
        for (files, items) in [("0", "0"), ("0", "1"), ("many", "1"), ("200000", "2")] {
            let fields = [("files", files), ("items", items), ("name", "a"), ("drop", "z")];
            let refused = ada.browser.fill("/files/", "/links/uploading", &fields).await.status;
            assert!([400, 429].contains(&refused), "{files} {items}: {refused}");
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn people_are_mailed_when_everything_is_there() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let drop = ada.drop("1", "1", "report.pdf", false).await;
        let sheet = format!("/links/{}/sheet", drop.id);
        let mail = format!("/links/{}/mail", drop.id);
        let wrong = ada.browser.fill(&sheet, &mail, &[("recipients", "nobody")]).await;
        assert!(wrong.status == 422 && wrong.body.contains("“nobody” is not a valid"), "{}", wrong.body);
        let sent =
            ada.browser.fill(&sheet, &mail, &[("recipients", "bob@example.org, kim@example.org")]).await;
        assert_eq!((sent.status, sent.location.as_deref()), (303, Some(&*sheet)), "{}", sent.body);
        assert!(ada.browser.get(&sheet).await.body.contains("Will be emailed to"));
        web.app.upkeep().mail_arrived().await;
        assert!(web.mails().await.is_empty(), "nothing is there yet");
        ada.upload(&drop, 0, "report.pdf", b"pages").await;
        web.app.upkeep().mail_arrived().await;
        let mails = web.mails().await;
        assert_eq!(mails.len(), 2);
        assert!(mails.iter().all(|mail| mail.text.contains("report.pdf")));
        // Once more, for somebody who is new and somebody who is not.
        let sent =
            ada.browser.fill(&sheet, &mail, &[("recipients", "bob@example.org eve@example.org")]).await;
        assert_eq!(sent.status, 303, "{}", sent.body);
        web.app.upkeep().mail_arrived().await;
        assert_eq!(web.mails().await.len(), 3);

        // A code can be asked for now; the link for anyone then ends.
        let terms = [("title", "A"), ("note", ""), ("uses", "1"), ("ends", ""), ("password", "")];
        let terms = [&terms[..], &[("notify", "never"), ("mailed_code", "yes")]].concat();
        assert_eq!(ada.browser.fill(&sheet, &sheet, &terms).await.status, 303);
        assert_eq!(web.browser().get(&drop.public).await.status, 410);
        let address = mails[0].text.split("/l/").nth(1).unwrap().split_whitespace().next().unwrap();
        let page = web.browser().get(&format!("/l/{address}")).await.body;
        assert!(page.contains("Email me the code"), "{page}");

        // An upload that is given up mails nobody.
        let drop = ada.drop("1", "1", "never.pdf", false).await;
        let (sheet, mail) = (format!("/links/{}/sheet", drop.id), format!("/links/{}/mail", drop.id));
        ada.browser.fill(&sheet, &mail, &[("recipients", "bob@example.org")]).await;
        web.pass(25 * 3600);
        web.app.upkeep().prune().await;
        web.app.upkeep().mail_arrived().await;
        assert_eq!(web.mails().await.len(), 3);
        ada.browser = web.logged_in("ada@example.org").await;
        let page = ada.page_of(&drop).await;
        assert!(page.contains("bob@example.org") && page.contains("Anyone with the link"), "{page}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn the_terms_that_a_person_prefers_are_those_of_their_next_link_and_never_a_password() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        let drop = ada.drop("1", "1", "a.txt", false).await;
        let sheet = format!("/links/{}/sheet", drop.id);
        let terms = |uses, expires| {
            vec![
                ("title", "A"),
                ("note", "Only for you"),
                ("uses", uses),
                ("ends", ""),
                ("expires", expires),
                ("password", "a very secret word"),
                ("notify", "every"),
            ]
        };
        // Changed once, without remembering it.
        let saved = ada.browser.fill(&sheet, &sheet, &terms("5", "1h")).await;
        assert_eq!(saved.status, 303, "{}", saved.body);
        let page = ada.browser.get(&sheet).await.body;
        assert!(page.contains("5 downloads, expires") && page.contains("with a password"), "{page}");
        let form = ada.browser.get("/links/new?file=/open/file.txt").await.body;
        assert!(form.contains("name=\"uses\" type=\"text\" inputmode=\"numeric\" maxlength=\"20\" autocomplete=\"off\" value=\"1\""), "{form}");
        assert!(form.contains("<option value=\"7d\" selected>"), "{form}");

        let saved =
            ada.browser.fill(&sheet, &sheet, &[terms("3", "30d"), vec![("remember", "yes")]].concat()).await;
        assert_eq!(saved.status, 303, "{}", saved.body);
        let form = ada.browser.get("/links/new?file=/open/file.txt").await.body;
        assert!(
            form.contains("autocomplete=\"off\" value=\"3\"")
                && form.contains("<option value=\"30d\" selected>")
        );
        assert!(form.contains("value=\"every\" checked") && !form.contains("Only for you"), "{form}");
        let next = ada.drop("1", "1", "b.txt", false).await;
        let page = ada.browser.get(&format!("/links/{}/sheet", next.id)).await.body;
        assert!(page.contains("3 downloads, expires") && !page.contains("with a password"), "{page}");
        // Only for this person.
        web.account("eve@example.org", &[]).await;
        let form = web.logged_in("eve@example.org").await.get("/links/new?file=/open/file.txt").await.body;
        assert!(form.contains("<option value=\"7d\" selected>"), "{form}");

        for (expires, ends, says) in [
            ("date", "", "Enter a date and time like"),
            ("date", "2020-01-01T00:00", "Choose a time in the future."),
            ("2y", "", "Choose when the link expires."),
        ] {
            let fields: Vec<_> =
                terms("1", expires).into_iter().filter(|(name, _)| *name != "ends").collect();
            let wrong = ada.browser.fill(&sheet, &sheet, &[fields, vec![("ends", ends)]].concat()).await;
            assert!(wrong.status == 422 && wrong.body.contains(says), "{expires}: {}", wrong.body);
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn files_are_deleted_when_their_link_is_over_and_no_other_leads_there() {
    for web in webs().await {
        let mut ada = Ada::of(&web).await;
        ada.uploader.put(&ada.home, "once.txt", b"once").await;
        let on_disk = web.share("home").join(&ada.home["/home/".len()..]).join("once.txt");
        let file = format!("{}/once.txt", ada.home);
        let fields = [("files", file.as_str()), ("expires", "1h"), ("delete_files", "yes")];
        let link = links::make(&mut ada.browser, &fields).await;
        let other = links::make(&mut ada.browser, &[("files", &file), ("expires", "1d")]).await;
        // Only what is the person's own can be deleted like this.
        let refused = links::send(&mut ada.browser, &[("delete_files", "yes")]).await;
        assert!(refused.status == 422 && refused.body.contains("Only files in My files"), "{}", refused.body);

        web.app.upkeep().prune().await;
        assert!(on_disk.exists(), "the link is open");
        web.pass(2 * 3600);
        web.app.upkeep().prune().await;
        assert!(on_disk.exists(), "another link leads there");
        ada.browser = web.logged_in("ada@example.org").await;
        let revoked = ada.browser.fill(&other.page, &format!("{}/revoke", other.page), &[]).await;
        assert_eq!(revoked.status, 303);
        web.app.upkeep().prune().await;
        assert!(!on_disk.exists());
        let page = ada.browser.get(&link.page).await.body;
        assert!(page.contains("were moved to the trash"), "{page}");
        let trash = ada.browser.get(&format!("/manage/trash?share={}", ada.home)).await.body;
        assert!(trash.contains("once.txt"), "{trash}");
        web.stop().await;
    }
}
