//! What is selected in a list, without scripts: it is kept over sorting, searching and paging, and becomes a link,
//! is moved or deleted as a whole.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use hyper::Method;

use crate::support::links::make;
use crate::support::tus::writable;
use crate::support::web::{Answer, Browser, FORM, TestWeb, form};

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

/// Puts these files into a folder of the share `open`.
fn put(web: &TestWeb, folder: &str, names: &[&str]) {
    let folder = web.share("open").join(folder);
    fs::create_dir_all(&folder).unwrap();
    for name in names {
        fs::write(folder.join(name), "x").unwrap();
    }
}

fn names(web: &TestWeb, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(web.share("open").join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".oncelink");
    names.sort();
    names
}

/// Presses a button for what is selected: the CSRF token is the button's own name and value.
async fn act(browser: &mut Browser, page: &Answer, to: &str, fields: &[(&str, &str)]) -> Answer {
    let button = page.body.split("formaction=\"").find(|rest| rest.starts_with(&format!("{to}\"")));
    let button = button.unwrap_or_else(|| panic!("no button for {to}: {}", page.body));
    let token = button.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    browser.post(to, &[fields, &[("csrf", &token)]].concat()).await
}

/// Sends the only form of a page that asks, with all its hidden fields and `more`.
async fn confirm(browser: &mut Browser, asked: &Answer, to: &str, more: &[(&str, &str)]) -> Answer {
    assert_eq!(asked.status, 200, "{}", asked.body);
    let main = asked.body.split("<main").nth(1).unwrap();
    let fields: Vec<(String, String)> = main
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|rest| {
            let (name, rest) = rest.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split('"').next().unwrap().replace("&#38;", "&"))
        })
        .collect();
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    browser.post(to, &fields.chain(more.iter().copied()).collect::<Vec<_>>()).await
}

/// The values of the checkboxes that are ticked, and of the fields for what is selected elsewhere.
fn selected(page: &Answer) -> Vec<&str> {
    let fields = page.body.split(" name=\"file\" value=\"").skip(1);
    let fields = fields.filter(|rest| {
        let tag = rest.split('>').next().unwrap();
        tag.contains(" checked") || tag.contains("data-elsewhere")
    });
    fields.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[actix_web::test]
async fn what_is_selected_is_kept_over_sorting_searching_and_leaving_a_search() {
    let (web, mut ada) = ada().await;
    put(&web, "", &["b.txt", "c.pdf"]);
    let two = "file=%2Fopen%2Fb.txt&file=%2Fopen%2Ffile.txt";
    let page = ada.get(&format!("/files/open?q=&sorted=name-asc&sort=size-desc&{two}")).await;
    assert_eq!(selected(&page), ["/open/file.txt", "/open/b.txt"], "{}", page.body);
    assert!(page.body.contains("2 selected") && page.body.contains("aria-sort=\"descending\""));
    assert!(page.body.contains("name=\"sorted\" value=\"size-desc\""));
    // A search shows one of them, and the other one is still selected.
    let found = ada.get(&format!("/files/open?sorted=size-desc&q=b.t&{two}")).await;
    let mut both = selected(&found);
    both.sort_unstable();
    assert_eq!(both, ["/open/b.txt", "/open/file.txt"], "{}", found.body);
    assert!(found.body.contains("value=\"/open/file.txt\" data-elsewhere"), "{}", found.body);
    let none = ada.get(&format!("/files/open?q=nothing&{two}")).await;
    assert!(none.body.contains("2 selected"), "{}", none.body);

    let all = ada.get("/files/open?ticks=page&file=%2Fopen%2Fb.txt").await;
    assert_eq!(selected(&all).len(), 3, "{}", all.body);
    assert!(selected(&ada.get(&format!("/files/open?ticks=none&{two}")).await).is_empty());
    let other = ada.get("/files/open?file=%2Fprivate%2Ffile.txt&file=%2Fopen%2F..%2Fx&file=").await;
    assert_eq!((other.status, selected(&other).len()), (200, 0), "nothing from another folder");
    // The token of the buttons never becomes part of an address.
    assert!(
        !page
            .body
            .split("<form id=\"select\"")
            .nth(1)
            .unwrap()
            .split("</form>")
            .next()
            .unwrap()
            .contains("csrf")
    );
    web.stop().await;
}

#[actix_web::test]
async fn a_page_of_a_large_folder_keeps_what_is_selected_on_the_others() {
    let (web, mut ada) = ada().await;
    let files: Vec<String> = (0..1_003).map(|number| format!("f{number:04}.txt")).collect();
    put(&web, "many", &files.iter().map(String::as_str).collect::<Vec<_>>());
    let second = ada.get("/files/open/many?sorted=name-asc&page=2&file=%2Fopen%2Fmany%2Ff0001.txt").await;
    assert!(second.body.contains("value=\"/open/many/f0001.txt\" data-elsewhere"), "{}", second.body);
    assert!(second.body.contains("1 selected"));
    let page = ada.get("/files/open/many?page=2&ticks=page&file=%2Fopen%2Fmany%2Ff0001.txt").await;
    assert!(
        page.body.contains("4 selected") && page.body.contains(">Select all 1,003</button>"),
        "{}",
        page.body
    );
    let all = ada.get("/files/open/many?page=2&ticks=all").await;
    assert!(all.body.contains("1,003 selected") && all.body.contains("name=\"all\" value=\"/open/many\""));
    // A form can't except one of everything, so it can't be unticked.
    assert_eq!(all.body.matches(" checked disabled").count(), 3);

    let link =
        act(&mut ada, &all, "/links/new", &[("all", "/open/many"), ("from", "/files/open/many?page=2")])
            .await;
    assert_eq!(link.location.as_deref(), Some("/files/open/many?page=2#selection"));
    assert!(ada.get("/files/open/many").await.body.contains("A link can have up to 100 files"));
    let fields = [("all", "/open/many"), ("from", "/files/open/many")];
    let asked = act(&mut ada, &all, "/manage/selected/confirm", &fields).await;
    assert!(
        asked.body.contains("Delete 1,003 items?") && asked.body.contains("and 993 more"),
        "{}",
        asked.body
    );
    // Something is added after the question, so it is asked again.
    put(&web, "many", &["new.txt"]);
    let again = confirm(&mut ada, &asked, "/manage/selected/delete", &[]).await;
    assert_eq!(again.status, 409, "{}", again.body);
    assert!(again.body.contains("The folder has changed in the meantime"), "{}", again.body);
    assert_eq!(names(&web, "many").len(), 1_004);
    fs::remove_file(web.share("open").join("many/new.txt")).unwrap();
    let done = confirm(&mut ada, &asked, "/manage/selected/delete", &[]).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/files/open/many")), "{}", done.body);
    let page = ada.get("/files/open/many").await.body;
    assert!(page.contains("1,003 items deleted. You can restore them from the trash"), "{page}");
    assert!(!ada.get("/files/open/many").await.body.contains("items deleted"), "it is said once");
    web.stop().await;
}

#[actix_web::test]
async fn the_selected_files_become_a_link() {
    let (web, mut ada) = ada().await;
    put(&web, "", &["a b.txt", "line\nbreak.txt"]);
    let page = ada.get("/files/open").await;
    let fields = [
        ("q", ""),
        ("sorted", "name-asc"),
        ("from", "/files/open"),
        ("file", "/open/a b.txt"),
        ("file_encoded", "/open/line%0Abreak.txt"),
    ];
    let link = act(&mut ada, &page, "/links/new", &fields).await;
    assert_eq!(link.status, 303, "{}", link.body);
    let form = ada.get(link.location.as_deref().unwrap()).await;
    assert!(
        form.body.contains("name=\"files\" value=\"/open/a%20b.txt /open/line%0Abreak.txt\""),
        "{}",
        form.body
    );
    let nothing = act(&mut ada, &page, "/links/new", &[("from", "/files/open")]).await;
    assert_eq!(nothing.location.as_deref(), Some("/files/open"));
    assert!(ada.get("/files/open").await.body.contains("Choose at least one file or folder first"));

    // More files than an address can hold: the form is shown at once.
    let long: Vec<String> = (0..100).map(|number| format!("{}{number:03}.txt", "n".repeat(60))).collect();
    put(&web, "", &long.iter().map(String::as_str).collect::<Vec<_>>());
    let paths: Vec<String> = long.iter().map(|name| format!("/open/{name}")).collect();
    let mut fields: Vec<(&str, &str)> = paths.iter().map(|path| ("file", path.as_str())).collect();
    let form = act(&mut ada, &page, "/links/new", &fields).await;
    assert_eq!(form.status, 200, "{}", form.body);
    assert!(form.body.contains("n099.txt") && form.body.contains("action=\"/links\""), "{}", form.body);
    fields.push(("file", "/open/file.txt"));
    let refused = act(&mut ada, &page, "/links/new", &fields).await;
    assert_eq!(refused.status, 303);
    assert!(ada.get("/files/open").await.body.contains("A link can have up to 100 files"));
    web.stop().await;
}

#[actix_web::test]
async fn deleting_the_selected_files_asks_once_and_counts_each_link_once() {
    let (web, mut ada) = ada().await;
    put(&web, "folder", &["in.txt", "other.txt"]);
    put(&web, "", &["a.txt", "b.txt", "c.txt"]);
    make(&mut ada, &[("files", "/open/a.txt /open/b.txt")]).await;
    make(&mut ada, &[("files", "/open/folder/in.txt /open/a.txt")]).await;
    make(&mut ada, &[("files", "/open/c.txt")]).await;
    // A link that is used up is over already.
    let used = make(&mut ada, &[("files", "/open/a.txt")]).await;
    let mut guest = web.browser();
    let token = guest.fill(&used.public[0], &used.public[0], &[("file", "0")]).await;
    assert_eq!(token.status, 303, "{}", token.body);
    let selection = [
        ("from", "/files/open"),
        ("file", "/open/a.txt"),
        ("file", "/open/b.txt"),
        ("file", "/open/folder"),
        ("file", "/open/folder/in.txt"),
    ];
    let page = ada.get("/files/open").await;
    let asked = act(&mut ada, &page, "/manage/selected/confirm", &selection).await;
    assert!(asked.body.contains("3 links will stop working."), "its use is only reserved: {}", asked.body);
    sqlx::query("UPDATE recipients SET reserved = 0 WHERE taken > 0")
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    let asked = act(&mut ada, &page, "/manage/selected/confirm", &selection).await;
    assert!(
        asked.body.contains("Delete 3 items?"),
        "what is in a selected folder goes with it: {}",
        asked.body
    );
    assert!(asked.body.contains("2 links will stop working."), "{}", asked.body);
    assert!(asked.body.contains("You can restore it for 30 days"), "{}", asked.body);
    let cancel =
        "/files/open?file=%2Fopen%2Fa%2Etxt&#38;file=%2Fopen%2Fb%2Etxt&#38;file=%2Fopen%2Ffolder#selection";
    assert!(asked.body.contains(&format!("href=\"{cancel}\"")), "{}", asked.body);
    assert_eq!(names(&web, ""), ["a.txt", "b.txt", "c.txt", "file.txt", "folder"], "not yet");

    let done = confirm(&mut ada, &asked, "/manage/selected/delete", &[]).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/files/open")), "{}", done.body);
    assert_eq!(names(&web, ""), ["c.txt", "file.txt"]);
    assert!(ada.get("/files/open").await.body.contains("3 items deleted. You can restore them"));
    // The same form again: the browser is led to the same page, and nothing else happens.
    let again = confirm(&mut ada, &asked, "/manage/selected/delete", &[]).await;
    assert_eq!((again.status, again.location.as_deref()), (303, Some("/files/open")), "{}", again.body);
    let trash = ada.get("/manage/trash?share=/open").await.body;
    assert_eq!(trash.matches("action=\"/manage/restore\"").count(), 3, "{trash}");
    web.stop().await;
}

#[actix_web::test]
async fn the_selected_files_are_moved_and_those_that_cannot_be_are_named() {
    let (web, mut ada) = ada().await;
    put(&web, "Archive/2026", &["b.txt"]);
    put(&web, "", &["a.txt", "b.txt", "c.txt"]);
    let page = ada.get("/files/open").await;
    let selection =
        [("from", "/files/open"), ("file", "/open/a.txt"), ("file", "/open/b.txt"), ("file", "/open/c.txt")];
    let asked = act(&mut ada, &page, "/manage/selected/to", &selection).await;
    assert!(
        asked.body.contains("Move 3 items") && asked.body.contains("Already in this folder."),
        "{}",
        asked.body
    );
    let asked = confirm(&mut ada, &asked, "/manage/selected/to", &[("to", "/open/Archive")]).await;
    let asked = confirm(&mut ada, &asked, "/manage/selected/to", &[("to", "/open/Archive/2026")]).await;
    assert!(asked.body.contains("name=\"to\" value=\"/open/Archive\""), "back up: {}", asked.body);
    fs::remove_file(web.share("open").join("c.txt")).unwrap();
    let partly = confirm(&mut ada, &asked, "/manage/selected/move", &[("to", "/open/Archive/2026")]).await;
    assert_eq!(partly.status, 409, "{}", partly.body);
    for part in
        ["1 item was moved, 2 were not.", "There is already something called “b.txt”", "It no longer exists"]
    {
        assert!(partly.body.contains(part), "{part}: {}", partly.body);
    }
    assert!(partly.body.contains("file=%2Fopen%2Fb%2Etxt"), "the rest is still selected: {}", partly.body);
    assert_eq!(names(&web, "Archive/2026"), ["a.txt", "b.txt"]);

    put(&web, "", &["d.txt"]);
    let selection = [("file", "/open/b.txt"), ("file", "/open/d.txt"), ("to", "/private")];
    let done = ada.fill("/account", "/manage/selected/move", &selection).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/files/private")), "{}", done.body);
    assert!(ada.get("/files/private").await.body.contains("2 items moved to this folder."));
    assert_eq!(names(&web, ""), ["Archive", "file.txt"]);
    web.stop().await;
}

#[actix_web::test]
async fn nobody_moves_or_deletes_what_they_may_not() {
    let web = TestWeb::spawn_with(|settings| {
        for share in &mut settings.shares {
            share.manage = vec!["ada@example.org".to_owned()];
        }
    })
    .await;
    web.account("bob@example.org", &[]).await;
    web.account("ada@example.org", &[]).await;
    let mut bob = web.logged_in("bob@example.org").await;
    let page = bob.get("/files/open").await.body;
    assert!(page.contains("formaction=\"/links/new\"") && !page.contains("/manage/selected/"), "{page}");
    for (file, to) in
        [("/open/file.txt", "/open"), ("/private/file.txt", "/private"), ("/missing/x", "/open")]
    {
        for path in [
            "/manage/selected/confirm",
            "/manage/selected/delete",
            "/manage/selected/to",
            "/manage/selected/move",
        ] {
            let answer = bob.fill("/account", path, &[("file", file), ("to", to)]).await;
            assert_eq!(answer.status, 404, "{path} {file}: {}", answer.body);
        }
    }
    for path in ["/manage/selected/confirm", "/manage/selected/delete"] {
        assert_eq!(bob.fill("/account", path, &[("all", "/private")]).await.status, 404, "{path}");
    }
    assert_eq!(names(&web, ""), ["file.txt"]);
    let mut ada = web.logged_in("ada@example.org").await;
    let csrf = ada.get("/account").await.csrf();
    for path in [
        "/links/new",
        "/manage/selected/confirm",
        "/manage/selected/delete",
        "/manage/selected/to",
        "/manage/selected/move",
    ] {
        let foreign = ada.post(path, &[("file", "/open/file.txt"), ("csrf", "x")]).await;
        assert_eq!(foreign.status, 403, "{path}");
        assert_eq!(
            web.browser().post(path, &[("file", "/open/file.txt")]).await.status,
            303,
            "{path}: log in"
        );
        let own = |field: (&str, &str)| form(&[field, ("csrf", &csrf), ("to", "/open")]);
        for wrong in
            [("other", "x"), ("file", "open"), ("file_encoded", "/open/%ff"), ("all", "/.."), ("to", "/open")]
        {
            let answer = ada.send(Method::POST, path, Some((FORM, own(wrong)))).await;
            assert_eq!(answer.status, 400, "{path} {wrong:?}: {}", answer.body);
        }
    }
    assert_eq!(names(&web, ""), ["file.txt"]);
    web.stop().await;
}

#[actix_web::test]
async fn a_folder_of_a_thousand_files_is_small_when_compressed() {
    let (web, mut ada) = ada().await;
    let files: Vec<String> = (0..1_000)
        .map(|number| format!("Photo {number} of the summer {}.jpg", number * 7_919 % 1_000))
        .collect();
    put(&web, "many", &files.iter().map(String::as_str).collect::<Vec<_>>());
    let page = ada.get("/files/open/many").await.body;
    let mut gzip =
        Command::new("gzip").args(["-6", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let html = page.clone();
    let writing = std::thread::spawn(move || input.write_all(html.as_bytes()).unwrap());
    let compressed = gzip.wait_with_output().unwrap().stdout.len();
    writing.join().unwrap();
    assert!(page.matches("class=\"pick\"").count() == 1_000 && compressed <= 60 * 1024, "{compressed} bytes");
    web.stop().await;
}
