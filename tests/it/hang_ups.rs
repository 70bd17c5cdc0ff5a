//! A client that sends a request and resets the connection, at every address: nothing breaks, nothing panics,
//! and the logs stay intact.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use socket2::SockRef;

use crate::support::process::{PROGRAM, Site, wait_for};
use crate::support::web::{FORM, PASSWORD, form};
use crate::support::web_process::WebSite;

type Fields = &'static [(&'static str, &'static str)];

/// Every route of the web app: its pattern, a method, an address that matches, and form fields.
const ADDRESSES: &[(&str, &str, &str, Fields)] = &[
    ("/", "GET", "/", &[]),
    ("/login", "GET", "/login", &[]),
    ("/login", "POST", "/login", &[("email", "ada@example.org"), ("password", PASSWORD)]),
    ("/account", "GET", "/account", &[]),
    (
        "/account/password",
        "POST",
        "/account/password",
        &[("current_password", "wrong"), ("password", PASSWORD), ("password_again", PASSWORD)],
    ),
    ("/account/keys", "GET", "/account/keys", &[]),
    (
        "/account/keys",
        "POST",
        "/account/keys",
        &[
            ("name", "T"),
            ("links", "yes"),
            ("days", "7"),
            ("shares", ""),
            ("networks", ""),
            ("current_password", "wrong"),
        ],
    ),
    ("/account/keys/revoke", "POST", "/account/keys/revoke", &[("id", "any")]),
    ("/account/sessions", "GET", "/account/sessions", &[]),
    ("/account/sessions/end", "POST", "/account/sessions/end", &[("name", "any")]),
    ("/account/sessions/end-others", "POST", "/account/sessions/end-others", &[]),
    ("/account/second-factor", "GET", "/account/second-factor", &[]),
    ("/account/second-factor", "POST", "/account/second-factor", &[("current_password", "wrong")]),
    ("/account/second-factor/confirm", "POST", "/account/second-factor/confirm", &[("code", "123456")]),
    ("/account/second-factor/codes", "POST", "/account/second-factor/codes", &[("code", "123456")]),
    (
        "/account/second-factor/off",
        "POST",
        "/account/second-factor/off",
        &[("current_password", "wrong"), ("code", "123456")],
    ),
    ("/account/webhooks", "GET", "/account/webhooks", &[]),
    (
        "/account/webhooks",
        "POST",
        "/account/webhooks",
        &[("url", "https://hooks.example.org/x"), ("event", "link.viewed")],
    ),
    ("/account/webhooks/{id}", "GET", "/account/webhooks/any", &[]),
    ("/account/webhooks/{id}/pause", "POST", "/account/webhooks/any/pause", &[]),
    ("/account/webhooks/{id}/resume", "POST", "/account/webhooks/any/resume", &[]),
    ("/account/webhooks/{id}/rotate", "POST", "/account/webhooks/any/rotate", &[]),
    ("/account/webhooks/{id}/test", "POST", "/account/webhooks/any/test", &[]),
    ("/account/webhooks/{id}/resend", "POST", "/account/webhooks/any/resend", &[("message", "any")]),
    ("/account/webhooks/{id}/delete", "POST", "/account/webhooks/any/delete", &[]),
    ("/login/code", "GET", "/login/code", &[]),
    ("/login/code", "POST", "/login/code", &[("code", "123456")]),
    ("/account/name", "POST", "/account/name", &[("name", "Somebody else")]),
    (
        "/account/email",
        "POST",
        "/account/email",
        &[("email", "other@example.org"), ("current_password", PASSWORD)],
    ),
    ("/account/email/cancel", "POST", "/account/email/cancel", &[]),
    ("/account/notices", "POST", "/account/notices", &[]),
    ("/unsubscribe/{kind}/{code}", "GET", "/unsubscribe/taken/any", &[]),
    ("/unsubscribe/{kind}/{code}", "POST", "/unsubscribe/taken/any", &[("List-Unsubscribe", "One-Click")]),
    ("/account/delete", "POST", "/account/delete", &[("current_password", "wrong")]),
    ("/signup", "GET", "/signup", &[]),
    (
        "/signup",
        "POST",
        "/signup",
        &[("email", "new@example.org"), ("name", "N"), ("password", PASSWORD), ("password_again", PASSWORD)],
    ),
    ("/mail-sent", "GET", "/mail-sent?about=forgot", &[]),
    ("/forgot", "POST", "/forgot", &[("email", "ada@example.org")]),
    ("/activate/{token}", "GET", "/activate/x", &[]),
    ("/activate/{token}", "POST", "/activate/x", &[]),
    ("/reset/{token}", "POST", "/reset/x", &[("password", PASSWORD), ("password_again", PASSWORD)]),
    ("/confirm-address/{token}", "POST", "/confirm-address/x", &[("password", PASSWORD)]),
    ("/{folder:activate|reset|confirm-address}/{token}/renew", "POST", "/activate/x/renew", &[]),
    ("/download", "POST", "/download", &[("file", "/open/file.txt")]),
    ("/zip/selected", "POST", "/zip/selected", &[("file", "/open/file.txt")]),
    ("/zip", "GET", "/zip?file=/open/file.txt", &[]),
    ("/zip/state", "GET", "/zip/state?job=any", &[]),
    ("/zip", "POST", "/zip", &[("files", "/open/file.txt")]),
    ("/view", "GET", "/view", &[]),
    ("/view", "POST", "/view", &[("file", "/open/file.txt")]),
    ("/receipts", "POST", "/receipts", &[]),
    ("/manifests/{digest}", "GET", "/manifests/any", &[]),
    ("/links", "GET", "/links", &[]),
    (
        "/links",
        "POST",
        "/links",
        &[
            ("files", "/open/file.txt"),
            ("title", "T"),
            ("note", ""),
            ("uses", "1"),
            ("ends", ""),
            ("password", PASSWORD),
            ("notify", "never"),
            ("recipients", "bob@example.org"),
        ],
    ),
    ("/links/new", "GET", "/links/new?file=/open/file.txt", &[]),
    ("/links/new", "POST", "/links/new", &[("file", "/open/file.txt")]),
    ("/links/{id}", "GET", "/links/any", &[]),
    (
        "/links/{id}",
        "POST",
        "/links/any",
        &[("title", "T"), ("note", ""), ("uses", "1"), ("ends", ""), ("password", ""), ("notify", "never")],
    ),
    (
        "/links/uploading",
        "POST",
        "/links/uploading",
        &[("files", "1"), ("items", "1"), ("name", "a.txt"), ("drop", "x")],
    ),
    ("/links/{id}/sheet", "GET", "/links/any/sheet", &[]),
    (
        "/links/{id}/sheet",
        "POST",
        "/links/any/sheet",
        &[("title", "T"), ("note", ""), ("uses", "1"), ("ends", ""), ("password", ""), ("notify", "never")],
    ),
    ("/links/{id}/mail", "POST", "/links/any/mail", &[("recipients", "bob@example.org")]),
    ("/links/{id}/settle", "POST", "/links/any/settle", &[]),
    ("/links/{id}/pause", "POST", "/links/any/pause", &[]),
    ("/links/{id}/resume", "POST", "/links/any/resume", &[]),
    ("/links/{id}/send", "POST", "/links/any/send", &[("recipient", "any")]),
    ("/links/{id}/extend", "POST", "/links/any/extend", &[("add", "1-day")]),
    ("/links/{id}/duplicate", "GET", "/links/any/duplicate", &[]),
    ("/links/{id}/duplicate", "POST", "/links/any/duplicate", &[("title", "T"), ("ends", "")]),
    ("/links/{id}/recipients", "GET", "/links/any/recipients", &[]),
    ("/links/{id}/recipients", "POST", "/links/any/recipients", &[("recipients", "bob@example.org")]),
    ("/links/{id}/recipients/{recipient}", "GET", "/links/any/recipients/any", &[]),
    ("/links/{id}/recipients/{recipient}", "POST", "/links/any/recipients/any", &[]),
    ("/links/{id}/revoke", "POST", "/links/any/revoke", &[]),
    ("/links/{id}/qr/{recipient}", "GET", "/links/any/qr/any", &[]),
    ("/links/{link}/deliveries", "GET", "/links/any/deliveries", &[]),
    ("/links/{id}/live", "GET", "/links/any/live", &[]),
    ("/requests", "GET", "/requests", &[]),
    (
        "/requests",
        "POST",
        "/requests",
        &[
            ("folder", "/open"),
            ("title", "T"),
            ("note", ""),
            ("max_bytes", "1 MB"),
            ("max_files", "1"),
            ("ends", "2099-01-01T00:00"),
            ("password", PASSWORD),
        ],
    ),
    ("/requests/new", "GET", "/requests/new?folder=/open", &[]),
    ("/requests/{id}", "GET", "/requests/any", &[]),
    (
        "/requests/{id}",
        "POST",
        "/requests/any",
        &[
            ("title", "T"),
            ("note", ""),
            ("max_bytes", "1 MB"),
            ("max_files", "1"),
            ("ends", "2099-01-01T00:00"),
            ("password", ""),
        ],
    ),
    ("/requests/{id}/stop", "POST", "/requests/any/stop", &[]),
    ("/requests/{id}/live", "GET", "/requests/any/live", &[]),
    ("/requests/{id}/qr", "GET", "/requests/any/qr", &[]),
    ("/r/{code}", "GET", "/r/any", &[]),
    ("/r/{code}", "POST", "/r/any", &[]),
    ("/r/{code}/files", "POST", "/r/any/files", &[("name", "")]),
    ("/unsent/{id}", "GET", "/unsent/any", &[]),
    ("/favicon.ico", "GET", "/favicon.ico", &[]),
    ("/robots.txt", "GET", "/robots.txt", &[]),
    ("/.well-known/change-password", "GET", "/.well-known/change-password", &[]),
    ("/l/{code}/state", "GET", "/l/any/state", &[]),
    ("/l/{code}", "GET", "/l/any", &[]),
    ("/l/{code}", "POST", "/l/any", &[]),
    ("/l/{code}/code", "POST", "/l/any/code", &[]),
    ("/l/{code}/view", "GET", "/l/any/view", &[]),
    ("/l/{code}/view", "POST", "/l/any/view", &[]),
    ("/manage/new-folder", "GET", "/manage/new-folder?folder=/open", &[]),
    ("/manage/make-folder", "POST", "/manage/make-folder", &[("folder", "/open"), ("name", "new")]),
    ("/manage/entry", "GET", "/manage/entry?path=/open/file.txt", &[]),
    ("/manage/rename", "POST", "/manage/rename", &[("path", "/open/renamed.txt"), ("name", "other.txt")]),
    ("/manage/delete", "POST", "/manage/delete", &[("path", "/open/deleted.txt")]),
    ("/manage/to", "GET", "/manage/to?path=/open/file.txt", &[]),
    ("/manage/move", "POST", "/manage/move", &[("path", "/open/moved.txt"), ("to", "/open/folder")]),
    ("/manage/selected/confirm", "POST", "/manage/selected/confirm", &[("file", "/open/file.txt")]),
    ("/manage/selected/delete", "POST", "/manage/selected/delete", &[("file", "/open/deleted.txt")]),
    ("/manage/selected/to", "POST", "/manage/selected/to", &[("file", "/open/file.txt")]),
    (
        "/manage/selected/move",
        "POST",
        "/manage/selected/move",
        &[("file", "/open/moved.txt"), ("to", "/open/folder")],
    ),
    ("/manage/trash", "GET", "/manage/trash?share=open", &[]),
    ("/manage/restore", "POST", "/manage/restore", &[("id", "any")]),
    ("/manage/forget", "POST", "/manage/forget", &[("id", "any")]),
    ("/files-upload", "POST", "/files-upload", &[("folder", "/open")]),
    ("/uploads", "POST", "/uploads", &[("x", "not read")]),
    ("/uploads", "OPTIONS", "/uploads", &[]),
    ("/uploads/{id}", "PATCH", "/uploads/any", &[("x", "not read")]),
    ("/uploads/{id}", "DELETE", "/uploads/any", &[]),
    ("/api/v1/openapi.json", "GET", "/api/v1/openapi.json", &[]),
    ("/api/v1/docs", "GET", "/api/v1/docs", &[]),
    ("/api/v1/uploads", "POST", "/api/v1/uploads", &[("x", "not read")]),
    ("/api/v1/uploads/{id}", "PATCH", "/api/v1/uploads/any", &[("x", "not read")]),
    ("/.well-known/jwks.json", "GET", "/.well-known/jwks.json", &[]),
    ("/files{path:/.*}", "GET", "/files/open/?q=file", &[]),
    ("/files", "GET", "/files", &[]),
    ("/static/{hash}/{name}", "GET", "/static/x/style.css", &[]),
    ("/healthz", "GET", "/healthz", &[]),
    ("/readyz", "GET", "/readyz", &[]),
    ("/admin", "GET", "/admin", &[]),
    ("/admin/accounts", "GET", "/admin/accounts", &[]),
    ("/admin/accounts/{id}", "GET", "/admin/accounts/any", &[]),
    ("/admin/accounts/{id}/delete", "POST", "/admin/accounts/any/delete", &[]),
    ("/admin/accounts/{id}/disable", "POST", "/admin/accounts/any/disable", &[]),
    ("/admin/accounts/{id}/enable", "POST", "/admin/accounts/any/enable", &[]),
    ("/admin/accounts/{id}/end-sessions", "POST", "/admin/accounts/any/end-sessions", &[]),
    ("/admin/accounts/{id}/link", "POST", "/admin/accounts/any/link", &[]),
    ("/admin/accounts/{id}/second-factor", "POST", "/admin/accounts/any/second-factor", &[]),
    ("/admin/accounts/{id}/rights", "POST", "/admin/accounts/any/rights", &[("groups", "a")]),
    ("/admin/audit", "GET", "/admin/audit", &[]),
    ("/admin/invite", "POST", "/admin/invite", &[("email", "carl@example.org"), ("groups", "")]),
    ("/admin/deliveries", "GET", "/admin/deliveries", &[]),
    ("/admin/keys", "GET", "/admin/keys", &[]),
    ("/admin/keys/remove", "POST", "/admin/keys/remove", &[("kid", "any")]),
    ("/admin/keys/rotate", "POST", "/admin/keys/rotate", &[]),
    ("/admin/settings", "GET", "/admin/settings", &[]),
    ("/admin/shares", "GET", "/admin/shares", &[]),
    ("/admin/links", "GET", "/admin/links", &[]),
    ("/admin/links/{id}", "GET", "/admin/links/any", &[]),
    ("/admin/links/{id}/pause", "POST", "/admin/links/any/pause", &[]),
    ("/admin/links/{id}/resume", "POST", "/admin/links/any/resume", &[]),
    ("/admin/links/{id}/revoke", "POST", "/admin/links/any/revoke", &[]),
    ("/admin/mail", "GET", "/admin/mail", &[]),
    ("/admin/mail/discard", "POST", "/admin/mail/discard", &[("id", "1")]),
    ("/admin/mail/retry", "POST", "/admin/mail/retry", &[("id", "1")]),
    ("/admin/mail/retry-all", "POST", "/admin/mail/retry-all", &[("state", "waiting")]),
    ("/admin/mail/test", "POST", "/admin/mail/test", &[("address", "boss@example.org")]),
    ("/admin/nodes", "GET", "/admin/nodes", &[]),
    ("/admin/nodes/add", "POST", "/admin/nodes/add", &[("name", "any")]),
    ("/admin/nodes/rekey", "POST", "/admin/nodes/rekey", &[("name", "any")]),
    ("/admin/nodes/remove", "POST", "/admin/nodes/remove", &[("name", "any")]),
    // Last, because it ends the session.
    ("/logout", "POST", "/logout", &[]),
];

/// Every method and address of the download service.
const DOWNLOADS: &[(&str, &str)] = &[
    ("GET", "TICKET"),
    ("HEAD", "TICKET"),
    ("POST", "TICKET"),
    ("GET", "/d/x"),
    ("GET", "/d"),
    ("GET", "/v/x"),
    ("POST", "/revocations"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/robots.txt"),
    ("GET", "/elsewhere"),
];

/// When the client resets the connection.
#[derive(Clone, Copy, Debug)]
enum Moment {
    AfterTheHead,
    InTheMiddleOfTheBody,
    AfterTheRequest,
    AfterTheFirstByteOfTheAnswer,
}

const MOMENTS: [Moment; 4] = [
    Moment::AfterTheHead,
    Moment::InTheMiddleOfTheBody,
    Moment::AfterTheRequest,
    Moment::AfterTheFirstByteOfTheAnswer,
];

/// Sends a request up to this moment, and resets the connection.
fn hang_up(address: SocketAddr, head: &str, body: &str, moment: Moment) {
    let mut stream = TcpStream::connect(address).unwrap();
    let sent = match moment {
        Moment::AfterTheHead => 0,
        Moment::InTheMiddleOfTheBody => body.len() / 2,
        Moment::AfterTheRequest | Moment::AfterTheFirstByteOfTheAnswer => body.len(),
    };
    stream.write_all(format!("{head}{}", &body[..sent]).as_bytes()).unwrap();
    if matches!(moment, Moment::AfterTheFirstByteOfTheAnswer) {
        // Not every request is answered at once, so the wait is short.
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _byte = stream.peek(&mut [0]);
    }
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Collects the route patterns from the sources of the handlers.
fn patterns(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            patterns(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            for rest in text.split("resource(").skip(1) {
                let pattern = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                found.insert(pattern.unwrap_or_else(|| panic!("{}: no pattern", path.display())).to_owned());
            }
        }
    }
}

#[test]
fn every_address_of_the_web_app_has_a_row() {
    let mut found = BTreeSet::new();
    patterns(Path::new("src/web"), &mut found);
    let listed: BTreeSet<String> = ADDRESSES.iter().map(|(pattern, ..)| (*pattern).to_owned()).collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "without a row: {missing:?}; removed from the app: {gone:?}"
    );
}

/// Log lines that an operator would have to act on.
fn complaints(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect()
}

#[actix_web::test]
async fn a_client_that_hangs_up_at_any_address_of_the_web_app_breaks_nothing() {
    let site = WebSite::new(None, "");
    for name in ["file", "renamed", "deleted", "moved"] {
        fs::write(site.share.join(format!("{name}.txt")), name).unwrap();
    }
    fs::create_dir(site.share.join("folder")).unwrap();
    site.run(&["user", "add", "boss@example.org", "--admin", "--password-stdin"]);
    let app = site.start();
    let mut boss = crate::support::web::Browser::at(&format!("http://{}", site.address));
    assert_eq!(boss.log_in("boss@example.org", PASSWORD).await.status, 303);
    let own = boss.get("/account").await.csrf();
    let mut stranger = crate::support::web::Browser::at(&format!("http://{}", site.address));
    let strangers = stranger.get("/login").await.csrf();
    let all: Vec<String> = boss
        .cookies
        .iter()
        .chain(stranger.cookies.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookies = all.join("; ");
    for (_, method, path, fields) in ADDRESSES {
        let is_strangers = ["/login", "/signup", "/forgot", "/activate/", "/reset/", "/confirm-address/"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
        let token = if is_strangers { &strangers } else { &own };
        let body = match *method {
            "POST" | "PATCH" => form(&[*fields, &[("csrf", token.as_str())]].concat()),
            _ => String::new(),
        };
        let kind = if path.starts_with("/uploads") { "application/offset+octet-stream" } else { FORM };
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookies}\r\nX-CSRF-Token: {own}\r\nTus-Resumable: 1.0.0\r\n",
            site.address
        );
        if !body.is_empty() {
            head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        }
        for moment in MOMENTS {
            hang_up(site.address, &format!("{head}\r\n"), &body, moment);
        }
    }
    assert_eq!(app.readiness(), Some(200));
    assert_eq!(boss.log_in("boss@example.org", PASSWORD).await.status, 303);
    assert_eq!(boss.get("/admin/audit").await.status, 200);
    assert!(complaints(&site.log()).is_empty(), "{:#?}", complaints(&site.log()));
    let verified =
        Command::new(PROGRAM).args(["audit", "verify"]).current_dir(site.dir.path()).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    app.kill();
}

#[test]
fn a_client_that_hangs_up_at_any_address_of_the_download_service_breaks_nothing() {
    let site = Site::new();
    let node = site.start();
    for (method, path) in DOWNLOADS {
        for moment in MOMENTS {
            let path = path.replace("TICKET", &site.ticket("small.bin").path);
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer x\r\nContent-Length: 10\r\n\r\n",
                site.address
            );
            hang_up(site.address, &head, "0123456789", moment);
        }
    }
    wait_for("readiness", || node.readiness() == Some(200));
    site.redeem(3);
    assert!(complaints(&site.log()).is_empty(), "{:#?}", complaints(&site.log()));
    node.kill();
}
