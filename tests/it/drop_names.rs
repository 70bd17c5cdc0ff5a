//! What recipients see of the folders in which a sender's files are: the name of a folder that the sender shared,
//! and not that of a folder which only collects what was dropped. Also names that are too long, and thousands of
//! dropped files.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::needs::{has_program, variable};
use crate::support::client::Client;
use crate::support::links::{Made, make};
use crate::support::tus::{Uploader, metadata, personal};
use crate::support::web::{Browser, TestWeb};
use crate::web_link_downloads::Stage;

/// The names of a link's files, as a program gets them.
async fn names(base: &str, made: &Made) -> Vec<String> {
    let mut program = Browser::at(base);
    program.headers = vec![("accept", "application/json".to_owned())];
    let facts: Value = serde_json::from_str(&program.get(&made.public[0]).await.body).unwrap();
    let name = |file: &Value| file["name"].as_str().unwrap().to_owned();
    facts["files"].as_array().unwrap().iter().map(name).collect()
}

/// The names in an archive, sorted.
fn entries(archive: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.zip");
    fs::write(&path, archive).unwrap();
    let code = "import sys, zipfile; print('\\n'.join(sorted(zipfile.ZipFile(sys.argv[1]).namelist())))";
    let output = Command::new("python3").args(["-c", code]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn put(home: &Path, files: &[&str]) {
    for file in files {
        let path = home.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
}

#[actix_web::test]
async fn recipients_see_a_folder_that_was_shared_by_name_and_not_one_that_only_collects_a_drop() {
    let mut stage = Stage::start_with(personal).await;
    let id = stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap().id;
    let home = stage.folder.path().join("home").join(id.as_str());
    put(&home, &["Shared 29 Nov 2026/notes.txt", "Shared 29 Nov 2026/Trip/a.jpg"]);
    put(&home, &["Holiday/b.jpg", "Holiday/deep/c.jpg", "Holiday/Shared 1 Jan 2027/d.jpg"]);
    let path = |name: &str| format!("/home/{id}/{}", name.replace(' ', "%20"));
    let holiday = ["Holiday/b.jpg", "Holiday/deep/c.jpg", "Holiday/Shared 1 Jan 2027/d.jpg"];
    let cases: [(String, &[&str], &[&str]); 4] = [
        // Nobody chose the name of the folder.
        (path("Shared 29 Nov 2026"), &["notes.txt", "Trip/a.jpg"], &["Trip/a.jpg", "notes.txt"]),
        // A folder that was shared alone: the title has its name, and what is unpacked stays together.
        (path("Holiday"), &["b.jpg", "deep/c.jpg", "Shared 1 Jan 2027/d.jpg"], &holiday),
        // One that somebody made by that name elsewhere.
        (path("Holiday/Shared 1 Jan 2027"), &["d.jpg"], &[]),
        // Beside something else, each keeps its name.
        (
            format!("{} {}", path("Holiday"), path("Shared 29 Nov 2026")),
            &[&holiday[..], &["Shared 29 Nov 2026/notes.txt", "Shared 29 Nov 2026/Trip/a.jpg"]].concat(),
            &[&holiday[..], &["Shared 29 Nov 2026/notes.txt", "Shared 29 Nov 2026/Trip/a.jpg"]].concat(),
        ),
    ];
    for (files, shown, archived) in &cases {
        let made = stage.make(&[("files", files), ("uses", "9")]).await;
        let mut seen = names(&stage.base, &made).await;
        let mut shown: Vec<String> = shown.iter().map(|name| (*name).to_owned()).collect();
        seen.sort();
        shown.sort();
        assert_eq!(seen, shown, "{files}");
        let page = Browser::at(&stage.base).get(&made.public[0]).await.body;
        for name in &shown {
            assert!(page.contains(&format!("<bdi>{name}</bdi>")), "{name}: {page}");
        }
        assert_eq!(
            page.contains("Shared 29 Nov"),
            files.contains("Holiday%20") || files.contains(' '),
            "{page}"
        );
        if archived.is_empty() || !has_program("python3") {
            continue;
        }
        let mut browser = Browser::at(&stage.base);
        let pressed = browser.fill(&made.public[0], &made.public[0], &[("file", "zip")]).await;
        let zip = Client::at(1).get(pressed.location.as_deref().unwrap()).await;
        let mut archived: Vec<String> = archived.iter().map(|name| (*name).to_owned()).collect();
        archived.sort();
        assert_eq!(entries(&zip.body), archived, "{files}");
        // Each file can be downloaded by what its button sends.
        let key = page.split("name=\"file\" value=\"0/").nth(1).unwrap().split('"').next().unwrap();
        let pressed = browser.fill(&made.public[0], &made.public[0], &[("file", &format!("0/{key}"))]).await;
        assert_eq!(pressed.status, 303, "{}", pressed.body);
    }
    // Its owner knows the folder, and finds it in an archive of their own.
    if has_program("python3") {
        let fields = [("files", path("Shared 29 Nov 2026"))];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = stage.ada.fill("/account", "/zip", &fields).await;
        let zip = Client::at(1).get(answer.location.as_deref().unwrap()).await;
        assert_eq!(entries(&zip.body), ["Shared 29 Nov 2026/Trip/a.jpg", "Shared 29 Nov 2026/notes.txt"]);
    }
    stage.stop().await;
}

#[actix_web::test]
async fn an_archive_has_the_hidden_files_that_its_link_includes() {
    if !has_program("python3") {
        return;
    }
    let mut stage = Stage::start_with(|_| {}).await;
    put(&stage.folder.path().join("open"), &["docs/.hidden", "docs/shown.txt", "docs/also.txt"]);
    for (hidden, found) in [
        (false, vec!["docs/also.txt", "docs/shown.txt"]),
        (true, vec!["docs/.hidden", "docs/also.txt", "docs/shown.txt"]),
    ] {
        let mut fields = vec![("files", "/open/docs")];
        fields.extend(hidden.then_some(("hidden_files", "yes")));
        let made = stage.make(&fields).await;
        let mut browser = Browser::at(&stage.base);
        let pressed = browser.fill(&made.public[0], &made.public[0], &[("file", "zip")]).await;
        let zip = Client::at(1).get(pressed.location.as_deref().unwrap()).await;
        assert_eq!(entries(&zip.body), found);
    }
    stage.stop().await;
}

#[actix_web::test]
async fn the_email_about_a_drop_names_its_files() {
    let web = TestWeb::spawn_with(personal).await;
    let id = web.account("ada@example.org", &[]).await.id;
    let mut ada = web.logged_in("ada@example.org").await;
    let home = web.share("home").join(id.as_str());
    let files: Vec<String> = (1..=7).map(|n| format!("Shared 29 Nov 2026/{n}.txt")).collect();
    put(&home, &files.iter().map(String::as_str).collect::<Vec<_>>());
    let folder = format!("/home/{id}/Shared%2029%20Nov%202026");
    let link = [("files", folder.as_str()), ("recipients", "bob@example.org"), ("mail", "yes")];
    make(&mut ada, &link).await;
    let mails = web.mails().await;
    let text = &mails[0].text;
    assert!(text.contains("1.txt (") && text.contains("5.txt (") && text.contains("and 2 more"), "{text}");
    assert!(!text.contains("Shared 29") && !text.contains("6.txt"), "{text}");
    web.stop().await;
}

/// Begins a link for a drop, and returns its id, its folder and its public address.
async fn begin(ada: &mut Browser, files: usize, name: &str, is_folder: bool) -> (String, String, String) {
    let files = files.to_string();
    let mut fields = vec![("files", files.as_str()), ("items", "1"), ("name", name), ("drop", "d")];
    if is_folder {
        fields.push(("folder", "yes"));
    }
    let made = ada.fill("/files/", "/links/uploading", &fields).await;
    assert_eq!(made.status, 303, "{}", made.body);
    let sheet = ada.get(made.location.as_deref().unwrap()).await.body;
    let value = |name: &str| {
        let rest = sheet.split(&format!("{name}=\"")).nth(1).unwrap_or_else(|| panic!("{name}: {sheet}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let folder =
        percent_encoding::percent_decode_str(&value("data-folder")).decode_utf8().unwrap().into_owned();
    let public = value("data-copy");
    (value("data-link"), folder, public[public.find("/l/").unwrap()..].to_owned())
}

async fn upload(
    ada: &Uploader,
    link: &str,
    folder: &str,
    item: usize,
    name: &str,
    body: &[u8],
) -> (u16, String) {
    let item = item.to_string();
    let said = metadata(&[("folder", folder), ("filename", name), ("link", link), ("item", &item)]);
    let size = body.len().to_string();
    let headers = [("upload-length", size.as_str()), ("upload-metadata", said.as_str())];
    let begun = ada.send("POST", "/uploads", &headers, Vec::new()).await;
    match begun.header("location") {
        Some(address) if begun.status == 201 => {
            let sent = ada.patch(address, 0, body).await;
            (sent.status, sent.body)
        }
        _ => (begun.status, begun.body),
    }
}

#[actix_web::test]
async fn names_of_300_bytes_are_refused_kindly_and_the_rest_of_the_drop_is_shared() {
    for web in TestWeb::on_each_database(personal).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let sender = Uploader::of(ada.clone()).await;
        // No folder can have the name, so it is one that nobody chose.
        let (link, folder, public) = begin(&mut ada, 3, &"n".repeat(300), true).await;
        assert!(folder.contains("/Shared "), "{folder}");
        for (item, name, status) in [
            (0, "ä".repeat(150), 422),
            (0, "x".repeat(300), 422),
            (1, "ä".repeat(127), 204),
            (2, "good.txt".to_owned(), 204),
        ] {
            let (answered, body) = upload(&sender, &link, &folder, item, &name, b"content").await;
            assert_eq!(answered, status, "{name}: {body}");
            assert!(status == 204 || body.contains("255 bytes"), "{body}");
        }
        assert_eq!(web.browser().post(&public, &[("file", "zip")]).await.status, 409, "one is missing");
        let settled = ada.fill(&format!("/links/{link}"), &format!("/links/{link}/settle"), &[]).await;
        assert_eq!(settled.status, 303, "{}", settled.body);
        let page = web.browser().get(&public).await;
        assert!(
            page.status == 200 && page.body.contains("2 files") && page.body.contains("good.txt"),
            "{}",
            page.body
        );
        web.stop().await;
    }
}

/// `ONCELINK_TEST_DROPS=long` drops 10,000 files.
#[actix_web::test]
async fn every_one_of_thousands_of_dropped_files_arrives_and_is_on_a_page_and_in_the_archive() {
    const AT_ONCE: usize = 8;
    let files = if variable("ONCELINK_TEST_DROPS").is_some() { 10_000 } else { 240 };
    let web = TestWeb::spawn_with(personal).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let (link, folder, public) = begin(&mut ada, files, "Many", true).await;
    let sender = Uploader::of(ada.clone()).await;
    let senders = (0..AT_ONCE).map(|first| {
        let (sender, link, folder) = (sender.clone(), link.clone(), folder.clone());
        async move {
            for item in (first..files).step_by(AT_ONCE) {
                let name = format!("{item:05}.txt");
                let (status, body) = upload(&sender, &link, &folder, item, &name, name.as_bytes()).await;
                assert_eq!(status, 204, "{name}: {body}");
            }
        }
    });
    futures_util::future::join_all(senders).await;
    let mut program = web.browser();
    program.headers = vec![("accept", "application/json".to_owned())];
    let (mut seen, mut page) = (Vec::new(), 1);
    loop {
        let facts: Value =
            serde_json::from_str(&program.get(&format!("{public}?page={page}")).await.body).unwrap();
        assert_eq!(facts["total"], files);
        let names = facts["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap());
        seen.extend(names.map(str::to_owned));
        if facts["pages"] == page {
            break;
        }
        page += 1;
    }
    assert_eq!(seen, (0..files).map(|item| format!("{item:05}.txt")).collect::<Vec<_>>());
    // Checksums were taken on arrival, so nothing has to be read again.
    crate::support::deliveries::eventually("the archive is ready", async || {
        program.post(&public, &[("file", "zip")]).await.status == 303
    })
    .await;
    let (count,): (i64,) =
        sqlx::query_as("SELECT files FROM manifests").fetch_one(web.outside.db.reader()).await.unwrap();
    assert_eq!(count, files as i64);
    web.stop().await;
}
