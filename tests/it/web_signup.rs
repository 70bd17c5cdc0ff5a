//! Signing up and activating: `/signup`, `/activate/{token}`, and the mails between them.

use hyper::Method;

use crate::support::web::{Answer, Browser, PASSWORD, TestWeb};

const FIELDS: [(&str, &str); 4] =
    [("email", "Nia@Example.org"), ("name", "Nia Ö"), ("password", PASSWORD), ("password_again", PASSWORD)];

async fn sign_up(browser: &mut Browser) -> Answer {
    browser.fill("/signup", "/signup", &FIELDS).await
}

#[actix_web::test]
async fn a_person_who_signs_up_activates_in_the_same_browser_with_one_button_and_logs_in() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    let sent = sign_up(&mut browser).await;
    assert_eq!((sent.status, sent.location.as_deref()), (303, Some("/mail-sent?for=sign-up")));
    assert!(browser.get("/mail-sent?for=sign-up").await.body.contains("mail"));
    assert_eq!(browser.log_in("nia@example.org", PASSWORD).await.status, 403, "not before the activation");

    let mails = web.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("to"), "Nia@example.org", "the domain is in lower case");
    let path = mails[0].path();
    assert!(mails[0].link().len() <= 100, "{}", mails[0].link());
    let code = path.strip_prefix("/activate/").unwrap();
    assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric()), "no program splits the code: {code}");
    assert!(path.starts_with("/activate/") && mails[0].link().starts_with(&web.settings.web.public_url));
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("type=\"password\""), "this browser signed up: {}", page.body);
    let done = browser.fill(&path, &path, &[]).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/login")), "{}", done.body);
    assert!(browser.get("/login").await.body.contains("is active"));
    assert_eq!(browser.log_in("nia@example.org", PASSWORD).await.status, 303);

    let again = browser.get(&path).await;
    assert_eq!(again.status, 200);
    assert!(again.body.contains("href=\"/login\"") && !again.body.contains("Error"), "{}", again.body);
    web.stop().await;
}

#[actix_web::test]
async fn in_another_browser_the_password_proves_who_signed_up() {
    let web = TestWeb::spawn().await;
    sign_up(&mut web.browser()).await;
    let path = web.mails().await[0].path();
    let mut phone = web.browser();
    assert!(phone.get(&path).await.body.contains("type=\"password\""));
    for wrong in ["", "another long password"] {
        let refused = phone.fill(&path, &path, &[("password", wrong)]).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
    }
    let done = phone.fill(&path, &path, &[("password", PASSWORD)]).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/files/")), "{}", done.body);
    assert_eq!(phone.get("/account").await.status, 200, "a browser that sent the password is logged in");
    web.stop().await;
}

#[actix_web::test]
async fn a_scanner_that_opens_the_link_and_presses_its_button_activates_nothing() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    sign_up(&mut browser).await;
    let path = web.mails().await[0].path();
    for _ in 0..3 {
        let mut scanner = web.browser();
        scanner.send(Method::HEAD, &path, None).await;
        scanner.headers.push(("sec-purpose", "prefetch".to_owned()));
        scanner.get(&path).await;
        assert_eq!(scanner.fill(&path, &path, &[]).await.status, 422);
    }
    assert_eq!(browser.log_in("nia@example.org", PASSWORD).await.status, 403, "not activated");
    assert_eq!(browser.fill(&path, &path, &[]).await.status, 303, "and the link still works");
    web.stop().await;
}

#[actix_web::test]
async fn whether_there_is_an_account_shows_only_in_the_mailbox() {
    let web = TestWeb::spawn().await;
    web.account("nia@example.org", &[]).await;
    let mut stranger = web.browser();
    let known = sign_up(&mut stranger).await;
    let mut fresh = web.browser();
    let mut fields = FIELDS;
    fields[0].1 = "new@example.org";
    let unknown = fresh.fill("/signup", "/signup", &fields).await;
    let shape = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("date");
        (answer.status, answer.location.clone(), answer.body.clone(), headers)
    };
    assert_eq!(shape(&known), shape(&unknown));
    let mut mails = web.mails().await;
    mails.sort_by_key(|mail| mail.header("to"));
    assert_eq!(mails.len(), 2);
    assert!(mails[0].path() != mails[1].path());
    assert!(mails[0].header("to").contains("new@") && mails[0].text.contains("/activate/"));
    assert!(mails[1].header("to").contains("nia@") && !mails[1].text.contains("/activate/"));
    let mut owner = web.browser();
    assert_eq!(owner.log_in("nia@example.org", PASSWORD).await.status, 303, "the account is unchanged");
    assert!(owner.get("/account").await.body.contains("Test &#60;b&#62;"), "with its own name");
    web.stop().await;
}

#[actix_web::test]
async fn a_newer_sign_up_invalidates_the_older_ones_link_and_password() {
    let web = TestWeb::spawn().await;
    let mut attacker = web.browser();
    let mut fields = FIELDS;
    (fields[2].1, fields[3].1) = ("the attacker's password", "the attacker's password");
    attacker.fill("/signup", "/signup", &fields).await;
    let old = web.mails().await[0].path();
    let mut owner = web.browser();
    sign_up(&mut owner).await;
    let mails = web.mails().await;
    let new = mails[1].path();
    assert_eq!(attacker.get(&old).await.status, 410, "replaced");
    assert_eq!(owner.fill(&new, &new, &[]).await.status, 303);
    assert_eq!(attacker.log_in("nia@example.org", "the attacker's password").await.status, 403);
    assert_eq!(owner.log_in("nia@example.org", PASSWORD).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn a_link_that_expired_or_was_replaced_offers_a_new_one_in_one_click() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    sign_up(&mut browser).await;
    let first = web.mails().await[0].path();
    web.pass(24 * 60 * 60 + 6);
    let over = browser.get(&first).await;
    assert_eq!(over.status, 410);
    assert!(over.body.contains(&format!("action=\"{first}/renew\"")), "{}", over.body);
    assert_eq!(browser.fill(&first, &first, &[]).await.status, 410, "it no longer works");
    let renewed = browser.fill(&first, &format!("{first}/renew"), &[]).await;
    assert_eq!((renewed.status, renewed.location.as_deref()), (303, Some("/mail-sent?for=link")));
    let mails = web.mails().await;
    assert_eq!(mails.len(), 2);
    let second = mails[1].path();
    browser.fill(&second, &format!("{second}/renew"), &[]).await;
    let third = web.mails().await[2].path();
    assert_eq!(browser.get(&second).await.status, 410, "the third mail replaced the second one's link");
    assert_eq!(browser.fill(&third, &third, &[]).await.status, 303);
    let done = browser.get(&second).await;
    assert_eq!(done.status, 200, "now there is nothing left to do: {}", done.body);
    web.stop().await;
}

#[actix_web::test]
async fn of_64_clicks_at_once_one_activates() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    sign_up(&mut browser).await;
    let path = web.mails().await[0].path();
    let csrf = browser.get(&path).await.csrf();
    let clicks = (0..64).map(|_| {
        let (mut browser, path, csrf) = (browser.clone(), path.clone(), csrf.clone());
        async move { browser.post(&path, &[("csrf", &csrf)]).await.status }
    });
    let answers = futures_util::future::join_all(clicks).await;
    assert_eq!(answers.iter().filter(|status| **status == 303).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 303)), "the others are told that it is done");
    web.stop().await;
}

#[actix_web::test]
async fn an_account_that_nobody_activates_is_deleted_after_a_week() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    sign_up(&mut browser).await;
    let email = "nia@example.org".parse().unwrap();
    web.pass(7 * 24 * 60 * 60 - 1);
    web.app.upkeep().prune().await;
    assert!(web.outside.accounts.by_email(&email).await.unwrap().is_some());
    web.pass(1);
    web.app.upkeep().prune().await;
    assert!(web.outside.accounts.by_email(&email).await.unwrap().is_none());
    web.stop().await;
}

#[actix_web::test]
async fn who_may_sign_up_is_a_setting() {
    use oncelink::config::Signup;
    for (mode, words) in [(Signup::Closed, "closed"), (Signup::Invite, "invit")] {
        let web = TestWeb::spawn_with(|settings| settings.web.signup = mode).await;
        let mut browser = web.browser();
        let page = browser.get("/signup").await;
        assert_eq!(page.status, 403);
        assert!(page.body.to_lowercase().contains(words), "{}", page.body);
        let refused = browser.fill("/login", "/signup", &FIELDS).await;
        assert_eq!(refused.status, 403);
        assert!(web.mails().await.is_empty());
        web.stop().await;
    }
    let web =
        TestWeb::spawn_with(|settings| settings.web.signup_domains = vec!["Example.ORG".to_owned()]).await;
    let mut browser = web.browser();
    for foreign in ["nia@example.com", "nia@sub.example.org", "nia@notexample.org"] {
        let mut fields = FIELDS;
        fields[0].1 = foreign;
        let refused = browser.fill("/signup", "/signup", &fields).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("example.org") && refused.body.contains(foreign), "{}", refused.body);
    }
    assert_eq!(sign_up(&mut browser).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn the_form_keeps_what_was_typed_but_never_a_password() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    let typed = [
        ("email", "not an <address>"),
        ("name", "Ni\"a"),
        ("password", "a short one"),
        ("password_again", "and another one"),
    ];
    let answer = browser.fill("/signup", "/signup", &typed).await;
    assert_eq!(answer.status, 422);
    for kept in ["not an &#60;address&#62;", "Ni&#34;a", "at least 15 characters", "differ"] {
        assert!(answer.body.contains(kept), "{kept} is missing in {}", answer.body);
    }
    for secret in ["a short one", "and another one"] {
        assert!(!answer.body.contains(secret));
    }
    let mut fields = FIELDS;
    (fields[2].1, fields[3].1) = ("nia@example.org", "nia@example.org");
    assert_eq!(browser.fill("/signup", "/signup", &fields).await.status, 422, "their own address");
    assert!(web.mails().await.is_empty());
    web.stop().await;
}
