//! Mail scanners open the links in mails and press the first button that they find: that uses up no link
//! from a mail, and the recipient's own press still works.

use std::collections::BTreeSet;

use hyper::Method;
use oncelink::config::Settings;
use oncelink::web::audit::Actor;

use crate::support::browser::Browser as Chromium;
use crate::support::links::{make, send};
use crate::support::mail::{Mail, outbox};
use crate::support::programs::run;
use crate::support::web::{Answer, Browser, PASSWORD, TestWeb};
use crate::web_link_downloads::Stage;

/// How many times a scanner presses the first button of the resulting page.
const PRESSES: usize = 4;

/// What a scanner does with a link: it requests it with a program, opens it in a fresh browser, and presses
/// the first button repeatedly, even if a field is empty. Returns false where there is no browser.
async fn scan(address: &str) -> bool {
    let mut program = Browser::at(address);
    for method in [Method::GET, Method::HEAD, Method::GET, Method::HEAD] {
        assert_eq!(program.send(method, "", None).await.status, 200);
        program.cookies.clear();
    }
    let Some(browser) = Chromium::start().await else { return false };
    browser.goto(address).await;
    for _ in 0..PRESSES {
        browser.run("document.querySelectorAll('form').forEach(form => form.noValidate = true)").await;
        browser.leave_by("button:not([hidden]), input[type=submit]").await;
    }
    assert!(browser.downloads().is_empty(), "a scanner got a file");
    browser.quit().await;
    true
}

async fn mail(settings: &Settings, to: &str) -> Mail {
    let arrived = async {
        loop {
            let mails = outbox(&settings.outbox_dir());
            if let Some(mail) = mails.into_iter().find(|mail| mail.header("to").contains(to)) {
                return mail;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), arrived).await.expect("the mail comes")
}

#[actix_web::test]
async fn a_mailed_link_to_a_file_outlives_a_scanner_and_two_presses_of_a_person_get_the_file() {
    let mut stage = Stage::start_with(|_| {}).await;
    std::fs::write(stage.folder.path().join("open/another.txt"), "another").unwrap();
    let files = ("files", "/open/another.txt /open/file.txt");
    let made = stage.make(&[files, ("recipients", "bob@example.org"), ("mail", "yes")]).await;
    let address = mail(&stage.running.settings, "bob@example.org").await.link();
    if !scan(&address).await {
        return;
    }
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("0 of 1 download used"), "{own}");

    let person = Chromium::start().await.unwrap();
    person.goto(&address).await;
    person.leave_by(".takes li:nth-child(2) button").await;
    person.says("Press Download again to start.").await;
    person.inspect("public-once-more").await;
    assert!(person.downloads().is_empty());
    // The button has the focus: Enter is enough.
    let focus = person.run("return document.activeElement.closest('li').dataset.file").await;
    assert_eq!(
        focus,
        person.run("return document.querySelector('.takes li:nth-child(2)').dataset.file").await
    );
    person.find(".takes li:nth-child(2) button").await.click().await.unwrap();
    person.downloaded(1).await;
    // A person who has begun is not asked again, neither here nor after coming back.
    person.find(".takes li:last-child button").await.click().await.unwrap();
    let files = person.downloaded(2).await;
    assert_eq!(std::fs::read(&files[0]).unwrap(), b"another");
    person.goto(&address).await;
    let said = person.text().await;
    assert!(said.contains("You have downloaded this file") && !said.contains("again to start"), "{said}");
    person.quit().await;
    stage.stop().await;
}

#[actix_web::test]
async fn a_program_and_a_browser_that_blocks_cookies_get_a_mailed_file_too() {
    let Some(browser) = Chromium::start_without_cookies().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    let recipients = "bob@example.org\nkim@example.org";
    stage.make(&[("recipients", recipients), ("mail", "yes")]).await;
    let address = mail(&stage.running.settings, "bob@example.org").await.link();
    browser.goto(&address).await;
    browser.leave_by(".takes button").await;
    browser.says("Press Download again to start.").await;
    browser.find(".takes button").await.click().await.unwrap();
    browser.downloaded(1).await;
    browser.quit().await;

    // As in the README: a program presses once.
    let address = mail(&stage.running.settings, "kim@example.org").await.link();
    let folder = tempfile::tempdir().unwrap();
    let ended = run(folder.path(), "curl", &["-sSf", "-L", "-OJ", "--clobber", "-d", "", &address]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(std::fs::read(folder.path().join("file.txt")).unwrap(), b"this is open");
    stage.stop().await;
}

#[actix_web::test]
async fn only_a_press_that_could_use_up_a_mailed_link_is_asked_for_twice() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let is_token =
        |answer: &Answer| answer.status == 303 && answer.location.as_ref().unwrap().contains("/d/");
    let asks = |answer: &Answer| answer.status == 200 && answer.body.contains("Press Download again");
    let bob = ("recipients", "bob@example.org");
    for (changed, is_asked) in [
        (vec![bob], true),
        (vec![bob, ("uses", "3")], true),
        (vec![bob, ("uses", "")], false),
        (vec![bob, ("password", "the right word")], false),
        (vec![("uses", "1")], false),
    ] {
        let made = make(&mut ada, &changed).await;
        let public = made.public[0].as_str();
        let word: &[(&str, &str)] = if changed.iter().any(|(name, _)| *name == "password") {
            &[("password", "the right word")]
        } else {
            &[]
        };
        let mut visitor = web.browser();
        let first = visitor.fill(public, public, word).await;
        assert_eq!((asks(&first), is_token(&first)), (is_asked, !is_asked), "{changed:?}: {first:?}");
        if is_asked {
            assert!(ada.get(&made.page).await.body.contains("not viewed yet"), "nothing is counted");
            // The page that asks contains what the second press needs; the first page never did.
            assert!(first.body.contains("name=\"again\" value=\"yes\""));
            assert!(!visitor.get(public).await.body.contains("name=\"again\""));
            let second = visitor.fill(public, public, &[("again", "yes")]).await;
            assert!(is_token(&second), "{second:?}");
            // From the link's page, the same visitor is not asked again.
            let third = visitor.fill(public, public, &[]).await;
            assert!(is_token(&third), "{third:?}");
        }
    }
    web.stop().await;
}

#[actix_web::test]
async fn links_to_an_account_outlive_a_scanner() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let boss = web.account("boss@example.org", &[]).await;
    let (rights, operator) = (&web.outside.account_admin, Actor::operator());
    rights.set_rights(&boss, &BTreeSet::new(), true, &operator, web.clock.now()).await.unwrap();
    let mut admin = web.logged_in("boss@example.org").await;
    let mut ada = web.logged_in("ada@example.org").await;
    let new = [("email", "new@example.org"), ("name", "New"), ("groups", "")];
    assert_eq!(admin.fill("/admin/invite", "/admin/invite", &new).await.status, 303);
    let nia =
        [("email", "nia@example.org"), ("name", "Nia"), ("password", PASSWORD), ("password_again", PASSWORD)];
    assert_eq!(web.browser().fill("/signup", "/signup", &nia).await.status, 303);
    assert_eq!(web.browser().fill("/forgot", "/forgot", &[("email", "boss@example.org")]).await.status, 303);
    let moved = [("email", "ada@new.example"), ("current_password", PASSWORD)];
    assert_eq!(ada.fill("/account", "/account/email", &moved).await.status, 303);
    let code = [("recipients", "kim@example.org"), ("mailed_code", "yes"), ("mail", "yes")];
    assert_eq!(send(&mut ada, &code).await.status, 303);
    let mails = web.mails().await;
    let link = |to: &str| mails.iter().find(|mail| mail.header("to").contains(to)).unwrap();
    for to in ["new@example.org", "nia@example.org", "boss@example.org", "ada@new.example", "kim@example.org"]
    {
        if !scan(&link(to).link()).await {
            return;
        }
    }
    let path = |to: &str| link(to).path();
    let (new, nia, boss) = (path("new@example.org"), path("nia@example.org"), path("boss@example.org"));
    let chosen = [("password", "an entirely new password"), ("password_again", "an entirely new password")];
    let invited = [&[("name", "New")], &chosen[..]].concat();
    for (path, fields) in [(&new, &invited[..]), (&nia, &[("password", PASSWORD)]), (&boss, &chosen)] {
        let answer = web.browser().fill(path, path, fields).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.body);
    }
    let confirm = path("ada@new.example");
    assert_eq!(ada.fill(&confirm, &confirm, &[]).await.status, 303);
    let public = path("kim@example.org");
    assert!(web.browser().get(&public).await.body.contains("Email a new code"));
    web.stop().await;
}
