//! The second factor: nobody logs in to an account that has one without a code, each code works once, and the
//! database alone opens nothing.

use std::collections::BTreeSet;

use oncelink::config::SecondFactorRule;
use oncelink::web::identity::passwords::{Asker, Password};
use sqlx::Row;
use totp_rs::{Builder, Secret};

use crate::support::web::{Answer, Browser, PASSWORD, TestWeb};

const ADA: &str = "ada@example.org";
const PAGE: &str = "/account/second-factor";

/// What Ada's app on the phone has.
struct Phone(String);

impl Phone {
    fn code(&self, web: &TestWeb) -> String {
        let secret = Secret::try_from_base32(&self.0).unwrap();
        let totp = Builder::new().with_secret(secret).build().unwrap();
        totp.generate(web.clock.now().secs()).to_string()
    }
}

/// Sets one up for the account of this browser; returns its app and the recovery codes.
async fn set_up(web: &TestWeb, browser: &mut Browser) -> (Phone, Vec<String>) {
    let begun = browser.fill(PAGE, PAGE, &[("current_password", PASSWORD)]).await;
    assert_eq!((begun.status, begun.location.as_deref()), (303, Some(PAGE)), "{}", begun.body);
    let page = browser.get(PAGE).await.body;
    let secret = page.split("secret=").nth(1).unwrap().split(['&', '"']).next().unwrap();
    let phone = Phone(secret.to_owned());
    let confirmed = browser.fill(PAGE, "/account/second-factor/confirm", &[("code", &phone.code(web))]).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    (phone, codes_on(&confirmed))
}

fn codes_on(page: &Answer) -> Vec<String> {
    let codes = page.body.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
    let codes: Vec<String> = codes.collect();
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10, "{}", page.body);
    codes
}

/// The first step of a login: the password is right, and the code is asked for.
async fn with_password(browser: &mut Browser) {
    let answer = browser.log_in(ADA, PASSWORD).await;
    assert_eq!(answer.location.as_deref(), Some("/login/code?next=%2Ffiles%2F"), "{}", answer.body);
    assert!(browser.cookie("sid").is_none());
    assert_eq!(browser.get("/account").await.status, 303, "a password alone is no login");
}

async fn send(browser: &mut Browser, code: &str) -> Answer {
    browser.fill("/login/code?next=/links", "/login/code", &[("code", code), ("next", "/links")]).await
}

#[actix_web::test]
async fn with_a_second_factor_a_login_needs_a_code_and_each_code_works_once() {
    let web = TestWeb::spawn().await;
    web.account(ADA, &[]).await;
    let mut browser = web.logged_in(ADA).await;
    let (phone, _) = set_up(&web, &mut browser).await;
    let mut other = web.browser();
    with_password(&mut other).await;
    let used = phone.code(&web);
    let refused = send(&mut other, &used).await;
    assert_eq!(refused.status, 403, "the code that confirmed it is used up");
    assert!(refused.body.contains("wrong or was used before"), "{}", refused.body);
    web.pass(30);
    let code = phone.code(&web);
    let entered = send(&mut other, &code).await;
    assert_eq!((entered.status, entered.location.as_deref()), (303, Some("/links")), "{}", entered.body);
    assert_eq!(other.get("/account").await.status, 200);
    let mut third = web.browser();
    with_password(&mut third).await;
    assert_eq!(send(&mut third, &code).await.status, 403, "a code works once");
    web.stop().await;
}

#[actix_web::test]
async fn of_32_logins_with_one_code_at_once_one_succeeds() {
    let web = TestWeb::spawn().await;
    let ada = web.account(ADA, &[]).await;
    let mut browser = web.logged_in(ADA).await;
    let (phone, recovery) = set_up(&web, &mut browser).await;
    web.pass(60);
    let factors = &web.outside.second_factors;
    let actor = oncelink::web::audit::Actor::operator();
    for code in [phone.code(&web), recovery[3].clone()] {
        let checks = (0..32).map(|_| factors.check(&ada, &code, &actor, web.clock.now()));
        let outcomes = futures_util::future::join_all(checks).await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_some()).count(),
            1,
            "{code}"
        );
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_recovery_code_replaces_the_app_once_and_new_ones_replace_the_old() {
    let web = TestWeb::spawn().await;
    web.account(ADA, &[]).await;
    let mut browser = web.logged_in(ADA).await;
    let (phone, codes) = set_up(&web, &mut browser).await;
    let mut other = web.browser();
    with_password(&mut other).await;
    assert_eq!(send(&mut other, &codes[0].to_uppercase()).await.status, 303);
    let mut third = web.browser();
    with_password(&mut third).await;
    assert_eq!(send(&mut third, &codes[0]).await.status, 403, "it is used up");
    assert!(browser.get(PAGE).await.body.contains("<dd>9</dd>"));
    web.pass(60);
    let renewed = browser.fill(PAGE, "/account/second-factor/codes", &[("code", &phone.code(&web))]).await;
    let new = codes_on(&renewed);
    assert_eq!(send(&mut third, &codes[1]).await.status, 403, "the old ones are void");
    assert_eq!(send(&mut third, &new[1]).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn turning_it_off_needs_the_password_and_a_code() {
    let web = TestWeb::spawn().await;
    web.account(ADA, &[]).await;
    let mut browser = web.logged_in(ADA).await;
    let (phone, codes) = set_up(&web, &mut browser).await;
    web.pass(60);
    for (password, code) in [("a wrong password here", phone.code(&web)), (PASSWORD, "000000".to_owned())] {
        let fields = [("current_password", password), ("code", code.as_str())];
        let refused = browser.fill(PAGE, "/account/second-factor/off", &fields).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
    }
    let fields = [("current_password", PASSWORD), ("code", codes[4].as_str())];
    assert_eq!(browser.fill(PAGE, "/account/second-factor/off", &fields).await.status, 303);
    assert_eq!(web.browser().log_in(ADA, PASSWORD).await.location.as_deref(), Some("/files/"));
    web.stop().await;
}

#[actix_web::test]
async fn what_is_set_up_but_not_confirmed_locks_nobody_out() {
    let web = TestWeb::spawn().await;
    web.account(ADA, &[]).await;
    let mut browser = web.logged_in(ADA).await;
    assert_eq!(browser.fill(PAGE, PAGE, &[("current_password", "not my password")]).await.status, 422);
    assert!(browser.get(PAGE).await.body.contains("Set up"));
    assert_eq!(browser.fill(PAGE, PAGE, &[("current_password", PASSWORD)]).await.status, 303);
    let wrong = browser.fill(PAGE, "/account/second-factor/confirm", &[("code", "12345")]).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(web.browser().log_in(ADA, PASSWORD).await.location.as_deref(), Some("/files/"));
    web.stop().await;
}

#[actix_web::test]
async fn a_waiting_login_is_worthless_if_it_is_altered_late_or_the_password_has_changed() {
    let web = TestWeb::spawn().await;
    let ada = web.account(ADA, &[]).await;
    let eve = web.account("eve@example.org", &[]).await;
    let mut browser = web.logged_in(ADA).await;
    let (_, codes) = set_up(&web, &mut browser).await;
    let mut waiting = web.browser();
    with_password(&mut waiting).await;
    let value = waiting.cookie("login").unwrap().to_owned();
    let altered = [
        value.replace(ada.id.as_str(), eve.id.as_str()),
        format!("{value}A"),
        value.replacen(".0.", ".1.", 1),
        "a.b.c.d".to_owned(),
        String::new(),
    ];
    for value in altered {
        let mut other = web.browser();
        other.get("/login").await;
        other.plant("login", &value);
        let answer = other.fill("/login", "/login/code", &[("code", &codes[0]), ("next", "")]).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/login")), "{value}");
    }
    let mut late = web.browser();
    with_password(&mut late).await;
    web.pass(10 * 60);
    let answer = late.fill("/login", "/login/code", &[("code", &codes[0]), ("next", "")]).await;
    assert_eq!(answer.location.as_deref(), Some("/login"), "it waits ten minutes");
    let mut overtaken = web.browser();
    with_password(&mut overtaken).await;
    let password = Password::new("another long password", 15).unwrap();
    let stored = web.outside.passwords.hash(Asker::Operator, password).await.unwrap();
    assert!(web.outside.accounts.set_password(&ada, &stored, web.clock.now()).await.unwrap());
    let answer = overtaken.fill("/login", "/login/code", &[("code", &codes[0]), ("next", "")]).await;
    assert_eq!(answer.location.as_deref(), Some("/login"), "the password has changed");
    web.stop().await;
}

#[actix_web::test]
async fn guessing_codes_is_slowed_down() {
    let web = TestWeb::spawn().await;
    web.account(ADA, &[]).await;
    let mut browser = web.logged_in(ADA).await;
    let (_, codes) = set_up(&web, &mut browser).await;
    let mut eve = web.browser();
    with_password(&mut eve).await;
    let mut tries = 0;
    while send(&mut eve, "123456").await.status == 403 {
        tries += 1;
        assert!(tries < 50, "codes can be guessed without end");
    }
    let throttled = send(&mut eve, &codes[0]).await;
    assert_eq!(throttled.status, 429, "{}", throttled.body);
    assert!(!throttled.header("retry-after").is_empty());
    web.stop().await;
}

#[actix_web::test]
async fn administrators_can_be_required_to_have_one() {
    let web =
        TestWeb::spawn_with(|settings| settings.web.second_factor = SecondFactorRule::Administrators).await;
    let ada = web.account(ADA, &[]).await;
    sqlx::query("UPDATE accounts SET admin = 1 WHERE id = $1")
        .bind(ada.id.as_str())
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    let mut browser = web.logged_in(ADA).await;
    let answer = browser.get("/admin/accounts").await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some(PAGE)));
    assert!(browser.get(PAGE).await.body.contains("Administrators need a second factor here."));
    assert_eq!(browser.get("/files/open").await.status, 200);
    set_up(&web, &mut browser).await;
    assert_eq!(browser.get("/admin/accounts").await.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn an_administrator_removes_a_lost_one_and_the_audit_log_says_so() {
    let web = TestWeb::spawn().await;
    let ada = web.account(ADA, &[]).await;
    let root = web.account("root@example.org", &[]).await;
    sqlx::query("UPDATE accounts SET admin = 1 WHERE id = $1")
        .bind(root.id.as_str())
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    let mut browser = web.logged_in(ADA).await;
    set_up(&web, &mut browser).await;
    let mut admin = web.logged_in("root@example.org").await;
    let page = format!("/admin/accounts/{}", ada.id);
    assert!(admin.get(&page).await.body.contains("Remove second factor"));
    assert_eq!(admin.fill(&page, &format!("{page}/second-factor"), &[]).await.status, 303);
    assert!(!admin.get(&page).await.body.contains("Remove second factor"));
    assert_eq!(web.browser().log_in(ADA, PASSWORD).await.location.as_deref(), Some("/files/"));
    let log = admin.get("/admin/audit").await.body;
    assert!(log.contains("second factor on") && log.contains("second factor reset"), "{log}");
    web.stop().await;
}

#[actix_web::test]
async fn neither_the_secret_nor_a_recovery_code_is_in_the_database() {
    let web = TestWeb::spawn().await;
    web.account(ADA, &[]).await;
    let mut browser = web.logged_in(ADA).await;
    let (phone, codes) = set_up(&web, &mut browser).await;
    let raw = Secret::try_from_base32(&phone.0).unwrap();
    let mut stored = String::new();
    for statement in ["SELECT salt FROM second_factors", "SELECT digest FROM recovery_codes"] {
        for row in sqlx::query(statement).fetch_all(web.outside.db.reader()).await.unwrap() {
            stored += &row.try_get::<String, _>(0).unwrap();
            stored.push('\n');
        }
    }
    assert_eq!(stored.lines().count(), 11);
    let hex: String = raw.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for secret in [phone.0.as_str(), hex.as_str(), codes[0].as_str(), &codes[0].replace('-', "")] {
        assert!(!stored.contains(secret), "{stored}");
    }
    web.stop().await;
}
