//! Uploads by the plain form, as a browser without scripts sends it.

use std::fs;

use crate::support::pattern;
use crate::support::tus::{Answer, Uploader, writable};
use crate::support::web::TestWeb;

const BOUNDARY: &str = "----boundary";

/// A field, its file name if it is a file, and its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

fn body(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map_or(String::new(), |file| {
            format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream")
        });
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

async fn post(ada: &Uploader, body: Vec<u8>) -> Answer {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    ada.bare("POST", "/files-upload", &[("content-type", &kind), ("accept", "application/json")], body).await
}

#[actix_web::test]
async fn several_files_arrive_and_the_folder_is_shown() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    fs::create_dir(web.share("open").join("sub folder")).unwrap();
    let large = pattern(1_500_000);
    let parts: [Part<'_>; 6] = [
        ("csrf", None, ada.csrf.as_bytes()),
        ("folder", None, b"/open/sub folder"),
        ("file", Some("我 one.bin"), &large),
        ("file", Some("empty"), b""),
        ("file", Some(""), b""),
        ("file", Some("empty"), b"\r\n--x\r\n"),
    ];
    let answer = post(&ada, body(&parts)).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/files/open/sub%20folder")),
        "{answer:?}"
    );
    let folder = web.share("open").join("sub folder");
    assert_eq!(fs::read(folder.join("我 one.bin")).unwrap(), large);
    assert_eq!(fs::read(folder.join("empty")).unwrap(), b"");
    assert_eq!(fs::read(folder.join("empty (2)")).unwrap(), b"\r\n--x\r\n");
    assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
    web.stop().await;
}

#[actix_web::test]
async fn a_form_that_is_not_ours_or_makes_no_sense_changes_nothing() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.upload_max = 100_000;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    let csrf: Part<'_> = ("csrf", None, ada.csrf.as_bytes());
    let folder: Part<'_> = ("folder", None, b"/open");
    let file: Part<'_> = ("file", Some("a.bin"), b"abc");
    let large = pattern(100_001);
    let cases: [(&[Part<'_>], u16); 13] = [
        (&[folder, file], 403),
        (&[folder, csrf, file], 403),
        (&[("csrf", None, b"x"), folder, file], 403),
        (&[], 403),
        (&[csrf, file], 400),
        (&[csrf, folder], 400),
        (&[csrf, folder, ("other", None, b"x"), file], 400),
        (&[csrf, ("folder", None, b"/staff"), file], 404),
        (&[csrf, ("folder", None, b"/open/missing"), file], 404),
        (&[csrf, ("folder", None, b"/open/.oncelink"), file], 404),
        (&[csrf, folder, ("file", Some("a/b.bin"), b"abc")], 422),
        (&[csrf, folder, ("file", Some(".."), b"abc")], 422),
        (&[csrf, folder, ("file", Some("large.bin"), &large)], 413),
    ];
    for (parts, status) in cases {
        let answer = post(&ada, body(parts)).await;
        assert_eq!(
            answer.status,
            status,
            "{:?}: {answer:?}",
            parts.iter().map(|part| part.1).collect::<Vec<_>>()
        );
    }
    let mut torn = body(&[csrf, folder, file]);
    torn.truncate(torn.len() - 20);
    assert_eq!(post(&ada, torn).await.status, 400);
    let urlencoded = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
    assert_eq!(ada.bare("POST", "/files-upload", &urlencoded, b"a=b".to_vec()).await.status, 415);
    let names: Vec<_> =
        fs::read_dir(web.share("open")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "file.txt" || name == ".oncelink"), "{names:?}");
    assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
    let nobody = Uploader { cookie: "sid=x".to_owned(), ..ada.clone() };
    assert_eq!(post(&nobody, body(&[csrf, folder, file])).await.status, 401);
    web.stop().await;
}

#[actix_web::test]
async fn a_file_that_is_beyond_the_quota_near_its_end_is_refused_and_the_others_are_told_of() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.account_quota = 1_000_000;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    assert_eq!(ada.put("/open", "there.bin", &pattern(958_000)).await.status, 204);
    for size in [45_000, 262_144, 300_000, 400_000, 600_000] {
        let parts: [Part<'_>; 5] = [
            ("csrf", None, ada.csrf.as_bytes()),
            ("folder", None, b"/open"),
            ("file", Some("small.bin"), b"small"),
            ("file", Some("large.bin"), &pattern(size)),
            ("file", Some("last.bin"), b"last"),
        ];
        let answer = post(&ada, body(&parts)).await;
        assert_eq!(answer.status, 413, "{size}: {answer:?}");
        assert!(!web.share("open").join("large.bin").exists(), "{size}");
        for name in ["small.bin", "last.bin"] {
            fs::remove_file(web.share("open").join(name))
                .unwrap_or_else(|error| panic!("{size}, {name}: {error}"));
        }
        assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0, "{size}");
    }
    web.stop().await;
}
