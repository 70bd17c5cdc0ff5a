//! Limits on what strangers and accounts can make the app store or mail, and idempotency of forms.

use std::io::ErrorKind;

use oncelink::config::Settings;
use oncelink::id::RecipientId;
use oncelink::web::audit;
use oncelink::web::links::change::{EditBase, EditOutcome, LinkPasswordChange};
use sqlx::Row;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::links::{fields, make, send};
use crate::support::tus::{Uploader, metadata, writable};
use crate::support::web::{Answer, Browser, FORM, PASSWORD, TestWeb, form};

async fn ada_with(change: impl FnOnce(&mut Settings)) -> (TestWeb, Browser) {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        change(settings);
    })
    .await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

/// The same browser, at another address.
fn from(browser: &Browser, address: &str) -> Browser {
    let mut other = browser.clone();
    other.headers.push(("x-forwarded-for", address.to_owned()));
    other
}

fn behind_a_proxy(settings: &mut Settings) {
    settings.web.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
}

async fn actions(web: &TestWeb) -> Vec<String> {
    let lines = audit::list(&web.outside.db, "", 0, 1_000).await.unwrap().0;
    lines.into_iter().rev().map(|line| line.action).collect()
}

async fn count(web: &TestWeb, table: &'static str) -> i64 {
    let query = format!("SELECT COUNT(*) FROM {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(web.outside.db.reader()).await.unwrap()
}

#[actix_web::test]
async fn presses_of_one_link_from_one_address_are_limited_and_others_are_not() {
    let (web, mut browser) = ada_with(|settings| {
        behind_a_proxy(settings);
        settings.links.presses = 5;
        settings.links.presses_per_link = 12;
    })
    .await;
    let made = make(&mut browser, &[("uses", "")]).await;
    let press = async |address: &str| from(&web.browser(), address).post(&made.public[0], &[]).await;
    for _ in 0..5 {
        assert_eq!(press("192.0.2.1").await.status, 303);
    }
    let refused = press("192.0.2.1").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "12"), "{refused:?}");
    let uses = count(&web, "link_uses").await;
    assert_eq!(uses, 5, "a refused request writes nothing");
    assert_eq!(press("192.0.2.2").await.status, 303, "another client");
    for n in 3..9 {
        assert_eq!(press(&format!("192.0.2.{n}")).await.status, 303);
    }
    assert_eq!(press("192.0.2.99").await.status, 429, "the limit for all clients");
    web.pass(60);
    assert_eq!(press("192.0.2.1").await.status, 303, "a minute later");
    web.stop().await;
}

#[actix_web::test]
async fn one_account_can_t_fill_a_mailbox_and_recipients_not_mailed_are_named() {
    let (web, mut browser) = ada_with(|_| {}).await;
    let with_mail = |recipients| [("recipients", recipients), ("mail", "yes")];
    for _ in 0..3 {
        assert_eq!(send(&mut browser, &with_mail("Bob <r@example.org>")).await.status, 303);
    }
    let refused = send(&mut browser, &with_mail("s@example.org, R@example.org")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("R@example.org has already received as many mails"), "{}", refused.body);
    assert!(!refused.body.contains("s@example.org has already received"), "{}", refused.body);
    assert_eq!(web.mails().await.len(), 3, "nobody on that list gets a mail");
    assert_eq!(send(&mut browser, &[("recipients", "r@example.org")]).await.status, 303, "without a mail");
    assert_eq!(send(&mut browser, &with_mail("s@example.org")).await.status, 303);
    web.pass(3600);
    let mut browser = web.logged_in("ada@example.org").await;
    assert_eq!(send(&mut browser, &with_mail("r@example.org")).await.status, 303, "an hour later");
    assert_eq!(web.mails().await.len(), 5);
    web.stop().await;
}

#[actix_web::test]
async fn a_form_that_is_sent_twice_takes_effect_once() {
    let (web, mut browser) = ada_with(|_| {}).await;
    let csrf = browser.get("/links/new?file=/open/file.txt").await.csrf();
    let request = fields(&[("recipients", "r@example.org"), ("mail", "yes"), ("csrf", &csrf)]);
    let (mut one, mut other) = (browser.clone(), browser.clone());
    let (first, second) = tokio::join!(one.post("/links", &request), other.post("/links", &request));
    let again = browser.post("/links", &request).await;
    assert_eq!((first.status, second.status, again.status), (303, 303, 303));
    assert_eq!((&first.location, &first.location), (&second.location, &again.location));
    assert_eq!(first.set_cookies, again.set_cookies, "the repeated form gets the same answer");
    assert_eq!((count(&web, "links").await, web.mails().await.len()), (1, 1));
    // Other content from the same page is another form, and so is the same content from a new page.
    let changed = fields(&[("recipients", "s@example.org"), ("mail", "yes"), ("csrf", &csrf)]);
    assert_ne!(browser.post("/links", &changed).await.location, first.location);
    assert_ne!(
        send(&mut browser, &[("recipients", "r@example.org"), ("mail", "yes")]).await.location,
        first.location
    );
    assert_eq!(count(&web, "links").await, 3);
    // Creating a folder.
    let folder = [("folder", "/open"), ("name", "new"), ("csrf", csrf.as_str())];
    let (first, second) = (
        browser.post("/manage/make-folder", &folder).await,
        browser.post("/manage/make-folder", &folder).await,
    );
    assert_eq!(
        (first.status, second.status, &first.location),
        (303, 303, &second.location),
        "{}",
        second.body
    );
    // Signing up sends one mail.
    let mut stranger = web.browser();
    let csrf = stranger.get("/signup").await.csrf();
    let request = [
        ("email", "nia@example.org"),
        ("name", "Nia"),
        ("password", PASSWORD),
        ("password_again", PASSWORD),
        ("csrf", csrf.as_str()),
    ];
    for _ in 0..2 {
        assert_eq!(
            stranger.post("/signup", &request).await.location.as_deref(),
            Some("/mail-sent?for=sign-up")
        );
    }
    assert_eq!(web.mails().await.iter().filter(|mail| mail.header("to") == "nia@example.org").count(), 1);
    // A day later the same form counts as new.
    web.pass(24 * 3600);
    web.app.upkeep().prune().await;
    assert_eq!(count(&web, "sent_forms").await, 0);
    web.stop().await;
}

#[actix_web::test]
async fn two_processes_create_one_link_for_a_form_sent_to_both() {
    let (mut web, mut browser) = ada_with(|_| {}).await;
    let twin = web.twin().await;
    let csrf = browser.get("/links/new?file=/open/file.txt").await.csrf();
    let request = fields(&[("csrf", &csrf)]);
    let (mut one, mut other) = (browser.clone(), browser.clone());
    other.base = twin;
    let (first, second) = tokio::join!(one.post("/links", &request), other.post("/links", &request));
    assert_eq!((first.status, second.status), (303, 303), "{} {}", first.body, second.body);
    assert_eq!((first.location, count(&web, "links").await), (second.location, 1));
    web.stop().await;
}

#[actix_web::test]
async fn a_pasted_list_reaches_everybody_or_names_the_entries_that_can_t_be_read() {
    let (web, mut browser) = ada_with(|_| {}).await;
    let list =
        "Ann <a@example.org>, \"Lee, Bob\" <b@example.org>;\tc@example.org\r\nmailto:d@example.org,;\n";
    let made = make(&mut browser, &[("recipients", list), ("mail", "yes")]).await;
    assert_eq!(made.public.len(), 4);
    let mut to: Vec<String> = web.mails().await.iter().map(|mail| mail.header("to")).collect();
    to.sort();
    assert_eq!(to, ["a@example.org", "b@example.org", "c@example.org", "d@example.org"]);
    for (list, named) in [
        ("Ann <a@example.org>, Bob", "“Bob” is not a valid email address."),
        ("a@example.org, bo\u{200b}b@example.org", "invisible character"),
        // Exports of whole address books.
        ("Name,E-mail\r\nAnn,a@example.org\r\n", "Line 2: “Ann” is not a valid email address."),
        ("BEGIN:VCARD\r\nFN:Ann\r\nEMAIL:a@example.org\r\nEND:VCARD\r\n", "Line 1: “BEGIN:VCARD”"),
    ] {
        let refused = send(&mut browser, &[("recipients", list), ("mail", "yes")]).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains(named), "{}", refused.body);
    }
    assert_eq!(count(&web, "links").await, 1);
    web.stop().await;
}

#[actix_web::test]
async fn no_mailbox_gets_the_words_of_a_stranger() {
    let web = TestWeb::spawn().await;
    let sign_up = async |name: &str| {
        let request = [
            ("email", "victim@example.org"),
            ("name", name),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ];
        web.browser().fill("/signup", "/signup", &request).await
    };
    for name in ["your parcel: https://evil.example/pay", "see www.evil.example", "a\u{202e}b", "a\u{200b}b"]
    {
        assert_eq!(sign_up(name).await.status, 422, "{name:?}");
    }
    assert_eq!(sign_up("Your parcel waits at evil dot example").await.status, 303);
    let mails = web.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(!mails[0].text.contains("parcel") && !mails[0].html.contains("parcel"), "{}", mails[0].text);
    assert!(mails[0].text.starts_with("Hello,"), "{}", mails[0].text);
    web.stop().await;
}

#[actix_web::test]
async fn strangers_who_sign_up_for_somebody_can_t_prevent_their_reset() {
    let web = TestWeb::spawn_with(behind_a_proxy).await;
    web.account("ada@example.org", &[]).await;
    for n in 0..9 {
        let request = [
            ("email", "ada@example.org"),
            ("name", "Nobody"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ];
        let mut stranger = from(&web.browser(), &format!("192.0.2.{n}"));
        assert_eq!(stranger.fill("/signup", "/signup", &request).await.status, 303);
    }
    let mails = web.mails().await;
    let notices =
        mails.iter().filter(|mail| mail.header("subject").contains("You already have an account")).count();
    assert!((1..9).contains(&notices), "{notices}");
    // The link in that mail leads into the existing account: anyone who reads it owns the mailbox.
    let text = &mails.last().unwrap().text;
    let reset = text.lines().find(|line| line.contains("/reset/")).unwrap_or_else(|| panic!("{text}"));
    let path = reset[reset.find("/reset/").unwrap()..].to_owned();
    let page = web.browser().get(&path).await;
    assert!(page.status == 200 && page.body.contains("name=\"password\""), "{}", page.body);
    // The page for an existing account has its own limit on mails.
    let before = mails.len();
    web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
    let mails = web.mails().await;
    assert_eq!(mails.len(), before + 1);
    assert!(mails.last().unwrap().text.contains("/reset/"));
    web.stop().await;
}

#[actix_web::test]
async fn a_wrong_password_counts_for_the_link_and_not_only_for_one_recipient() {
    let (web, mut browser) = ada_with(|settings| {
        behind_a_proxy(settings);
        settings.links.password_guesses = 10;
    })
    .await;
    let list: Vec<String> = (0..20).map(|n| format!("r{n}@example.org")).collect();
    let made = make(&mut browser, &[("recipients", &list.join("\n")), ("password", "open sesame 7")]).await;
    let guess = async |browser: &mut Browser, n: usize, password: &str| -> Answer {
        browser.fill(&made.public[n], &made.public[n], &[("password", password)]).await
    };
    // Someone who knows the password …
    let mut known = from(&web.browser(), "198.51.100.1");
    assert_eq!(guess(&mut known, 19, "open sesame 7").await.status, 303);
    // … and someone who guesses it, as another recipient and from another address each time.
    let mut admitted = 0;
    for n in 0..19 {
        let mut guesser = from(&web.browser(), &format!("192.0.2.{n}"));
        let answer = guess(&mut guesser, n, "a wrong guess").await;
        assert!(matches!(answer.status, 403 | 429), "{answer:?}");
        admitted += usize::from(answer.status == 403);
    }
    assert_eq!(admitted, 9, "ten attempts an hour, and one of them was correct");
    // Their browser is recognized now, at any address.
    known.headers = vec![("x-forwarded-for", "203.0.113.77".to_owned())];
    assert_ne!(guess(&mut known, 19, "open sesame 7").await.status, 429);
    web.stop().await;
}

#[actix_web::test]
async fn a_network_of_many_neighborhoods_is_slowed_down_too() {
    let web = TestWeb::spawn_with(behind_a_proxy).await;
    let mut statuses = Vec::new();
    for net in 0..100 {
        let mut guesser = from(&web.browser(), &format!("2001:db8:7:{net:x}::1"));
        let email = format!("nobody{net}@example.org");
        statuses.push(guesser.log_in(&email, "a wrong password 1").await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 80, "{statuses:?}");
    assert_eq!(from(&web.browser(), "2001:db8:8::1").log_in("x@example.org", "wrong").await.status, 403);
    web.stop().await;
}

#[actix_web::test]
async fn the_password_of_a_link_that_is_edited_twice_at_once_is_the_one_that_was_set() {
    let (web, mut browser) = ada_with(|_| {}).await;
    let made = make(&mut browser, &[("password", "open sesame 7")]).await;
    let link = web.outside.links.by_recipient(&recipient(&web).await).await.unwrap().unwrap().0;
    // Read before another browser sets a new password.
    let set = [
        ("title", "T"),
        ("note", ""),
        ("uses", "1"),
        ("ends", ""),
        ("password", "another secret 8"),
        ("notify", "never"),
    ];
    assert_eq!(browser.fill(&made.page, &made.page, &set).await.status, 303);
    let actor = audit::Actor::operator();
    let typed = oncelink::web::links::terms::LinkForm { notify: "never".to_owned(), ..Default::default() };
    let terms = web.outside.links.check(&typed, Some(false), web.clock.now()).unwrap();
    let keep = LinkPasswordChange::Keep;
    let edited =
        web.outside.links.edit((&link, EditBase::Any), &terms, keep, &actor, web.clock.now()).await.unwrap();
    assert_eq!(edited, EditOutcome::Changed);
    let press = async |password: &str| {
        web.browser().fill(&made.public[0], &made.public[0], &[("password", password)]).await.status
    };
    assert_eq!((press("open sesame 7").await, press("another secret 8").await), (403, 303));
    web.stop().await;
}

async fn recipient(web: &TestWeb) -> RecipientId {
    let row = sqlx::query("SELECT id FROM recipients").fetch_one(web.outside.db.reader()).await.unwrap();
    RecipientId::from_store(&row.try_get::<String, _>(0).unwrap())
}

#[actix_web::test]
async fn uploads_of_unknown_size_can_t_take_more_than_a_quota_together() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.account_quota = 10 << 20;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    let begin = async |name: &str| {
        let metadata = metadata(&[("folder", "/open"), ("filename", name)]);
        ada.send(
            "POST",
            "/uploads",
            &[("upload-defer-length", "1"), ("upload-metadata", &metadata)],
            Vec::new(),
        )
        .await
    };
    let mut addresses = Vec::new();
    for n in 0..4 {
        let answer = begin(&format!("{n}.bin")).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        addresses.push(answer.header("location").unwrap().to_owned());
    }
    // All of them send at the same time, so no check before the transfer can see what the others will use.
    let body = vec![b'x'; 9 << 20];
    let sent = addresses.iter().map(|address| ada.patch(address, 0, &body));
    let answers = futures_util::future::join_all(sent).await;
    let taken: u64 = std::fs::read_dir(web.share("open").join(".oncelink/uploads"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(taken <= 10 << 20, "{taken} bytes are stored, and 10 MiB are allowed");
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().filter(|status| **status == 204).count() <= 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 204 | 413)), "{statuses:?}");
    web.stop().await;
}

#[actix_web::test]
async fn files_and_folders_without_bytes_are_bounded_by_a_quota_too() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.account_quota = 1 << 20;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    // As if they had been uploaded one by one.
    let owner: String =
        sqlx::query_scalar("SELECT id FROM accounts").fetch_one(web.outside.db.reader()).await.unwrap();
    for n in 0..999 {
        sqlx::query(
            "INSERT INTO file_digests (path, share, version, sha256, account, size) \
             VALUES ($1, 'open', '', '', $2, 0)",
        )
        .bind(format!("/open/file.txt/{n}"))
        .bind(&owner)
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    }
    std::fs::remove_file(web.share("open").join("file.txt")).unwrap();
    std::fs::create_dir(web.share("open").join("file.txt")).unwrap();
    for n in 0..999 {
        std::fs::write(web.share("open").join(format!("file.txt/{n}")), "").unwrap();
    }
    assert_eq!(ada.try_begin("/open", "empty-1.txt", 0).await.status, 201);
    let refused = ada.try_begin("/open", "empty-2.txt", 0).await;
    assert_eq!((refused.status, refused.problem().0.as_str()), (413, "account-quota"));
    let mut browser = web.logged_in("ada@example.org").await;
    let folder =
        browser.fill("/account", "/manage/make-folder", &[("folder", "/open"), ("name", "new")]).await;
    assert_eq!(folder.status, 413, "{}", folder.body);
    // Files that were deleted no longer count.
    for n in 0..500 {
        std::fs::remove_file(web.share("open").join(format!("file.txt/{n}"))).unwrap();
    }
    web.pass(61);
    assert_eq!(ada.try_begin("/open", "empty-2.txt", 0).await.status, 201);
    web.stop().await;
}

#[actix_web::test]
async fn looking_at_an_upload_changes_nothing() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let address = ada.begin("/open", "a.bin", 4).await;
    let id = address.rsplit('/').next().unwrap().to_owned();
    // All bytes arrived, but the process ended before the upload was finished.
    std::fs::write(web.share("open").join(".oncelink/uploads").join(&id), "data").unwrap();
    let before = actions(&web).await;
    for _ in 0..2 {
        let looked = ada.send("HEAD", &address, &[], Vec::new()).await;
        assert_eq!((looked.status, looked.offset()), (200, Some(4)), "{looked:?}");
        assert!(!web.share("open").join("a.bin").exists());
    }
    assert_eq!(actions(&web).await, before);
    // The next round of upkeep finishes it, and records who uploaded it.
    web.app.upkeep().prune().await;
    assert_eq!(std::fs::read(web.share("open").join("a.bin")).unwrap(), b"data");
    assert_eq!(actions(&web).await.last().unwrap(), "file-uploaded");
    let line = audit::list(&web.outside.db, "", 0, 1).await.unwrap().0.remove(0);
    assert_eq!(
        (line.subject.as_str(), line.who.as_str(), line.address.as_str()),
        ("/open/a.bin", "ada@example.org", "127.0.0.1")
    );
    web.stop().await;
}

#[actix_web::test]
async fn new_folders_and_uploads_are_in_the_audit_log() {
    let (web, mut browser) = ada_with(|_| {}).await;
    browser.fill("/account", "/manage/make-folder", &[("folder", "/open"), ("name", "new")]).await;
    let ada = Uploader::of(browser.clone()).await;
    let address = ada.begin("/open/new", "a.txt", 3).await;
    assert_eq!(ada.patch(&address, 0, b"abc").await.status, 204);
    let lines = audit::list(&web.outside.db, "/open/new", 0, 10).await.unwrap().0;
    let actions: Vec<(&str, &str)> =
        lines.iter().rev().map(|line| (line.action.as_str(), line.subject.as_str())).collect();
    assert_eq!(actions, [("folder-made", "/open/new"), ("file-uploaded", "/open/new/a.txt")]);
    web.stop().await;
}

#[actix_web::test]
async fn creating_the_first_administrator_is_the_first_line_of_the_audit_log() {
    let web = TestWeb::spawn().await;
    let link = web.app.first_admin_link().await.unwrap().unwrap();
    let path = link.strip_prefix(&web.base).unwrap().to_owned();
    let person = [
        ("email", "root@example.org"),
        ("name", "Root"),
        ("password", PASSWORD),
        ("password_again", PASSWORD),
    ];
    let done = web.browser().fill(&path, &path, &person).await;
    assert_eq!(done.status, 303, "{}", done.body);
    let first = audit::list(&web.outside.db, "", 0, 10).await.unwrap().0.pop().unwrap();
    assert_eq!(
        (first.action.as_str(), first.subject.as_str()),
        ("first-administrator-made", "root@example.org")
    );
    assert_eq!((first.number, first.address.as_str()), (1, "127.0.0.1"));
    web.stop().await;
}

#[actix_web::test]
async fn views_and_refused_requests_do_not_wait_for_a_write_transaction() {
    let (web, mut browser) = ada_with(|settings| settings.web.account_quota = 1000).await;
    let ada = Uploader::of(browser.clone()).await;
    let begun = ada.begin("/open", "begun.bin", 400).await;
    assert_eq!(ada.put("/open", "full.bin", &[1; 600]).await.status, 204);
    let made = make(&mut browser, &[]).await;
    let mut person = web.browser();
    person.headers = vec![("sec-fetch-dest", "document".to_owned())];
    // A write transaction stays open: any request that needed to write would get no answer.
    let writing = web.outside.db.begin().await.unwrap();
    let refused = ada.try_begin("/open", "one-more.bin", 1).await;
    assert_eq!((refused.status, refused.problem().0.as_str()), (413, "account-quota"));
    assert_eq!(person.get(&made.public[0]).await.status, 200, "a link's page can be opened");
    assert_eq!(ada.send("HEAD", &begun, &[], Vec::new()).await.status, 200, "an upload's offset can be read");
    assert_eq!(browser.get("/links").await.status, 200);
    drop(writing);
    web.app.upkeep().flush_views().await;
    let looks: i64 =
        sqlx::query_scalar("SELECT looks FROM recipients").fetch_one(web.outside.db.reader()).await.unwrap();
    assert_eq!(looks, 1, "the view is counted nevertheless");
    web.stop().await;
}

/// A form that Ada's browser sends from `address`, all but its last bytes.
struct Unfinished {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Unfinished {
    async fn send(browser: &Browser, address: &str, csrf: &str, title: &str, missing: usize) -> Unfinished {
        let host = browser.base.strip_prefix("http://").unwrap();
        let body = form(&fields(&[("title", title), ("csrf", csrf)]));
        let cookies: Vec<String> =
            browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let head = format!(
            "POST /links HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\nX-Forwarded-For: {address}\r\nContent-Type: {FORM}\r\n\
             Content-Length: {}\r\n\r\n",
            cookies.join("; "),
            body.len()
        );
        let mut bytes = format!("{head}{body}").into_bytes();
        let rest = bytes.split_off(bytes.len() - missing);
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        Unfinished { stream, rest }
    }

    /// Whether the response has begun to arrive.
    fn is_answered(&self) -> bool {
        !matches!(self.stream.try_read(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock)
    }

    async fn finish(mut self) {
        self.stream.write_all(&self.rest).await.unwrap();
        let mut status = [0; 12];
        self.stream.read_exact(&mut status).await.unwrap();
        assert_eq!(status, *b"HTTP/1.1 303");
    }
}

#[actix_web::test]
async fn the_forms_of_one_client_wait_for_each_other_and_nobody_else_waits_for_them() {
    let (web, mut browser) = ada_with(behind_a_proxy).await;
    let csrf = browser.get("/links/new?file=/open/file.txt").await.csrf();
    web.account("bob@example.org", &[]).await;
    let mut bob = from(&web.logged_in("bob@example.org").await, "192.0.2.2");
    let mut held = Vec::new();
    for n in 0..6 {
        held.push(Unfinished::send(&browser, "192.0.2.1", &csrf, &format!("held {n}"), 10).await);
    }
    // The server may not have begun to read all six yet: a complete form can still be handled before them.
    let mut passed = 0;
    let waiting = loop {
        let whole = Unfinished::send(&browser, "192.0.2.1", &csrf, &format!("whole {passed}"), 0).await;
        for _ in 0..5 {
            make(&mut bob, &[]).await;
        }
        if !whole.is_answered() {
            break whole;
        }
        passed += 1;
        assert!(passed < 10, "no form waits for the six");
    };
    for _ in 0..5 {
        make(&mut bob, &[]).await;
    }
    assert!(!waiting.is_answered(), "this client's seventh form waits, and no other client's");
    held.pop().unwrap().finish().await;
    waiting.finish().await;
    for held in held {
        held.finish().await;
    }
    web.stop().await;
}
