//! Names of uploads: kept where that is safe, and never a way to another place. The hostile ones are data:
//! `tests/vectors/upload_names.json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hyper::Method;
use serde::Deserialize;

use crate::support::tus::{Uploader, metadata, writable};
use crate::support::web::TestWeb;

#[derive(Deserialize)]
struct Vectors {
    uploads: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    becomes: Option<String>,
    refused: Option<String>,
}

fn vectors() -> Vec<Vector> {
    let text = fs::read_to_string("tests/vectors/upload_names.json").unwrap();
    serde_json::from_str::<Vectors>(&text).unwrap().uploads
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[actix_web::test]
async fn each_name_becomes_what_the_vectors_say_and_nothing_is_replaced() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    for (number, vector) in vectors().into_iter().enumerate() {
        let folder = web.share("open").join(format!("n{number}"));
        fs::create_dir_all(folder.join("Folder")).unwrap();
        fs::write(folder.join("taken.txt"), "earlier").unwrap();
        fs::write(folder.join("R\u{e9}sum\u{e9}.pdf"), "earlier").unwrap();
        let before = names_in(&folder);
        let answer = ada.try_begin(&format!("/open/n{number}"), &vector.name, 3).await;
        match (&vector.becomes, &vector.refused) {
            (Some(name), None) => {
                assert_eq!(answer.status, 201, "{:?}: {answer:?}", vector.name);
                let done = ada.patch(answer.header("location").unwrap(), 0, b"new").await;
                assert_eq!(done.status, 204, "{:?}: {done:?}", vector.name);
                let mut expected = before.clone();
                expected.insert(name.clone());
                assert_eq!(names_in(&folder), expected, "{:?}", vector.name);
                assert_eq!(fs::read(folder.join(name)).unwrap(), b"new");
                assert_eq!(fs::read(folder.join("taken.txt")).unwrap(), b"earlier");
            }
            (None, Some(slug)) => {
                assert_eq!(
                    (answer.status, answer.problem().0.as_str()),
                    (422, slug.as_str()),
                    "{:?}",
                    vector.name
                );
                assert!(answer.problem().1.ends_with('.'), "a sentence: {answer:?}");
                assert_eq!(names_in(&folder), before, "{:?}", vector.name);
            }
            _ => panic!("{:?} must either become something or be refused", vector.name),
        }
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_folder_that_is_uploaded_as_a_whole_keeps_its_structure_and_leads_nowhere_else() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let begin = async |relative: &str, name: &str| {
        let pairs = [("folder", "/open"), ("filename", name), ("relativePath", relative)];
        let metadata = metadata(&pairs);
        ada.send("POST", "/uploads", &[("upload-length", "3"), ("upload-metadata", &metadata)], Vec::new())
            .await
    };
    for (relative, name, path) in [
        ("photos/2026/a.jpg", "a.jpg", "photos/2026/a.jpg"),
        ("photos/2026/b.jpg", "b.jpg", "photos/2026/b.jpg"),
        // The folder exists under another spelling.
        ("Photos/2026/c.jpg", "c.jpg", "photos/2026/c.jpg"),
        ("/photos/d.jpg", "d.jpg", "photos/d.jpg"),
        ("null", "e.jpg", "e.jpg"),
        ("", "f.jpg", "f.jpg"),
    ] {
        let answer = begin(relative, name).await;
        assert_eq!(answer.status, 201, "{relative}: {answer:?}");
        assert_eq!(ada.patch(answer.header("location").unwrap(), 0, b"abc").await.status, 204);
        assert_eq!(fs::read(web.share("open").join(path)).unwrap(), b"abc", "{relative}");
    }
    for hostile in ["../x/a.jpg", "a/../../b.jpg", "a//b.jpg", ".oncelink/trash/a.jpg", "./a.jpg"] {
        assert_eq!(begin(hostile, "a.jpg").await.status, 422, "{hostile}");
    }
    let expected = [".oncelink", "e.jpg", "f.jpg", "file.txt", "photos"].map(str::to_owned);
    assert_eq!(names_in(web.share("open")), BTreeSet::from(expected));
    // There is a file where the folder should be: nothing is lost, and the problem says why.
    let answer = begin("e.jpg/a.jpg", "a.jpg").await;
    let refused = ada.patch(answer.header("location").unwrap(), 0, b"abc").await;
    assert_eq!((refused.status, refused.problem().0.as_str()), (409, "name-taken"), "{refused:?}");
    web.stop().await;
}

#[actix_web::test]
async fn folders_that_can_t_receive_an_upload_are_refused() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    ada.put("/open", "a.bin", b"abc").await;
    std::os::unix::fs::symlink("/tmp", web.share("open").join("out")).unwrap();
    for folder in [
        "",
        "/",
        "/open/..",
        "/open/../private",
        "/open/out",
        "/open/.oncelink",
        "/open/.oncelink/uploads",
        "/open/.OnceLink/trash",
        "/open\0",
    ] {
        assert_eq!(ada.try_begin(folder, "x.bin", 3).await.status, 404, "{folder:?}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn the_services_own_folder_is_not_visible_at_any_address() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let address = ada.begin("/open", "a.bin", 10).await;
    ada.patch(&address, 0, b"secret").await;
    let id = address.rsplit('/').next().unwrap();
    fs::create_dir(web.share("open").join(".oncelink/trash")).unwrap();
    fs::write(web.share("open").join(".oncelink/trash/thrown-away.txt"), "secret").unwrap();
    std::os::unix::fs::symlink(".", web.share("open").join("loop")).unwrap();
    let mut browser = web.logged_in("ada@example.org").await;
    for path in [
        "/files/open/.oncelink",
        "/files/open/.oncelink/",
        "/files/open/.oncelink/uploads",
        "/files/open/.OnceLink/uploads",
        "/files/open/%2eoncelink/trash",
        "/files/open/loop/.oncelink",
        "/files/open/loop/loop/.oncelink/trash",
        &format!("/files/open/.oncelink/uploads/{id}"),
    ] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
        assert_eq!(browser.send(Method::HEAD, path, None).await.status, 404, "{path}");
    }
    for page in [
        "/files/open",
        "/files/open/loop",
        "/files/?q=oncelink",
        "/files/open?q=thrown",
        "/files/open?q=loop",
    ] {
        let body = browser.get(page).await.body;
        assert!(!body.contains(".oncelink") && !body.contains("thrown-away") && !body.contains(id), "{page}");
    }
    for file in [
        format!("/open/.oncelink/uploads/{id}"),
        "/open/.oncelink/trash/thrown-away.txt".to_owned(),
        "/open/loop/.oncelink/trash/thrown-away.txt".to_owned(),
    ] {
        let answer = browser.fill("/account", "/download", &[("file", &file)]).await;
        assert_eq!(answer.status, 404, "{file}");
    }
    web.stop().await;
}
