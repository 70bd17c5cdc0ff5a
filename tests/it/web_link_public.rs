//! The public page of a link: what it shows, that opening it spends nothing, and what it requires.

use hyper::Method;
use serde_json::Value;

use crate::support::links::{Made, make};
use crate::support::postgres::empty_schema;
use crate::support::web::{Answer, Browser, TestWeb};

const DOWNLOAD: &str = "http://download.example/d/";

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

/// A program without cookies that accepts JSON.
fn program(web: &TestWeb) -> Browser {
    let mut program = web.browser();
    program.headers = vec![("accept", "application/json".to_owned())];
    program
}

async fn press(browser: &mut Browser, public: &str, fields: &[(&str, &str)]) -> Answer {
    browser.fill(public, public, fields).await
}

fn is_token(answer: &Answer) -> bool {
    answer.status == 303 && answer.location.as_deref().is_some_and(|to| to.starts_with(DOWNLOAD))
}

async fn facts(web: &TestWeb, made: &Made) -> Value {
    let answer = program(web).get(&made.public[0]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn slug(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"].as_u64(), Some(answer.status.into()));
    problem["type"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn the_page_says_what_how_big_from_whom_until_when_and_how_many_are_left() {
    let (web, mut browser) = ada().await;
    let made =
        make(&mut browser, &[("uses", "3"), ("note", "Dear <b>you"), ("ends", "2027-01-16T08:00")]).await;
    let page = web.browser().get(&made.public[0]).await;
    for part in [
        "Report",
        "Test &#60;b&#62;Person&#60;/b&#62;",
        "Dear &#60;b&#62;you",
        "12 bytes",
        "file.txt",
        "<time datetime=\"2027-01-16T08:00:00Z\" title=\"16 January 2027, 08:00:00 UTC\">16 Jan 2027, 08:00 UTC</time>",
        "<dd id=\"left\">3</dd>",
        ">Download",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains("ada@example.org"), "no email address is revealed");
    let facts = facts(&web, &made).await;
    assert_eq!(facts["title"], "Report");
    assert_eq!(facts["from"], "Test <b>Person</b>");
    assert_eq!(facts["files"][0]["name"], "file.txt");
    assert_eq!(facts["files"][0]["size"], 12);
    assert_eq!(facts["ends_at"], "2027-01-16T08:00:00Z");
    assert_eq!((facts["uses"].as_u64(), facts["uses_left"].as_u64()), (Some(3), Some(3)));
    assert_eq!(facts["password"], false);
    web.stop().await;
}

#[actix_web::test]
async fn opening_it_spends_nothing_and_the_owner_sees_viewed_not_downloaded() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[]).await;
    let bots: [&[(&str, &str)]; 6] = [
        &[],
        &[("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors")],
        &[("user-agent", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)")],
        &[("user-agent", "WhatsApp/2.23.20.0"), ("range", "bytes=0-1023")],
        &[("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")],
        &[("accept", "application/json"), ("sec-fetch-site", "cross-site")],
    ];
    for headers in bots {
        for method in [Method::GET, Method::HEAD] {
            let mut bot = web.browser();
            bot.headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            let answer = bot.send(method.clone(), &made.public[0], None).await;
            assert_eq!(answer.status, 200, "{method} {headers:?}");
            assert!(method == Method::GET || answer.body.is_empty());
        }
    }
    assert!(browser.get(&made.public[0]).await.body.contains("Preview: this is what recipients see"));
    let mut person = web.browser();
    person.headers = vec![("sec-fetch-dest", "document".to_owned())];
    for method in [Method::GET, Method::HEAD, Method::GET] {
        assert_eq!(person.send(method, &made.public[0], None).await.status, 200);
    }
    web.app.upkeep().flush_views().await;
    let page = browser.get(&made.page).await.body;
    assert!(
        page.contains("0 of 1 download used; viewed 2 times, not downloaded"),
        "only people count as views: {page}"
    );
    assert_eq!(facts(&web, &made).await["uses_left"], 1);
    assert!(is_token(&press(&mut web.browser(), &made.public[0], &[]).await), "the last use works");
    let page = browser.get(&made.page).await.body;
    assert!(page.contains("1 of 1 download used, 1 not started yet; viewed 2 times"), "{page}");
    web.stop().await;
}

#[actix_web::test]
async fn a_press_gives_a_token_of_the_link_and_only_to_our_own_page_or_a_program() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[("uses", "10")]).await;
    let public = made.public[0].as_str();
    let answer = press(&mut web.browser(), public, &[]).await;
    assert!(is_token(&answer), "{answer:?}");
    assert_eq!(
        (answer.header("referrer-policy"), answer.header("cache-control")),
        ("no-referrer", "no-store")
    );
    let address = answer.location.unwrap();
    let claims = address.strip_prefix(DOWNLOAD).unwrap().split('.').nth(1).unwrap().to_owned();
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["file"], "/open/file.txt");
    assert_eq!(format!("/links/{}", claims["link"].as_str().unwrap()), made.page);
    assert!(claims["version"].is_string() && claims["size"] == 12);
    // A program: no cookie, no browser headers, with or without a body.
    assert!(is_token(&web.browser().send(Method::POST, public, None).await));
    assert!(is_token(&web.browser().post(public, &[]).await));
    assert!(is_token(&web.browser().post(public, &[("file", "0")]).await));
    assert_eq!(facts(&web, &made).await["uses_left"], 6);
    for foreign in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("host", "evil.example")],
    ] {
        let mut browser = web.browser();
        let csrf = browser.get(public).await.csrf();
        browser.headers = foreign.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        assert_eq!(browser.post(public, &[("csrf", &csrf)]).await.status, 403, "{foreign:?}");
    }
    let mut other = web.browser();
    other.get(public).await;
    assert_eq!(other.post(public, &[("csrf", "AAAA")]).await.status, 403, "another browser's token");
    assert_eq!(other.post(public, &[("unknown", "1")]).await.status, 400);
    assert_eq!(other.post(public, &[("file", "0"), ("file", "0")]).await.status, 400);
    assert_eq!(other.post(public, &[("password", &"x".repeat(1 << 20))]).await.status, 413, "1 MiB");
    let json = other.send(Method::POST, public, Some(("application/json", "{}".to_owned()))).await;
    assert_eq!(json.status, 415);
    for wrong in ["1", "0/..", "0/../../staff/file.txt", "-1", "x", "/staff/file.txt"] {
        assert_eq!(other.post(public, &[("file", wrong)]).await.status, 404, "{wrong}");
    }
    for method in [Method::PUT, Method::DELETE] {
        assert_eq!(other.send(method, public, None).await.status, 405);
    }
    assert_eq!(facts(&web, &made).await["uses_left"], 6, "refused requests cost nothing");
    web.stop().await;
}

#[actix_web::test]
async fn a_link_without_a_download_says_why_with_the_right_status() {
    let (web, mut browser) = ada().await;
    let state = async |made: &Made, status: u16, expected: &str, words: &str| {
        let page = web.browser().get(&made.public[0]).await;
        assert_eq!(page.status, status, "{expected}");
        assert!(page.body.contains(words), "{expected}: {}", page.body);
        assert_eq!(slug(&program(&web).get(&made.public[0]).await), expected);
        let pressed = program(&web).post(&made.public[0], &[]).await;
        assert_eq!((pressed.status, slug(&pressed).as_str()), (status, expected));
        let head = web.browser().send(Method::HEAD, &made.public[0], None).await;
        assert_eq!(head.status, status);
    };
    let made = make(&mut browser, &[]).await;
    browser.fill(&made.page, &format!("{}/pause", made.page), &[]).await;
    state(&made, 403, "link-paused", "This link is paused").await;
    browser.fill(&made.page, &format!("{}/revoke", made.page), &[]).await;
    state(&made, 410, "link-revoked", " has stopped sharing").await;
    let made = make(&mut browser, &[]).await;
    assert!(is_token(&web.browser().post(&made.public[0], &[]).await));
    state(&made, 410, "link-used-up", "available again within minutes").await;
    let made = make(&mut browser, &[("ends", "2027-01-15T08:01")]).await;
    web.pass(60);
    state(&made, 410, "link-ended", "This link has expired").await;
    for unknown in
        ["/l/AAAAAAAAAAAAAAAAAAAAAA", "/l/x", "/l/%00", "/l/%ff", &format!("/l/{}", "x".repeat(3_000))]
    {
        assert_eq!(web.browser().get(unknown).await.status, 404, "{unknown}");
        assert_eq!(web.browser().post(unknown, &[]).await.status, 404, "{unknown}");
    }
    assert_eq!(slug(&program(&web).get("/l/AAAAAAAAAAAAAAAAAAAAAA").await), "not-found");
    web.stop().await;
}

#[actix_web::test]
async fn a_link_ends_with_its_owners_rights_and_says_that_it_is_gone() {
    let (web, _) = ada().await;
    let kim = web.account("kim@example.org", &["staff"]).await;
    let mut browser = web.logged_in("kim@example.org").await;
    let made = make(&mut browser, &[("files", "/staff/file.txt")]).await;
    let mixed = make(&mut browser, &[("files", "/staff/file.txt /open/file.txt")]).await;
    assert_eq!(facts(&web, &mixed).await["files"].as_array().unwrap().len(), 2);
    let (none, operator) = (std::collections::BTreeSet::new(), oncelink::web::audit::Actor::operator());
    let now = web.clock.now();
    let desk = &web.outside.account_admin;
    desk.set_rights(&kim, &none, false, &operator, now).await.unwrap();
    let gone = program(&web).get(&made.public[0]).await;
    assert_eq!((gone.status, slug(&gone).as_str()), (410, "link-gone"));
    assert_eq!(program(&web).post(&made.public[0], &[]).await.status, 410);
    let left = facts(&web, &mixed).await;
    assert_eq!(left["files"].as_array().unwrap().len(), 1, "the other file is still listed: {left}");
    assert_eq!(web.browser().post(&mixed.public[0], &[("file", "0")]).await.status, 404);
    assert!(is_token(&web.browser().post(&mixed.public[0], &[("file", "1")]).await));
    desk.set_disabled(&kim, true, &operator, now).await.unwrap();
    assert_eq!(slug(&program(&web).get(&mixed.public[0]).await), "link-gone");
    desk.set_disabled(&kim, false, &operator, now).await.unwrap();
    desk.delete(&kim, &operator, now).await.unwrap();
    assert_eq!(web.browser().get(&mixed.public[0]).await.status, 404);
    web.stop().await;
}

#[actix_web::test]
async fn a_wrong_password_costs_no_use_and_guessing_is_slowed_down() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[("password", "the right word")]).await;
    let public = made.public[0].as_str();
    let mut visitor = web.browser();
    for (typed, sentence) in [
        ("", "This link asks for a password."),
        ("a wrong word", "This password is not correct."),
        ("the right word ", "This password is not correct."),
    ] {
        let answer = press(&mut visitor, public, &[("password", typed)]).await;
        assert_eq!(answer.status, 403, "{typed}");
        assert!(answer.body.contains(sentence) && answer.body.contains("aria-invalid"), "{}", answer.body);
        assert!(typed.is_empty() || !answer.body.contains(typed), "the password is never sent back");
    }
    assert_eq!(slug(&program(&web).post(public, &[]).await), "password-required");
    assert_eq!(slug(&program(&web).post(public, &[("password", "wrong again")]).await), "wrong-password");
    let facts = facts(&web, &made).await;
    assert_eq!((facts["uses_left"].as_u64(), facts["password"].as_bool()), (Some(1), Some(true)));
    let mut slowed = 0;
    for n in 0..10 {
        let guess = format!("guess number {n}");
        match program(&web).post(public, &[("password", &guess)]).await.status {
            403 => {}
            429 => slowed += 1,
            other => panic!("{other}"),
        }
    }
    assert!(slowed > 0);
    web.pass(60 * 60);
    assert!(is_token(&press(&mut visitor, public, &[("password", "the right word")]).await));
    web.stop().await;
}

#[actix_web::test]
async fn a_code_is_mailed_to_the_recipient_and_valid_for_15_minutes() {
    let (web, mut browser) = ada().await;
    let changed = [("recipients", "bob@example.org"), ("mailed_code", "yes"), ("uses", "5")];
    let made = make(&mut browser, &changed).await;
    let public = made.public[0].as_str();
    let mail_me = format!("{public}/code");
    let mut visitor = web.browser();
    let page = visitor.get(public).await;
    assert!(page.body.contains("b…@example.org") && !page.body.contains("bob@"), "{}", page.body);
    assert_eq!(press(&mut visitor, public, &[]).await.status, 403);
    assert_eq!(
        slug(&program(&web).post(public, &[("code", "12345678")]).await),
        "code-over",
        "no code was mailed"
    );
    let answer = visitor.fill(public, &mail_me, &[]).await;
    assert_eq!(answer.location, Some(format!("{public}?mailed")));
    let mailed = format!("{public}?mailed");
    assert!(visitor.get(&mailed).await.body.contains("We’re sending a code to b…@example.org"));
    let mails = web.mails().await;
    assert!(visitor.get(&mailed).await.body.contains("We sent a code to b…@example.org"));
    let code = |mail: &crate::support::mail::Mail| {
        let line = mail.text.lines().find(|line| line.len() == 8 && line.bytes().all(|b| b.is_ascii_digit()));
        line.unwrap_or_else(|| panic!("{}", mail.text)).to_owned()
    };
    let first = code(&mails[0]);
    assert!(
        mails[0].header("to").contains("bob@example.org") && mails[0].header("subject").starts_with(&first)
    );
    let wrong = if first == "00000000" { "00000001" } else { "00000000" };
    assert_eq!(slug(&program(&web).post(public, &[("code", wrong)]).await), "wrong-code");
    let spaced = format!("{} {}", &first[..4], &first[4..]);
    assert!(is_token(&press(&mut visitor, public, &[("code", &spaced)]).await));
    assert!(is_token(&press(&mut visitor, public, &[("code", &first)]).await), "again within its time");
    // A newer code replaces the older one.
    assert_eq!(program(&web).post(&mail_me, &[]).await.status, 303);
    let second = code(&web.mails().await[1]);
    assert_ne!(first, second);
    assert_eq!(slug(&program(&web).post(public, &[("code", &first)]).await), "wrong-code");
    web.pass(15 * 60);
    assert_eq!(slug(&program(&web).post(public, &[("code", &second)]).await), "code-over");
    // Attempts count per code: after too many wrong ones, the right one is refused, too.
    web.pass(60 * 60);
    assert_eq!(program(&web).post(&mail_me, &[]).await.status, 303);
    let third = code(&web.mails().await[2]);
    let wrong = if third == "00000000" { "00000001" } else { "00000000" };
    let mut over = false;
    for _ in 0..40 {
        let answer = program(&web).post(public, &[("code", wrong)]).await;
        match answer.status {
            429 => web.pass(60),
            _ => over |= slug(&answer) == "code-over",
        }
    }
    assert!(over);
    assert_ne!(program(&web).post(public, &[("code", &third)]).await.status, 303);
    // This can't be used to flood a mailbox.
    web.pass(60 * 60);
    let before = web.mails().await.len();
    for _ in 0..15 {
        assert_eq!(program(&web).post(&mail_me, &[]).await.status, 303);
    }
    let sent = web.mails().await.len() - before;
    assert!((1..=5).contains(&sent), "{sent} mails");
    let answer = facts(&web, &made).await;
    assert_eq!(answer["uses_left"], 4, "only presses with the right code count, as one use");
    web.stop().await;
}

#[actix_web::test]
async fn a_browser_can_download_each_of_several_files_once_per_use() {
    let (web, mut browser) = ada().await;
    let folder = web.share("open").join("more");
    std::fs::create_dir_all(folder.join("deep/er")).unwrap();
    std::fs::write(folder.join("b\n50%.txt"), "b").unwrap();
    std::fs::write(folder.join("deep/er/c.txt"), "cc").unwrap();
    std::os::unix::fs::symlink(web.share("staff"), folder.join("out")).unwrap();
    let made = make(&mut browser, &[("files", "/open/file.txt /open/more"), ("uses", "2")]).await;
    let public = made.public[0].as_str();
    let facts_now = facts(&web, &made).await;
    let files = facts_now["files"].as_array().unwrap();
    let keys: Vec<&str> = files.iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert_eq!(keys, ["0", "1/b%0A50%25.txt", "1/deep/er/c.txt"], "and nothing outside, through a symlink");
    assert_eq!(files[1]["name"], "more/b\n50%.txt");
    assert_eq!(program(&web).post(public, &[]).await.status, 400, "which of them?");

    let mut visitor = web.browser();
    for key in &keys {
        let answer = press(&mut visitor, public, &[("file", key)]).await;
        assert!(is_token(&answer), "{key}: {}", answer.body);
        let kept =
            answer.set_cookies.iter().any(|cookie| cookie.starts_with("form-") && cookie.contains("Max-Age"));
        assert!(kept, "the rest can be downloaded after the browser was closed: {answer:?}");
    }
    assert_eq!(facts(&web, &made).await["uses_left"], 1, "all three are one use");
    let mut other = web.browser();
    assert!(is_token(&press(&mut other, public, &[("file", "0")]).await));
    assert_eq!(facts_status(&web, public).await, 410, "there is no third use");
    assert!(
        is_token(&press(&mut other, public, &[("file", keys[2])]).await),
        "the second visitor continues their use"
    );
    let page = other.get(public).await;
    assert_eq!(page.status, 200, "a visitor who has begun still sees the page");
    assert!(page.body.contains("None, but you can finish yours"), "{}", page.body);
    assert_eq!(web.browser().post(public, &[("file", "0")]).await.status, 410);
    // Pressing the button twice costs nothing more.
    assert!(is_token(&press(&mut other, public, &[("file", keys[2])]).await));
    web.stop().await;
}

async fn facts_status(web: &TestWeb, public: &str) -> u16 {
    program(web).get(public).await.status
}

#[actix_web::test]
async fn a_file_that_is_missing_costs_nothing_and_a_folder_shows_what_is_there_now() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[]).await;
    let path = web.share("open").join("file.txt");
    std::fs::rename(&path, web.share("open").join("away.txt")).unwrap();
    let page = web.browser().get(&made.public[0]).await;
    assert!(page.status == 200 && page.body.contains("not available right now"), "{}", page.body);
    assert_eq!(web.browser().post(&made.public[0], &[]).await.status, 404);
    let refused = program(&web).post(&made.public[0], &[("file", "0")]).await;
    assert_eq!((refused.status, slug(&refused).as_str()), (404, "file-not-found"));
    std::fs::rename(web.share("open").join("away.txt"), &path).unwrap();
    assert!(is_token(&web.browser().post(&made.public[0], &[]).await));
    let folder = web.share("open").join("many");
    std::fs::create_dir(&folder).unwrap();
    let made = make(&mut browser, &[("files", "/open/many")]).await;
    assert!(web.browser().get(&made.public[0]).await.body.contains("The folder is empty."));
    for n in 0..1_005 {
        std::fs::write(folder.join(format!("{n:04}.txt")), "x").unwrap();
    }
    let facts = facts(&web, &made).await;
    assert_eq!((facts["files"].as_array().unwrap().len(), facts["more"].as_bool()), (1_000, Some(true)));
    let beyond = web.browser().post(&made.public[0], &[("file", "0/1004.txt")]).await;
    assert!(is_token(&beyond), "files that are not listed can be downloaded nevertheless");
    web.stop().await;
}

#[actix_web::test]
async fn two_web_processes_on_one_database_allow_exactly_the_uses_there_are() {
    for database in [Some("sqlite".to_owned()), empty_schema().await].into_iter().flatten() {
        let mut web = TestWeb::spawn_with(|settings| {
            settings.web.database = database.as_str().into();
            // All visitors have the same address here.
            settings.links.presses = 0;
        })
        .await;
        web.account("ada@example.org", &[]).await;
        let mut browser = web.logged_in("ada@example.org").await;
        let made = make(&mut browser, &[("uses", "10")]).await;
        let twin = web.twin().await;
        let public = made.public[0].as_str();
        let presses = (0..100).map(|n| {
            let mut program = if n % 2 == 0 { web.browser() } else { Browser::at(&twin) };
            // The second process is reached through another name of this machine than the public one.
            async move { program.post(public, &[]).await }
        });
        let answers = futures_util::future::join_all(presses).await;
        let given = answers.iter().filter(|answer| is_token(answer)).count();
        let refused = answers.iter().filter(|answer| answer.status == 410).count();
        assert_eq!((given, refused), (10, 90), "{database}");
        web.stop().await;
    }
}
