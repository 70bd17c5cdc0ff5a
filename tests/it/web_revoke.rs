//! Disabling or deleting an account revokes its download links, in one process and over HTTP.

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::server::{self, Role, RunningServices};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::audit::Actor;
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::web::{Browser, PASSWORD, START};
use crate::support::{for_everyone, on_free_ports, stop_and_free};

/// Settings of services on free ports, with one share.
fn settings(folder: &TempDir) -> Settings {
    let share = folder.path().join("books");
    std::fs::create_dir_all(&share).unwrap();
    std::fs::write(share.join("a.txt"), "content").unwrap();
    let mut settings = on_free_ports(folder.path());
    settings.shares = vec![for_everyone("books", share)];
    settings
}

async fn account(desk: &Services, email: &str, admin: bool) -> oncelink::web::identity::Account {
    let password = desk.passwords.hash(Asker::Operator, Password::new(PASSWORD, 15).unwrap()).await.unwrap();
    let new = NewAccount {
        email: email.parse().unwrap(),
        name: "Somebody".parse().unwrap(),
        admin,
        groups: std::collections::BTreeSet::new(),
        password: Some(password),
    };
    match desk.accounts.add(new, desk.clock.now()).await.unwrap() {
        AddOutcome::New(account) => account,
        other => panic!("{other:?}"),
    }
}

async fn link(browser: &mut Browser) -> String {
    let answer = browser.fill("/files/books", "/download", &[("file", "/books/a.txt")]).await;
    answer.location.unwrap_or_else(|| panic!("{}", answer.body))
}

#[actix_web::test]
async fn a_link_of_a_disabled_account_is_revoked_before_the_answer() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(START);
    let running = server::start(settings(&folder), Role::Both, clock.clone()).await.unwrap();
    let desk = Services::open(&running.settings, clock.clone()).await.unwrap();
    account(&desk, "root@example.org", true).await;
    let bob = account(&desk, "bob@example.org", false).await;
    let base = running.settings.web.public_url.clone();
    let (mut admin, mut browser) = (Browser::at(&base), Browser::at(&base));
    assert_eq!(admin.log_in("root@example.org", PASSWORD).await.status, 303);
    assert_eq!(browser.log_in("bob@example.org", PASSWORD).await.status, 303);
    let taken = link(&mut browser).await;
    let open = link(&mut browser).await;
    let others = link(&mut admin).await;
    assert_eq!(Client::default().get(&taken).await.status, 200);
    let disable = format!("/admin/accounts/{}/disable", bob.id);
    assert_eq!(admin.fill("/account", &disable, &[]).await.status, 303);
    assert_eq!(Client::default().get(&open).await.slug(), "revoked-token");
    assert_eq!(Client::default().get(&others).await.status, 200, "other accounts' links still work");
    let refused = browser.post("/download", &[("file", "/books/a.txt")]).await;
    let location = refused.location.unwrap_or_default();
    assert!(refused.status == 303 && location.starts_with("/login"), "{} {location}", refused.status);
    desk.db.close().await;
    running.stop().await;
}

async fn web_alone(settings: &Settings, clock: &Clock) -> RunningServices {
    server::start(settings.clone(), Role::Web, clock.clone()).await.unwrap()
}

/// Waits for the web app's own task, which polls twice a second; the test doesn't call it.
async fn until_nothing_waits(desk: &Services) {
    let delivered = async {
        loop {
            let query = sqlx::query_scalar("SELECT COUNT(*) FROM revocations");
            let waiting: i64 = query.fetch_one(desk.db.reader()).await.unwrap();
            if waiting == 0 {
                return;
            }
        }
    };
    let delivered = tokio::time::timeout(std::time::Duration::from_secs(60), delivered).await;
    delivered.expect("the web app delivers pending revocations");
}

#[actix_web::test]
async fn a_download_service_that_is_down_gets_revocations_when_it_is_back() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(START);
    let mut settings = settings(&folder);
    // The first start finds free ports for both, and writes them into the settings.
    let first = server::start(settings.clone(), Role::Both, clock.clone()).await.unwrap();
    settings.web.public_url.clone_from(&first.settings.web.public_url);
    settings.web.listen = first.web.unwrap().into();
    settings.download.public_url.clone_from(&first.settings.download.public_url);
    settings.download.listen = first.download.unwrap().into();
    settings.download.keys = format!("{}/.well-known/jwks.json", settings.web.public_url);
    stop_and_free(first).await;

    let web = web_alone(&settings, &clock).await;
    let desk = Services::open(&settings, clock.clone()).await.unwrap();
    let bob = account(&desk, "bob@example.org", false).await;
    let mut browser = Browser::at(&settings.web.public_url);
    assert_eq!(browser.log_in("bob@example.org", PASSWORD).await.status, 303);
    let open = link(&mut browser).await;
    desk.account_admin.set_disabled(&bob, true, &Actor::operator(), clock.now()).await.unwrap();
    // The web app's own task tries, too, and fails; neither that nor its end loses anything.
    web.stop().await;
    desk.db.close().await;

    let web = web_alone(&settings, &clock).await;
    let desk = Services::open(&settings, clock.clone()).await.unwrap();
    desk.issued.revocations.set_http_sinks(&desk.issuer).unwrap();
    let delivered = desk.issued.revocations.deliver(true, clock.now()).await;
    assert!(delivered.iter().all(|node| node.outcome.is_err()), "the service is down");
    let download = server::start(settings.clone(), Role::Download, clock.clone()).await.unwrap();
    until_nothing_waits(&desk).await;
    assert_eq!(Client::default().get(&open).await.slug(), "revoked-token");
    desk.db.close().await;
    download.stop().await;
    web.stop().await;
}
