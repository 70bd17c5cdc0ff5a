//! The administrators' page about download services: what it shows, and that it does what `oncelink nodes`
//! does.

use std::collections::BTreeSet;

use oncelink::web::audit::Actor;

use crate::nodes::Site;
use crate::support::client::Client;
use crate::support::deliveries::eventually;
use crate::support::web::{Answer, Browser};

const PAGE: &str = "/admin/nodes";

/// Ada becomes an administrator and logs in.
async fn administrator(site: &Site) -> Browser {
    let (db, operator, nobody) = (&site.access.db, Actor::operator(), BTreeSet::new());
    let (ada, now) = (&site.access.owner, site.clock.now());
    db.account_admin.set_rights(ada, &nobody, true, &operator, now).await.unwrap();
    site.browser().await
}

/// The key in an answer that shows one.
fn key(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (_, rest) = answer.body.split_once("<p class=\"key\"><code>").unwrap();
    rest.split('<').next().unwrap().to_owned()
}

/// The page from the name of a node to the next one.
fn part_of<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("<strong><bdi>{name}</bdi></strong>")).unwrap();
    rest.split("<strong>").next().unwrap()
}

#[actix_web::test]
async fn a_node_gets_its_key_from_the_page_which_shows_it_once() {
    let mut site = Site::start().await;
    site.put("a.bin", b"content");
    let mut admin = administrator(&site).await;
    let before = admin.get(PAGE).await.body;
    assert!(part_of(&before, "one").contains("has no key, gets no tokens"), "{before}");
    let made = admin.fill(PAGE, "/admin/nodes/add", &[("name", "one")]).await;
    let first = key(&made);
    std::fs::write(site.key_file(0), &first).unwrap();
    assert!(!admin.get(PAGE).await.body.contains(&first), "shown once");
    let away = admin.get(PAGE).await.body;
    assert!(part_of(&away, "one").contains("gets no tokens"), "{away}");
    site.start_node(0).await;
    eventually("the page shows that it is ready", async || {
        part_of(&admin.get(PAGE).await.body, "one").contains("<span class=\"tag\">ready</span>")
    })
    .await;
    let (_, inner) = site.press(&mut admin, "/files/a.bin").await;
    assert_eq!(Client::default().get(&inner).await.body, b"content");
    // Another key: the old one is worth nothing.
    let second = key(&admin.fill(PAGE, "/admin/nodes/rekey", &[("name", "one")]).await);
    assert_ne!(first, second);
    eventually("the page shows that its key is wrong", async || {
        part_of(&admin.get(PAGE).await.body, "one").contains("did not prove its node key, gets no tokens")
    })
    .await;
    std::fs::write(site.key_file(0), &second).unwrap();
    eventually("the page shows that it is ready", async || {
        part_of(&admin.get(PAGE).await.body, "one").contains("<span class=\"tag\">ready</span>")
    })
    .await;
    let log = admin.get("/admin/audit?q=node").await.body;
    for action in ["node added", "node rekeyed"] {
        let (_, line) = log.split_once(action).unwrap_or_else(|| panic!("{action} is not in {log}"));
        assert!(line.split("</li>").next().unwrap().contains("one"), "{log}");
    }
    assert!(log.contains("ada@example.org"), "the audit log says who did it: {log}");
    assert!(![&first, &second].iter().any(|key| log.contains(key.as_str())), "a key is in the log");
    site.stop().await;
}

#[actix_web::test]
async fn a_form_that_is_sent_twice_makes_one_key() {
    let site = Site::start().await;
    let mut admin = administrator(&site).await;
    let csrf = admin.get(PAGE).await.csrf();
    let fields = [("csrf", csrf.as_str()), ("name", "one")];
    let made = key(&admin.post("/admin/nodes/add", &fields).await);
    let again = admin.post("/admin/nodes/add", &fields).await;
    assert_eq!((again.status, again.location.as_deref()), (303, Some(PAGE)));
    let page = admin.get(PAGE).await.body;
    assert!(page.contains("already shown") && !page.contains(&made), "{page}");
    site.stop().await;
}

#[actix_web::test]
async fn what_cannot_be_done_is_said_with_what_to_do() {
    let site = Site::start().await;
    let mut admin = administrator(&site).await;
    key(&admin.fill(PAGE, "/admin/nodes/add", &[("name", "one")]).await);
    for (action, name, words) in [
        ("add", "one", "has a key already. To replace it, choose New key."),
        ("add", "mars", "Add a [[node]] there first."),
        ("rekey", "two", "has no key. Choose Create key."),
        ("rekey", "mars", "Add a [[node]] there first."),
    ] {
        let refused = admin.fill(PAGE, &format!("/admin/nodes/{action}"), &[("name", name)]).await;
        assert!(refused.status == 422 && refused.body.contains(words), "{action} {name}: {}", refused.body);
        assert!(refused.body.contains("<title>Error: "), "{}", refused.body);
    }
    let gone = admin.fill(PAGE, "/admin/nodes/remove", &[("name", "mars")]).await;
    assert_eq!(gone.status, 303);
    site.stop().await;
}

#[actix_web::test]
async fn a_removed_node_gets_no_tokens_and_its_reports_are_refused() {
    let mut site = Site::start().await;
    site.put("a.bin", b"content");
    site.add(0).await;
    let mut admin = administrator(&site).await;
    site.press(&mut admin, "/files/a.bin").await;
    let removed = admin.fill(PAGE, "/admin/nodes/remove", &[("name", "one")]).await;
    assert_eq!((removed.status, removed.location.as_deref()), (303, Some(PAGE)));
    let page = admin.get(PAGE).await.body;
    assert!(page.contains("The download service was removed."), "{page}");
    assert!(part_of(&page, "one").contains(">removed<"), "{page}");
    let refused = admin.fill("/files/files", "/download", &[("file", "/files/a.bin")]).await;
    assert_eq!(refused.status, 503);
    let key = std::fs::read_to_string(site.key_file(0)).unwrap();
    assert!(site.access.db.nodes.of_key(key.trim()).await.unwrap().is_none(), "its key is worth nothing");
    assert!(admin.get("/admin/audit?q=node").await.body.contains("node removed"));
    site.stop().await;
}
