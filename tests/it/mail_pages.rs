//! What people see of mail on the pages: owners the status of each mail, administrators what is stuck.

use oncelink::config::Settings;
use oncelink::id::LinkId;
use oncelink::web::mail::queue::MailState;

use crate::support::links::make;
use crate::support::postgres::empty_schema;
use crate::support::scripted_smtp::{At, Does, ScriptedSmtp};
use crate::support::web::{Answer, Browser, TestWeb};
use crate::web_admin::administrator;

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// A server that knows some mailboxes by name, and a web app on each database that sends through it.
async fn stages() -> Vec<(ScriptedSmtp, TestWeb)> {
    let databases = [None, empty_schema().await];
    let mut stages = Vec::new();
    for (number, database) in databases.into_iter().enumerate() {
        if number > 0 && database.is_none() {
            continue;
        }
        let smtp = ScriptedSmtp::start(by_name).await;
        let send = format!("smtp://127.0.0.1:{}", smtp.port);
        let change = |settings: &mut Settings| {
            settings.mail.send = send.into();
            if let Some(database) = database {
                settings.web.database = database.into();
            }
        };
        let web = TestWeb::spawn_with(change).await;
        web.account("ada@example.org", &[]).await;
        stages.push((smtp, web));
    }
    stages
}

fn by_name(at: At, recipient: &str) -> Option<Does> {
    match (at, recipient.split('@').next()) {
        (At::Rcpt, Some("none")) => Some(Does::says("550 5.1.1 <b>no</b> such user")),
        (At::Rcpt, Some("full")) => Some(Does::says("452 4.2.2 mailbox full")),
        (At::Content, Some("spam")) => Some(Does::says("554 5.7.1 looks like spam")),
        _ => None,
    }
}

/// What a link's page says about the mail to a recipient.
fn mailing(page: &Answer, email: &str) -> String {
    let (_, recipients) = page.body.split_once("id=\"recipients\"").unwrap();
    let entry = recipients.split("<li>").find(|entry| entry.contains(&format!(">{email}<"))).unwrap();
    let (_, said) = entry.split_once("data-part=\"mail-").unwrap_or_else(|| panic!("{email}: {entry}"));
    said.split("</li>").next().unwrap().to_owned()
}

/// The CSRF token of the form that sends mails again, and the id of this recipient if it is offered.
fn send_again(page: &Answer, email: &str) -> Option<(String, String)> {
    let (_, form) = page.body.split_once("id=\"send-again\"")?;
    let (_, csrf) = form.split_once("name=\"csrf\" value=\"")?;
    let said = mailing(page, email);
    let (_, recipient) = said.split_once("name=\"recipient\" value=\"")?;
    Some((csrf.split('"').next()?.to_owned(), recipient.split('"').next()?.to_owned()))
}

async fn press(browser: &mut Browser, page: &str, (csrf, recipient): &(String, String)) -> Answer {
    let fields = [("csrf", csrf.as_str()), ("recipient", recipient.as_str())];
    let answer = browser.post(&format!("{page}/send"), &fields).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some(page)), "{}", answer.body);
    browser.get(page).await
}

#[actix_web::test]
async fn the_owner_of_a_link_sees_what_became_of_each_mail() {
    for (_smtp, mut web) in stages().await {
        let mut ada = web.logged_in("ada@example.org").await;
        let everybody = "fine@x.org none@x.org full@x.org spam@x.org back@x.org";
        let made = make(&mut ada, &[("recipients", everybody), ("mail", "yes")]).await;
        let page = ada.get(&made.page).await;
        assert!(mailing(&page, "fine@x.org").contains("Email waiting to be sent."), "{}", page.body);
        assert!(send_again(&page, "fine@x.org").is_none(), "it is on its way");
        let live = ada.get(&format!("{}/live", made.page)).await;
        web.app.send_due_mails().await.unwrap();
        let now = ada.get(&format!("{}/live", made.page)).await;
        assert_ne!(live.header("etag"), now.header("etag"), "the page sees a change");
        assert!(now.body.contains("there is no such mailbox"), "{}", now.body);
        let sent = web.outside.queue.list(MailState::Sent, 0, 10).await.unwrap();
        let back = sent.iter().find(|mail| mail.recipient.as_str() == "back@x.org").unwrap();
        let known = web
            .outside
            .queue
            .bounced(std::slice::from_ref(&back.id), "550 5.2.1 account closed", web.clock.now())
            .await;
        assert_eq!(known.unwrap(), 1);
        let expected = [
            ("fine@x.org", "Email sent <time", ""),
            ("none@x.org", "there is no such mailbox", "550 5.1.1 &#60;b&#62;no&#60;/b&#62; such user"),
            ("full@x.org", "Email waiting: the recipient’s mail server asks us", "452 4.2.2 mailbox full"),
            ("spam@x.org", "Email waiting: the recipient’s mail server asks us", "554 5.7.1 looks like spam"),
            ("back@x.org", "Email bounced", "550 5.2.1 account closed"),
        ];
        // The data is stored: another process on the same database, as after a restart, sees it as well.
        let mut there = Browser::at(&web.twin().await);
        assert_eq!(there.log_in("ada@example.org", crate::support::web::PASSWORD).await.status, 303);
        for browser in [&mut ada, &mut there] {
            let page = browser.get(&made.page).await;
            for (email, words, said) in expected {
                let shown = mailing(&page, email);
                assert!(shown.contains(words), "{email}: {shown}");
                assert!(
                    said.is_empty() || shown.contains(&format!("“<bdi>{said}</bdi>”")),
                    "{email}: {shown}"
                );
                assert!(!shown.contains("127.0.0.1"), "our server's address is not shown here: {shown}");
            }
            assert!(page.body.contains("2 recipients haven’t received the link by email."), "{}", page.body);
            for (email, offered) in [("none@x.org", true), ("back@x.org", true), ("full@x.org", false)] {
                assert_eq!(send_again(&page, email).is_some(), offered, "{email}");
            }
        }
        // The queue deletes mails after weeks; their status stays with the link.
        web.pass(3 * DAY);
        web.app.send_due_mails().await.unwrap();
        web.pass(40 * DAY);
        web.app.upkeep().prune().await;
        for state in MailState::ALL {
            assert_eq!(web.outside.queue.count(state).await.unwrap(), 0, "{}", state.as_str());
        }
        let mut ada = web.logged_in("ada@example.org").await;
        let page = ada.get(&made.page).await;
        for (email, words) in [
            ("fine@x.org", "Email sent <time"),
            ("none@x.org", "there is no such mailbox"),
            ("full@x.org", "took no email for two days"),
            ("back@x.org", "Email bounced"),
        ] {
            assert!(mailing(&page, email).contains(words), "{email}: {}", mailing(&page, email));
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_link_is_sent_again_only_where_no_mail_arrived() {
    for (smtp, web) in stages().await {
        let mut ada = web.logged_in("ada@example.org").await;
        let made = make(&mut ada, &[("recipients", "fine@x.org none@x.org"), ("mail", "yes")]).await;
        web.app.send_due_mails().await.unwrap();
        smtp.follow(|_, _| None);
        let page = ada.get(&made.page).await;
        assert!(send_again(&page, "fine@x.org").is_none(), "it was sent just now");
        let button = send_again(&page, "none@x.org").unwrap();
        let after = press(&mut ada, &made.page, &button).await;
        assert!(after.body.contains("We’re sending the link again."), "{}", after.body);
        assert!(mailing(&after, "none@x.org").contains("Email waiting to be sent"), "{}", after.body);
        assert_eq!(web.outside.queue.count(MailState::Failed).await.unwrap(), 0, "the old mail was replaced");
        // The same form once more, and another one while the mail waits.
        press(&mut ada, &made.page, &button).await;
        let fresh = (ada.get(&made.page).await.csrf(), button.1.clone());
        let refused = press(&mut ada, &made.page, &fresh).await;
        assert!(refused.body.contains("We didn’t send the link again"), "{}", refused.body);
        web.app.send_due_mails().await.unwrap();
        assert_eq!(smtp.seen().taken, ["fine@x.org", "none@x.org"], "once each");
        let mails = smtp.seen().mails;
        let address = made.public.iter().find(|public| mails[1].replace("=\r\n", "").contains(*public));
        assert!(address.is_some(), "the same link: {}", mails[1]);
        // Much later it can be sent again, within the limit for one mailbox.
        for _ in 0..2 {
            web.pass(HOUR);
            let mut ada = web.logged_in("ada@example.org").await;
            let page = ada.get(&made.page).await;
            let button = send_again(&page, "fine@x.org").unwrap();
            assert!(
                press(&mut ada, &made.page, &button).await.body.contains("We’re sending the link again.")
            );
            web.app.send_due_mails().await.unwrap();
        }
        assert_eq!(smtp.seen().taken.len(), 4);
        let found = web
            .outside
            .links
            .of_owner(&owner(&web).await, &LinkId::from_store(made.page.rsplit('/').next().unwrap()))
            .await;
        let link = found.unwrap().unwrap();
        let log = oncelink::web::audit::list(&web.outside.db, "link-sent-again", 0, 10).await.unwrap().0;
        assert_eq!(log.len(), 3);
        assert!(log.iter().all(|line| line.subject.contains(link.id.as_str())), "{log:?}");
        // An ended link, another owner's link, and a person who is not among its recipients.
        web.pass(HOUR);
        let mut ada = web.logged_in("ada@example.org").await;
        let button = send_again(&ada.get(&made.page).await, "fine@x.org").unwrap();
        let other = make(&mut ada, &[("recipients", "kim@x.org")]).await;
        let fields = [("csrf", button.0.as_str()), ("recipient", button.1.as_str())];
        assert_eq!(ada.post(&format!("{}/send", other.page), &fields).await.status, 404);
        web.account("bob@example.org", &[]).await;
        let mut bob = web.logged_in("bob@example.org").await;
        let csrf = bob.get("/account").await.csrf();
        let stolen = [("csrf", csrf.as_str()), ("recipient", button.1.as_str())];
        assert_eq!(bob.post(&format!("{}/send", made.page), &stolen).await.status, 404);
        assert_eq!(ada.fill(&made.page, &format!("{}/revoke", made.page), &[]).await.status, 303);
        let page = ada.get(&made.page).await;
        assert!(send_again(&page, "fine@x.org").is_none(), "an ended link is not sent");
        let over = (page.csrf(), button.1.clone());
        assert!(press(&mut ada, &made.page, &over).await.body.contains("We didn’t send the link again"));
        assert_eq!(web.outside.queue.count(MailState::Waiting).await.unwrap(), 0);
        web.stop().await;
    }
}

async fn owner(web: &TestWeb) -> oncelink::web::identity::AccountId {
    web.outside.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap().id
}

#[actix_web::test]
async fn sending_again_respects_the_limit_for_one_account_and_mailbox() {
    let (_smtp, web) = stages().await.remove(0);
    let mut ada = web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[("recipients", "none@x.org"), ("mail", "yes")]).await;
    let mut sent = 0;
    for _ in 0..5 {
        web.app.send_due_mails().await.unwrap();
        let page = ada.get(&made.page).await;
        let button = send_again(&page, "none@x.org").unwrap();
        let after = press(&mut ada, &made.page, &button).await.body;
        sent += usize::from(after.contains("We’re sending the link again."));
        assert_ne!(
            after.contains("We’re sending"),
            after.contains("has had several emails from you"),
            "{after}"
        );
    }
    assert_eq!(sent, 2, "three an hour, including the first one");
    web.stop().await;
}

/// The notice that administrators see, if it is shown.
async fn site_notice(browser: &mut Browser, path: &str) -> Option<String> {
    let page = browser.get(path).await.body;
    let (_, notice) = page.split_once("<p class=\"site-notice notice failed\"><a href=\"/admin/mail\">")?;
    Some(notice.split("</a>").next().unwrap().to_owned())
}

#[actix_web::test]
async fn administrators_see_on_every_page_that_mail_is_stuck_and_nobody_else_does() {
    for (smtp, web) in stages().await {
        let mut root = administrator(&web, "root@example.org").await;
        let mut ada = web.logged_in("ada@example.org").await;
        let pages = ["/files/", "/links", "/account", "/admin/accounts", "/admin/mail", "/files/open"];
        let look = async || web.app.upkeep().look_at_mail().await.unwrap();
        look().await;
        for path in pages {
            assert_eq!(site_notice(&mut root, path).await, None, "{path}");
        }
        // The server rejects our sender.
        smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("550 relay not permitted")));
        web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
        web.app.send_due_mails().await.unwrap();
        look().await;
        for path in pages {
            let words = Some("1 email can’t be sent at the moment.".to_owned());
            assert_eq!(site_notice(&mut root, path).await, words, "{path}");
        }
        for path in ["/files/", "/links", "/account"] {
            assert_eq!(site_notice(&mut ada, path).await, None, "{path}");
        }
        assert_eq!(site_notice(&mut web.browser(), "/login").await, None);
        // It accepts us again, and everything is retried.
        smtp.follow(|_, _| None);
        let answer = root.fill("/admin/mail", "/admin/mail/retry-all", &[("state", "waiting")]).await;
        assert_eq!(answer.location.as_deref(), Some("/admin/mail"), "{}", answer.body);
        assert!(root.get("/admin/mail").await.body.contains("We’re trying these emails again now."));
        web.app.send_due_mails().await.unwrap();
        look().await;
        assert_eq!(site_notice(&mut root, "/files/").await, None);
        // The server is unreachable.
        smtp.follow(|at, _| matches!(at, At::Greeting | At::Mail).then_some(Does::Closes));
        web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
        web.app.send_due_mails().await.unwrap();
        look().await;
        let away = site_notice(&mut root, "/files/").await;
        assert_eq!(away.as_deref(), Some("The mail server isn’t accepting email."));
        web.pass(HOUR);
        let mut root = web.logged_in("root@example.org").await;
        look().await;
        let away = site_notice(&mut root, "/files/").await;
        assert_eq!(away.as_deref(), Some("The mail server isn’t accepting email. 1 email can’t be sent."));
        smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("450 4.2.0 come back")));
        web.app.send_due_mails().await.unwrap();
        look().await;
        assert_eq!(site_notice(&mut root, "/files/").await, None, "a single mailbox may be busy for an hour");
        web.pass(DAY);
        let mut root = web.logged_in("root@example.org").await;
        look().await;
        assert!(site_notice(&mut root, "/files/").await.is_some(), "a mailbox is busy for a day");
        let mails = root.get("/admin/mail").await.body;
        let id = mails.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        // Discarding the mail removes the notice from the next page on.
        assert_eq!(root.fill("/admin/mail", "/admin/mail/discard", &[("id", &id)]).await.status, 303);
        assert_eq!(site_notice(&mut root, "/files/").await, None);
        web.stop().await;
    }
}

#[actix_web::test]
async fn an_administrator_reads_why_mails_failed_and_tries_those_again_that_have_a_mailbox() {
    for (smtp, web) in stages().await {
        let mut root = administrator(&web, "root@example.org").await;
        let mut ada = web.logged_in("ada@example.org").await;
        make(&mut ada, &[("recipients", "none@x.org spam@x.org full@x.org"), ("mail", "yes")]).await;
        for _ in 0..3 {
            web.app.send_due_mails().await.unwrap();
            web.pass(120);
        }
        let waiting = root.get("/admin/mail").await.body;
        assert!(waiting.contains("full@x.org") && waiting.contains("452 4.2.2 mailbox full"), "{waiting}");
        assert!(waiting.contains("link to a file to") && waiting.contains("queued <time"), "{waiting}");
        let failed = root.get("/admin/mail?state=failed").await.body;
        for words in ["none@x.org", "550 5.1.1 &#60;b&#62;no", "spam@x.org", "tried 3 times"] {
            assert!(failed.contains(words), "{words}: {failed}");
        }
        smtp.follow(|_, _| None);
        let answer =
            root.fill("/admin/mail?state=failed", "/admin/mail/retry-all", &[("state", "failed")]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        web.app.send_due_mails().await.unwrap();
        let taken = smtp.seen().taken;
        assert!(taken.contains(&"spam@x.org".to_owned()), "{taken:?}");
        assert!(!taken.contains(&"none@x.org".to_owned()), "a missing mailbox is not retried");
        let strange = root.fill("/admin/mail", "/admin/mail/retry-all", &[("state", "sent")]).await;
        assert_eq!(strange.status, 400);
        let log = root.get("/admin/audit?q=mail").await.body;
        assert!(log.contains("1 mail (failed)"), "{log}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_test_mail_from_the_page_shows_what_the_server_said() {
    let (smtp, web) = stages().await.remove(0);
    let mut root = administrator(&web, "root@example.org").await;
    let page = root.get("/admin/mail").await;
    assert!(
        page.body.contains("name=\"address\" type=\"email\"")
            && page.body.contains("value=\"root@example.org\"")
    );
    let form = page.body.split_once("action=\"/admin/mail/test\"").unwrap().1;
    let csrf = form.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap();
    let fields = [("csrf", csrf), ("address", "ann@example.org")];
    let answer = root.post("/admin/mail/test", &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("250 2.0.0 queued as S1"), "{}", answer.body);
    assert_eq!(smtp.seen().taken, ["ann@example.org"]);
    assert_eq!(root.post("/admin/mail/test", &fields).await.status, 303, "a reload sends nothing");
    assert_eq!(smtp.seen().taken.len(), 1);
    smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("550 relay <i>not</i> permitted")));
    let answer = root.fill("/admin/mail", "/admin/mail/test", &[("address", "ann@example.org")]).await;
    assert!(answer.body.contains("recipient: 550 relay &#60;i&#62;not"), "{}", answer.body);
    let answer = root.fill("/admin/mail", "/admin/mail/test", &[("address", "nobody")]).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.body.contains("value=\"nobody\"") && answer.body.contains("address-error"),
        "{}",
        answer.body
    );
    // This can't be used to flood a mailbox.
    let mut refused = 0;
    for _ in 0..5 {
        let answer = root.fill("/admin/mail", "/admin/mail/test", &[("address", "ann@example.org")]).await;
        refused += usize::from(answer.status == 422);
    }
    assert!(refused >= 3, "{refused}");
    assert_eq!(web.outside.queue.count(MailState::Waiting).await.unwrap(), 0, "the queue is not touched");
    let log = root.get("/admin/audit?q=mail-tried").await.body;
    assert!(log.contains("mail tried") && log.contains("ann@example.org"), "{log}");
    web.stop().await;
}

#[actix_web::test]
async fn the_page_says_if_a_code_is_waiting_or_lost_and_its_lifetime_begins_when_it_is_sent() {
    for (smtp, web) in stages().await {
        let mut ada = web.logged_in("ada@example.org").await;
        let changed = [("recipients", "bob@x.org"), ("mailed_code", "yes"), ("uses", "9")];
        let made = make(&mut ada, &changed).await;
        let public = made.public[0].clone();
        let mut bob = web.browser();
        let hint = async |bob: &mut Browser| {
            let page = bob.get(&public).await.body;
            let (_, hint) = page.split_once("id=\"code-hint\">").unwrap();
            hint.split("</p>").next().unwrap().to_owned()
        };
        assert_eq!(hint(&mut bob).await, "We email it to b…@x.org.");
        smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("450 4.2.0 greylisted")));
        assert_eq!(bob.fill(&public, &format!("{public}/code"), &[]).await.status, 303);
        assert!(hint(&mut bob).await.starts_with("We’re sending a code to b…@x.org. It is valid"));
        web.app.send_due_mails().await.unwrap();
        assert!(hint(&mut bob).await.contains("takes longer than usual"));
        // Sent long after it was requested: the code is valid for 15 minutes from now.
        web.pass(2 * HOUR);
        smtp.follow(|_, _| None);
        web.app.send_due_mails().await.unwrap();
        assert!(hint(&mut bob).await.contains("We sent a code to b…@x.org. It is valid until"));
        let mail = smtp.seen().mails.pop().unwrap();
        let code: String =
            mail.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().chars().take(8).collect();
        web.pass(14 * 60);
        let taken = bob.fill(&public, &public, &[("code", &code)]).await;
        assert_eq!(taken.status, 303, "{}", taken.body);
        web.pass(60);
        assert!(hint(&mut bob).await.contains("has expired. Request a new one."));
        smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("550 5.1.1 no such user")));
        web.pass(HOUR);
        assert_eq!(bob.fill(&public, &format!("{public}/code"), &[]).await.status, 303);
        web.app.send_due_mails().await.unwrap();
        assert!(hint(&mut bob).await.contains("We couldn’t deliver the code to b…@x.org."));
        web.stop().await;
    }
}

#[actix_web::test]
async fn the_lifetime_of_an_action_link_begins_when_its_mail_is_accepted() {
    for (smtp, web) in stages().await {
        smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("450 4.2.0 greylisted")));
        web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
        web.app.send_due_mails().await.unwrap();
        web.pass(DAY);
        // Time passes while the server takes its time.
        let clock = web.clock.clone();
        smtp.follow(move |at, _| {
            if at == At::Content {
                clock.set(clock.now().plus(std::time::Duration::from_secs(300)));
            }
            None
        });
        web.app.send_due_mails().await.unwrap();
        let mail = smtp.seen().mails.pop().unwrap().replace("=\r\n", "");
        let path = &mail[mail.find("/reset/").unwrap()..];
        let path: String = path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        let lifetime = web.settings.web.reset_lifetime.as_secs();
        web.pass(lifetime - 1);
        let page = web.browser().get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        web.pass(web.settings.token.leeway.as_secs() + 1);
        let page = web.browser().get(&path).await;
        assert_eq!(page.status, 410, "{}", page.body);
        assert!(page.body.contains("has expired"), "{}", page.body);
        web.stop().await;
    }
}
