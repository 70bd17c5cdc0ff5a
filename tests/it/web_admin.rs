//! Administration: who has access, what each action does, and that nobody locks everyone out.

use std::collections::BTreeSet;

use hyper::Method;
use oncelink::web::audit::Actor;
use oncelink::web::membership::self_service::ChangeOutcome;

use crate::support::web::{Browser, PASSWORD, TestWeb, malformed};

/// Every page of administration.
const PAGES: [&str; 12] = [
    "/admin",
    "/admin/accounts",
    "/admin/accounts/ID",
    "/admin/invite",
    "/admin/links",
    "/admin/deliveries",
    "/admin/shares",
    "/admin/settings",
    "/admin/keys",
    "/admin/mail",
    "/admin/nodes",
    "/admin/audit",
];
const FORMS: [(&str, &[(&str, &str)]); 20] = [
    ("/admin/invite", &[("email", "new@example.org"), ("name", ""), ("groups", "")]),
    ("/admin/accounts/ID/link", &[]),
    ("/admin/accounts/ID/rights", &[("groups", "staff"), ("admin", "yes")]),
    ("/admin/accounts/ID/end-sessions", &[]),
    ("/admin/accounts/ID/disable", &[]),
    ("/admin/accounts/ID/enable", &[]),
    ("/admin/accounts/ID/second-factor", &[]),
    ("/admin/accounts/ID/delete", &[("email", "bob@example.org")]),
    ("/admin/links/none/pause", &[]),
    ("/admin/links/none/resume", &[]),
    ("/admin/links/none/revoke", &[]),
    ("/admin/keys/rotate", &[]),
    ("/admin/keys/remove", &[("kid", "none")]),
    ("/admin/mail/retry", &[("id", "none")]),
    ("/admin/mail/discard", &[("id", "none")]),
    ("/admin/mail/retry-all", &[("state", "waiting")]),
    ("/admin/mail/test", &[("address", "bob@example.org")]),
    ("/admin/nodes/add", &[("name", "none")]),
    ("/admin/nodes/rekey", &[("name", "none")]),
    ("/admin/nodes/remove", &[("name", "none")]),
];

pub(crate) async fn administrator(web: &TestWeb, email: &str) -> Browser {
    let account = web.account(email, &[]).await;
    let changed = web
        .outside
        .account_admin
        .set_rights(&account, &BTreeSet::new(), true, &Actor::operator(), web.clock.now())
        .await
        .unwrap();
    assert_eq!(changed, ChangeOutcome::Done);
    web.logged_in(email).await
}

#[actix_web::test]
async fn only_administrators_see_that_administration_exists() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let bob = web.account("bob@example.org", &[]).await;
    let mut stranger = web.browser();
    let mut ordinary = web.logged_in("bob@example.org").await;
    let at = |path: &str| path.replace("ID", bob.id.as_str());
    for page in PAGES.map(at) {
        assert_eq!(stranger.get(&page).await.status, 303, "{page}");
        assert_eq!(ordinary.get(&page).await.status, 404, "{page}");
        let seen = admin.get(&page).await.status;
        assert!(seen == 200 || (seen == 303 && page == "/admin"), "{page}: {seen}");
    }
    for (path, fields) in FORMS.map(|(path, fields)| (at(path), fields)) {
        assert_eq!(stranger.post(&path, fields).await.status, 303, "{path}");
        assert_eq!(ordinary.fill("/account", &path, fields).await.status, 404, "{path}");
        assert_eq!(ordinary.post(&path, &[("strange", "x")]).await.status, 404, "{path}: whatever is posted");
        assert_eq!(admin.post(&path, fields).await.status, 403, "{path}: without the token");
    }
    assert!(!ordinary.get("/files/").await.body.contains("/admin"), "no link leads there");
    assert!(admin.get("/files/").await.body.contains("/admin/accounts"));
    for (path, fields) in FORMS.map(|(path, fields)| (at(path), fields)) {
        let expected = match fields.first() {
            _ if path.starts_with("/admin/links/none") => 404,
            Some(("id" | "kid", _)) => 404,
            Some(("address", _)) => 200,
            // There is none of that name; one that is gone was removed before.
            Some(("name", _)) if !path.ends_with("/remove") => 422,
            _ => 303,
        };
        let answer = admin.fill("/account", &path, fields).await;
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
    }
    web.stop().await;
}

#[actix_web::test]
async fn an_administration_form_that_no_page_of_ours_would_send_is_refused_and_changes_nothing() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let bob = web.account("bob@example.org", &[]).await;
    let token = admin.get("/admin/accounts").await.csrf();
    let state = [format!("/admin/accounts/{}", bob.id.as_str()), "/admin/audit".to_owned()];
    let before = [admin.get(&state[0]).await.body, admin.get(&state[1]).await.body];
    for (path, fields) in FORMS.map(|(path, fields)| (path.replace("ID", bob.id.as_str()), fields)) {
        // A checkbox that is not ticked is not sent.
        let needed: Vec<_> = fields.iter().filter(|(name, _)| *name != "admin").copied().collect();
        for (status, kind, body) in malformed(&needed, &token, 70_000) {
            let shown: String = body.chars().take(200).collect();
            let answer = admin.send(Method::POST, &path, Some((kind, body))).await;
            assert_eq!(answer.status, status, "{path} as {kind}: {shown}");
        }
        for (name, value) in
            [("host", "evil.example"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]
        {
            admin.headers = vec![(name, value.to_owned())];
            let answer = admin.post(&path, &[fields, &[("csrf", &token)]].concat()).await;
            assert_eq!(answer.status, 403, "{path} with {name}: {value}");
            admin.headers.clear();
        }
    }
    assert_eq!([admin.get(&state[0]).await.body, admin.get(&state[1]).await.body], before);
    assert!(web.mails().await.is_empty());
    web.stop().await;
}

#[actix_web::test]
async fn somebody_who_is_invited_chooses_name_and_password_and_is_logged_in() {
    let web = TestWeb::spawn_with(|settings| settings.web.signup = oncelink::config::Signup::Invite).await;
    let mut admin = administrator(&web, "root@example.org").await;
    let wrong = [("email", "no address"), ("name", "Kim"), ("groups", "a@b"), ("admin", "yes")];
    let refused = admin.fill("/admin/invite", "/admin/invite", &wrong).await;
    assert_eq!(refused.status, 422);
    for kept in
        ["no address", "value=\"Kim\"", "a@b", "checked", "A group&#39;s name", "Enter an email address like"]
    {
        assert!(refused.body.contains(kept), "{kept} is missing: {}", refused.body);
    }
    let request = [("email", "kim@example.org"), ("name", ""), ("groups", "staff readers")];
    assert_eq!(admin.fill("/admin/invite", "/admin/invite", &request).await.status, 303);
    let twice = admin.fill("/admin/invite", "/admin/invite", &request).await;
    assert!(twice.status == 422 && twice.body.contains("already"), "{}", twice.body);
    let mails = web.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains("invited you"), "{}", mails[0].text);
    let path = mails[0].path();
    let mut kim = web.browser();
    let mistake = [("name", ""), ("password", "short"), ("password_again", "short")];
    assert_eq!(kim.fill(&path, &path, &mistake).await.status, 422);
    let fields = [("name", "Kim K."), ("password", PASSWORD), ("password_again", PASSWORD)];
    let done = kim.fill(&path, &path, &fields).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/files/")), "{}", done.body);
    assert_eq!(kim.get("/files/staff").await.status, 200, "with the groups of the invitation");
    assert!(kim.get(&path).await.body.contains("This is already done"));
    web.stop().await;
}

#[actix_web::test]
async fn an_invitation_lasts_a_week_and_is_deleted_with_its_account() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let request = [("email", "kim@example.org"), ("name", ""), ("groups", "")];
    admin.fill("/admin/invite", "/admin/invite", &request).await;
    let path = web.mails().await[0].path();
    web.pass(7 * 24 * 60 * 60 - 1);
    assert_eq!(web.browser().get(&path).await.status, 200);
    web.pass(7);
    assert_eq!(web.browser().get(&path).await.status, 410);
    web.app.upkeep().prune().await;
    assert!(web.outside.accounts.by_email(&"kim@example.org".parse().unwrap()).await.unwrap().is_none());
    web.stop().await;
}

#[actix_web::test]
async fn disabling_ends_sessions_at_once_and_enabling_does_not_bring_them_back() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let bob = web.account("bob@example.org", &[]).await;
    let mut browser = web.logged_in("bob@example.org").await;
    let at = |what: &str| format!("/admin/accounts/{}/{what}", bob.id);
    assert_eq!(admin.fill("/account", &at("disable"), &[]).await.status, 303);
    assert_eq!(browser.get("/account").await.status, 303);
    assert_eq!(browser.log_in("bob@example.org", PASSWORD).await.status, 403);
    assert!(admin.get("/admin/accounts?q=BOB").await.body.contains("disabled"));
    assert_eq!(admin.fill("/account", &at("enable"), &[]).await.status, 303);
    assert_eq!(browser.get("/account").await.status, 303);
    assert_eq!(browser.log_in("bob@example.org", PASSWORD).await.status, 303);
    assert_eq!(admin.fill("/account", &at("end-sessions"), &[]).await.status, 303);
    assert_eq!(browser.get("/account").await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn the_last_administrator_stays_one() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let root = web.outside.accounts.by_email(&"root@example.org".parse().unwrap()).await.unwrap().unwrap();
    let at = |what: &str| format!("/admin/accounts/{}/{what}", root.id);
    for (path, fields) in [
        (at("disable"), &[][..]),
        (at("rights"), &[("groups", "")]),
        (at("delete"), &[("email", "root@example.org")]),
    ] {
        let refused = admin.fill("/account", &path, fields).await;
        assert_eq!(refused.status, 422, "{path}");
        assert!(refused.body.contains("only administrator"), "{}", refused.body);
    }
    let typed = admin.fill("/account", &at("rights"), &[("groups", "staff readers")]).await;
    let is_kept = typed.body.contains("value=\"staff\" checked") && typed.body.contains("value=\"readers\"");
    assert!(is_kept, "what was chosen and typed is kept: {}", typed.body);
    assert!(!admin.get("/admin/accounts").await.body.contains(">staff<"), "and not saved");
    let own = admin.fill("/account", "/account/delete", &[("current_password", PASSWORD)]).await;
    assert!(own.status == 422 && own.body.contains("only administrator"), "{}", own.body);

    let mut second = administrator(&web, "second@example.org").await;
    assert_eq!(second.fill("/account", &at("rights"), &[("groups", "staff")]).await.status, 303);
    assert_eq!(admin.get("/admin/accounts").await.status, 404, "at once");
    let wrong = second.fill("/account", &at("delete"), &[("email", "other@example.org")]).await;
    assert_eq!(wrong.status, 422, "the address has to be typed");
    assert_eq!(second.fill("/account", &at("delete"), &[("email", "ROOT@example.org")]).await.status, 303);
    assert!(second.get("/admin/accounts").await.body.contains("Changes saved."));
    assert!(!second.get("/admin/accounts").await.body.contains("Changes saved."), "shown once");
    assert_eq!(admin.get("/account").await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn long_lists_have_pages_and_searching_takes_words_as_they_are() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    for n in 0..60 {
        web.outside
            .accounts
            .add(
                oncelink::web::identity::NewAccount {
                    email: format!("person{n:02}@example.org").parse().unwrap(),
                    name: "100% _real_".parse().unwrap(),
                    admin: false,
                    groups: BTreeSet::new(),
                    password: None,
                },
                web.clock.now(),
            )
            .await
            .unwrap();
    }
    let first = admin.get("/admin/accounts").await.body;
    assert!(first.contains("61 accounts") && first.contains("person49") && !first.contains("person50"));
    let second = admin.get("/admin/accounts?q=&page=1").await.body;
    assert!(second.contains("person50") && second.contains("root@example.org"));
    for (words, count) in [("%25", 60), ("_REAL", 60), ("%25real", 0), ("person_", 0), ("Person07", 1)] {
        let found = admin.get(&format!("/admin/accounts?q={words}")).await.body;
        let plural = if count == 1 { "" } else { "s" };
        assert!(found.contains(&format!("{count} account{plural}<")), "{words}: {found}");
    }
    let new = oncelink::web::identity::NewAccount {
        email: "ivan@example.org".parse().unwrap(),
        name: "Иван Élan".parse().unwrap(),
        admin: false,
        groups: BTreeSet::new(),
        password: None,
    };
    web.outside.accounts.add(new, web.clock.now()).await.unwrap();
    for words in ["Иван", "Élan", "IVAN"] {
        let (found, count) = web.outside.accounts.search(words, 0, 50).await.unwrap();
        assert_eq!(count, 1, "{words}: {found:?}");
    }
    for nothing in ["/admin/accounts?q=%00person", "/admin/audit?q=%00", "/admin/accounts?page=4294967295"] {
        assert_eq!(admin.get(nothing).await.status, 200, "{nothing}");
    }
    assert_eq!(admin.get("/admin/accounts/%00").await.status, 404);
    web.stop().await;
}

#[actix_web::test]
async fn mails_that_wait_are_seen_tried_again_and_discarded() {
    // Nothing listens there, so mails stay in the queue.
    let web = TestWeb::spawn_with(|settings| settings.mail.send = "smtp://127.0.0.1:1".into()).await;
    let mut admin = administrator(&web, "root@example.org").await;
    web.browser().fill("/forgot", "/forgot", &[("email", "root@example.org")]).await;
    web.app.send_due_mails().await.unwrap();
    let page = admin.get("/admin/mail").await.body;
    assert!(page.contains("root@example.org") && page.contains("tried once"), "{page}");
    let id = page.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(admin.fill("/admin/mail", "/admin/mail/retry", &[("id", &id)]).await.status, 303);
    web.app.send_due_mails().await.unwrap();
    let again = admin.get("/admin/mail").await.body;
    assert!(again.contains("tried once"), "its count of tries, and so its delays, start again: {again}");
    assert_eq!(admin.fill("/admin/mail", "/admin/mail/discard", &[("id", &id)]).await.status, 303);
    assert!(admin.get("/admin/mail").await.body.contains("No emails."));
    let log = admin.get("/admin/audit?q=mail").await.body;
    assert!(log.contains("mail retried") && log.contains("mail discarded"), "{log}");
    assert!(log.contains("root@example.org (forgot)"), "the log says which mail it was: {log}");
    web.stop().await;
}

#[actix_web::test]
async fn verifying_the_logs_finds_a_line_that_was_inserted_by_hand() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    let page = admin.get("/admin/audit?check=yes").await.body;
    assert!(
        page.contains("Audit log: intact") && page.contains("Deliveries: nothing is recorded yet"),
        "{page}"
    );
    sqlx::query(
        "INSERT INTO receipt_log (number, at, jti, link, event, bytes, address, digest) \
         VALUES (1, 1, 'j', 'l', 'complete', 5, '', 'none')",
    )
    .execute(web.outside.db.writer())
    .await
    .unwrap();
    let page = admin.get("/admin/audit?check=yes").await.body;
    assert!(page.contains("Audit log: intact") && page.contains("Deliveries: line 1 was altered"), "{page}");
    web.stop().await;
}
