//! The examples in `docs/api.md` work as they stand there.

use std::process::Command;

use oncelink::web::api_keys::{KeyForm, Scope, Scopes};

use crate::needs::has_program;
use crate::support::api::make_key;
use crate::support::client::Client;
use crate::support::{for_everyone, stop_and_free};
use crate::web_link_downloads::Stage;

const PAGE: &str = include_str!("../../docs/api.md");

/// The only example in this language.
fn example(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    assert_eq!(PAGE.matches(&fence).count(), 1, "{language}");
    PAGE.split(&fence).nth(1).unwrap().split("```").next().unwrap()
}

#[actix_web::test]
async fn a_shop_gets_an_address_for_each_order_in_shell_and_in_python() {
    if !has_program("curl") || !has_program("python3") {
        return;
    }
    let books = tempfile::tempdir().unwrap();
    std::fs::write(books.path().join("report.pdf"), "the report").unwrap();
    let folder = books.path().to_owned();
    let stage = Stage::start_with(move |settings| settings.shares.push(for_everyone("books", folder))).await;
    let ada = stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    let scopes = Scopes::from_iter([Scope::Tokens]);
    let form = KeyForm { name: "Shop".to_owned(), scopes, ..KeyForm::default() };
    let key = make_key(&stage.desk, &ada, form).await;
    let mut printed = Vec::new();
    for (program, language) in [("sh", "sh"), ("python3", "python")] {
        let mut command = Command::new(program);
        command.args(["-c", example(language)]);
        command.env("ONCELINK_URL", &stage.base).env("ONCELINK_KEY", &key);
        let output = actix_web::web::block(move || command.output()).await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
        printed.push(text(&output.stdout));
    }
    assert_eq!(printed[0], printed[1], "the same order gets the same address");
    let page = Client::default().get(&printed[0]).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("report.pdf"), "a page with a button");
    stop_and_free(stage.running).await;
}
