//! Browsing and downloading: who sees what, in which order, and what a click does.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use hyper::Method;
use oncelink::clock::Timestamp;
use oncelink::token::{KeyRing, TokenRules, verify_download};

use crate::support::web::{Browser, TestWeb};

/// A stranger, Bob in no group, Kim in the group `staff`, and Ada, whom `private` names.
async fn people(web: &TestWeb) -> [(&'static str, Browser); 4] {
    web.account("bob@example.org", &[]).await;
    web.account("kim@example.org", &["staff"]).await;
    web.account("ada@EXAMPLE.org", &[]).await;
    [
        ("nobody", web.browser()),
        ("bob", web.logged_in("bob@example.org").await),
        ("kim", web.logged_in("kim@example.org").await),
        ("ada", web.logged_in("ada@example.org").await),
    ]
}

#[actix_web::test]
async fn each_person_may_do_what_the_table_says() {
    let web = TestWeb::spawn().await;
    // The statuses for nobody, bob, kim and ada.
    let table = [
        ("/", [200, 303, 303, 303]),
        ("/login", [200, 303, 303, 303]),
        ("/healthz", [200, 200, 200, 200]),
        ("/readyz", [200, 200, 200, 200]),
        ("/.well-known/jwks.json", [200, 200, 200, 200]),
        ("/account", [303, 200, 200, 200]),
        ("/account/second-factor", [303, 200, 200, 200]),
        ("/account/keys", [303, 200, 200, 200]),
        ("/api/v1/account", [401, 401, 401, 401]),
        ("/account/webhooks", [303, 200, 200, 200]),
        ("/account/webhooks/nothing", [303, 404, 404, 404]),
        ("/files", [303, 303, 303, 303]),
        ("/files/", [303, 200, 200, 200]),
        ("/files/?q=file", [303, 200, 200, 200]),
        ("/files/open", [303, 200, 200, 200]),
        ("/files/staff", [303, 404, 200, 404]),
        ("/files/staff/", [303, 404, 200, 404]),
        ("/files/staff?q=file", [303, 404, 200, 404]),
        ("/files/staff/file.txt", [303, 404, 303, 404]),
        ("/files/private", [303, 404, 404, 200]),
        ("/files/missing", [303, 404, 404, 404]),
        ("/files/open/missing", [303, 404, 404, 404]),
        ("/files/open/..%2Fstaff", [303, 404, 404, 404]),
        ("/links", [303, 200, 200, 200]),
        ("/links/new", [303, 303, 303, 303]),
        ("/links/new?file=%2Fopen%2Ffile.txt", [303, 200, 200, 200]),
        ("/links/new?file=%2Fstaff%2Ffile.txt", [303, 404, 200, 404]),
        ("/links/nothing", [303, 404, 404, 404]),
        ("/links/nothing/qr/nothing", [303, 404, 404, 404]),
        ("/links/nothing/duplicate", [303, 404, 404, 404]),
        ("/links/nothing/recipients", [303, 404, 404, 404]),
        ("/links/nothing/recipients/nothing", [303, 404, 404, 404]),
        ("/l/nothing", [404, 404, 404, 404]),
        ("/requests", [303, 200, 200, 200]),
        ("/requests/new", [303, 200, 200, 200]),
        ("/requests/new?folder=%2Fopen", [303, 404, 404, 404]),
        ("/requests/nothing", [303, 404, 404, 404]),
        ("/requests/nothing/live", [303, 404, 404, 404]),
        ("/requests/nothing/qr", [303, 404, 404, 404]),
        ("/r/nothing", [404, 404, 404, 404]),
        ("/nothing", [404, 404, 404, 404]),
        ("/activate/x", [404, 404, 404, 404]),
        ("/static/x/y", [404, 404, 404, 404]),
    ];
    let mut seen = BTreeSet::new();
    for (n, (who, mut browser)) in people(&web).await.into_iter().enumerate() {
        for (path, statuses) in table {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, statuses[n], "GET {path} by {who}");
            let head = browser.send(Method::HEAD, path, None).await;
            assert_eq!((head.status, head.body.as_str()), (statuses[n], ""), "HEAD {path} by {who}");
            seen.insert(path);
        }
        for (file, statuses) in [
            ("/open/file.txt", [303, 303, 303, 303]),
            ("/staff/file.txt", [303, 404, 303, 404]),
            ("/private/file.txt", [303, 404, 404, 303]),
            ("/missing/file.txt", [303, 404, 404, 404]),
            ("/open", [303, 404, 404, 404]),
            ("/open/missing.txt", [303, 404, 404, 404]),
            ("/open/../staff/file.txt", [303, 404, 404, 404]),
            ("open/file.txt", [303, 404, 404, 404]),
            ("", [303, 404, 404, 404]),
        ] {
            let answer = match who {
                "nobody" => browser.post("/download", &[("file", file)]).await,
                _ => browser.fill("/account", "/download", &[("file", file)]).await,
            };
            assert_eq!(answer.status, statuses[n], "POST /download of {file:?} by {who}");
            let there = answer.location.is_some_and(|to| to.starts_with("http://download.example/d/"));
            assert_eq!(there, statuses[n] == 303 && who != "nobody", "{file:?} by {who}");
        }
    }
    assert_eq!(seen.len(), table.len());
    web.stop().await;
}

#[actix_web::test]
async fn a_share_without_access_looks_like_one_that_does_not_exist() {
    let web = TestWeb::spawn().await;
    let [_, (_, mut bob), (_, mut kim), _] = people(&web).await;
    let forbidden = bob.get("/files/staff/file.txt").await;
    let missing = bob.get("/files/missing/file.txt").await;
    assert_eq!((forbidden.status, &forbidden.body), (missing.status, &missing.body));
    assert!(!bob.get("/files/").await.body.contains("staff"));
    assert!(kim.get("/files/").await.body.contains("href=\"/files/staff\""));
    let found = bob.get("/files/?q=file").await.body;
    assert!(found.contains("/open/file.txt") && !found.contains("staff") && !found.contains("private"));
    web.stop().await;
}

#[actix_web::test]
async fn a_refusal_shows_the_navigation_only_to_people_who_are_logged_in() {
    let web = TestWeb::spawn().await;
    let [(_, mut nobody), (_, mut bob), _, _] = people(&web).await;
    for path in ["/files/missing", "/no/such/page", "/admin/accounts"] {
        let page = bob.get(path).await;
        assert!(page.status >= 403, "{path}: {}", page.status);
        assert!(page.body.contains("href=\"/account\""), "{path}: {}", page.body);
        let left = bob.clone().post("/logout", &[("csrf", &page.csrf())]).await;
        assert_eq!(left.status, 303, "the page's button logs out");
        bob = web.logged_in("bob@example.org").await;
    }
    let page = nobody.get("/no/such/page").await;
    assert_eq!(page.status, 404);
    assert!(!page.body.contains("/logout") && !page.body.contains("csrf"), "{}", page.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_click_gives_a_token_that_verifies_for_exactly_that_file() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let name = "我这一辈子 \"50%\" & more?.pdf";
    std::fs::write(web.share("open").join(name), "content").unwrap();
    let mut browser = web.logged_in("ada@example.org").await;
    let page = browser.get("/files/open").await;
    assert!(page.header("content-security-policy").contains("form-action 'self' http://download.example"));
    let path = format!("/open/{name}");
    let answer = browser.fill("/files/open", "/download", &[("file", &path)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cache-control"), "no-store");
    let address = answer.location.unwrap();
    let token = address.strip_prefix("http://download.example/d/").unwrap().split('/').next().unwrap();

    let jwks = browser.get("/.well-known/jwks.json").await;
    assert_eq!(jwks.header("cache-control"), "public, max-age=20");
    assert_eq!(jwks.header("content-type"), "application/jwk-set+json");
    assert_eq!(jwks.body, web.app.jwks()());
    let ring = KeyRing::from_jwks(&jwks.body).unwrap();
    let rules = TokenRules {
        issuer: web.base.clone(),
        audience: "http://download.example".to_owned(),
        leeway: web.settings.token.leeway,
        max_lifetime: web.settings.token.max_lifetime,
    };
    let grant = verify_download(token, &ring, &rules, web.clock.now(), Timestamp::EPOCH).unwrap();
    let file = grant.content.file().unwrap();
    assert_eq!((file.as_str(), grant.subject.as_str()), (path.as_str(), ada.id.as_str()));
    assert_eq!((grant.size, grant.confirm), (Some(7), false));
    assert!(grant.version.is_some());
    assert_eq!(grant.expires_at, web.clock.now().plus(web.settings.token.lifetime));

    let again = browser.fill("/files/open", "/download", &[("file", &path)]).await;
    assert_ne!(again.location.unwrap(), address, "each click issues its own token");
    web.stop().await;
}

#[actix_web::test]
async fn hostile_names_stay_names() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let folder = web.share("open").to_owned();
    let names = [
        "<script>alert(1)<x>.txt",
        "\"><img src=x onerror=alert(1)>",
        "a'b\"c&d.txt",
        "two\nlines\r.txt",
        "\u{202e}gpj.exe",
        " leading and trailing ",
        "%2e%2e%2f.txt",
        "per%cent.txt",
        "?q=1#x",
        "-rf",
        "😀.txt",
    ];
    for name in names {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    std::fs::write(folder.join("x".repeat(255)), "x").unwrap();
    std::fs::write(folder.join(std::ffi::OsStr::from_bytes(b"not utf-8 \xff")), "x").unwrap();
    std::fs::create_dir(folder.join("<b>folder & more")).unwrap();
    std::fs::write(folder.join("<b>folder & more/inside.txt"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", folder.join("out")).unwrap();
    std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
    std::os::unix::fs::symlink(".", folder.join("loop")).unwrap();
    let mut browser = web.logged_in("ada@example.org").await;
    for path in [
        "/files/open",
        "/files/open?q=%3Cscript%3E",
        "/files/?q=e",
        "/files/open?sort=%3Cscript%3E&order=%22",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        let body = without_own_script(&page.body).to_lowercase();
        for forbidden in ["<script", "<img", "<b>", "\u{202e}", "not utf-8", ">out<", ">up<"] {
            assert!(!body.contains(forbidden), "{path} has {forbidden:?}");
        }
    }
    // Every button on the page downloads its file, whatever its name is.
    let page = browser.get("/files/open").await;
    let csrf = page.csrf();
    let mut downloaded = 0;
    for button in page.body.split("<button class=\"button small\" form=\"download\" name=\"").skip(1) {
        let (field, rest) = button.split_once("\" value=\"").unwrap();
        // A button that shows the file instead.
        if rest.split('>').next().unwrap().contains("formaction=") {
            continue;
        }
        let value = unescape(rest.split('"').next().unwrap());
        let answer = browser.post("/download", &[(field, &value), ("csrf", &csrf)]).await;
        assert_eq!(answer.status, 303, "{value:?}: {}", answer.body);
        downloaded += 1;
    }
    assert_eq!(downloaded, names.len() + 2, "each name, file.txt and the long one");
    let inside = page.body.split("href=\"/files/open/").skip(1).map(|rest| rest.split('"').next().unwrap());
    for folder in inside.filter(|href| href.contains("folder")) {
        let page = browser.get(&format!("/files/open/{folder}")).await;
        assert!(page.body.contains("inside.txt"), "{folder}");
    }
    web.stop().await;
}

/// The page without the element that loads our script.
fn without_own_script(body: &str) -> String {
    ["/times.js", "/drop.js", "/select.js", "/quick.js"].into_iter().fold(body.to_owned(), |body, name| {
        let (before, rest) = body.split_once("<script src=\"/static/").unwrap();
        let (address, after) = rest.split_once("\" defer></script>").unwrap();
        assert!(address.ends_with(name) && !address.contains('"'), "{address}");
        format!("{before}{after}")
    })
}

fn unescape(text: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[actix_web::test]
async fn lists_are_sorted_and_searched() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let folder = web.share("open").to_owned();
    std::fs::create_dir_all(folder.join("deep/er")).unwrap();
    std::fs::write(folder.join("part 10.txt"), "1").unwrap();
    std::fs::write(folder.join("Part 2.txt"), "333").unwrap();
    std::fs::write(folder.join("deep/er/The PART within.txt"), "22").unwrap();
    let mut browser = web.logged_in("ada@example.org").await;
    let mut order = async |path: &str, names: &[&str]| {
        let body = browser.get(path).await.body;
        let at = names
            .iter()
            .map(|name| body.find(&format!(">{name}<")).unwrap_or_else(|| panic!("{name}: {body}")));
        assert!(at.clone().zip(at.skip(1)).all(|(one, next)| one < next), "{path}: {names:?}");
    };
    order("/files/open", &["deep", "file.txt", "Part 2.txt", "part 10.txt"]).await;
    order("/files/open?sort=name&order=desc", &["deep", "part 10.txt", "Part 2.txt", "file.txt"]).await;
    order("/files/open?sort=size&order=asc", &["deep", "part 10.txt", "Part 2.txt", "file.txt"]).await;
    order("/files/open?sort=size&order=desc", &["deep", "file.txt", "Part 2.txt", "part 10.txt"]).await;
    order("/files/open?q=part", &["Part 2.txt", "part 10.txt", "The PART within.txt"]).await;
    let within = browser.get("/files/open/deep?q=WITHIN+part").await.body;
    assert!(within.contains("The PART within.txt") && !within.contains("part 10.txt"));
    assert!(browser.get("/files/open?q=zzz").await.body.contains("Nothing found"));
    let file = browser.get("/files/open/Part%202.txt").await;
    assert_eq!(
        file.location.as_deref(),
        Some("/files/open?q=Part%202%2Etxt"),
        "a file is shown in its folder"
    );
    web.stop().await;
}

#[actix_web::test]
async fn every_answer_has_the_headers_of_the_app() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    let style = browser.get("/login").await;
    assert_eq!(style.status, 303);
    let page = web.browser().get("/login").await;
    let style = page.body.split("href=\"").find(|rest| rest.starts_with("/static/")).unwrap();
    let style = style.split('"').next().unwrap().to_owned();
    for (path, cache, referrer) in [
        ("/files/", "no-store", "same-origin"),
        ("/files/missing", "no-store", "same-origin"),
        ("/nothing", "no-store", "same-origin"),
        ("/healthz", "no-store", "same-origin"),
        (style.as_str(), "public, max-age=31536000, immutable", "no-referrer"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.header("cache-control"), cache, "{path}");
        assert_eq!(answer.header("referrer-policy"), referrer, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-robots-tag"), "noindex", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
    }
    let answer = browser.send(Method::POST, "/files/", None).await;
    assert_eq!((answer.status, answer.header("cache-control")), (405, "no-store"));
    assert!(answer.body.contains("<h1"), "the error is a page, too");
    web.stop().await;
}

#[actix_web::test]
async fn a_client_that_asks_for_json_gets_a_problem_document() {
    let web = TestWeb::spawn().await;
    let mut program = web.browser();
    program.headers = vec![("accept", "application/json".to_owned())];
    for (path, status, slug) in [("/files/", 401, "not-signed-in"), ("/nothing", 404, "not-found")] {
        let answer = program.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"));
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((problem["type"].as_str(), problem["status"].as_u64()), (Some(slug), Some(status.into())));
    }
    web.stop().await;
}
