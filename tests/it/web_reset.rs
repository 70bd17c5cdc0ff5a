//! A forgotten password: `/forgot`, `/reset/{token}`.

use hyper::Method;
use oncelink::web::audit::Actor;

use crate::support::web::{Answer, Browser, PASSWORD, TestWeb};

const NEW: &str = "an entirely new password";
const CHOICE: [(&str, &str); 2] = [("password", NEW), ("password_again", NEW)];

async fn forgot(browser: &mut Browser, email: &str) -> Answer {
    browser.fill("/forgot", "/forgot", &[("email", email)]).await
}

#[actix_web::test]
async fn a_person_who_forgot_the_password_chooses_another_and_is_logged_out_everywhere_else() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut elsewhere = web.logged_in("ada@example.org").await;
    let mut browser = web.browser();
    let sent = forgot(&mut browser, " ADA@example.org").await;
    assert_eq!((sent.status, sent.location.as_deref()), (303, Some("/mail-sent?for=forgot")));
    let path = web.mails().await[0].path();
    assert!(path.starts_with("/reset/"));
    for method in [Method::HEAD, Method::GET, Method::GET] {
        assert_eq!(web.browser().send(method, &path, None).await.status, 200, "opening it spends nothing");
    }
    assert_eq!(elsewhere.get("/account").await.status, 200, "nothing has changed yet");
    let done = browser.fill(&path, &path, &CHOICE).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/login")), "{}", done.body);
    assert_eq!(elsewhere.get("/account").await.status, 303, "all sessions have ended");
    assert_eq!(browser.log_in("ada@example.org", PASSWORD).await.status, 403);
    assert_eq!(browser.log_in("ada@example.org", NEW).await.status, 303);
    let again = web.browser().get(&path).await;
    assert!(again.status == 200 && again.body.contains("href=\"/login\""), "{}", again.body);
    let mails = web.mails().await;
    assert_eq!(mails.len(), 2, "and the owner is notified");
    assert!(mails[1].header("subject").to_lowercase().contains("password"), "{:?}", mails[1].headers);
    web.stop().await;
}

#[actix_web::test]
async fn whether_there_is_an_account_shows_only_in_the_mailbox() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let off = web.account("off@example.org", &[]).await;
    web.outside.account_admin.set_disabled(&off, true, &Actor::operator(), web.clock.now()).await.unwrap();
    let mut answers = Vec::new();
    for email in ["ada@example.org", "bob@example.org", "off@example.org"] {
        let answer = forgot(&mut web.browser(), email).await;
        let mut headers = answer.headers;
        headers.remove("date");
        answers.push((answer.status, answer.location, answer.body, headers));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let mails = web.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].header("to").contains("ada@example.org"));
    web.stop().await;
}

#[actix_web::test]
async fn a_reset_ends_with_a_change_of_password_with_a_newer_mail_or_after_half_an_hour() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.browser();
    forgot(&mut browser, "ada@example.org").await;
    let first = web.mails().await[0].path();
    forgot(&mut browser, "ada@example.org").await;
    let second = web.mails().await[1].path();
    assert_eq!(browser.fill(&first, &first, &CHOICE).await.status, 410, "replaced by the second");
    let mut owner = web.logged_in("ada@example.org").await;
    let fields = [("current_password", PASSWORD), ("password", NEW), ("password_again", NEW)];
    assert_eq!(owner.fill("/account", "/account/password", &fields).await.status, 303);
    let dead = browser.get(&second).await;
    assert_eq!(dead.status, 410, "the password has changed");

    let renewed = browser.fill(&second, &format!("{second}/renew"), &[]).await;
    assert_eq!(renewed.status, 303, "a new link in one click");
    let third = web.mails().await.into_iter().rfind(|mail| mail.text.contains("/reset/")).unwrap().path();
    assert_ne!(third, second);
    web.pass(30 * 60 + 4);
    assert_eq!(browser.get(&third).await.status, 200, "still within half an hour and the leeway");
    web.pass(1);
    assert_eq!(browser.get(&third).await.status, 410);
    web.stop().await;
}

#[actix_web::test]
async fn of_64_resets_with_one_link_at_once_one_takes_effect() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.browser();
    forgot(&mut browser, "ada@example.org").await;
    let path = web.mails().await[0].path();
    let csrf = browser.get(&path).await.csrf();
    let posts = (0..64).map(|n| {
        let (mut browser, path, csrf) = (browser.clone(), path.clone(), csrf.clone());
        let password = format!("the new password number {n}");
        async move {
            let fields = [("password", &*password), ("password_again", &*password), ("csrf", &*csrf)];
            (browser.post(&path, &fields).await.status, password)
        }
    });
    let answers = futures_util::future::join_all(posts).await;
    let won: Vec<_> = answers.iter().filter(|(status, _)| *status == 303).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(browser.log_in("ada@example.org", &won[0].1).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn only_links_of_this_app_and_kind_are_accepted() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.browser();
    browser.headers.push(("host", "evil.example".to_owned()));
    browser.headers.push(("x-forwarded-host", "evil.example".to_owned()));
    forgot(&mut browser, "ada@example.org").await;
    browser.headers.clear();
    forgot(&mut browser, "ada@example.org").await;
    for mail in web.mails().await {
        assert!(mail.link().starts_with(&web.settings.web.public_url), "{}", mail.link());
    }
    let path = web.mails().await.last().unwrap().path();
    let token = path.strip_prefix("/reset/").unwrap();
    for wrong in [
        format!("/activate/{token}"),
        format!("/confirm-address/{token}"),
        format!("/reset/{}{}", &token[..token.len() - 1], if token.ends_with('x') { 'y' } else { 'x' }),
        "/reset/nonsense".to_owned(),
        "/reset/a.b.c".to_owned(),
    ] {
        assert_eq!(browser.get(&wrong).await.status, 404, "{wrong}");
    }
    let short = [("password", "too short"), ("password_again", "too short")];
    let refused = browser.fill(&path, &path, &short).await;
    assert!(refused.status == 422 && refused.body.contains("at least 15"), "{}", refused.body);
    assert_eq!(browser.fill(&path, &path, &CHOICE).await.status, 303, "a mistake spends nothing");
    web.stop().await;
}

#[actix_web::test]
async fn a_link_goes_to_the_address_of_the_account_however_it_was_spelled() {
    let web = TestWeb::spawn().await;
    web.account("kim@example.org", &[]).await;
    // The second begins with a KELVIN SIGN, which is a `k` in lower case but may be another mailbox: it is
    // not a valid address.
    for (spelled, status) in [("KIM@EXAMPLE.ORG", 303), ("\u{212a}im@example.org", 422)] {
        assert_eq!(forgot(&mut web.browser(), spelled).await.status, status);
        let request = [("password", "eight calm badgers dig"), ("password_again", "eight calm badgers dig")];
        let request = [[("email", spelled), ("name", "Eve")], request].concat();
        assert_eq!(web.browser().fill("/signup", "/signup", &request).await.status, status);
    }
    let mails = web.mails().await;
    let recipients: Vec<String> = mails.iter().map(|mail| mail.header("to")).collect();
    assert_eq!(recipients, ["kim@example.org"; 2]);
    web.stop().await;
}

#[actix_web::test]
async fn one_mailbox_is_not_flooded() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    for _ in 0..8 {
        let answer = forgot(&mut web.browser(), "ada@example.org").await;
        assert_eq!(answer.location.as_deref(), Some("/mail-sent?for=forgot"), "always the same response");
    }
    assert!(web.mails().await.len() <= 4);
    web.stop().await;
}
