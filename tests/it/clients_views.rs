//! Views in a real browser: a picture, a PDF, a text and a sound really show, and nothing in them runs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::both::{ADA, Both};
use crate::support::browser::Browser;
use crate::support::links::make;
use crate::support::web::PASSWORD;

/// Eight by eight pixels.
fn picture() -> Vec<u8> {
    // A bitmap needs no compression: a header of 54 bytes and three bytes for each pixel.
    let mut bytes = b"BM".to_vec();
    let numbers: [u32; 13] = [246, 0, 54, 40, 8, 8, 1 | (24 << 16), 0, 192, 2835, 2835, 0, 0];
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend([0x30, 0x80, 0xe0].repeat(64));
    bytes
}

/// A second of a tone.
fn sound() -> Vec<u8> {
    let samples: Vec<u8> = (0..8000_u32).map(|n| if n / 10 % 2 == 0 { 96 } else { 160 }).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(8036_u32.to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    for number in [16_u32, 1 | (1 << 16), 8000, 8000, 1 | (8 << 16)] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(8000_u32.to_le_bytes());
    bytes.extend(samples);
    bytes
}

/// A page with a sentence.
fn document() -> Vec<u8> {
    let stream = "BT /F1 24 Tf 72 720 Td (This is a PDF.) Tj ET";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{stream}\nendstream", stream.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let (mut text, mut places) = ("%PDF-1.4\n".to_owned(), Vec::new());
    for (number, object) in objects.iter().enumerate() {
        places.push(text.len());
        text += &format!("{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let begin = text.len();
    text += "xref\n0 6\n0000000000 65535 f \n";
    for place in places {
        text += &format!("{place:010} 00000 n \n");
    }
    text += &format!("trailer << /Size 6 /Root 1 0 R >>\nstartxref\n{begin}\n%%EOF\n");
    text.into_bytes()
}

const HOSTILE: &str = "<!doctype html><title>a page</title><script>document.title = 'it ran'</script>\
                       <img src='/ran' onerror=\"document.title = 'it ran'\"><h1>not a heading</h1>";

/// The file that [`STANDARD`] encodes: a PNG of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn logged_in(both: &Both, browser: &Browser) {
    browser.goto(&format!("{}/login", both.base)).await;
    for (css, text) in [("#email", ADA), ("#password", PASSWORD)] {
        browser.find(css).await.send_keys(text).await.unwrap();
    }
    browser.leave_by("main button[type=submit]").await;
}

/// Opens the view of a file from its row.
async fn open(both: &Both, browser: &Browser, name: &str) {
    browser.goto(&format!("{}/files/open", both.base)).await;
    browser.leave_by(&format!("button[formaction='/view'][value='/open/{name}']")).await;
    browser.find("#view").await;
}

/// Waits until a script in the page returns true.
async fn becomes_true(browser: &Browser, script: &str) {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    while browser.run(script).await != Value::Bool(true) {
        assert!(tokio::time::Instant::now() < end, "{script} at {}", browser.url().await);
        tick.tick().await;
    }
}

/// All texts of the document, without running a script in it.
async fn shown(browser: &Browser) -> String {
    let parameters = json!({ "computedStyles": [] });
    let snapshot = browser.driver.cdp().send_raw("DOMSnapshot.captureSnapshot", parameters).await.unwrap();
    snapshot["strings"].to_string()
}

#[actix_web::test]
async fn a_picture_a_text_a_sound_and_a_pdf_really_show() {
    let Some(browser) = Browser::start().await else { return };
    let both = Both::start().await;
    both.put("picture.bmp", picture());
    both.put("pixel.png", STANDARD.decode(PIXEL).unwrap());
    both.put("sound.wav", sound());
    both.put("notes.txt", "Grüße, 我这一辈子\nsecond line\n");
    both.put("paper.pdf", document());
    logged_in(&both, &browser).await;

    for (name, width) in [("picture.bmp", 8), ("pixel.png", 1)] {
        open(&both, &browser, name).await;
        becomes_true(&browser, "return document.getElementById('view').complete").await;
        let size = browser.run("return document.getElementById('view').naturalWidth").await;
        assert_eq!(size, json!(width), "{name}");
        browser.inspect(&format!("view-{name}")).await;
    }

    open(&both, &browser, "sound.wav").await;
    becomes_true(&browser, "return document.getElementById('view').readyState >= 1").await;
    let length = browser.run("return document.getElementById('view').duration").await;
    assert_eq!(length, json!(1), "a second");
    browser.run("document.getElementById('view').muted = true; document.getElementById('view').play()").await;
    becomes_true(&browser, "return document.getElementById('view').ended").await;
    browser.inspect("view-sound").await;

    open(&both, &browser, "notes.txt").await;
    browser.find("#view").await.enter_frame().await.unwrap();
    browser.says("Grüße, 我这一辈子\nsecond line").await;
    browser.driver.enter_default_frame().await.unwrap();
    browser.inspect("view-text").await;

    open(&both, &browser, "paper.pdf").await;
    // The browser's PDF viewer is an extension with a page of its own.
    let viewer = async || {
        let targets = browser.driver.cdp().send_raw("Target.getTargets", json!({})).await.unwrap();
        targets.to_string().contains("chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai")
    };
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    while !viewer().await {
        assert!(tokio::time::Instant::now() < end, "no PDF viewer");
        tick.tick().await;
    }
    assert!(browser.downloads().is_empty(), "it was not saved instead");
    browser.inspect("view-pdf").await;

    // Leaving by the Download button saves the file, and the page stays.
    browser.find("main form button[type=submit]").await.click().await.unwrap();
    assert_eq!(std::fs::read(&browser.downloaded(1).await[0]).unwrap(), document());
    browser.find("main p a").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/files/open")).await;
    browser.quit().await;
    both.stop().await;
}

#[actix_web::test]
async fn a_page_that_is_called_a_text_is_not_run_in_a_frame_and_not_by_itself() {
    let Some(browser) = Browser::start().await else { return };
    let both = Both::start().await;
    both.put("page.html.txt", HOSTILE);
    both.put("page.png", HOSTILE);
    logged_in(&both, &browser).await;
    for name in ["page.html.txt", "page.png"] {
        open(&both, &browser, name).await;
        let address = browser.run("return document.getElementById('view').src").await;
        let address = address.as_str().unwrap();
        assert!(address.starts_with(&format!("{}/v/", both.download)), "{address}");
        let title = format!("{name} · Oncelink");
        assert_eq!(browser.driver.title().await.unwrap(), title);
        browser.requested().await;
        browser.goto(address).await;
        assert_ne!(browser.driver.title().await.unwrap(), "it ran", "{name}");
        if name.ends_with(".txt") {
            let text = shown(&browser).await;
            assert!(text.contains("<h1>not a heading</h1>"), "shown as it is written: {text}");
        }
        let requested = browser.requested().await;
        assert!(!requested.iter().any(|url| url.ends_with("/ran")), "{name}: {requested:?}");
    }
    browser.quit().await;
    both.stop().await;
}

#[actix_web::test]
async fn a_recipient_looks_at_a_picture_without_using_up_the_link() {
    let Some(browser) = Browser::start().await else { return };
    let both = Both::start().await;
    both.put("picture.bmp", picture());
    let mut ada = both.ada().await;
    let terms = [("files", "/open/picture.bmp"), ("viewable", "yes"), ("password", "correct horse")];
    let made = make(&mut ada, &terms).await;
    let page = format!("{}{}", both.base, made.public[0]);
    browser.goto(&page).await;
    browser.find("#password").await.send_keys("correct horse").await.unwrap();
    browser.inspect("public-with-view").await;
    browser.leave_by("button[formaction]").await;
    becomes_true(&browser, "return document.getElementById('view').complete").await;
    assert_eq!(browser.run("return document.getElementById('view').naturalWidth").await, json!(8));
    browser.inspect("view-public").await;
    // A reload sends the form again, and gets a fresh token.
    let before = browser.run("return document.getElementById('view').src").await;
    browser.run("document.documentElement.dataset.left = 'yes'").await;
    browser.driver.refresh().await.unwrap();
    becomes_true(&browser, "return document.documentElement.dataset.left === undefined").await;
    becomes_true(&browser, "return document.getElementById('view').naturalWidth === 8").await;
    assert_ne!(browser.run("return document.getElementById('view').src").await, before);
    browser.find("main p a").await.click().await.unwrap();
    browser.at(|url| url == page).await;
    browser.says("Downloads left").await;
    let owners = ada.get(&made.page).await.body;
    assert!(owners.contains("0 of 1 download used"), "{owners}");
    assert!(owners.contains("files viewed 2 times"), "{owners}");
    browser.quit().await;
    both.stop().await;
}
