//! How heavy the pages are: with their style sheets, scripts and pictures, as they are sent, each is at most 80 kB.

use std::collections::BTreeSet;

use oncelink::web::http::samples::samples;

use crate::support::web::{Browser, TestWeb};

const MAX: usize = 80_000;

/// The files that a page loads from its own server.
fn files_of(html: &str) -> BTreeSet<&str> {
    html.split('"')
        .filter(|value| value.starts_with("/static/"))
        .map(|value| value.split('#').next().unwrap_or(value))
        .collect()
}

/// The page without the rows of its list, of which there may be any number, and its files, in bytes.
async fn weight(browser: &mut Browser, html: &str) -> usize {
    let rows = html.split_once("<tbody").and_then(|(_, rest)| rest.split_once("</tbody>"));
    let mut sum = html.len() - rows.map_or(0, |(rows, _)| rows.len());
    for file in files_of(html) {
        let answer = browser.get(file).await;
        assert_eq!(answer.status, 200, "{file}");
        sum += answer.body.len();
    }
    sum
}

#[actix_web::test]
async fn every_page_weighs_at_most_80_kilobytes_with_everything_it_loads() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    let mut heaviest = (0, String::new());
    for (name, html) in samples().unwrap() {
        let weight = weight(&mut browser, &html).await;
        assert!(weight <= MAX, "{name} weighs {weight} bytes, {} of them HTML", html.len());
        heaviest = heaviest.max((weight, name));
    }
    assert!(heaviest.0 > 30_000, "no page loads anything: {heaviest:?}");
    for (name, html) in oncelink::download::pages::samples().unwrap() {
        assert!(html.len() <= MAX && files_of(&html).is_empty(), "{name} weighs {} bytes", html.len());
    }
    web.stop().await;
}
