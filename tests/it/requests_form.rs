//! The plain form of a file request, for browsers without scripts.

use std::fs;

use hyper::Method;

use crate::support::requests::ask;
use crate::support::tus::writable;
use crate::support::web::{Answer, Browser, TestWeb};

const BOUNDARY: &str = "multipart/form-data; boundary=x";

fn part(head: &str, content: &str) -> String {
    format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

fn body(csrf: &str, name: &str, files: &[(&str, &str)]) -> String {
    let mut body = format!("{}{}", part("name=\"csrf\"", csrf), part("name=\"name\"", name));
    for (file, content) in files {
        let head = format!("name=\"file\"; filename=\"{file}\"\r\nContent-Type: application/octet-stream");
        body += &part(&head, content);
    }
    body + "--x--\r\n"
}

async fn send(browser: &mut Browser, public: &str, name: &str, files: &[(&str, &str)]) -> Answer {
    let csrf = browser.get(public).await.csrf();
    let body = body(&csrf, name, files);
    browser.send(Method::POST, &format!("{public}/files"), Some((BOUNDARY, body))).await
}

#[actix_web::test]
async fn files_arrive_without_a_script_and_the_page_lists_what_this_guest_sent() {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let asked = ask(&mut ada, &[]).await;
    let mut eve = web.browser();
    let sent = send(&mut eve, &asked.public, "Eve", &[("file.txt", "from Eve"), ("b.txt", "b")]).await;
    assert_eq!((sent.status, sent.location.as_deref()), (303, Some(asked.public.as_str())), "{}", sent.body);
    let page = eve.get(&asked.public).await.body;
    assert!(page.contains("Thank you! Your files have arrived."), "{page}");
    assert!(page.contains("What you have sent") && page.contains("<bdi>file.txt</bdi>"), "{page}");
    assert!(!page.contains("file (2).txt"), "that would show that the name was taken");
    assert_eq!(fs::read(web.share("open").join("file (2).txt")).unwrap(), b"from Eve");
    assert_eq!(fs::read(web.share("open").join("file.txt")).unwrap(), b"this is open");
    let mut other = web.browser();
    assert!(!other.get(&asked.public).await.body.contains("What you have sent"));
    // The same person sends more, under the same ticket.
    assert_eq!(send(&mut eve, &asked.public, "Eve", &[("c.txt", "c")]).await.status, 303);
    assert!(ada.get(&asked.page).await.body.matches("from <bdi>Eve</bdi>").count() == 3);
    web.stop().await;
}

#[actix_web::test]
async fn a_form_says_which_files_did_not_arrive_and_why() {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let asked = ask(&mut ada, &[("max_bytes", "10 bytes")]).await;
    let mut eve = web.browser();
    let none = send(&mut eve, &asked.public, "", &[]).await;
    assert!(none.status == 422 && none.body.contains("No file was chosen"), "{}", none.body);
    let long = "x".repeat(300);
    let files = [("a.txt", "12345"), ("big.txt", "0123456789"), (long.as_str(), "x"), ("b.txt", "12345")];
    let sent = send(&mut eve, &asked.public, "", &files).await;
    assert_eq!(sent.status, 413, "{}", sent.body);
    assert!(sent.body.contains("<strong><bdi>a.txt</bdi></strong> has arrived."), "{}", sent.body);
    assert!(sent.body.contains("<strong><bdi>b.txt</bdi></strong> has arrived."), "{}", sent.body);
    assert!(sent.body.contains("<strong><bdi>big.txt</bdi></strong> did not arrive."), "{}", sent.body);
    assert!(!web.share("open").join("big.txt").exists());
    web.stop().await;
}

#[actix_web::test]
async fn a_form_from_elsewhere_or_without_the_password_is_refused() {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let asked = ask(&mut ada, &[]).await;
    let locked = ask(&mut ada, &[("password", "the right word")]).await;
    let mut eve = web.browser();
    let csrf = eve.get(&asked.public).await.csrf();
    let files = [("a.txt", "a")];
    let to = format!("{}/files", asked.public);
    let wrong = body("x", "", &files);
    assert_eq!(eve.send(Method::POST, &to, Some((BOUNDARY, wrong))).await.status, 403);
    let mut foreign = eve.clone();
    foreign.headers = vec![("origin", "https://evil.example".to_owned())];
    let right = body(&csrf, "", &files);
    assert_eq!(foreign.send(Method::POST, &to, Some((BOUNDARY, right.clone()))).await.status, 403);
    let to = format!("{}/files", locked.public);
    assert_eq!(eve.send(Method::POST, &to, Some((BOUNDARY, right.clone()))).await.status, 403);
    let plain = "application/x-www-form-urlencoded";
    assert_eq!(eve.send(Method::POST, &to, Some((plain, "a=b".to_owned()))).await.status, 415);
    let named = body(&csrf, "see http://evil.example", &files);
    let to = format!("{}/files", asked.public);
    assert_eq!(eve.send(Method::POST, &to, Some((BOUNDARY, named))).await.status, 422);
    assert!(!web.share("open").join("a.txt").exists());
    // A browser that keeps no cookies can send files, too.
    eve.cookies.clear();
    assert_eq!(eve.send(Method::POST, &to, Some((BOUNDARY, right))).await.status, 303);
    assert!(web.share("open").join("a.txt").exists());
    web.stop().await;
}
