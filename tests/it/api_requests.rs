//! File requests by API.

use serde_json::json;

use oncelink::web::api_keys::{KeyForm, Scope, Scopes};

use crate::support::web::TestWeb;

#[actix_web::test]
async fn a_request_is_made_changed_and_stopped() {
    for web in TestWeb::on_each_database(|settings| {
        for share in &mut settings.shares {
            share.write = vec!["staff".to_owned()];
        }
    })
    .await
    {
        let ada = web.account("ada@example.org", &["staff"]).await;
        let bob = web.account("bob@example.org", &["staff"]).await;
        let (program, other) = (web.program(&ada, "requests").await, web.program(&bob, "requests").await);
        let once = program.with("idempotency-key", "photos");
        let body =
            json!({ "folder": "/open", "title": "Photos", "max_bytes": 1_234_567_891_u64, "ends_in": 3601 });
        let made = once.post("/requests", &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let request = made.json();
        assert_eq!(once.json("POST", "/requests", Some(&body), 201).await, request);
        assert_eq!((&request["max_bytes"], &request["max_files"]), (&json!(1_234_567_891_u64), &json!(100)));
        assert_eq!(
            (&request["state"], &request["ends_at"]),
            (&json!("open"), &json!("2027-01-15T09:00:01Z"))
        );
        let page = web.browser().get(request["url"].as_str().unwrap().strip_prefix(&web.base).unwrap()).await;
        assert!(page.body.contains("Photos"));
        let path = format!("/requests/{}", request["id"].as_str().unwrap());
        let change = json!({ "title": "All photos", "password": "open sesame" });
        assert_eq!(program.send("PATCH", &path, Some(&change)).await.problem(428), "version-missing");
        let edits = (0..4).map(|_| {
            let (program, path, change) =
                (program.with("if-match", made.header("etag")), path.clone(), change.clone());
            async move { program.send("PATCH", &path, Some(&change)).await.status }
        });
        let mut statuses = futures_util::future::join_all(edits).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412]);
        let changed = program.json("GET", &path, None, 200).await;
        assert_eq!((&changed["title"], &changed["has_password"]), (&json!("All photos"), &json!(true)));
        assert_eq!(
            (&changed["max_bytes"], &changed["ends_at"]),
            (&request["max_bytes"], &request["ends_at"])
        );
        assert_eq!(program.json("GET", "/requests", None, 200).await["items"], json!([changed]));
        assert_eq!(
            program.json("GET", &format!("{path}/files"), None, 200).await,
            json!({ "items": [], "next": null })
        );
        let form = KeyForm {
            name: "Test".to_owned(),
            scopes: Scopes::from_iter([Scope::Requests]),
            shares: "staff".to_owned(),
            ..KeyForm::default()
        };
        let limited = web.program_with(&web.key_with(&ada, form).await);
        assert_eq!(limited.post("/requests", &body).await.problem(404), "not-found");
        for who in [&other, &limited] {
            assert_eq!(who.get(&path).await.problem(404), "not-found");
            assert_eq!(who.get(&format!("{path}/files")).await.problem(404), "not-found");
            assert_eq!(who.send("POST", &format!("{path}/stop"), None).await.problem(404), "not-found");
            assert_eq!(who.json("GET", "/requests", None, 200).await["items"], json!([]));
        }
        assert_eq!(program.json("POST", &format!("{path}/stop"), None, 200).await["state"], "stopped");
        let late = program.with("if-match", "*").send("PATCH", &path, Some(&change)).await;
        assert_eq!(late.problem(409), "request-stopped");
        for (body, pointer) in [
            (json!({ "folder": "open" }), "/folder"),
            (json!({ "folder": "/open", "max_bytes": 0 }), "/max_bytes"),
            (json!({ "folder": "/open", "max_bytes": 18_446_744_073_709_551_615_u64 }), "/max_bytes"),
            (json!({ "folder": "/open", "max_files": 10_001 }), "/max_files"),
            (json!({ "folder": "/open/missing" }), ""),
        ] {
            let answer = program.post("/requests", &body).await;
            assert_eq!(answer.problem(422), "invalid-fields", "{body}");
            assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.body);
        }
        web.stop().await;
    }
}
