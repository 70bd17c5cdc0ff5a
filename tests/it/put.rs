//! `curl -T FILE https://…/put/` with an API key uploads a file and prints a link.

use std::fs;

use oncelink::web::api_keys::KeyForm;
use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::api::make_key;
use crate::support::process::PROGRAM;
use crate::support::programs::run;
use crate::support::tus::personal;
use crate::support::web::Browser;
use crate::web_link_downloads::Stage;

async fn key_of(stage: &Stage, scopes: &str) -> String {
    let account = stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap();
    let form = KeyForm { name: "script".to_owned(), scopes: scopes.parse().unwrap(), ..KeyForm::default() };
    make_key(&stage.desk, &account.unwrap(), form).await
}

#[actix_web::test]
async fn curl_puts_a_file_and_prints_a_link_that_works_once() {
    if !has_program("curl") {
        return;
    }
    let stage = Stage::start_with(personal).await;
    let (key, home) = (key_of(&stage, "files:write links").await, TempDir::new().unwrap());
    fs::write(home.path().join("a report.txt"), "the report").unwrap();
    let bearer = format!("Authorization: Bearer {key}");
    let put = format!("{}/put/", stage.base);
    let sent = run(home.path(), "curl", &["-sS", "-H", &bearer, "-T", "a report.txt", &put]).await;
    let link = sent.said.trim();
    assert!(sent.code == Some(0) && link.starts_with(&format!("{}/l/", stage.base)), "{}", sent.said);
    let got = run(home.path(), PROGRAM, &["get", link, "--output", "got"]).await;
    assert_eq!((got.code, got.said.as_str()), (Some(0), "got/a report.txt\n"));
    let again = run(home.path(), PROGRAM, &["get", link, "--output", "again"]).await;
    assert_eq!(again.code, Some(3), "{}", again.said);

    // From a pipe, whose length isn't known, with other terms.
    let script = format!(
        "head -c 3000000 /dev/zero | curl -sS -H '{bearer}' -H 'Max-Downloads: 2' -H 'Max-Days: 1' -T - '{put}zeros.bin'"
    );
    let sent = run(home.path(), "sh", &["-c", &script]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.said);
    for folder in ["one", "two"] {
        let got = run(home.path(), PROGRAM, &["get", sent.said.trim(), "--output", folder]).await;
        assert_eq!(got.code, Some(0), "{}", got.said);
        assert_eq!(fs::metadata(home.path().join(folder).join("zeros.bin")).unwrap().len(), 3_000_000);
    }
    let third = run(home.path(), PROGRAM, &["get", sent.said.trim(), "--output", "three"]).await;
    assert_eq!(third.code, Some(3), "{}", third.said);
    stage.stop().await;
}

#[actix_web::test]
async fn without_the_right_key_or_with_invalid_terms_nothing_is_kept() {
    let stage = Stage::start_with(personal).await;
    let send = async |key: &str, more: &[(&'static str, &str)]| {
        let mut program = Browser::at(&stage.base);
        program.headers.push(("authorization", format!("Bearer {key}")));
        program.headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        program
            .send(hyper::Method::PUT, "/put/report.txt", Some(("text/plain", "the report".to_owned())))
            .await
    };
    assert_eq!(send("olk_none", &[]).await.status, 401);
    for scopes in ["files:write", "links", "files:read links"] {
        let key = key_of(&stage, scopes).await;
        assert_eq!(send(&key, &[]).await.status, 403, "{scopes}");
    }
    let key = key_of(&stage, "files:write links").await;
    for (name, value) in
        [("max-downloads", "0"), ("max-downloads", "many"), ("max-days", "0"), ("max-days", "99999")]
    {
        let refused = send(&key, &[(name, value)]).await;
        assert_eq!(refused.status, 400, "{name}: {value}: {}", refused.body);
    }
    let home = stage.folder.path().join("home");
    let files: usize = fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(".oncelink"))
        .map(|path| fs::read_dir(path).unwrap().count())
        .sum();
    assert_eq!(files, 0);
    let made = send(&key, &[]).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("location"), made.body.trim());
    stage.stop().await;
}
