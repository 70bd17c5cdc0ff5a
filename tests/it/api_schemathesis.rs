//! Schemathesis makes requests from the description of the API, valid and invalid ones, and every answer is as described.
//! `.ci/run` fetches it into `target/`; `.ci/long` has it make more requests.

use std::path::Path;

use crate::needs::{has_program, skip, variable};
use crate::support::api::ALL;
use crate::support::programs::run;
use crate::support::web::TestWeb;
use crate::web_admin::administrator;

/// How many requests are made at random for each operation, besides those at the limits of each value.
fn examples() -> String {
    variable("ONCELINK_TEST_EXAMPLES").unwrap_or_else(|| "3".to_owned())
}

#[actix_web::test]
async fn every_answer_is_as_described() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis");
    let is_there = library.exists() || skip(&format!("{}; .ci/run fetches it", library.display()));
    if !has_program("/usr/bin/python3") || !is_there {
        return;
    }
    let web = TestWeb::spawn_with(|settings| {
        // Time stands still here.
        settings.api.requests = 0;
        for share in &mut settings.shares {
            share.write.clone_from(&share.read);
            share.manage.clone_from(&share.read);
        }
    });
    let web = web.await;
    let _logged_in = administrator(&web, "ada@example.org").await;
    let ada = web.outside.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    let header = format!("Authorization: Bearer {}", web.key(&ada, ALL).await);
    let (description, examples) = (format!("{}/api/v1/openapi.json", web.base), examples());
    let path = format!("PYTHONPATH={}", library.display());
    let home = tempfile::tempdir().unwrap();
    let arguments = [
        path.as_str(),
        "/usr/bin/python3",
        "-m",
        "schemathesis.cli",
        "run",
        &description,
        "--header",
        &header,
        "--max-examples",
        &examples,
        "--seed",
        "1",
        "--no-color",
        // What a schema can't say is 422: that only one of two members is allowed, or that a file must be there.
        "--exclude-checks",
        "positive_data_acceptance",
    ];
    let ended = run(home.path(), "env", &arguments).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("generated"), "{}", ended.said);
    web.stop().await;
}
