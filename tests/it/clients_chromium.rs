//! Chromium and the download service: it resumes an interrupted download by itself, keeps the file's name,
//! and its user confirms on a page before a download that needs it.

use std::fs;

use crate::support::browser::Browser;
use crate::support::client::Client;
use crate::support::proxy::{Line, Proxy};
use crate::support::{Node, pattern};

const MIB: usize = 1024 * 1024;

#[actix_web::test]
async fn chromium_resumes_a_cut_download_with_the_key() {
    let Some(browser) = Browser::start().await else { return };
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let proxy = Proxy::start(node.address, Line { cuts: 2, cut_after: 7 * MIB, speed: None }).await;
    browser.goto(&proxy.link(&link)).await;
    let files = browser.downloaded(1).await;
    assert!(files[0].ends_with("a.bin"), "{files:?}");
    assert!(fs::read(&files[0]).unwrap() == content);
    let asked: Vec<_> = proxy.requests().into_iter().filter(|head| head.starts_with("GET /d/")).collect();
    assert_eq!(proxy.cuts(), 2);
    assert_eq!(asked.len(), 3, "{asked:#?}");
    for head in &asked[1..] {
        let head = head.to_ascii_lowercase();
        assert!(head.contains("\r\nrange: bytes=") && head.contains("\r\nif-range: \""), "{head}");
    }
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    browser.quit().await;
    node.stop().await;
}

#[actix_web::test]
async fn chromium_saves_under_the_files_name() {
    let Some(browser) = Browser::start().await else { return };
    let node = Node::start().await;
    // Chromium itself replaces quotes.
    let names = [
        ("我这一辈子.pdf", "我这一辈子.pdf"),
        ("two words.txt", "two words.txt"),
        ("Größe – «naïve».txt", "Größe – «naïve».txt"),
        ("a;b=c, d.txt", "a;b=c, d.txt"),
        ("100%41.txt", "100%41.txt"),
        ("🎉.txt", "🎉.txt"),
        ("line\nbreak.txt", "line_break.txt"),
        ("say \"hi\".txt", "say _hi_.txt"),
        (".hidden", "_.hidden"),
        ("page.html", "page.html"),
    ];
    for (count, (name, saved)) in names.iter().enumerate() {
        node.put(name, name.as_bytes());
        browser.goto(&node.link(name)).await;
        let files = browser.downloaded(count + 1).await;
        let file = files.iter().find(|file| file.ends_with(saved));
        let file = file.unwrap_or_else(|| panic!("{saved:?} is not among {files:?}"));
        assert_eq!(fs::read_to_string(file).unwrap(), *name);
    }
    browser.quit().await;
    node.stop().await;
}

#[actix_web::test]
async fn the_page_before_a_download_spends_nothing_and_its_button_downloads() {
    let Some(browser) = Browser::start().await else { return };
    let node = Node::start().await;
    node.put("我这一辈子.pdf", &pattern(100_000));
    let link = node.issue("我这一辈子.pdf", |order| order.confirm = true).address;
    for _ in 0..3 {
        browser.goto(&link).await;
        assert!(browser.text().await.contains("我这一辈子.pdf"));
    }
    assert_eq!(browser.downloads().len(), 0);
    browser.inspect("download-confirm").await;
    browser.named("Download").await.click().await.unwrap();
    let files = browser.downloaded(1).await;
    assert!(files[0].ends_with("我这一辈子.pdf"));
    assert!(fs::read(&files[0]).unwrap() == pattern(100_000));
    browser.goto(&link).await;
    let text = browser.text().await;
    assert!(text.contains("used") && !text.contains('{'), "{text}");
    browser.inspect("download-used").await;
    assert_eq!(browser.downloads().len(), 1);
    browser.quit().await;
    node.stop().await;
}
