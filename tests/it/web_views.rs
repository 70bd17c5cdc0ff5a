//! Views in the web app: the page that shows a file, which links allow them, and how they are counted.

use std::fs;
use std::time::Duration;

use oncelink::clock::Timestamp;
use oncelink::token::{KeyRing, TokenError, TokenRules, verify_download, verify_view};

use crate::support::both::Both;
use crate::support::client::{Client, Partial};
use crate::support::links::{fields, make};
use crate::support::pattern;
use crate::support::web::{Answer, Browser, TestWeb};

const DOWNLOAD: &str = "http://download.example";

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    for name in ["a.png", "a.pdf", "a.mp3", "a.mp4", "a.svg", "a.zip"] {
        fs::write(web.share("open").join(name), name).unwrap();
    }
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

async fn view(browser: &mut Browser, file: &str) -> Answer {
    browser.fill("/account", "/view", &[("file", file)]).await
}

async fn view_of(browser: &mut Browser, public: &str, fields: &[(&str, &str)]) -> Answer {
    browser.fill(public, &format!("{public}/view"), fields).await
}

/// The address of the view on a page.
fn address(page: &Answer) -> String {
    assert_eq!(page.status, 200, "{}", page.body);
    let (_, rest) = page.body.split_once("id=\"view\" src=\"").unwrap_or_else(|| panic!("{}", page.body));
    rest.split('"').next().unwrap().to_owned()
}

fn token_of(address: &str) -> &str {
    address.split_once("/v/").unwrap().1.split('/').next().unwrap()
}

#[actix_web::test]
async fn the_page_of_a_view_allows_its_own_kind_from_the_download_service_and_no_other_page_does() {
    let (web, mut ada) = ada().await;
    let listing = ada.get("/files/open").await;
    let offered = |name: &str| {
        let button = format!("name=\"file\" value=\"/open/{name}\" type=\"submit\" formaction=\"/view\"");
        listing.body.contains(&button)
    };
    for (name, is_offered) in [
        ("a.png", true),
        ("a.pdf", true),
        ("a.mp3", true),
        ("a.mp4", true),
        ("file.txt", true),
        ("a.svg", false),
        ("a.zip", false),
    ] {
        assert_eq!(offered(name), is_offered, "{name}: {}", listing.body);
    }
    for (name, element, allowed) in [
        ("a.png", "<img id=\"view\" ", "img-src 'self' http://download.example;"),
        ("a.mp3", "<audio id=\"view\" ", "media-src http://download.example;"),
        ("a.mp4", "<video id=\"view\" ", "media-src http://download.example;"),
        ("file.txt", "<iframe id=\"view\" ", "frame-src http://download.example;"),
        ("a.pdf", "<iframe id=\"view\" ", "frame-src http://download.example;"),
    ] {
        let page = view(&mut ada, &format!("/open/{name}")).await;
        assert!(address(&page).starts_with(&format!("{DOWNLOAD}/v/")), "{name}: {}", page.body);
        assert!(page.body.contains(element), "{name}: {}", page.body);
        assert_eq!(page.body.contains(" sandbox "), name == "file.txt", "{name}: {}", page.body);
        let policy = page.header("content-security-policy");
        assert!(policy.contains(allowed) && policy.contains("default-src 'none'"), "{name}: {policy}");
        let kinds = ["img-src 'self' http", "media-src", "frame-src"];
        assert_eq!(kinds.iter().filter(|kind| policy.contains(**kind)).count(), 1, "{name}: {policy}");
        assert!(!policy.contains("connect-src"), "{name}: its scripts send nothing: {policy}");
        assert!(page.body.contains("href=\"/files/open\"") && page.body.contains("action=\"/download\""));
        assert_eq!(page.header("cache-control"), "no-store");
    }
    for path in ["/files/open", "/files/", "/links", "/account"] {
        let page = ada.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.contains("img-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("media-src") && !policy.contains("frame-src"), "{path}: {policy}");
    }
    // Whoever opens the address itself is led on.
    assert_eq!(ada.get("/view").await.location.as_deref(), Some("/files/"));
    web.stop().await;
}

#[actix_web::test]
async fn only_who_may_read_a_file_gets_a_view_of_it() {
    let (web, mut ada) = ada().await;
    web.account("bob@example.org", &[]).await;
    let mut bob = web.logged_in("bob@example.org").await;
    fs::write(web.share("private").join("a.png"), "hers").unwrap();
    for (file, hers, his) in [
        ("/private/a.png", 200, 404),
        ("/open/a.png", 200, 200),
        ("/staff/file.txt", 404, 404),
        ("/open/missing.png", 404, 404),
        ("/open", 415, 415),
        ("/open/../private/a.png", 404, 404),
        ("/open/a.svg", 415, 415),
        ("", 404, 404),
    ] {
        assert_eq!(view(&mut ada, file).await.status, hers, "{file:?}");
        assert_eq!(view(&mut bob, file).await.status, his, "{file:?}");
    }
    let refused = view(&mut ada, "/open/a.zip").await;
    assert!(refused.body.contains("Go back and download it instead."), "{}", refused.body);
    assert_eq!(web.browser().post("/view", &[("file", "/open/a.png")]).await.status, 303, "to the log-in");
    web.stop().await;
}

#[actix_web::test]
async fn the_token_is_a_view_of_this_file_for_ten_minutes_and_no_download() {
    let (web, mut ada) = ada().await;
    let page = view(&mut ada, "/open/a.png").await;
    let address = address(&page);
    let ring = KeyRing::from_jwks(&ada.get("/.well-known/jwks.json").await.body).unwrap();
    let rules = TokenRules {
        issuer: web.base.clone(),
        audience: DOWNLOAD.to_owned(),
        leeway: Duration::from_secs(5),
        max_lifetime: Duration::from_secs(7 * 24 * 3600),
    };
    let now = web.clock.now();
    let grant = verify_view(token_of(&address), &ring, &rules, now, Timestamp::EPOCH).unwrap();
    assert_eq!(grant.file.as_str(), "/open/a.png");
    assert_eq!((grant.issued_at, grant.expires_at), (now, now.plus(Duration::from_secs(600))));
    assert!(grant.size == Some(5) && grant.version.is_some());
    let as_download = verify_download(token_of(&address), &ring, &rules, now, Timestamp::EPOCH);
    assert_eq!(as_download, Err(TokenError::WrongKind));
    let again = view(&mut ada, "/open/a.png").await;
    assert_ne!(self::address(&again), address, "a reload gets a fresh one");
    let download = ada.fill("/account", "/download", &[("file", "/open/a.png")]).await.location.unwrap();
    let download = download.split_once("/d/").unwrap().1.split('/').next().unwrap();
    let as_view = verify_view(download, &ring, &rules, now, Timestamp::EPOCH);
    assert_eq!(as_view, Err(TokenError::WrongKind));
    web.stop().await;
}

#[actix_web::test]
async fn a_link_with_limited_downloads_is_viewed_only_if_its_owner_allows_it_and_no_use_is_taken() {
    let (web, mut ada) = ada().await;
    for (uses, viewable, allowed) in
        [("1", false, false), ("1", true, true), ("", false, true), ("", true, true)]
    {
        let mut changed = vec![("files", "/open/a.png"), ("uses", uses)];
        if viewable {
            changed.push(("viewable", "yes"));
        }
        let made = make(&mut ada, &changed).await;
        let mut guest = web.browser();
        let public = &made.public[0];
        let page = guest.get(public).await.body;
        let button = format!("formaction=\"{public}/view\"");
        assert_eq!(page.contains(&button), allowed, "{uses:?} {viewable}: {page}");
        for _ in 0..3 {
            let answer = view_of(&mut guest, public, &[("file", "0")]).await;
            match allowed {
                true => assert!(address(&answer).starts_with(DOWNLOAD)),
                false => assert_eq!(answer.status, 403, "{}", answer.body),
            }
        }
        let owners = ada.get(&made.page).await.body;
        assert!(
            owners.contains(if uses.is_empty() { "0 downloads" } else { "0 of 1 download used" }),
            "{owners}"
        );
        assert_eq!(owners.contains("name=\"viewable\" type=\"checkbox\" value=\"yes\" checked"), viewable);
        assert_eq!(owners.contains("files viewed 3 times"), allowed, "{owners}");
    }
    // A link that is not viewed any more says so to a program.
    let made = make(&mut ada, &[("files", "/open/a.png")]).await;
    let mut program = web.browser();
    program.headers = vec![("accept", "application/json".to_owned())];
    let refused = program.post(&format!("{}/view", made.public[0]), &[]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("\"view-not-allowed\""), "{}", refused.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_stranger_gets_no_view_of_a_link_with_a_password_without_it() {
    let (web, mut ada) = ada().await;
    let terms = [("files", "/open/a.png"), ("uses", ""), ("password", "correct horse")];
    let made = make(&mut ada, &terms).await;
    let public = &made.public[0];
    let mut guest = web.browser();
    for password in [None, Some(""), Some("wrong password")] {
        let mut fields = vec![("file", "0")];
        fields.extend(password.map(|password| ("password", password)));
        let answer = view_of(&mut guest, public, &fields).await;
        assert!((400..500).contains(&answer.status), "{password:?}: {}", answer.status);
        assert!(!answer.body.contains("/v/"), "{password:?}: {}", answer.body);
        assert!(answer.body.contains("id=\"password-error\""), "{password:?}: {}", answer.body);
    }
    let owners = ada.get(&made.page).await.body;
    assert!(!owners.contains("files viewed"), "{owners}");
    let answer = view_of(&mut guest, public, &[("file", "0"), ("password", "correct horse")]).await;
    assert!(address(&answer).starts_with(DOWNLOAD));
    // The page doesn't know the password, so its Download button leads back to where it is asked for.
    assert!(answer.body.contains(&format!("href=\"{public}\">Download</a>")), "{}", answer.body);
    assert_eq!(guest.get(&format!("{public}/view")).await.location.as_deref(), Some(public.as_str()));
    web.stop().await;
}

#[actix_web::test]
async fn views_are_counted_once_each_and_the_owners_own_are_not() {
    let (web, mut ada) = ada().await;
    let made = make(&mut ada, &[("files", "/open/a.mp4"), ("uses", "")]).await;
    let public = &made.public[0];
    let live = format!("{}/live", made.page);
    let before = ada.get(&live).await;
    assert!(!before.body.contains("files viewed"), "{}", before.body);
    address(&view_of(&mut ada, public, &[("file", "0")]).await);
    assert_eq!(ada.get(&live).await.header("etag"), before.header("etag"), "her own view");
    let mut guest = web.browser();
    address(&view_of(&mut guest, public, &[]).await);
    let once = ada.get(&live).await;
    assert!(once.body.contains("; files viewed once, last <time"), "{}", once.body);
    assert_ne!(once.header("etag"), before.header("etag"));
    address(&view_of(&mut web.browser(), public, &[("file", "0")]).await);
    assert!(ada.get(&made.page).await.body.contains("files viewed 2 times"));
    web.stop().await;
}

#[actix_web::test]
async fn a_link_that_is_closed_shows_nothing() {
    let (web, mut ada) = ada().await;
    let terms = [("files", "/open/a.png"), ("viewable", "yes"), ("ends", "2027-01-15T09:00")];
    let mut guest = web.browser();
    for how in ["pause", "revoke"] {
        let made = make(&mut ada, &terms).await;
        assert_eq!(ada.fill("/account", &format!("{}/{how}", made.page), &[]).await.status, 303);
        let answer = guest.post(&format!("{}/view", made.public[0]), &[("file", "0")]).await;
        assert!(answer.status >= 403 && !answer.body.contains("/v/"), "{how}: {}", answer.body);
    }
    let made = make(&mut ada, &terms).await;
    // The only download is taken by somebody else.
    assert_eq!(web.browser().post(&made.public[0], &[]).await.status, 303);
    let answer = guest.post(&format!("{}/view", made.public[0]), &[("file", "0")]).await;
    assert!(answer.status >= 403 && !answer.body.contains("/v/"), "used up: {}", answer.body);
    let made = make(&mut ada, &terms).await;
    assert_eq!(guest.post(&format!("{}/view", made.public[0]), &[("file", "7")]).await.status, 404);
    web.pass(3600);
    let answer = guest.post(&format!("{}/view", made.public[0]), &[("file", "0")]).await;
    assert_eq!(answer.status, 410, "ended: {}", answer.body);
    assert_eq!(guest.post("/l/any/view", &[]).await.status, 404);
    web.stop().await;
}

#[actix_web::test]
async fn a_view_ends_at_once_when_the_right_or_the_term_that_allowed_it_is_lost() {
    const MIB: usize = 1024 * 1024;
    let both = Both::start().await;
    both.put("film.mp4", pattern(24 * MIB));
    let mut ada = both.ada().await;
    let terms = [("files", "/open/film.mp4"), ("viewable", "yes")];
    let pressed =
        async |public: &str| address(&view_of(&mut both.stranger(), public, &[("file", "0")]).await);
    // Its owner no longer allows views.
    let made = make(&mut ada, &terms).await;
    let of_link = pressed(&made.public[0]).await;
    let mut running = Partial::open(1, &of_link, "", 10_000).await;
    assert_eq!(running.status(), 200, "{}", running.head);
    let without = fields(&[]);
    let without: Vec<_> =
        without.into_iter().filter(|(name, _)| !matches!(*name, "files" | "recipients")).collect();
    assert_eq!(ada.fill("/account", &made.page, &without).await.status, 303);
    assert_eq!(Client::default().get(&of_link).await.slug(), "revoked-token");
    assert!(running.read_to_end().await < 24 * MIB, "it was cut off");
    // The link is paused, and stopped for good.
    for how in ["pause", "revoke"] {
        let made = make(&mut ada, &terms).await;
        let of_link = pressed(&made.public[0]).await;
        assert_eq!(Client::default().head(&of_link).await.status, 200);
        assert_eq!(ada.fill("/account", &format!("{}/{how}", made.page), &[]).await.status, 303);
        assert_eq!(Client::default().get(&of_link).await.slug(), "revoked-token", "{how}");
    }
    // A laxer change revokes nothing.
    let made = make(&mut ada, &terms).await;
    let of_link = pressed(&made.public[0]).await;
    let laxer: Vec<_> = without
        .iter()
        .copied()
        .map(|(name, value)| (name, if name == "uses" { "" } else { value }))
        .collect();
    assert_eq!(ada.fill("/account", &made.page, &laxer).await.status, 303);
    assert_eq!(Client::default().head(&of_link).await.status, 200);
    // Her own view ends with her account.
    let own = address(&view(&mut ada, "/open/film.mp4").await);
    let mut running = Partial::open(1, &own, "", 10_000).await;
    let gone =
        ada.fill("/account", "/account/delete", &[("current_password", crate::support::web::PASSWORD)]).await;
    assert_eq!(gone.status, 303, "{}", gone.body);
    assert_eq!(Client::default().get(&own).await.slug(), "revoked-token");
    assert_eq!(Client::default().get(&of_link).await.slug(), "revoked-token", "and those through her links");
    assert!(running.read_to_end().await < 24 * MIB, "it was cut off");
    both.stop().await;
}
