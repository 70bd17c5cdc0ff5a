//! The process as its operator sees it: signals, a start that fails, and what is left running.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use oncelink::clock::Clock;
use oncelink::config::{Settings, ShareSettings};
use oncelink::server::{self, Role};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use crate::support::postgres::empty_schema;
use crate::support::process::{Answer, Download, PROGRAM, Site, signal, wait_for};
use crate::support::unused_address;
use crate::support::web::{FORM, form};
use crate::support::web_process::WebSite;

#[test]
fn a_hang_up_and_the_users_signals_end_nothing() {
    let site = Site::new();
    let mut node = site.start();
    for harmless in [Signal::HUP, Signal::USR1, Signal::USR2] {
        signal(node.id(), harmless);
    }
    wait_for("the answer to a hang-up", || site.log().contains("SIGHUP: reloaded"));
    site.redeem(1);
    assert!(node.ended().is_none(), "{}", site.log());
    // The same during a stop.
    site.put("big.bin", &vec![1; 64 << 20]);
    let waiting = Download::begin(site.address, &site.ticket("big.bin").path, "").unwrap();
    signal(node.id(), Signal::TERM);
    wait_for("the stop", || site.log().contains("stopping; "));
    signal(node.id(), Signal::HUP);
    drop(waiting);
    wait_for("the end", || node.ended().is_some());
    assert_eq!(node.ended().unwrap().code(), Some(0), "{}", site.log());
}

#[test]
fn a_second_signal_ends_the_wait_for_transfers() {
    for (first, second) in
        [(Signal::INT, Signal::INT), (Signal::TERM, Signal::INT), (Signal::TERM, Signal::TERM)]
    {
        let site = Site::new();
        // Longer than the test ever waits.
        let settings = std::fs::read_to_string(site.path().join("oncelink.toml")).unwrap();
        let patient = settings.replace("stop_timeout = '1s'", "stop_timeout = '10h'");
        std::fs::write(site.path().join("oncelink.toml"), patient).unwrap();
        site.put("big.bin", &vec![1; 64 << 20]);
        let mut node = site.start();
        let ticket = site.ticket("big.bin");
        let transfer = Download::begin(site.address, &ticket.path, "").unwrap();
        signal(node.id(), first);
        wait_for("the stop", || site.log().contains("stopping; "));
        assert!(node.ended().is_none(), "a transfer is still running");
        signal(node.id(), second);
        wait_for("the end", || node.ended().is_some());
        assert_eq!(node.ended().unwrap().code(), Some(0), "{}", site.log());
        drop(transfer);
        let node = site.start();
        site.assert_used([&ticket]);
        node.kill();
    }
}

#[test]
fn a_hang_up_signal_does_not_end_the_web_app_either() {
    let site = WebSite::new(None, "");
    let mut app = site.start();
    signal(app.id(), Signal::HUP);
    wait_for("the answer to a hang-up", || site.log().contains("SIGHUP: reloaded"));
    assert_eq!(app.readiness(), Some(200));
    signal(app.id(), Signal::TERM);
    wait_for("the end", || app.ended().is_some());
}

/// Both services on free ports, with their data below `dir`.
fn both(dir: &TempDir) -> Settings {
    let mut settings = Settings { data_dir: dir.path().join("data"), ..Settings::default() };
    std::fs::create_dir_all(dir.path().join("share")).unwrap();
    settings.shares = vec![ShareSettings {
        name: "files".to_owned(),
        path: dir.path().join("share"),
        read: vec!["everyone".to_owned()],
        ..ShareSettings::default()
    }];
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    (settings.web.listen, settings.download.listen) = (any.into(), any.into());
    "http://127.0.0.1:0".clone_into(&mut settings.web.public_url);
    "http://127.0.0.1:0".clone_into(&mut settings.download.public_url);
    settings
}

#[actix_web::test]
async fn a_start_that_fails_late_leaves_nothing_running() {
    let dir = TempDir::new().unwrap();
    let mut settings = both(&dir);
    let free = unused_address();
    settings.web.listen = free.into();
    // The receipts' outbox is opened after the web app and the used-token store.
    let in_the_way = settings.download_dir().join("receipts.sqlite");
    std::fs::create_dir_all(&in_the_way).unwrap();
    let failed = server::start(settings.clone(), Role::Both, Clock::wall()).await;
    assert!(failed.is_err_and(|error| matches!(error, server::ServeError::Receipts(_))));
    assert!(std::net::TcpStream::connect(free).is_err(), "nothing listens there");
    // The locks of the stores are free, and so is the port.
    std::fs::remove_dir(&in_the_way).unwrap();
    let running = server::start(settings, Role::Both, Clock::wall()).await.unwrap();
    assert_eq!(running.web, Some(free));
    running.stop().await;
}

#[test]
fn a_signal_while_the_program_starts_ends_it_cleanly() {
    let dir = TempDir::new().unwrap();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut settings = std::fs::File::create(dir.path().join("oncelink.toml")).unwrap();
    std::fs::create_dir(dir.path().join("share")).unwrap();
    write!(
        settings,
        "[web]\nlisten = '127.0.0.1:0'\npublic_url = 'http://127.0.0.1:0'\n[[share]]\nname = 's'\npath = 'share'\n"
    )
    .unwrap();
    let mut child = std::process::Command::new(PROGRAM)
        .arg("web")
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    // The process handles its signals before it creates the data directory.
    wait_for("the start", || dir.path().join("data").exists());
    signal(child.id(), Signal::TERM);
    let mut ended = None;
    wait_for("the end", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(
        ended.unwrap().code(),
        Some(0),
        "{}",
        std::fs::read_to_string(dir.path().join("log")).unwrap()
    );
}

/// Requests `path` until the response is as `wanted`. A connection that the servers accepted just before a
/// stop is closed without a response.
fn until_answered(site: &Site, path: &str, wanted: impl Fn(&Answer) -> bool) {
    wait_for(path, || {
        Download::begin(site.address, path, "").and_then(Download::finish).is_ok_and(|answer| wanted(&answer))
    });
}

#[test]
fn while_it_stops_it_says_so_and_the_next_process_waits_for_its_end() {
    let site = Site::new();
    let settings = std::fs::read_to_string(site.path().join("oncelink.toml")).unwrap();
    let patient = settings.replace("stop_timeout = '1s'", "stop_timeout = '10h'");
    std::fs::write(site.path().join("oncelink.toml"), patient).unwrap();
    site.put("big.bin", &vec![1; 64 << 20]);
    let mut old = site.start();
    let transfer = Download::begin(site.address, &site.ticket("big.bin").path, "").unwrap();
    signal(old.id(), Signal::TERM);
    until_answered(&site, "/readyz", |answer| answer.status == 503 && answer.body == b"stopping\n");
    let later = site.ticket("small.bin");
    until_answered(&site, &later.path, |answer| {
        answer.status == 503
            && answer.head.contains("retry-after: 5")
            && answer.body.starts_with(b"The service is restarting")
    });
    until_answered(&site, "/healthz", |answer| answer.status == 200);
    let mut new = site.launch(site.command(&[]));
    wait_for("the new process", || site.log().contains("waiting for another process to end"));
    assert!(new.ended().is_none() && old.ended().is_none(), "{}", site.log());
    // The transfer ends, and the old process with it.
    drop(transfer);
    wait_for("the end", || old.ended().is_some());
    assert_eq!(old.ended().unwrap().code(), Some(0), "{}", site.log());
    new.wait_until_ready();
    assert_eq!(site.get(&later).unwrap().status, 200, "it was not spent");
    new.kill();
}

#[test]
fn an_address_in_use_is_reported_at_once() {
    let site = Site::new();
    let other = TcpListener::bind(site.address).unwrap();
    let mut node = site.launch(site.command(&[]));
    wait_for("the end", || node.ended().is_some());
    assert_eq!(node.ended().unwrap().code(), Some(1), "{}", site.log());
    assert!(!site.log().contains("waiting for another process"), "{}", site.log());
    drop(other);
}

#[actix_web::test]
async fn a_stop_that_cuts_requests_off_does_not_panic_or_wait_for_the_database() {
    let Some(database) = empty_schema().await else { return };
    let site = WebSite::new(None, &format!("database = '{database}'"));
    let mut app = site.start();
    let ada = site.ada().await;
    // The database no longer responds, so requests that need it keep their connections until the end.
    let mut lock = sqlx::AnyConnection::connect(&database).await.unwrap();
    let tables = "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = current_schema()";
    let tables: String = sqlx::query_scalar(tables).fetch_one(&mut lock).await.unwrap();
    let hold = format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut lock).await.unwrap();
    let mut waiting = Vec::new();
    for n in 0..8 {
        let form = form(&[("folder", "/open"), ("name", &format!("folder {n}")), ("csrf", &ada.csrf)]);
        let mut stream = std::net::TcpStream::connect(site.address).unwrap();
        write!(
            stream,
            "POST /manage/make-folder HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nContent-Type: {FORM}\r\n\
             Content-Length: {}\r\n\r\n{form}",
            site.address,
            ada.cookie,
            form.len()
        )
        .unwrap();
        waiting.push(stream);
    }
    // By now they were accepted.
    let health = Download::begin(site.address, "/healthz", "").and_then(Download::finish).unwrap();
    assert_eq!(health.status, 200);
    signal(app.id(), Signal::TERM);
    wait_for("the end", || app.ended().is_some());
    drop(waiting);
    let log = site.log();
    assert!(log.contains("the account database does not respond; closing without it"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(app.ended().unwrap().code(), Some(0), "{log}");
    lock.close().await.unwrap();
}
