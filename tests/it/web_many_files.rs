//! Long folders are paginated, searches find what people mean and say when they stopped early, and each file
//! of a large link can be downloaded.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::AtomicBool;

use oncelink::web::http::files::listing as browse;
use oncelink::web::http::files::sort::Sort;
use oncelink::web::shares::rights::Rights;

use crate::support::links::make;
use crate::support::web::{Browser, TestWeb};

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

#[actix_web::test]
async fn a_search_folds_accents_and_knows_patterns_and_sorting_follows_the_alphabet() {
    let (web, mut ada) = ada().await;
    let open = web.share("open").to_owned();
    for name in ["Notes – résumé & ideas.txt", "Äpfel.txt", "Zoo.txt", "Straße.PDF", "report.pdf"] {
        fs::write(open.join(name), "x").unwrap();
    }
    let mut found = async |query: &str| ada.get(&format!("/files/open?q={query}")).await.body;
    assert!(found("resume").await.contains("Notes – résumé"));
    assert!(found("apfel").await.contains(">Äpfel.txt<"));
    assert!(found("strasse").await.contains(">Straße.PDF<"));
    let pdfs = found("*.pdf").await;
    assert!(
        pdfs.contains(">Straße.PDF<") && pdfs.contains(">report.pdf<") && !pdfs.contains("Zoo"),
        "{pdfs}"
    );
    let page = ada.get("/files/open").await.body;
    assert!(page.find(">Äpfel.txt<") < page.find(">file.txt<"), "Ä is sorted as A");
    web.stop().await;
}

#[actix_web::test]
async fn a_search_that_stopped_early_says_so() {
    let (web, _) = ada().await;
    let shares = oncelink::files::Shares::open(&web.settings.shares).unwrap();
    let email = "ada@example.org".parse().unwrap();
    let account = web.outside.accounts.by_email(&email).await.unwrap().unwrap();
    let rights = Rights::new(&web.settings.shares);
    let places = vec![rights.readable(&account, "/open".parse().unwrap()).unwrap()];
    let stopped = AtomicBool::new(true);
    let found = browse::search(&shares, &places, "file", Sort::default(), &stopped);
    assert_eq!((found.rows.len(), found.stopped_after), (0, Some(0)));
    let found = browse::search(&shares, &places, "file", Sort::default(), &AtomicBool::new(false));
    assert_eq!((found.rows.len(), found.stopped_after), (1, None));
    web.stop().await;
}

#[actix_web::test]
async fn a_folder_of_many_files_has_a_second_page() {
    let (web, mut ada) = ada().await;
    let many = web.share("open").join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..1_201 {
        fs::write(many.join(format!("f{number}.txt")), "").unwrap();
    }
    let first = ada.get("/files/open/many").await.body;
    assert!(first.contains(">f999.txt<") && !first.contains(">f1000.txt<"));
    assert!(first.contains("Page 1 of 2") && first.contains("1,201 entries in this folder"), "{first}");
    let second = ada.get("/files/open/many?sort=name&order=asc&page=2").await.body;
    assert!(second.contains(">f1200.txt<") && !second.contains(">f999.txt<"));
    assert!(ada.get("/files/open/many?page=99").await.body.contains("Page 2 of 2"), "the last page");
    web.stop().await;
}

#[actix_web::test]
async fn each_file_of_a_large_link_can_be_reached_by_page_and_by_name() {
    let (web, mut ada) = ada().await;
    let many = web.share("open").join("many");
    fs::create_dir_all(many.join("deep")).unwrap();
    for number in 0..1_500 {
        fs::write(many.join(format!("f{number:04}.txt")), "").unwrap();
    }
    fs::write(many.join("deep/Müller.txt"), "x").unwrap();
    let made = make(&mut ada, &[("files", "/open/many"), ("uses", "")]).await;
    let public = &made.public[0];
    let mut guest = web.browser();
    let mut seen = BTreeSet::new();
    for page in 1..=16 {
        let body = guest.get(&format!("{public}?page={page}")).await.body;
        let keys = body.split("name=\"file\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        seen.extend(keys.map(str::to_owned));
    }
    let missing: Vec<_> =
        (0..1_500).map(|number| format!("0/f{number:04}.txt")).filter(|key| !seen.contains(key)).collect();
    assert!(seen.remove("zip"), "all of them in one archive");
    assert_eq!((missing, seen.len()), (Vec::new(), 1_501));
    let first = guest.get(public).await.body;
    assert!(
        first.contains("Page 1 of 16") && first.contains("1,501 files") && first.contains("?page=2"),
        "{first}"
    );
    let found = guest.get(&format!("{public}?q=muller")).await.body;
    assert!(found.contains("<bdi>deep/Müller.txt</bdi>") && !found.contains("f0000.txt"), "{found}");
    let none = guest.get(&format!("{public}?q=zzz")).await.body;
    assert!(none.contains("No file name contains “<bdi>zzz</bdi>”"), "{none}");
    let taken = guest.fill(public, public, &[("file", "0/f1499.txt")]).await;
    assert_eq!(taken.status, 303, "{}", taken.body);
    web.stop().await;
}

#[actix_web::test]
async fn hidden_files_are_left_out_of_a_folder_and_can_be_shared_by_themselves() {
    let (web, mut ada) = ada().await;
    let folder = web.share("open").join("project");
    fs::create_dir_all(folder.join(".git")).unwrap();
    fs::write(folder.join("a.txt"), "x").unwrap();
    fs::write(folder.join(".env"), "x").unwrap();
    fs::write(folder.join(".git/config"), "x").unwrap();
    assert!(ada.get("/links/new?file=%2Fopen%2Fproject").await.body.contains("Hidden files"));
    let made = make(&mut ada, &[("files", "/open/project"), ("uses", "")]).await;
    let page = web.browser().get(&made.public[0]).await.body;
    assert!(
        page.contains("<bdi>a.txt</bdi>") && !page.contains(".env") && !page.contains("config"),
        "{page}"
    );
    for key in ["0/.env", "0/.git/config"] {
        let taken = web.browser().fill(&made.public[0], &made.public[0], &[("file", key)]).await;
        assert_eq!(taken.status, 404, "{key}");
    }
    let made = make(&mut ada, &[("files", "/open/project/.env")]).await;
    assert!(web.browser().get(&made.public[0]).await.body.contains(".env"), "it was selected by name");
    web.stop().await;
}

#[actix_web::test]
async fn a_path_that_is_too_long_for_a_token_is_reported_before_the_press() {
    let (web, mut ada) = ada().await;
    let (mut folder, mut path) = (web.share("open").to_owned(), "/open".to_owned());
    for number in 0..13 {
        let name = format!("{}{number:02}", "d".repeat(230));
        folder.push(&name);
        path = format!("{path}/{name}");
        // Step by step: the whole path is too long for one system call, but no name is too long.
        fs::create_dir(&folder).unwrap();
    }
    fs::write(folder.join("f.txt"), "x").unwrap();
    let page = ada.get(&format!("/files{path}")).await.body;
    assert!(page.contains("f.txt") && page.contains("path too long to download"), "{page}");
    assert!(!page.contains("form=\"download\" name=\"file\""), "no button that fails");
    let file = format!("{path}/f.txt");
    let pressed = ada.fill("/account", "/download", &[("file", &file)]).await;
    assert!(pressed.status == 422 && pressed.body.contains("too long"), "{}", pressed.body);
    let made = make(&mut ada, &[("files", "/open"), ("uses", "")]).await;
    let page = web.browser().get(&made.public[0]).await.body;
    assert!(page.contains("1 file can’t be downloaded") && page.contains("file.txt"), "{page}");
    let linked = ada.get(&format!("/links/new?file={}", file.replace('/', "%2F"))).await;
    assert!(linked.status == 422 && linked.body.contains("too long"), "{}", linked.body);
    web.stop().await;
}
