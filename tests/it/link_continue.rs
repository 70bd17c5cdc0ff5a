//! Pressing again after a break: the person who began a download through a link continues it, from the link's
//! page or address, and nobody else can.

use std::net::SocketAddr;

use oncelink::server::{self, Role};
use serde_json::Value;
use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::client::{Client, Partial};
use crate::support::deliveries::eventually;
use crate::support::links::Made;
use crate::support::programs::run;
use crate::support::proxy::{Line, Proxy};
use crate::support::web::{Answer, Browser};
use crate::support::{pattern, stop_and_free};
use crate::web_link_downloads::Stage;

const MIB: usize = 1024 * 1024;
const SIZE: usize = 24 * MIB;
const BIG: [(&str, &str); 1] = [("files", "/open/big.bin")];

/// Both services; the web app trusts the client address that a proxy reports.
async fn start() -> Stage {
    Stage::start_with(|settings| settings.web.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await
}

/// A visitor at this address, with cookies.
fn visitor(stage: &Stage, address: &str) -> Browser {
    let mut browser = Browser::at(&stage.base);
    browser.headers = vec![("x-forwarded-for", address.to_owned())];
    browser
}

/// Presses with a program at this address, without cookies each time.
async fn program_presses(stage: &Stage, address: &str, made: &Made) -> Answer {
    let mut program = visitor(stage, address);
    program.headers.push(("accept", "application/json".to_owned()));
    program.post(&made.public[0], &[]).await
}

async fn press(browser: &mut Browser, made: &Made, fields: &[(&str, &str)]) -> Answer {
    browser.fill(&made.public[0], &made.public[0], fields).await
}

fn address_of(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location.as_deref().unwrap()
}

fn claims_of(answer: &Answer) -> Value {
    use base64::Engine;
    let claims = address_of(answer).split("/d/").nth(1).unwrap().split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// The state that the page shows this visitor for the first file.
async fn offered(browser: &mut Browser, made: &Made) -> String {
    let state = browser.get(&format!("{}/state", made.public[0])).await;
    let state: Value = serde_json::from_str(&state.body).unwrap();
    let file = state["files"].as_array().and_then(|files| files.first()).unwrap_or(&state["others"]);
    file["state"].as_str().unwrap().to_owned()
}

/// Begins the download and breaks it off, and waits until the web app knows.
async fn begin_and_break(browser: &mut Browser, made: &Made, address: &str) {
    let partial = Partial::open(1, address, "", 2 * MIB).await;
    assert_eq!(partial.status(), 200);
    eventually("the start is reported", async || offered(browser, made).await == "running").await;
    drop(partial);
    eventually("the break is reported", async || offered(browser, made).await == "interrupted").await;
}

#[actix_web::test]
async fn a_browser_continues_from_another_network_and_it_is_one_use() {
    let mut stage = start().await;
    let made = stage.make(&BIG).await;
    let mut browser = visitor(&stage, "192.0.2.1");
    let first = press(&mut browser, &made, &[]).await;
    let kept = first.set_cookies.iter().find(|cookie| cookie.starts_with("form-")).unwrap();
    assert!(kept.contains("Max-Age=2592000"), "the cookie outlives the browser session: {kept}");
    begin_and_break(&mut browser, &made, address_of(&first)).await;
    let page = browser.get(&made.public[0]).await;
    assert!(page.status == 200 && page.body.contains("% so far)<"), "{}", page.body);
    assert!(page.body.contains("Your download was interrupted"));

    browser.headers = vec![("x-forwarded-for", "198.51.100.9".to_owned())];
    let again = press(&mut browser, &made, &[]).await;
    let (before, after) = (claims_of(&first), claims_of(&again));
    for same in ["jti", "aud", "file", "link", "sub", "iss"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!((&before["again"], after["again"].as_bool()), (&Value::Null, Some(true)));
    // From another address, without any resume key.
    let whole = Client::at(9).get(address_of(&again)).await;
    assert!(whole.status == 200 && whole.body == pattern(SIZE));
    eventually("the download is complete", async || offered(&mut browser, &made).await == "downloaded").await;
    let over = press(&mut browser, &made, &[]).await;
    assert_eq!(over.status, 410);
    assert!(over.body.contains("You have downloaded this file"), "{}", over.body);
    let page = browser.get(&made.public[0]).await.body;
    assert!(page.contains("You have downloaded this file") && page.contains(" hidden><span class=\"does\">"));
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("1 of 1 download used;") && own.contains("complete, resumed once"), "{own}");
    // Neither token works any more.
    for spent in [&first, &again] {
        assert_eq!(Client::at(1).get(address_of(spent)).await.slug(), "used-token");
    }
    stage.stop().await;
}

#[actix_web::test]
async fn a_program_continues_from_its_own_address_and_strangers_get_nothing() {
    let mut stage = start().await;
    let made = stage.make(&BIG).await;
    let first = program_presses(&stage, "192.0.2.1", &made).await;
    begin_and_break(&mut visitor(&stage, "192.0.2.1"), &made, address_of(&first)).await;
    let slug = |answer: &Answer| {
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, problem["type"].as_str().unwrap_or_default().to_owned())
    };
    let used_up = (410, "link-used-up".to_owned());
    assert_eq!(slug(&program_presses(&stage, "192.0.2.2", &made).await), used_up);
    // A browser with our cookie is recognized by the cookie alone, at any address.
    let mut browser = visitor(&stage, "192.0.2.1");
    browser.get("/login").await;
    assert_eq!(browser.post(&made.public[0], &[]).await.status, 410);
    let mut facts = visitor(&stage, "192.0.2.1");
    facts.headers.push(("accept", "application/json".to_owned()));
    let known: Value = serde_json::from_str(&facts.get(&made.public[0]).await.body).unwrap();
    assert_eq!(known["files"][0]["state"], "interrupted");
    // Without the bytes its kernel had not acknowledged at the reset: two loopback segments.
    assert!(known["files"][0]["sent"].as_u64() >= Some((2 * MIB - 128 * 1024) as u64), "{known}");
    let mut stranger = visitor(&stage, "192.0.2.2");
    stranger.headers.push(("accept", "application/json".to_owned()));
    assert_eq!(slug(&stranger.get(&made.public[0]).await), used_up);

    let again = program_presses(&stage, "192.0.2.1", &made).await;
    assert_eq!(claims_of(&again)["jti"], claims_of(&first)["jti"]);
    let whole = Client::at(1).get(address_of(&again)).await;
    assert!(whole.status == 200 && whole.body == pattern(SIZE));
    let mut own = visitor(&stage, "192.0.2.1");
    eventually("the download is complete", async || offered(&mut own, &made).await == "downloaded").await;
    assert_eq!(slug(&program_presses(&stage, "192.0.2.1", &made).await), used_up);
    stage.stop().await;
}

#[actix_web::test]
async fn two_runners_behind_one_address_are_two_uses_while_the_first_is_served() {
    let mut stage = start().await;
    let made = stage.make(&[("uses", "2"), BIG[0]]).await;
    let first = program_presses(&stage, "192.0.2.1", &made).await;
    let mut partial = Partial::open(1, address_of(&first), "", 2 * MIB).await;
    let mut same = visitor(&stage, "192.0.2.1");
    eventually("the start is reported", async || offered(&mut same, &made).await == "running").await;
    let second = program_presses(&stage, "192.0.2.1", &made).await;
    assert_ne!(claims_of(&second)["jti"], claims_of(&first)["jti"]);
    assert_eq!(claims_of(&second)["again"], Value::Null);
    assert_eq!(program_presses(&stage, "192.0.2.1", &made).await.status, 410, "two have begun there");
    assert_eq!(partial.read_to_end().await, SIZE, "the first download goes on");
    stage.stop().await;
}

#[actix_web::test]
async fn a_press_right_after_the_break_waits_for_the_news_of_it() {
    let mut stage = start().await;
    let made = stage.make(&BIG).await;
    let first = program_presses(&stage, "192.0.2.1", &made).await;
    let partial = Partial::open(1, address_of(&first), "", 2 * MIB).await;
    let mut same = visitor(&stage, "192.0.2.1");
    eventually("the start is reported", async || offered(&mut same, &made).await == "running").await;
    drop(partial);
    let again = program_presses(&stage, "192.0.2.1", &made).await;
    assert_eq!(claims_of(&again)["again"], true, "at once, as `curl --retry` does it");
    stage.stop().await;
}

#[actix_web::test]
async fn a_restart_loses_nothing_and_the_use_is_kept_while_the_download_service_is_down() {
    let mut stage = start().await;
    let made = stage.make(&BIG).await;
    let first = program_presses(&stage, "192.0.2.1", &made).await;
    let mut browser = visitor(&stage, "192.0.2.7");
    let made_for_browser = stage.make(&BIG).await;
    let begun = press(&mut browser, &made_for_browser, &[]).await;
    begin_and_break(&mut visitor(&stage, "192.0.2.1"), &made, address_of(&first)).await;
    begin_and_break(&mut browser, &made_for_browser, address_of(&begun)).await;
    let Stage { running, desk, clock, base: _base, ada: _ada, folder: _folder } = stage;
    let mut settings = running.settings.clone();
    settings.web.listen = running.web.unwrap().into();
    settings.download.listen = running.download.unwrap().into();
    settings.download.keys = format!("{}/.well-known/jwks.json", settings.web.public_url);
    desk.db.close().await;
    stop_and_free(running).await;

    let web = server::start(settings.clone(), Role::Web, clock.clone()).await.unwrap();
    let away = press(&mut browser, &made_for_browser, &[]).await;
    assert_eq!((away.status, away.header("retry-after")), (503, "5"), "{}", away.body);
    assert!(away.body.contains("Nothing is lost"), "{}", away.body);
    let download = server::start(settings.clone(), Role::Download, clock.clone()).await.unwrap();
    let again = press(&mut browser, &made_for_browser, &[]).await;
    let whole = Client::at(9).get(address_of(&again)).await;
    assert!(whole.status == 200 && whole.body == pattern(SIZE));
    let mut program = Browser::at(&settings.web.public_url);
    program.headers = vec![("x-forwarded-for", "192.0.2.1".to_owned())];
    let again = program.post(&made.public[0], &[]).await;
    let whole = Client::at(8).get(address_of(&again)).await;
    assert!(whole.status == 200 && whole.body == pattern(SIZE));
    download.stop().await;
    web.stop().await;
}

#[actix_web::test]
async fn a_link_that_is_paused_or_revoked_continues_nothing_and_one_that_expired_does() {
    let mut stage = start().await;
    for (action, status) in [("pause", 403), ("revoke", 410)] {
        let made = stage.make(&BIG).await;
        let mut browser = visitor(&stage, "192.0.2.1");
        let first = press(&mut browser, &made, &[]).await;
        begin_and_break(&mut browser, &made, address_of(&first)).await;
        let csrf = browser.get(&made.public[0]).await.csrf();
        let answer = stage.ada.fill(&made.page, &format!("{}/{action}", made.page), &[]).await;
        assert_eq!(answer.status, 303);
        let again = browser.post(&made.public[0], &[("csrf", &csrf)]).await;
        assert_eq!(again.status, status, "{action}");
        if action == "pause" {
            let answer = stage.ada.fill(&made.page, &format!("{}/resume", made.page), &[]).await;
            assert_eq!(answer.status, 303);
            let again = browser.post(&made.public[0], &[("csrf", &csrf)]).await;
            assert_eq!(again.status, 410, "a pause ended it");
        }
    }
    let made = stage.make(&[("ends", "2027-01-15T08:01"), BIG[0]]).await;
    let mut browser = visitor(&stage, "192.0.2.1");
    let first = press(&mut browser, &made, &[]).await;
    begin_and_break(&mut browser, &made, address_of(&first)).await;
    stage.clock.set(stage.clock.now().plus(std::time::Duration::from_secs(66)));
    let page = browser.get(&made.public[0]).await;
    assert!(page.body.contains("<dt>Expired</dt>") && page.body.contains("% so far)<"), "{}", page.body);
    assert_eq!(visitor(&stage, "192.0.2.1").get(&made.public[0]).await.status, 410, "no new download begins");
    let again = press(&mut browser, &made, &[]).await;
    let whole = Client::at(9).get(address_of(&again)).await;
    assert!(whole.status == 200 && whole.body == pattern(SIZE));
    stage.stop().await;
}

#[actix_web::test]
async fn the_password_is_asked_for_again_and_each_of_several_files_is_continued() {
    let mut stage = start().await;
    let files = ("files", "/open/file.txt /open/big.bin");
    let made = stage.make(&[files, ("password", "the right word")]).await;
    let mut browser = visitor(&stage, "192.0.2.1");
    let fields = [("file", "1"), ("password", "the right word")];
    let first = press(&mut browser, &made, &fields).await;
    begin_and_break(&mut browser, &made, address_of(&first)).await;
    let wrong = press(&mut browser, &made, &[("file", "1"), ("password", "a wrong word")]).await;
    assert_eq!(wrong.status, 403);
    assert!(wrong.body.contains("This password is not correct.") && wrong.body.contains("% so far)<"));
    let again = press(&mut browser, &made, &fields).await;
    assert_eq!(claims_of(&again)["jti"], claims_of(&first)["jti"]);
    let other = press(&mut browser, &made, &[("file", "0"), fields[1]]).await;
    assert_eq!(claims_of(&other)["again"], Value::Null, "the other file is not begun yet");
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("1 of 1 download used;"), "{own}");
    // A press that names no file, or an unknown one, shows an error on the page.
    let none = press(&mut browser, &made, &[fields[1]]).await;
    assert!(none.status == 400 && none.body.contains("Choose which file to download."), "{}", none.body);
    let unknown = press(&mut browser, &made, &[("file", "7"), fields[1]]).await;
    assert!(
        unknown.status == 404 && unknown.body.contains("This link does not have that file."),
        "{}",
        unknown.body
    );
    stage.stop().await;
}

#[actix_web::test]
async fn where_the_address_proves_nothing_only_the_cookie_continues() {
    use oncelink::config::Resume;
    let mut stage = Stage::start_with(|settings| {
        settings.web.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        settings.download.resume = Resume::ResumeKey;
    })
    .await;
    let made = stage.make(&[("uses", "2"), BIG[0]]).await;
    let mut browser = visitor(&stage, "192.0.2.1");
    let first = press(&mut browser, &made, &[]).await;
    begin_and_break(&mut browser, &made, address_of(&first)).await;
    let program = program_presses(&stage, "192.0.2.1", &made).await;
    assert_ne!(claims_of(&program)["jti"], claims_of(&first)["jti"], "a new use");
    assert_eq!(claims_of(&press(&mut browser, &made, &[]).await)["again"], true);
    stage.stop().await;
}

#[actix_web::test]
async fn a_client_of_an_untrusted_proxy_is_not_recognized_by_an_address() {
    let mut stage = Stage::start_with(|_| {}).await;
    let made = stage.make(&[("uses", "3"), BIG[0]]).await;
    let mut browser = Browser::at(&stage.base);
    let first = press(&mut browser, &made, &[]).await;
    begin_and_break(&mut browser, &made, address_of(&first)).await;
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "via"] {
        let mut program = Browser::at(&stage.base);
        program.headers = vec![(name, "192.0.2.1".to_owned())];
        let state = program.get(&format!("{}/state", made.public[0])).await.body;
        assert!(!state.contains("interrupted"), "{name}: {state}");
    }
    let mut program = Browser::at(&stage.base);
    program.headers = vec![("x-forwarded-for", "192.0.2.1".to_owned())];
    let forwarded = program.post(&made.public[0], &[]).await;
    assert_ne!(claims_of(&forwarded)["jti"], claims_of(&first)["jti"], "a new use");
    // Requests that don't come through a proxy have a known address.
    let direct = Browser::at(&stage.base).post(&made.public[0], &[]).await;
    assert_eq!(claims_of(&direct)["jti"], claims_of(&first)["jti"]);
    assert_eq!(claims_of(&direct)["again"], true);
    stage.stop().await;
}

/// A stage whose downloads go through a connection that is cut once, in the middle of a file.
async fn behind_a_cut_line(last: u8) -> (Stage, Proxy) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let node = SocketAddr::from(([127, 60 + last, high, low], 18_084));
    let proxy = Proxy::start(node, Line { cuts: 1, cut_after: 5 * MIB, speed: None }).await;
    let public = format!("http://{}", proxy.address);
    let stage = Stage::start_with(|settings| {
        settings.download.listen = node.into();
        settings.download.public_url = public;
    });
    (stage.await, proxy)
}

#[actix_web::test]
async fn curl_retries_by_itself_and_the_one_liners_of_the_readme_work_when_they_are_run_again() {
    if !has_program("curl") || !has_program("wget") {
        return;
    }
    let readme = std::fs::read_to_string("README.md").unwrap();
    let lines = readme.split("<!-- one-liners of a link -->").nth(1).unwrap().lines();
    let lines: Vec<&str> = lines
        .filter(|line| line.starts_with("curl ") || line.starts_with("wget "))
        .filter(|line| !line.contains("application/json") && !line.contains("password="))
        .collect();
    assert!(
        lines.iter().any(|line| line.contains("--retry"))
            && lines.iter().any(|line| line.starts_with("wget"))
    );
    for (number, line) in lines.into_iter().enumerate() {
        let (mut stage, _proxy) = behind_a_cut_line(u8::try_from(number).unwrap()).await;
        let made = stage.make(&BIG).await;
        let home = TempDir::new().unwrap();
        let line = line.replace("https://files.example/l/CODE", &format!("{}{}", stage.base, made.public[0]));
        let first = run(home.path(), "sh", &["-c", &line]).await;
        let whole =
            |name: &str| std::fs::read(home.path().join(name)).is_ok_and(|content| content == pattern(SIZE));
        if first.code == Some(0) {
            let retries = line.contains("--retry") || line.starts_with("wget");
            assert!(retries && whole("big.bin"), "{line}: {first:?}");
        } else {
            let again = run(home.path(), "sh", &["-c", &line]).await;
            assert!(again.code == Some(0) && whole("big.bin"), "{line}: {first:?} {again:?}");
        }
        let own = stage.ada.get(&made.page).await.body;
        assert!(own.contains("1 of 1 download used;"), "{line}: {own}");
        stage.stop().await;
    }
}
