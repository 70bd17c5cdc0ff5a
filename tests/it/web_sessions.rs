//! Sessions: the list, ending them, and remembering a device.

use crate::support::web::{Browser, PASSWORD, TestWeb};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1";

async fn logged_in(web: &TestWeb, email: &str, agent: &str, remember: bool) -> Browser {
    let mut browser = web.browser();
    browser.headers.push(("user-agent", agent.to_owned()));
    let mut fields = vec![("email", email), ("password", PASSWORD)];
    if remember {
        fields.push(("remember", "yes"));
    }
    let answer = browser.fill("/login", "/login", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let cookie = answer.set_cookies.iter().find(|cookie| cookie.starts_with("sid-")).unwrap();
    assert_eq!(cookie.contains("Max-Age=2592000"), remember, "{cookie}");
    browser
}

/// The name of the first session on the page that can be ended.
async fn first_other(browser: &mut Browser) -> String {
    let page = browser.get("/account/sessions").await.body;
    page.split("name=\"name\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[actix_web::test]
async fn the_list_says_where_and_ending_one_or_all_others_takes_effect_at_once() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut here = logged_in(&web, "ada@example.org", FIREFOX, false).await;
    let mut phone = logged_in(&web, "ada@example.org", SAFARI, true).await;
    let mut third = logged_in(&web, "ada@example.org", "<script>", false).await;
    let page = here.get("/account/sessions").await.body;
    for words in
        ["Firefox on Linux", "Safari on iPhone", "Unknown browser", "this browser", "remembered", "127.0.0.1"]
    {
        assert!(page.contains(words), "{words} is missing: {page}");
    }
    assert!(!page.contains("<script>") && !page.contains(here.cookie("sid").unwrap()));
    let name = first_other(&mut phone).await;
    assert_eq!(
        phone.fill("/account/sessions", "/account/sessions/end", &[("name", &name)]).await.status,
        303
    );
    let left = [here.get("/account").await.status, third.get("/account").await.status];
    assert_eq!(left.iter().filter(|status| **status == 303).count(), 1, "one session has ended: {left:?}");
    let mut again = logged_in(&web, "ada@example.org", FIREFOX, false).await;
    assert_eq!(phone.fill("/account/sessions", "/account/sessions/end-others", &[]).await.status, 303);
    for browser in [&mut here, &mut third, &mut again] {
        assert_eq!(browser.get("/account").await.status, 303);
    }
    assert_eq!(phone.get("/account").await.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn nobody_can_end_a_session_of_somebody_else() {
    let web = TestWeb::spawn().await;
    for email in ["ada@example.org", "bob@example.org"] {
        web.account(email, &[]).await;
    }
    let mut ada = logged_in(&web, "ada@example.org", FIREFOX, false).await;
    let _second = logged_in(&web, "ada@example.org", SAFARI, false).await;
    let name = first_other(&mut ada).await;
    let mut bob = logged_in(&web, "bob@example.org", FIREFOX, false).await;
    let own_id = bob.cookie("sid").unwrap().to_owned();
    for foreign in [name.as_str(), "", "%", &own_id] {
        let answer = bob.fill("/account/sessions", "/account/sessions/end", &[("name", foreign)]).await;
        assert_eq!(answer.status, 404, "{foreign}");
    }
    assert_eq!(ada.get("/account/sessions").await.body.matches("Log out there").count(), 1);
    web.stop().await;
}

#[actix_web::test]
async fn a_remembered_device_stays_logged_in_until_its_own_end() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut phone = logged_in(&web, "ada@example.org", SAFARI, true).await;
    for _ in 0..29 {
        web.pass(24 * 60 * 60);
        web.app.upkeep().prune().await;
    }
    assert_eq!(phone.get("/account").await.status, 200, "unused for 29 days");
    web.pass(24 * 60 * 60);
    assert_eq!(phone.get("/account").await.status, 303, "30 days have passed, despite the activity");
    web.stop().await;

    let web = TestWeb::spawn_with(|settings| settings.web.session_remember = std::time::Duration::ZERO).await;
    web.account("ada@example.org", &[]).await;
    assert!(!web.browser().get("/login").await.body.contains("Remember"));
    let mut forced = web.browser();
    let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("remember", "yes")];
    forced.fill("/login", "/login", &fields).await;
    web.pass(31 * 60);
    assert_eq!(forced.get("/account").await.status, 303, "a handmade form gets an ordinary session");
    web.stop().await;
}

#[actix_web::test]
async fn a_hundred_logins_at_once_keep_nobody_else_waiting() {
    let proxy = |settings: &mut oncelink::config::Settings| {
        settings.web.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    };
    let web = TestWeb::spawn_with(proxy).await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.browser();
    let csrf = browser.get("/login").await.csrf();
    let finished = std::sync::atomic::AtomicUsize::new(0);
    let log_ins = (0..100).map(|n| {
        let mut browser = browser.clone();
        browser.headers.push(("x-forwarded-for", format!("192.0.2.{n}")));
        let (email, csrf, finished) = (format!("nobody{n}@example.org"), csrf.clone(), &finished);
        async move {
            let fields = [("email", email.as_str()), ("password", PASSWORD), ("csrf", csrf.as_str())];
            let answer = browser.post("/login", &fields).await;
            finished.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answer.status
        }
    });
    let others = async {
        let mut seen = Vec::new();
        for path in ["/healthz", "/login", "/signup"] {
            assert_eq!(web.browser().get(path).await.status, 200);
            seen.push(finished.load(std::sync::atomic::Ordering::SeqCst));
        }
        seen
    };
    let (statuses, seen) = tokio::join!(futures_util::future::join_all(log_ins), others);
    assert!(statuses.iter().all(|status| *status == 403), "each gets its response: {statuses:?}");
    assert!(seen.iter().all(|finished| *finished < 100), "while the logins were running: {seen:?}");
    web.stop().await;
}
