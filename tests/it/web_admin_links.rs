//! Administrators see the links and downloads of everybody, find them, and pause or stop them. However many there
//! are, a page of them is read by index.

use oncelink::web::db::position::Position;
use oncelink::web::deliveries::everybody;
use sqlx::{AssertSqlSafe, Row};
use tracing::Instrument;

use crate::link_uses::LinkDatabase;
use crate::mail_operator::oncelink;
use crate::support::links::make;
use crate::support::statements::statements;
use crate::support::web::{Browser, TestWeb};
use crate::web_admin::administrator;

/// The id of the only link with this title.
async fn id_of(web: &TestWeb, title: &str) -> String {
    let query = sqlx::query_scalar("SELECT id FROM links WHERE title = $1").bind(title);
    query.fetch_one(web.outside.db.reader()).await.unwrap()
}

#[actix_web::test]
async fn everybodys_links_are_listed_newest_first_and_found_by_owner_title_and_path() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let mut admin = administrator(&web, "root@example.org").await;
        web.account("ada@example.org", &["staff"]).await;
        web.account("bob@example.org", &["staff"]).await;
        let (mut ada, mut bob) =
            (web.logged_in("ada@example.org").await, web.logged_in("bob@example.org").await);
        make(&mut ada, &[("title", "Äpfel <b>")]).await;
        web.pass(1);
        make(&mut bob, &[("title", "Birnen"), ("files", "/staff/file.txt"), ("uses", "20")]).await;
        let found = async |admin: &mut Browser, words: &str| {
            let page = admin.get(&format!("/admin/links?q={words}")).await;
            assert_eq!(page.status, 200);
            let at = |title: &str| page.body.find(title);
            (at("Äpfel &#60;b&#62;"), at("<bdi>Birnen</bdi>"))
        };
        let (apples, pears) = found(&mut admin, "").await;
        assert!(pears.unwrap() < apples.unwrap(), "the newest first");
        for (words, shows) in [
            ("ada@example.org", (true, false)),
            ("ADA@Example.org", (true, false)),
            ("bob%40", (false, true)),
            ("%C3%A4pfel", (cfg_folds(&web).await, false)),
            ("%C3%84pfel", (true, false)),
            ("BIRN", (false, true)),
            ("%2Fstaff%2F", (false, true)),
            ("%25", (false, false)),
            ("nobody%40example.org", (false, false)),
        ] {
            let (apples, pears) = found(&mut admin, words).await;
            assert_eq!((apples.is_some(), pears.is_some()), shows, "{words}");
        }
        let pears = id_of(&web, "Birnen").await;
        assert!(found(&mut admin, &pears).await.1.is_some(), "by its id");
        let page = admin.get(&format!("/admin/links/{pears}")).await.body;
        for fact in ["bob@example.org", "/staff/file.txt", "0 of 20 downloads", "anyone with the link"] {
            assert!(page.contains(fact), "{fact}: {page}");
        }
        assert!(!page.contains("/l/"), "its address is a secret of its owner: {page}");
        assert_eq!(admin.get("/admin/links/nothing").await.status, 404);
        web.stop().await;
    }
}

/// Whether the database folds letters that aren't ASCII.
async fn cfg_folds(web: &TestWeb) -> bool {
    let folded: String =
        sqlx::query_scalar("SELECT LOWER('Ä')").fetch_one(web.outside.db.reader()).await.unwrap();
    folded == "ä"
}

#[actix_web::test]
async fn an_administrator_pauses_resumes_and_stops_a_link_and_the_audit_log_says_so() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[("title", "Report"), ("uses", "5")]).await;
    let page = format!("/admin/links/{}", id_of(&web, "Report").await);
    let press = async || web.browser().post(&made.public[0], &[]).await.status;
    assert_eq!(press().await, 303);
    for (action, status, says) in
        [("pause", 409, "paused"), ("resume", 303, "open"), ("revoke", 410, "no longer shared")]
    {
        let answer = admin.fill(&page, &format!("{page}/{action}"), &[]).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some(page.as_str())), "{action}");
        let shown = admin.get(&page).await.body;
        assert!(shown.contains(says), "{action}: {shown}");
        let pressed = press().await;
        assert!(pressed == status || (status == 409 && pressed >= 400), "{action}: {pressed}");
    }
    // What is stopped stays stopped.
    for action in ["resume", "pause", "revoke"] {
        assert_eq!(admin.fill("/account", &format!("{page}/{action}"), &[]).await.status, 303);
    }
    assert_eq!(press().await, 410);
    assert!(!admin.get(&page).await.body.contains("<form method=\"post\" action=\"/admin/links"));
    let log = admin.get("/admin/audit?q=Report").await.body;
    for action in ["link-paused", "link-resumed", "link-revoked"] {
        let words = action.replace('-', " ");
        let lines = log.split("<li>").filter(|line| line.contains(action) || line.contains(&words));
        let by: Vec<bool> = lines.map(|line| line.contains("root@example.org")).collect();
        assert_eq!(by, [true], "{action}: {log}");
    }
    web.stop().await;
}

/// Adds `count` links of one owner, all but one made within the same second, with a recipient and a file each.
async fn add_links(database: &LinkDatabase, count: u32) {
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
    );
    let owner = database.owner.as_str();
    for insert in [
        format!(
            "INSERT INTO links (id, account, title, note, uses, mailed_code, notify, paused, created_at) {numbers} \
             SELECT 'l' || n, '{owner}', 'Link ' || n, '', 5, 0, 'never', 0, CASE n WHEN 1 THEN 1 ELSE 7 END \
             FROM numbers"
        ),
        format!(
            "INSERT INTO recipients (id, link, code_digest, taken, looks, position) {numbers} \
             SELECT 'r' || n, 'l' || n, 'd' || n, 2, 0, 0 FROM numbers"
        ),
        format!(
            "INSERT INTO link_files (link, position, path) {numbers} \
             SELECT 'l' || n, 0, '/books/' || n FROM numbers"
        ),
    ] {
        database.sql(&insert).await;
    }
}

#[actix_web::test]
async fn every_link_and_every_download_is_on_exactly_one_page() {
    for database in LinkDatabase::all(None).await {
        add_links(&database, 230).await;
        database.add_uses(230).await;
        let (links, db) = (&database.processes[0].links, &database.processes[0].db);
        for words in ["", "ada@example.org", "Link"] {
            let (mut seen, mut from) = (Vec::new(), Some(Position::start()));
            while let Some(position) = from {
                let (page, next) = links.of_everybody(words, &position, 50).await.unwrap();
                assert!(page.len() == 50 || next.is_none());
                seen.extend(page.iter().map(|owned| owned.listed.link.id.to_string()));
                from = next;
            }
            let others = usize::from(words != "Link");
            assert_eq!(seen.len(), 230 + others, "{words}");
            let oldest = seen.iter().rev().find(|id| *id != "link").map(String::as_str);
            assert_eq!(oldest, Some("l1"), "{words}: the oldest last");
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 230 + others, "{words}: none twice");
        }
        for of in ["", "link"] {
            let (mut seen, mut from) = (Vec::new(), Some(Position::start()));
            while let Some(position) = from {
                let (page, next) = everybody::list(db, of, &position, 100).await.unwrap();
                assert!(
                    page.windows(2).all(|two| { two[0].delivery.redeemed_at >= two[1].delivery.redeemed_at })
                );
                seen.extend(page.into_iter().map(|owned| owned.delivery.jti));
                from = next;
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 230, "{of}");
        }
        let start = Position::start();
        let jti = "00000000-0000-4000-8000-000000000007";
        let (one, more) = everybody::list(db, jti, &start, 9).await.unwrap();
        assert!(one.len() == 1 && more.is_none() && one[0].owner.as_deref() == Some("ada@example.org"));
        assert!(everybody::list(db, "none\0", &start, 9).await.unwrap().0.is_empty());
    }
}

#[actix_web::test]
async fn a_page_of_links_or_downloads_is_read_by_index_and_never_sorted() {
    let database = LinkDatabase::on("sqlite", None).await;
    add_links(&database, 100).await;
    database.add_uses(100).await;
    let (links, db) = (&database.processes[0].links, &database.processes[0].db);
    let heard = statements();
    async {
        for words in ["", "ada@example.org", "Link 7"] {
            let (_, next) = links.of_everybody(words, &Position::start(), 5).await.unwrap();
            links.of_everybody(words, &next.unwrap_or_else(Position::start), 5).await.unwrap();
        }
        links.of_anybody("l7").await.unwrap().unwrap();
        for of in ["", "link", "00000000-0000-4000-8000-000000000007"] {
            everybody::list(db, of, &Position::start(), 5).await.unwrap();
        }
    }
    .instrument(tracing::debug_span!("statements of administrators"))
    .await;
    let heard = heard.within("statements of administrators");
    let mut indexes = String::new();
    let is_list = |text: &&String| text.contains("FROM links") || text.contains("FROM receipts");
    for statement in heard.iter().filter(is_list) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(db.reader()).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        for step in &plan {
            assert!(!step.contains("TEMP B-TREE"), "sorts what it finds: {statement}\n{plan:#?}");
            assert!(!step.starts_with("SCAN"), "{step}\n{statement}\n{plan:#?}");
        }
        indexes += &plan.join("\n");
    }
    for index in [
        "links_by_time (created_at<?)",
        "links_by_account (account=? AND created_at<?)",
        "receipts_by_redemption (redeemed_at<?)",
        "receipts_by_time (link=? AND redeemed_at<?)",
    ] {
        assert!(indexes.contains(index), "{index} is not used: {indexes}");
    }
}

#[actix_web::test]
async fn an_operator_lists_pauses_and_stops_links_on_the_command_line() {
    let web = TestWeb::spawn().await;
    let mut admin = administrator(&web, "root@example.org").await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[("title", "Report"), ("uses", "5")]).await;
    make(&mut ada, &[("title", "Other")]).await;
    let id = id_of(&web, "Report").await;
    let (done, said) = oncelink(&web, &["links", "list", "report", "--json"], "").await;
    assert!(done.status.success(), "{said}");
    let listed: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 1, "{said}");
    for (key, value) in [("id", id.as_str()), ("state", "open"), ("owner", "ada@example.org")] {
        assert_eq!(listed[0][key], value, "{said}");
    }
    assert_eq!((&listed[0]["uses"], &listed[0]["taken"]), (&5.into(), &0.into()), "{said}");
    let (_, said) = oncelink(&web, &["links", "list"], "").await;
    assert!(said.contains("Report") && said.contains("Other"), "{said}");
    for (action, state) in [("pause", "paused"), ("resume", "open"), ("stop", "no longer shared")] {
        let (done, said) = oncelink(&web, &["links", action, "--json", &id], "").await;
        assert!(done.status.success(), "{action}: {said}");
        let changed: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(changed, serde_json::json!([{ "id": id, "changed": true }]), "{action}");
        let page = admin.get(&format!("/admin/links/{id}")).await.body;
        assert!(page.contains(state), "{action}: {page}");
    }
    assert_eq!(web.browser().post(&made.public[0], &[]).await.status, 410);
    let (again, said) = oncelink(&web, &["links", "pause", "--json", &id], "").await;
    assert!(again.status.success() && said.contains("\"changed\":false"), "{said}");
    // One that doesn't exist changes none of the others.
    let other = id_of(&web, "Other").await;
    let (wrong, said) = oncelink(&web, &["links", "stop", &other, "nothing"], "").await;
    assert!(wrong.status.code() == Some(1) && said.contains("there is no link nothing"), "{said}");
    assert!(admin.get(&format!("/admin/links/{other}")).await.body.contains(">open<"));
    let (none, said) = oncelink(&web, &["deliveries", "--json"], "").await;
    assert!(none.status.success(), "{said}");
    assert_eq!(none.stdout, b"[]\n");
    let log = admin.get("/admin/audit?q=operator").await.body;
    assert!(log.contains("Report (link"), "{log}");
    web.stop().await;
}
