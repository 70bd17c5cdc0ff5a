//! Files and uploads by API.

use serde_json::{Value, json};

use oncelink::config::Settings;
use oncelink::web::api_keys::{KeyForm, Scope, Scopes};

use crate::support::web::TestWeb;

fn writable(settings: &mut Settings) {
    for share in &mut settings.shares {
        share.manage = vec!["staff".to_owned()];
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn folders_are_listed_made_renamed_moved_and_deleted_by_who_may() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = web.account("ada@example.org", &["staff"]).await;
    let program = web.program(&ada, "files:read files:write").await;
    let tops = program.json("GET", "/files", None, 200).await;
    assert_eq!(names(&tops), ["open", "private", "staff"]);
    let open = program.json("GET", "/files?folder=/open", None, 200).await;
    assert_eq!(open["items"][0]["path"], "/open/file.txt");
    assert_eq!((&open["items"][0]["size"], &open["items"][0]["right"]), (&json!(12), &json!("manage")));
    let once = program.with("idempotency-key", "folder");
    let new = json!({ "folder": "/open", "name": "2026" });
    let made = once.json("POST", "/files", Some(&new), 201).await;
    assert_eq!(once.json("POST", "/files", Some(&new), 201).await, made);
    assert_eq!((&made["path"], &made["kind"]), (&json!("/open/2026"), &json!("folder")));
    assert_eq!(program.post("/files", &new).await.problem(409), "name-taken");
    let move_to = json!({ "folder": "/open/2026" });
    let moved = program.json("PATCH", "/files/entry?path=/open/file.txt", Some(&move_to), 200).await;
    assert_eq!(moved["path"], "/open/2026/file.txt");
    let rename = json!({ "name": "a b&c.txt" });
    let renamed = program.json("PATCH", "/files/entry?path=/open/2026/file.txt", Some(&rename), 200).await;
    assert_eq!(renamed["path"], "/open/2026/a b&c.txt");
    assert_eq!(program.json("GET", "/files/entry?path=/open/2026/a%20b%26c.txt", None, 200).await, renamed);
    for wrong in [json!({}), json!({ "name": "a", "folder": "/open" }), json!({ "folder": "open" })] {
        let answer = program.send("PATCH", "/files/entry?path=/open/2026", Some(&wrong)).await;
        assert_eq!(answer.problem(422), "invalid-fields", "{wrong}");
    }
    let named = program.send("PATCH", "/files/entry?path=/open/2026", Some(&json!({ "name": "a/b" }))).await;
    assert_eq!(named.problem(422), "name-not-allowed");
    assert_eq!(program.send("DELETE", "/files/entry?path=/open/2026", None).await.status, 204);
    assert_eq!(program.get("/files/entry?path=/open/2026").await.problem(404), "not-found");
    assert_eq!(program.send("DELETE", "/files/entry?path=/open", None).await.problem(404), "not-found");
    web.stop().await;
}

#[actix_web::test]
async fn a_folder_is_read_to_its_end_by_cursors() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    for n in 0..25 {
        std::fs::write(web.share("open").join(format!("é {n:02}.txt")), "x").unwrap();
    }
    let program = web.program(&ada, "files:read").await;
    let (mut found, mut path) = (Vec::new(), "/files?folder=/open&limit=10".to_owned());
    loop {
        let page = program.json("GET", &path, None, 200).await;
        found.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/files?folder=/open&limit=10&cursor={next}");
    }
    let mut sorted = found.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((found.len(), &sorted), (26, &found));
    web.stop().await;
}

#[actix_web::test]
async fn nobody_reaches_what_the_account_or_the_key_may_not() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = web.account("ada@example.org", &["staff"]).await;
    let bob = web.account("bob@example.org", &[]).await;
    let form = KeyForm {
        name: "Test".to_owned(),
        scopes: Scopes::from_iter([Scope::FilesRead, Scope::FilesWrite]),
        shares: "staff".to_owned(),
        ..KeyForm::default()
    };
    let limited = web.program_with(&web.key_with(&ada, form).await);
    assert_eq!(names(&limited.json("GET", "/files", None, 200).await), ["staff"]);
    let other = web.program(&bob, "files:read files:write").await;
    for (who, share) in [(&limited, "open"), (&other, "staff"), (&other, "nowhere")] {
        let entry = format!("/files/entry?path=/{share}/file.txt");
        let body = json!({ "folder": format!("/{share}"), "name": "new" });
        for answer in [
            who.get(&format!("/files?folder=/{share}")).await,
            who.get(&entry).await,
            who.post("/files", &body).await,
            who.send("PATCH", &entry, Some(&json!({ "name": "other" }))).await,
            who.send("DELETE", &entry, None).await,
        ] {
            assert_eq!(answer.problem(404), "not-found");
        }
    }
    // Bob may read this one, but not change it.
    assert_eq!(other.get("/files/entry?path=/open/file.txt").await.status, 200);
    assert_eq!(
        other.send("DELETE", "/files/entry?path=/open/file.txt", None).await.problem(404),
        "not-found"
    );
    // A limited key can't move anything out of its shares.
    let out = json!({ "folder": "/open" });
    assert_eq!(
        limited.send("PATCH", "/files/entry?path=/staff/file.txt", Some(&out)).await.problem(404),
        "not-found"
    );
    web.stop().await;
}

const BYTES: &str = "application/offset+octet-stream";

#[actix_web::test]
async fn a_program_uploads_a_file_in_pieces_and_only_where_its_key_allows_it() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = web.account("ada@example.org", &["staff"]).await;
    let program = web.program(&ada, "files:write").await.with("tus-resumable", "1.0.0");
    // filename "report.txt" and folder "/open", in base64.
    let metadata = "filename cmVwb3J0LnR4dA==,folder L29wZW4=";
    let begin = program.with("upload-length", "11").with("upload-metadata", metadata);
    let made = begin.send("POST", "/uploads", None).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let place = made.header("location").strip_prefix("/api/v1").unwrap().to_owned();
    let piece = program.with("upload-offset", "0").send_as("PATCH", &place, (BYTES, "hello ")).await;
    assert_eq!((piece.status, piece.header("upload-offset")), (204, "6"));
    assert!(piece.header("ratelimit").contains("r="));
    assert_eq!(program.send("HEAD", &place, None).await.header("upload-offset"), "6");
    let rest = program.with("upload-offset", "6").send_as("PATCH", &place, (BYTES, "world")).await;
    assert_eq!((rest.status, rest.header("content-location")), (204, "/files/open/report.txt"));
    assert_eq!(std::fs::read_to_string(web.share("open").join("report.txt")).unwrap(), "hello world");

    let reader = web.program(&ada, "files:read").await.with("tus-resumable", "1.0.0");
    assert_eq!(
        reader.with("upload-length", "1").send("POST", "/uploads", None).await.problem(403),
        "scope-missing"
    );
    let nobody = web.program_with("nothing").with("tus-resumable", "1.0.0");
    assert_eq!(
        nobody.with("upload-length", "1").send("POST", "/uploads", None).await.problem(401),
        "key-invalid"
    );
    let form = KeyForm {
        name: "Test".to_owned(),
        scopes: Scopes::from_iter([Scope::FilesWrite]),
        shares: "staff".to_owned(),
        ..KeyForm::default()
    };
    let limited = web.program_with(&web.key_with(&ada, form).await).with("tus-resumable", "1.0.0");
    let begin = limited.with("upload-length", "11").with("upload-metadata", metadata);
    assert_eq!(begin.send("POST", "/uploads", None).await.problem(404), "not-found");
    let foreign = program.with("upload-length", "11").with("upload-metadata", metadata);
    let foreign = foreign.send("POST", "/uploads", None).await;
    let place = foreign.header("location").strip_prefix("/api/v1").unwrap().to_owned();
    assert_eq!(limited.send("DELETE", &place, None).await.problem(404), "not-found");
    assert_eq!(program.send("DELETE", &place, None).await.status, 204);
    // A key opens nothing at the address of the pages, and a session nothing here.
    let mut browser = web.logged_in("ada@example.org").await;
    browser.headers.push(("tus-resumable", "1.0.0".to_owned()));
    browser.headers.push(("upload-length", "1".to_owned()));
    assert_eq!(browser.send(hyper::Method::POST, "/api/v1/uploads", None).await.status, 401);
    web.stop().await;
}
