//! Archives on download services in processes of their own, which share a store: each gets the manifest from
//! the web app once, and continues what another began, also while the web app is away.

use std::collections::BTreeSet;
use std::fs;

use oncelink::clock::Clock;
use oncelink::config::{Listen, Settings};
use oncelink::server::{self, Role};
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use tempfile::TempDir;

use crate::support::client::{Client, Partial};
use crate::support::web::{Browser, PASSWORD};
use crate::support::{for_everyone, on_free_ports, pattern, postgres, stop_and_free, unused_address};

const MIB: usize = 1024 * 1024;

/// Adds Ada, and returns her browser.
async fn ada(settings: &Settings, clock: &Clock) -> Browser {
    let desk = Services::open(settings, clock.clone()).await.unwrap();
    let new = NewAccount {
        email: "ada@example.org".parse().unwrap(),
        name: "Ada".parse().unwrap(),
        admin: false,
        groups: BTreeSet::new(),
        password: Some(
            desk.passwords.hash(Asker::Operator, Password::new(PASSWORD, 15).unwrap()).await.unwrap(),
        ),
    };
    desk.accounts.add(new, clock.now()).await.unwrap();
    desk.db.close().await;
    let mut browser = Browser::at(&settings.web.public_url);
    assert_eq!(browser.log_in("ada@example.org", PASSWORD).await.status, 303);
    browser
}

#[actix_web::test]
async fn another_node_continues_an_archive_also_after_a_restart_without_the_web_app() {
    let Some(database) = postgres::empty_schema().await else { return };
    let folder = TempDir::new().unwrap();
    let share = folder.path().join("open");
    fs::create_dir_all(share.join("photos")).unwrap();
    for n in 0..40 {
        fs::write(share.join(format!("photos/{n}.bin")), pattern(50_000 + n)).unwrap();
    }
    fs::write(share.join("photos/large.bin"), pattern(4 * MIB)).unwrap();
    let mut web = on_free_ports(folder.path());
    web.web.public_url = format!("http://{}", web.web.listen);
    web.download.public_url = "http://files.example".to_owned();
    web.download.keys = format!("{}/.well-known/jwks.json", web.web.public_url);
    web.download.receipts = format!("{}/receipts", web.web.public_url);
    web.download.node_key = web.keys_dir().join("node-key");
    web.download.used_tokens = database.into();
    web.shares = vec![for_everyone("open", share)];
    let clock = Clock::wall();
    let app = server::start(web.clone(), Role::Web, clock.clone()).await.unwrap();
    let node = |name: &str, listen: Listen| {
        let mut settings = web.clone();
        settings.data_dir = folder.path().join(name);
        settings.download.listen = listen;
        settings
    };
    let (first, second) =
        (node("first", web.download.listen.clone()), node("second", unused_address().into()));
    let start = async |settings: &Settings| {
        Box::pin(server::start(settings.clone(), Role::Download, clock.clone())).await.unwrap()
    };
    let (running, other) = (start(&first).await, start(&second).await);

    let mut ada = ada(&web, &clock).await;
    let fields = [("files", "/open/photos")];
    let answer = ada.fill("/zip?file=%2Fopen%2Fphotos", "/zip", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let address = answer.location.unwrap();
    let path = address.strip_prefix("http://files.example").unwrap();
    let url = |settings: &Settings| format!("http://{}{path}", settings.download.listen);
    let begun = Partial::open(1, &url(&first), "", MIB).await;
    assert_eq!(begun.status(), 200);
    let len: usize = begun.header("content-length").unwrap().parse().unwrap();
    let key = begun.header("etag").unwrap().to_owned();
    drop(begun);
    let part = async |settings: &Settings, from: usize, to: usize| {
        let range = format!("bytes={from}-{}", to - 1);
        let client = Client::without_keep_alive();
        let reply = client.get_with(&url(settings), &[("range", &range), ("if-range", &key)]).await;
        assert_eq!(reply.status, 206, "{reply:?}");
        reply.body
    };
    let whole = part(&second, 0, len).await;
    // Half of it: in total, the key opens twice the archive on nodes that don't know what another sent.
    for n in (0..20).step_by(2) {
        let (from, to) = (len * n / 20, len * (n + 1) / 20);
        assert!(part(&first, from, to).await == whole[from..to], "{from}-{to}");
    }
    // Neither the node's memory nor the web app is there any more.
    stop_and_free(other).await;
    stop_and_free(app).await;
    let other = start(&second).await;
    let (from, to) = (len / 3, len / 3 + 70_000);
    assert!(part(&second, from, to).await == whole[from..to]);
    assert_eq!(Client::at(3).get(&url(&second)).await.slug(), "used-token");
    stop_and_free(other).await;
    stop_and_free(running).await;
}
