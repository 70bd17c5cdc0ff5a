//! What the owner of a link can do with it later: add and remove recipients, send it to them, extend it, and
//! duplicate it.

use oncelink::web::audit;

use crate::support::links::{Made, fields, make};
use crate::support::postgres::empty_schema;
use crate::support::web::{Answer, Browser, TestWeb};

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

/// On each database.
async fn stages() -> Vec<(TestWeb, Browser)> {
    let mut stages = vec![ada().await];
    if let Some(address) = empty_schema().await {
        let web = TestWeb::spawn_with(|settings| settings.web.database = address.into()).await;
        web.account("ada@example.org", &[]).await;
        let browser = web.logged_in("ada@example.org").await;
        stages.push((web, browser));
    }
    stages
}

/// The public addresses on the page of a link, in order.
async fn public(browser: &mut Browser, page: &str) -> Vec<String> {
    let body = browser.get(page).await.body;
    let addresses = body.split("data-copy=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    addresses.map(|address| address[address.find("/l/").unwrap()..].to_owned()).collect()
}

/// The addresses of the pages that ask whether to remove a recipient, in order.
async fn removals(browser: &mut Browser, page: &str) -> Vec<String> {
    let body = browser.get(page).await.body;
    let start = format!("href=\"{page}/recipients/");
    let ids = body.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    ids.map(|id| format!("{page}/recipients/{id}")).collect()
}

async fn add(browser: &mut Browser, page: &str, fields: &[(&str, &str)]) -> Answer {
    let address = format!("{page}/recipients");
    browser.fill(&address, &address, fields).await
}

/// Presses as a program, which needs no second press.
async fn press(web: &TestWeb, public: &str) -> Answer {
    web.browser().post(public, &[]).await
}

#[actix_web::test]
async fn recipients_are_added_later_and_each_gets_a_link_of_their_own() {
    for (web, mut browser) in stages().await {
        let made = make(&mut browser, &[("recipients", "bob@example.org")]).await;
        let form = browser.get(&format!("{}/recipients", made.page)).await;
        assert!(form.status == 200 && form.body.contains("Add recipients"), "{}", form.body);
        let wrong = add(&mut browser, &made.page, &[("recipients", "kim@example.org, nobody")]).await;
        assert_eq!(wrong.status, 422);
        assert!(
            wrong.body.contains("“nobody” is not a valid email address") && wrong.body.contains("kim@"),
            "what was typed is kept: {}",
            wrong.body
        );
        let nobody = add(&mut browser, &made.page, &[("recipients", " ")]).await;
        assert!(nobody.status == 422 && nobody.body.contains("Enter at least one"), "{}", nobody.body);
        let more = [("recipients", "kim@example.org; BOB@example.org, lee@example.org"), ("mail", "yes")];
        let added = add(&mut browser, &made.page, &more).await;
        assert_eq!((added.status, added.location.as_ref()), (303, Some(&made.page)), "{}", added.body);
        let page = browser.get(&made.page).await.body;
        assert!(page.contains("The recipients have been added."), "{page}");
        let addresses = public(&mut browser, &made.page).await;
        assert_eq!(addresses.len(), 3, "Bob keeps his");
        assert_eq!(addresses[0], made.public[0]);
        let mails = web.mails().await;
        let sent: Vec<(String, String)> = mails.iter().map(|mail| (mail.header("to"), mail.path())).collect();
        assert_eq!(sent.len(), 2, "Bob gets no second mail: {sent:?}");
        assert!(sent.contains(&("kim@example.org".to_owned(), addresses[1].clone())), "{sent:?}");
        for address in &addresses {
            assert_eq!(press(&web, address).await.status, 303, "each has a download");
        }
        let again = add(&mut browser, &made.page, &[("recipients", "kim@example.org")]).await;
        assert!(again.status == 422 && again.body.contains("already have this link"), "{}", again.body);
        // The same form sent twice adds them once.
        let form = browser.get(&format!("{}/recipients", made.page)).await.csrf();
        let fields = [("csrf", form.as_str()), ("recipients", "max@example.org")];
        for _ in 0..2 {
            let answer = browser.post(&format!("{}/recipients", made.page), &fields).await;
            assert_eq!(answer.status, 303, "{}", answer.body);
        }
        assert_eq!(public(&mut browser, &made.page).await.len(), 4);
        let (lines, _) = audit::list(&web.outside.db, "link-recipients-added", 0, 10).await.unwrap();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].subject.contains("2 more named"), "{:?}", lines[1]);
        assert!(browser.get("/links").await.body.contains("1 item, 4 recipients"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_link_for_anyone_gets_named_recipients_and_keeps_its_address() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[]).await;
    assert_eq!(add(&mut browser, &made.page, &[("recipients", "bob@example.org")]).await.status, 303);
    let page = browser.get(&made.page).await.body;
    assert!(
        page.contains("<strong>Anyone with the link</strong>") && page.contains("bob@example.org"),
        "{page}"
    );
    let addresses = public(&mut browser, &made.page).await;
    assert_eq!((addresses.len(), &addresses[0]), (2, &made.public[0]));
    for address in &addresses {
        assert_eq!(press(&web, address).await.status, 303);
    }
    // A link that was stopped for good gets nobody.
    browser.fill(&made.page, &format!("{}/revoke", made.page), &[]).await;
    let csrf = browser.get("/account").await.csrf();
    let late = [("csrf", csrf.as_str()), ("recipients", "kim@example.org")];
    let refused = browser.post(&format!("{}/recipients", made.page), &late).await;
    assert_eq!(refused.location.as_ref(), Some(&made.page));
    assert!(browser.get(&made.page).await.body.contains("You stopped sharing this link for good"));
    web.stop().await;
}

#[actix_web::test]
async fn added_recipients_count_for_the_limit_of_a_day() {
    let (web, mut browser) = ada().await;
    let list = |from: usize, count: usize| {
        (from..from + count).map(|n| format!("p{n}@example.org")).collect::<Vec<_>>().join("\n")
    };
    let made = make(&mut browser, &[("recipients", &list(0, 900))]).await;
    let full = add(&mut browser, &made.page, &[("recipients", &list(900, 101))]).await;
    assert!(full.status == 422 && full.body.contains("at most 1,000 recipients"), "{}", full.body);
    assert_eq!(add(&mut browser, &made.page, &[("recipients", &list(900, 100))]).await.status, 303);
    let other = make(&mut browser, &[("recipients", &list(2_000, 900))]).await;
    let today = add(&mut browser, &other.page, &[("recipients", &list(3_000, 100))]).await;
    assert_eq!(today.status, 303, "2,000 in all: {}", today.body);
    let third = make(&mut browser, &[]).await;
    let today = add(&mut browser, &third.page, &[("recipients", "one@example.org")]).await;
    assert!(today.status == 422 && today.body.contains("within a day"), "{}", today.body);
    web.pass(24 * 60 * 60 + 1);
    let mut browser = web.logged_in("ada@example.org").await;
    assert_eq!(add(&mut browser, &third.page, &[("recipients", "one@example.org")]).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn removing_a_recipient_asks_first_and_ends_their_link_alone() {
    for (web, mut browser) in stages().await {
        let made =
            make(&mut browser, &[("recipients", "bob@example.org kim@example.org"), ("uses", "3")]).await;
        for address in &made.public {
            assert_eq!(press(&web, address).await.status, 303);
        }
        let ask = removals(&mut browser, &made.page).await;
        assert_eq!(ask.len(), 2);
        let page = browser.get(&ask[0]).await;
        assert!(
            page.body.contains("bob@example.org") && page.body.contains("This can’t be undone"),
            "{}",
            page.body
        );
        assert_eq!(web.browser().get(&made.public[0]).await.status, 200, "looking changes nothing");
        let live = "SELECT COUNT(*) FROM issued_tokens WHERE revoke = 0";
        let count =
            async || -> i64 { sqlx::query_scalar(live).fetch_one(web.outside.db.reader()).await.unwrap() };
        assert_eq!(count().await, 2);
        let removed = browser.fill(&ask[0], &ask[0], &[]).await;
        assert_eq!((removed.status, removed.location.as_ref()), (303, Some(&made.page)));
        assert_eq!(count().await, 1, "what Bob had is revoked, and what Kim has is not");
        let gone = web.browser().get(&made.public[0]).await;
        assert!(gone.status == 410 && gone.body.contains("no longer available"), "{}", gone.body);
        assert_eq!(press(&web, &made.public[0]).await.status, 410);
        assert_eq!(web.browser().get(&made.public[1]).await.status, 200);
        assert_eq!(press(&web, &made.public[1]).await.status, 303);
        let page = browser.get(&made.page).await.body;
        assert!(page.contains(">removed<") && !page.contains(&made.public[0]), "{page}");
        assert!(browser.get("/links").await.body.contains("1 item, 1 recipient"));
        // The last one can't be removed: that would be to stop sharing.
        assert!(removals(&mut browser, &made.page).await.is_empty());
        let last = browser.fill("/account", &ask[1], &[]).await;
        assert_eq!(last.status, 303);
        assert!(browser.get(&made.page).await.body.contains("This is the link’s only recipient."));
        assert_eq!(web.browser().get(&made.public[1]).await.status, 200);
        // Whoever was removed can be added again, with another address.
        assert_eq!(add(&mut browser, &made.page, &[("recipients", "bob@example.org")]).await.status, 303);
        let addresses = public(&mut browser, &made.page).await;
        assert_eq!(addresses.len(), 2);
        assert!(!addresses.contains(&made.public[0]));
        assert_eq!(web.browser().get(&made.public[0]).await.status, 410, "the old one stays closed");
        let (lines, _) = audit::list(&web.outside.db, "link-recipient-removed", 0, 10).await.unwrap();
        assert_eq!(lines.len(), 1);
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_mail_to_a_removed_recipient_is_not_sent() {
    let (web, mut browser) = ada().await;
    let made =
        make(&mut browser, &[("recipients", "bob@example.org kim@example.org"), ("mail", "yes")]).await;
    let ask = removals(&mut browser, &made.page).await;
    assert_eq!(browser.fill(&ask[0], &ask[0], &[]).await.status, 303);
    let sent: Vec<String> = web.mails().await.iter().map(|mail| mail.header("to")).collect();
    assert_eq!(sent, ["kim@example.org"]);
    web.stop().await;
}

#[actix_web::test]
async fn a_link_that_was_not_mailed_is_sent_to_one_recipient_within_the_limits() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[("recipients", "bob@example.org kim@example.org")]).await;
    let page = browser.get(&made.page).await.body;
    assert_eq!(page.matches("Not sent by email.").count(), 2, "{page}");
    let id = page.split("name=\"recipient\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let send = format!("{}/send", made.page);
    assert_eq!(browser.fill(&made.page, &send, &[("recipient", &id)]).await.status, 303);
    let page = browser.get(&made.page).await.body;
    assert!(page.contains("We’re sending the link."), "{page}");
    assert_eq!(page.matches("Not sent by email.").count(), 1);
    browser.fill(&made.page, &send, &[("recipient", &id)]).await;
    let mails = web.mails().await;
    assert_eq!(mails.len(), 1, "once");
    assert_eq!(
        (mails[0].header("to").as_str(), mails[0].path()),
        ("bob@example.org", made.public[0].clone())
    );
    web.stop().await;
}

async fn extend(browser: &mut Browser, made: &Made, by: &str) -> Answer {
    browser.fill(&made.page, &format!("{}/extend", made.page), &[("add", by)]).await
}

#[actix_web::test]
async fn a_link_is_extended_after_its_end_and_one_that_was_stopped_is_not() {
    for (web, mut browser) in stages().await {
        // It is 15 January, 08:00.
        let made = make(&mut browser, &[("ends", "2027-01-15T08:10")]).await;
        assert_eq!(extend(&mut browser, &made, "1-day").await.status, 303);
        let page = browser.get(&made.page).await.body;
        assert!(
            page.contains("The link has been extended.") && page.contains("16 Jan 2027, 08:10"),
            "{page}"
        );
        web.pass(26 * 60 * 60);
        let mut browser = web.logged_in("ada@example.org").await;
        assert_eq!(web.browser().get(&made.public[0]).await.status, 410);
        assert!(browser.get(&made.page).await.body.contains("Open it again for"));
        assert_eq!(extend(&mut browser, &made, "7-days").await.status, 303);
        let page = browser.get(&made.page).await.body;
        assert!(page.contains("23 Jan 2027, 10:00"), "from now on, not from its end: {page}");
        assert_eq!(web.browser().get(&made.public[0]).await.status, 200);
        // More downloads, once for a form that is sent twice.
        assert_eq!(press(&web, &made.public[0]).await.status, 303);
        assert_eq!(press(&web, &made.public[0]).await.status, 410);
        let csrf = browser.get(&made.page).await.csrf();
        let fields = [("csrf", csrf.as_str()), ("add", "1-download")];
        for _ in 0..2 {
            assert_eq!(browser.post(&format!("{}/extend", made.page), &fields).await.status, 303);
        }
        assert!(browser.get(&made.page).await.body.contains("1 of 2 downloads used"));
        assert_eq!(press(&web, &made.public[0]).await.status, 303);
        assert_eq!(press(&web, &made.public[0]).await.status, 410);
        for wrong in ["", "1 day", "forever", "-1-day"] {
            assert_eq!(extend(&mut browser, &made, wrong).await.status, 400, "{wrong}");
        }
        // Nothing that can't be extended is.
        let endless = make(&mut browser, &[("uses", "")]).await;
        assert!(!browser.get(&endless.page).await.body.contains("/extend\""));
        assert_eq!(extend(&mut browser, &endless, "1-day").await.status, 303);
        assert!(browser.get(&endless.page).await.body.contains("<dd>Never</dd>"));
        browser.fill(&made.page, &format!("{}/revoke", made.page), &[]).await;
        assert!(!browser.get(&made.page).await.body.contains("/extend\""));
        let refused = browser.fill("/account", &format!("{}/extend", made.page), &[("add", "30-days")]).await;
        assert_eq!(refused.status, 303);
        assert!(browser.get(&made.page).await.body.contains("You stopped sharing this link for good"));
        assert_eq!(web.browser().get(&made.public[0]).await.status, 410);
        web.stop().await;
    }
}

#[actix_web::test]
async fn extending_revokes_nothing_that_was_issued() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[("ends", "2027-01-16T08:00")]).await;
    assert_eq!(press(&web, &made.public[0]).await.status, 303);
    for by in ["1-day", "5-downloads"] {
        assert_eq!(extend(&mut browser, &made, by).await.status, 303);
    }
    let revoked: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM issued_tokens WHERE revoke = 1")
        .fetch_one(web.outside.db.reader())
        .await
        .unwrap();
    assert_eq!(revoked, 0);
    web.stop().await;
}

#[actix_web::test]
async fn a_copy_has_the_same_files_and_terms_and_says_what_it_lacks() {
    let (web, mut browser) = ada().await;
    std::fs::write(web.share("open").join("lost.txt"), "x").unwrap();
    let terms = [
        ("files", "/open/file.txt /open/lost.txt"),
        ("title", "Plans"),
        ("note", "Dear both"),
        ("uses", "4"),
        ("ends", "2027-01-18T08:00"),
        ("password", "a secret word"),
        ("recipients", "bob@example.org kim@example.org"),
        ("notify", "every"),
    ];
    let made = make(&mut browser, &terms).await;
    std::fs::remove_file(web.share("open").join("lost.txt")).unwrap();
    browser.fill(&made.page, &format!("{}/revoke", made.page), &[]).await;
    let address = format!("{}/duplicate", made.page);
    assert!(
        browser.get(&made.page).await.body.contains(&format!("href=\"{address}\"")),
        "of a stopped link, too"
    );
    let page = browser.get(&address).await.body;
    for words in [
        "missing, left out",
        "2 recipients, each with a new link",
        "4 per recipient",
        "value=\"Plans\"",
        "value=\"2027-01-18T08:00\"",
        "password isn’t copied, because nobody can read it",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let fields = [("title", "Plans"), ("ends", "2020-01-01T00:00"), ("password", "short")];
    let wrong = browser.fill(&address, &address, &fields).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body.contains("Choose a time in the future") && wrong.body.contains("at least 8"),
        "{}",
        wrong.body
    );
    assert!(!wrong.body.contains("value=\"short\""));
    let fields = [("title", ""), ("ends", "2027-01-18T08:00"), ("password", "another word")];
    let copied = browser.fill(&address, &address, &fields).await;
    assert_eq!(copied.status, 303, "{}", copied.body);
    let copy = copied.location.unwrap();
    assert_ne!(copy, made.page);
    let page = browser.get(&copy).await.body;
    for words in [
        "Your copy is ready",
        "Plans",
        "<dd>Password</dd>",
        "0 of 4 downloads used",
        "Dear both",
        "bob@example.org",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("lost.txt"));
    let addresses = public(&mut browser, &copy).await;
    assert!(addresses.len() == 2 && addresses.iter().all(|address| !made.public.contains(address)));
    assert!(web.mails().await.is_empty(), "nobody was mailed");
    assert_eq!(web.browser().post(&addresses[0], &[("password", "a secret word")]).await.status, 403);
    assert_eq!(web.browser().post(&addresses[0], &[("password", "another word")]).await.status, 303);
    // With mails, and of a link of which nothing is left.
    let fields = [("title", "Again"), ("ends", ""), ("mail", "yes")];
    assert_eq!(
        browser.fill(&format!("{copy}/duplicate"), &format!("{copy}/duplicate"), &fields).await.status,
        303
    );
    assert_eq!(web.mails().await.len(), 2);
    std::fs::remove_file(web.share("open").join("file.txt")).unwrap();
    let nothing = browser.fill(&address, &address, &fields).await;
    assert!(nothing.status == 422 && nothing.body.contains("there is nothing to share"), "{}", nothing.body);
    web.stop().await;
}

#[actix_web::test]
async fn what_can_be_done_with_a_link_later_is_its_owners_alone() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[("recipients", "bob@example.org kim@example.org")]).await;
    let other = make(&mut browser, &[]).await;
    let ask = removals(&mut browser, &made.page).await;
    web.account("eve@example.org", &[]).await;
    let mut eve = web.logged_in("eve@example.org").await;
    let addresses = [format!("{}/recipients", made.page), format!("{}/duplicate", made.page), ask[0].clone()];
    for address in &addresses {
        assert_eq!(eve.get(address).await.status, 404, "{address}");
        let login = web.browser().get(address).await.location.unwrap();
        assert!(login.starts_with("/login"), "{login}");
    }
    let posts: [(&str, &[(&str, &str)]); 4] = [
        (&addresses[0], &[("recipients", "eve@example.org")]),
        (&addresses[1], &[("title", "x"), ("ends", "")]),
        (&addresses[2], &[]),
        (&format!("{}/extend", made.page), &[("add", "1-day")]),
    ];
    for (address, fields) in posts {
        assert_eq!(eve.fill("/account", address, fields).await.status, 404, "{address}");
    }
    // A recipient of another link.
    let foreign = ask[0].replace(&made.page, &other.page);
    assert_eq!(browser.get(&foreign).await.status, 404);
    assert_eq!(browser.fill("/account", &foreign, &[]).await.status, 404);
    assert_eq!(web.browser().get(&made.public[0]).await.status, 200);
    web.stop().await;
}

/// Everything on the pages of a person that can't be undone is asked about: within a part that is closed at
/// first, on a page of its own, or with a field that must be filled in.
#[actix_web::test]
async fn what_cannot_be_undone_is_asked_about_first_and_without_scripts() {
    let web = TestWeb::spawn_with(crate::support::tus::writable).await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    let made = make(&mut browser, &[("recipients", "bob@example.org kim@example.org")]).await;
    let is_asked = |page: &str, action: &str| {
        let at = page.find(&format!("action=\"{action}\"")).unwrap_or_else(|| panic!("{action}: {page}"));
        let before = &page[..at];
        let form = page[at..].split("</form>").next().unwrap();
        let opened = before.rfind("<details class=\"confirm\">");
        let closed = before.rfind("</details>");
        form.contains(" required") || opened.is_some_and(|opened| closed.is_none_or(|closed| closed < opened))
    };
    let page = browser.get(&made.page).await.body;
    assert!(is_asked(&page, &format!("{}/revoke", made.page)));
    assert!(!is_asked(&page, &format!("{}/pause", made.page)), "a pause can be undone");
    assert!(
        !page.contains("method=\"post\" action=\"/links/x/recipients/"),
        "removing has a page of its own"
    );
    assert!(is_asked(&browser.get("/account").await.body, "/account/delete"));
    let deleted = browser.fill("/account", "/manage/delete", &[("path", "/open/file.txt")]).await;
    assert_eq!(deleted.status, 303, "{}", deleted.body);
    let trash = browser.get("/manage/trash?share=%2Fopen").await.body;
    assert!(is_asked(&trash, "/manage/forget"), "{trash}");
    assert!(!is_asked(&trash, "/manage/restore"));
    web.stop().await;
}

#[actix_web::test]
async fn the_form_that_changes_a_link_ignores_removed_recipients() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[]).await;
    assert_eq!(add(&mut browser, &made.page, &[("recipients", "bob@example.org")]).await.status, 303);
    let terms = |code: bool| {
        let mut all = fields(&[("title", "T")]);
        all.retain(|(name, _)| !matches!(*name, "files" | "recipients"));
        if code {
            all.push(("mailed_code", "yes"));
        }
        all
    };
    let ask = removals(&mut browser, &made.page).await;
    assert_eq!(browser.fill(&ask[1], &ask[1], &[]).await.status, 303);
    let refused = browser.fill(&made.page, &made.page, &terms(true)).await;
    assert_eq!(refused.status, 422, "nobody is left who can get a code");
    assert_eq!(web.browser().get(&made.public[0]).await.status, 200);
    assert_eq!(add(&mut browser, &made.page, &[("recipients", "carl@example.org")]).await.status, 303);
    assert_eq!(browser.fill(&made.page, &made.page, &terms(true)).await.status, 303);
    assert_eq!(web.browser().get(&made.public[0]).await.status, 410);
    web.stop().await;
}
