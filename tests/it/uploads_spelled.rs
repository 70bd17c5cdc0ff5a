//! Uploads in the ways that clients spell them: content types with parameters, folders with and without
//! slashes, invalid forms; and what a form without scripts says about a name that was taken.

use std::fs;

use hyper::Method;

use crate::support::tus::{Uploader, metadata, writable};
use crate::support::web::TestWeb;

#[actix_web::test]
async fn a_parameter_of_the_content_type_makes_no_difference() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    for (name, kind) in [
        ("a.txt", "application/offset+octet-stream; charset=UTF-8"),
        ("b.txt", "application/offset+octet-stream;charset=utf-8"),
        ("c.txt", "Application/Offset+Octet-Stream"),
    ] {
        let address = ada.begin("/open", name, 3).await;
        let answer = ada
            .send("PATCH", &address, &[("content-type", kind), ("upload-offset", "0")], b"abc".to_vec())
            .await;
        assert_eq!(answer.status, 204, "{kind}: {answer:?}");
        assert_eq!(fs::read(web.share("open").join(name)).unwrap(), b"abc");
    }
    let address = ada.begin("/open", "d.txt", 3).await;
    let other = [("content-type", "application/offset"), ("upload-offset", "0")];
    assert_eq!(ada.send("PATCH", &address, &other, b"abc".to_vec()).await.status, 415);
    web.stop().await;
}

#[actix_web::test]
async fn a_folder_is_the_same_with_and_without_slashes_around_it() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    fs::create_dir(web.share("open").join("new")).unwrap();
    for (number, folder) in ["/open/new", "/open/new/", "open/new", "open/new/"].into_iter().enumerate() {
        let said = metadata(&[("folder", folder), ("filename", &format!("{number}.txt"))]);
        let answer = ada
            .send("POST", "/uploads", &[("upload-length", "0"), ("upload-metadata", &said)], Vec::new())
            .await;
        assert_eq!(answer.status, 201, "{folder}: {answer:?}");
        assert!(web.share("open").join(format!("new/{number}.txt")).exists(), "{folder}");
    }
    for wrong in ["open//new", "../open", "open/.", "", "/"] {
        let said = metadata(&[("folder", wrong), ("filename", "x.txt")]);
        let answer = ada
            .send("POST", "/uploads", &[("upload-length", "0"), ("upload-metadata", &said)], Vec::new())
            .await;
        assert_eq!(answer.status, 404, "{wrong}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_form_of_another_type_is_refused_and_a_taken_name_is_reported() {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let csrf = ada.get("/account").await.csrf();
    let part = |name: &str, value: &str| {
        format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"file.txt\"\r\n\
                content-type: text/plain\r\n\r\nanother\r\n--x--\r\n";
    let body = [part("csrf", &csrf), part("folder", "/open"), file.to_owned()].concat();
    for kind in ["multipart/mixed", "multipart/related", "multipart/x-form-data"] {
        let kind = format!("{kind}; boundary=x");
        let answer = ada.send(Method::POST, "/files-upload", Some((&kind, body.clone()))).await;
        assert_eq!(answer.status, 415, "{kind}");
    }
    assert!(!web.share("open").join("file (2).txt").exists());
    let kind = "multipart/form-data; boundary=x";
    let answer = ada.send(Method::POST, "/files-upload", Some((kind, body))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.body.contains("file.txt</bdi></strong> was uploaded as <strong><bdi>file (2).txt"),
        "{}",
        answer.body
    );
    assert_eq!(fs::read(web.share("open").join("file (2).txt")).unwrap(), b"another");
    web.stop().await;
}
