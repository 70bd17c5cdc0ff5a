//! Links by API: the same rules as on the pages.

use serde_json::{Value, json};

use oncelink::web::api_keys::{KeyForm, Scope, Scopes};

use crate::support::web::TestWeb;

#[actix_web::test]
async fn a_link_is_made_changed_paused_and_revoked() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let ada = web.account("ada@example.org", &[]).await;
        let program = web.program(&ada, "links").await;
        let body = json!({
            "files": ["/open/file.txt"], "title": "The report", "note": "Hello", "uses": 3, "ends_in": 3607,
            "password": "open sesame", "notify": "first",
        });
        let made = program.post("/links", &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let link = made.json();
        let id = link["id"].as_str().unwrap();
        let path = format!("/links/{id}");
        assert_eq!(made.header("location"), format!("/api/v1{path}"));
        assert_eq!(link["files"], json!(["/open/file.txt"]));
        assert_eq!((&link["uses"], &link["used"], &link["state"]), (&json!(3), &json!(0), &json!("open")));
        assert_eq!(link["ends_at"], "2027-01-15T09:00:07Z");
        assert_eq!((&link["has_password"], &link["notify"]), (&json!(true), &json!("first")));
        assert!(!made.body.contains("sesame"));
        let url = link["url"].as_str().unwrap();
        let public = web.browser().get(url.strip_prefix(&web.base).unwrap()).await;
        assert!(public.body.contains("The report"), "{}", public.body);

        // An edit needs the version that it is based on.
        let tag = made.header("etag").to_owned();
        let change = json!({ "title": "The final report", "password": null });
        assert_eq!(program.send("PATCH", &path, Some(&change)).await.problem(428), "version-missing");
        let stale = program.with("if-match", "\"other\"").send("PATCH", &path, Some(&change)).await;
        assert_eq!(stale.problem(412), "version-changed");
        let changed = program.with("if-match", &tag).send("PATCH", &path, Some(&change)).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let now = changed.json();
        assert_eq!((&now["title"], &now["has_password"]), (&json!("The final report"), &json!(false)));
        assert_eq!(
            (&now["uses"], &now["ends_at"], &now["note"]),
            (&json!(3), &link["ends_at"], &json!("Hello"))
        );
        assert_ne!(changed.header("etag"), tag);
        assert_eq!(
            program.with("if-match", &tag).send("PATCH", &path, Some(&change)).await.problem(412),
            "version-changed"
        );
        let endless = json!({ "uses": null, "ends_at": null });
        let changed = program.with("if-match", "*").send("PATCH", &path, Some(&endless)).await.json();
        assert_eq!((&changed["uses"], &changed["ends_at"]), (&Value::Null, &Value::Null));

        assert_eq!(program.json("POST", &format!("{path}/pause"), None, 200).await["state"], "paused");
        assert_eq!(program.json("POST", &format!("{path}/resume"), None, 200).await["state"], "open");
        assert_eq!(program.json("POST", &format!("{path}/revoke"), None, 200).await["state"], "revoked");
        assert_eq!(program.json("POST", &format!("{path}/revoke"), None, 200).await["state"], "revoked");
        for action in ["pause", "resume"] {
            let answer = program.send("POST", &format!("{path}/{action}"), None).await;
            assert_eq!(answer.problem(409), "link-revoked");
        }
        let late = program.with("if-match", "*").send("PATCH", &path, Some(&change)).await;
        assert_eq!(late.problem(409), "link-revoked");
        web.stop().await;
    }
}

#[actix_web::test]
async fn without_terms_a_link_has_one_download_and_seven_days_within_the_operators_limits() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let link = web
        .program(&ada, "links")
        .await
        .json("POST", "/links", Some(&json!({ "files": ["/open"] })), 201)
        .await;
    assert_eq!((&link["uses"], &link["ends_at"]), (&json!(1), &json!("2027-01-22T08:00:00Z")));
    assert_eq!((&link["title"], &link["notify"]), (&json!("open"), &json!("never")));
    web.stop().await;
    let limited = |settings: &mut oncelink::config::Settings| {
        settings.links.longest = std::time::Duration::from_secs(3600);
    };
    let web = TestWeb::spawn_with(limited).await;
    let ada = web.account("ada@example.org", &[]).await;
    let program = web.program(&ada, "links").await;
    let link = program.json("POST", "/links", Some(&json!({ "files": ["/open"] })), 201).await;
    assert_eq!(link["ends_at"], "2027-01-15T09:00:00Z");
    let long = program.post("/links", &json!({ "files": ["/open"], "ends_in": 3601 })).await;
    assert_eq!(
        (long.problem(422).as_str(), &long.json()["errors"][0]["pointer"]),
        ("invalid-fields", &json!("/ends_at"))
    );
    web.stop().await;
}

#[actix_web::test]
async fn two_edits_at_once_of_one_version_never_both_succeed() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let ada = web.account("ada@example.org", &[]).await;
        let program = web.program(&ada, "links").await;
        let made = program.post("/links", &json!({ "files": ["/open/file.txt"] })).await;
        let path = format!("/links/{}", made.json()["id"].as_str().unwrap());
        let program = program.with("if-match", made.header("etag"));
        let edits = (0..8).map(|n| {
            let (program, path) = (program.clone(), path.clone());
            async move {
                program.send("PATCH", &path, Some(&json!({ "title": format!("Title {n}") }))).await.status
            }
        });
        let mut statuses = futures_util::future::join_all(edits).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
        web.stop().await;
    }
}

#[actix_web::test]
async fn recipients_have_their_own_addresses_and_can_be_added_and_removed() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let program = web.program(&ada, "links").await;
    let body = json!({ "files": ["/open/file.txt"], "recipients": ["bob@example.org"], "mail": true });
    let link = program.json("POST", "/links", Some(&body), 201).await;
    assert_eq!((&link["url"], &link["named"], &link["recipients"]), (&Value::Null, &json!(true), &json!(1)));
    let path = format!("/links/{}/recipients", link["id"].as_str().unwrap());
    let more = json!({ "recipients": ["carol@example.org", "bob@example.org"] });
    let once = program.with("idempotency-key", "add");
    let added = once.json("POST", &path, Some(&more), 201).await;
    assert_eq!(once.json("POST", &path, Some(&more), 201).await, added);
    let people = added["items"].as_array().unwrap();
    assert_eq!(
        (&people[0]["email"], &people[1]["email"]),
        (&json!("bob@example.org"), &json!("carol@example.org"))
    );
    assert_ne!(people[0]["url"], people[1]["url"]);
    assert_eq!(web.mails().await.len(), 1, "only Bob's link is mailed");
    let nobody = program.post(&path, &more).await;
    assert_eq!(nobody.problem(422), "invalid-fields");
    let one = |index: usize| format!("{path}/{}", people[index]["id"].as_str().unwrap());
    assert_eq!(program.send("DELETE", &one(1), None).await.status, 204);
    assert_eq!(program.send("DELETE", &one(0), None).await.problem(409), "last-recipient");
    let left = program.json("GET", &path, None, 200).await;
    assert!(left["items"][1]["removed_at"].is_string() && left["items"][1]["url"].is_null(), "{left}");
    let gone = web.browser().get(people[1]["url"].as_str().unwrap().strip_prefix(&web.base).unwrap()).await;
    assert_eq!(gone.status, 410);
    assert_eq!(
        program.json("GET", &format!("/links/{}/deliveries", link["id"].as_str().unwrap()), None, 200).await,
        json!({ "items": [], "next": null })
    );
    web.stop().await;
}

#[actix_web::test]
async fn a_list_is_read_to_its_end_by_cursors_while_links_are_added() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let ada = web.account("ada@example.org", &[]).await;
        let program = web.program(&ada, "links").await;
        let mut made = Vec::new();
        for n in 0..7 {
            let body = json!({ "files": ["/open/file.txt"], "title": format!("Link {n}") });
            made.push(program.json("POST", "/links", Some(&body), 201).await["id"].clone());
            if n % 3 == 0 {
                web.pass(1);
            }
        }
        let (mut found, mut path) = (Vec::new(), "/links?limit=3".to_owned());
        loop {
            let page = program.json("GET", &path, None, 200).await;
            let items = page["items"].as_array().unwrap();
            found.extend(items.iter().map(|link| link["id"].clone()));
            assert!(
                items
                    .iter()
                    .all(|link| link["files"] == json!(["/open/file.txt"]) && link["url"].is_string())
            );
            program.json("POST", "/links", Some(&json!({ "files": ["/open/file.txt"] })), 201).await;
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/links?limit=3&cursor={next}");
        }
        assert_eq!(found.len(), 7, "each once, and none of the new ones");
        assert!(made.iter().all(|id| found.contains(id)));
        let one = program.json("GET", &format!("/links/{}", made[0].as_str().unwrap()), None, 200).await;
        let all = program.json("GET", "/links?limit=1000", None, 200).await;
        assert!(
            all["items"].as_array().unwrap().contains(&one),
            "the list shows links as they are read one by one"
        );
        let files = program.get(&format!("/files?{}", path.split_once('?').unwrap().1)).await;
        assert_eq!(files.status, 403);
        web.stop().await;
    }
}

#[actix_web::test]
async fn nobody_reaches_the_links_of_others_and_a_limited_key_sees_only_its_shares() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &["staff"]).await;
    let bob = web.account("bob@example.org", &[]).await;
    let (program, other) = (web.program(&ada, "links").await, web.program(&bob, "links").await);
    let open = program.json("POST", "/links", Some(&json!({ "files": ["/open/file.txt"] })), 201).await;
    let both = json!({ "files": ["/open/file.txt", "/staff/file.txt"] });
    let staff = program.json("POST", "/links", Some(&both), 201).await;
    let form = KeyForm {
        name: "Test".to_owned(),
        scopes: Scopes::from_iter([Scope::Links, Scope::FilesRead]),
        shares: "open".to_owned(),
        ..KeyForm::default()
    };
    let limited = web.program_with(&web.key_with(&ada, form).await);
    let id = |link: &Value| link["id"].as_str().unwrap().to_owned();
    let listed = limited.json("GET", "/links", None, 200).await;
    assert_eq!(listed["items"].as_array().unwrap().iter().map(id).collect::<Vec<_>>(), [id(&open)]);
    assert_eq!(limited.post("/links", &both).await.problem(404), "not-found");
    assert_eq!(limited.get(&format!("/links/{}", id(&open))).await.status, 200);
    for (who, link) in [(&other, &open), (&other, &staff), (&limited, &staff)] {
        let path = format!("/links/{}", id(link));
        assert_eq!(who.get(&path).await.problem(404), "not-found");
        let change = json!({ "title": "Mine" });
        assert_eq!(
            who.with("if-match", "*").send("PATCH", &path, Some(&change)).await.problem(404),
            "not-found"
        );
        for action in ["pause", "resume", "revoke"] {
            assert_eq!(who.send("POST", &format!("{path}/{action}"), None).await.problem(404), "not-found");
        }
        for list in ["recipients", "deliveries"] {
            assert_eq!(who.get(&format!("{path}/{list}")).await.problem(404), "not-found");
        }
        let recipients = program.json("GET", &format!("{path}/recipients"), None, 200).await;
        let recipient = recipients["items"][0]["id"].as_str().unwrap().to_owned();
        let answer = who.send("DELETE", &format!("{path}/recipients/{recipient}"), None).await;
        assert_eq!(answer.problem(404), "not-found");
    }
    assert_eq!(program.json("GET", &format!("/links/{}", id(&staff)), None, 200).await["state"], "open");
    web.stop().await;
}
