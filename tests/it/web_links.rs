//! Links as their owners see them: creating, viewing, changing and ending them.

use hyper::Method;
use oncelink::web::audit;
use oncelink::web::audit::chain::{self, ChainVerdict};

use crate::support::links::{fields, make, send};
use crate::support::web::{Browser, TestWeb};

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

#[actix_web::test]
async fn a_link_is_made_from_a_row_and_shows_its_address_and_its_code() {
    let (web, mut browser) = ada().await;
    let listing = browser.get("/files/open").await.body;
    let href = "/links/new?file=%2Fopen%2Ffile%2Etxt";
    assert!(listing.contains(href), "{listing}");
    let form = browser.get(href).await;
    assert_eq!(form.status, 200);
    assert!(form.body.contains("value=\"/open/file.txt\""), "{}", form.body);
    assert!(form.header("content-security-policy").contains("script-src 'self'"));
    let made = make(&mut browser, &[("title", "Report <b>")]).await;
    let page = browser.get(&made.page).await;
    assert!(page.body.contains("Report &#60;b&#62;") && !page.body.contains("<b>"), "{}", page.body);
    let address = format!("{}{}", web.base, made.public[0]);
    assert_eq!(made.public[0].len(), "/l/".len() + 22);
    assert!(
        page.body.contains(&format!("value=\"{address}\"")) && page.body.contains("aria-label=\"QR code")
    );
    assert!(page.body.contains("0 of 1 download used; not viewed yet"), "{}", page.body);
    let picture =
        page.body.split("class=\"qr\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let picture = browser.get(&picture).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/svg+xml"));
    let list = browser.get("/links").await.body;
    assert!(list.contains(&made.page) && list.contains("0 of 1 download<span"), "{list}");
    web.stop().await;
}

#[actix_web::test]
async fn several_files_and_a_folder_become_one_link() {
    let (web, mut browser) = ada().await;
    std::fs::create_dir(web.share("open").join("more")).unwrap();
    let name = "two\nlines & 50%.txt";
    std::fs::write(web.share("open").join(name), "x").unwrap();
    let query = "file=%2Fopen%2Ffile.txt&file_encoded=%2Fopen%2Ftwo%250Alines%2520%2526%252050%2525.txt&file=/open/more";
    let form = browser.get(&format!("/links/new?{query}")).await;
    assert_eq!(form.status, 200);
    let files =
        form.body.split("name=\"files\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(files, "/open/file.txt /open/two%0Alines%20%26%2050%25.txt /open/more");
    assert!(form.body.contains("value=\"file.txt and 2 more\""));
    let made = make(&mut browser, &[("files", &files), ("title", "")]).await;
    assert!(
        browser.get(&made.page).await.body.contains("file.txt and 2 more"),
        "the title follows the files"
    );
    assert_eq!(browser.get("/links/new").await.location.as_deref(), Some("/files/"), "nothing was ticked");
    for wrong in ["file=%2Fopen%2Fmissing", "file=%2Fstaff%2Ffile.txt", "file=open", "other=1"] {
        assert_eq!(browser.get(&format!("/links/new?{wrong}")).await.status, 404, "{wrong}");
    }
    let missing = send(&mut browser, &[("files", "/open/missing")]).await;
    assert_eq!(missing.status, 422);
    let foreign = send(&mut browser, &[("files", "/staff/file.txt")]).await;
    assert_eq!(foreign.status, 422);
    assert_eq!(send(&mut browser, &[("files", "")]).await.status, 400);
    web.stop().await;
}

#[actix_web::test]
async fn errors_are_shown_beside_their_fields_and_what_was_typed_is_kept_except_for_the_password() {
    let (web, mut browser) = ada().await;
    let long = "x".repeat(100 << 10);
    let past = "2027-01-15T07:59";
    for (field, value, sentence) in [
        ("title", "two\nlines", "Use at most 200 characters on one line."),
        ("note", &"n".repeat(2_001), "Use at most 2,000 characters."),
        ("uses", "0", "Enter a whole number from 1 to 1,000,000"),
        ("uses", "-3", "Enter a whole number from 1 to 1,000,000"),
        ("ends", past, "Choose a time in the future."),
        ("ends", "tomorrow", "Enter a date and time like"),
        ("password", "short", "Use at least 8 characters."),
        ("password", "password", "This password is too common. Choose another one."),
        ("password", &long, "Use at most 256 bytes."),
        ("mailed_code", "yes", "To use email codes, add at least one recipient."),
        ("recipients", "nobody", "Line 1: “nobody” is not a valid email address."),
        ("notify", "often", "Choose when to get an email."),
    ] {
        let kept = if field == "note" { "title" } else { "note" };
        let answer = send(&mut browser, &[(kept, "kept as typed"), (field, value)]).await;
        assert_eq!(answer.status, 422, "{field}");
        assert!(answer.body.contains(sentence), "{field}: {sentence}");
        assert!(answer.body.contains("kept as typed"), "{field}");
        assert!(!answer.body.contains(&long) && !answer.body.contains("value=\"short\""), "{field}");
    }
    assert!(browser.get("/links").await.body.contains("No links yet"), "nothing was made");
    let last = send(&mut browser, &[("ends", "2027-01-15T08:01")]).await;
    assert_eq!(last.status, 303, "a minute from now is in the future");
    let zoned = [("ends", "2027-01-15T09:01"), ("ends_zone", "120")];
    assert_eq!(send(&mut browser, &zoned).await.status, 422, "two hours ahead of UTC it is in the past");
    web.stop().await;
}

#[actix_web::test]
async fn a_thousand_recipients_with_three_bad_rows_lose_nothing_and_then_each_gets_a_link() {
    let (web, mut browser) = ada().await;
    let mut rows: Vec<String> = (1..=1_000).map(|n| format!("person.number.{n}@example.org")).collect();
    rows[9] = "person ten".to_owned();
    rows[499] = "person <person@example.org".to_owned();
    rows[999] = "@example.org".to_owned();
    let answer = send(&mut browser, &[("recipients", &rows.join("\r\n")), ("mail", "yes")]).await;
    assert_eq!(answer.status, 422);
    for sentence in ["Line 10: “person ten”", "Line 500: “person &#60;person", "Line 1000: "] {
        assert!(answer.body.contains(sentence), "{sentence}");
    }
    assert_eq!(answer.body.matches("<li>Line ").count(), 3);
    let shown = |row: &String| answer.body.contains(&row.replace('<', "&#60;"));
    assert!(rows.iter().all(shown), "every row is still there");
    assert!(web.mails().await.is_empty(), "nobody got a mail");
    assert!(browser.get("/links").await.body.contains("No links yet"));

    rows[9] = "Person Ten <person.number.10@example.org>".to_owned();
    rows[499] = "person.number.500@example.org".to_owned();
    rows[999] = "person.number.1000@example.org".to_owned();
    let made = make(&mut browser, &[("recipients", &rows.join("\n")), ("mail", "yes")]).await;
    let mut different = made.public.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 1_000, "each has their own address");
    let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mails WHERE kind = 'link'")
        .fetch_one(web.outside.db.reader())
        .await
        .unwrap();
    assert_eq!(waiting, 1_000);
    let stored: String = sqlx::query_scalar("SELECT details FROM mails WHERE kind = 'link' LIMIT 1")
        .fetch_one(web.outside.db.reader())
        .await
        .unwrap();
    assert!(!made.public.iter().any(|public| stored.contains(public)), "no queued mail holds a link");
    web.stop().await;
}

#[actix_web::test]
async fn recipients_per_account_and_day_are_limited() {
    let (web, mut browser) = ada().await;
    let list =
        |from: usize| -> String { (from..from + 1_000).map(|n| format!("p{n}@example.org\n")).collect() };
    for from in [0, 1_000] {
        assert_eq!(send(&mut browser, &[("recipients", &list(from))]).await.status, 303);
    }
    let refused = send(&mut browser, &[("recipients", "one@example.org")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("at most 2,000 recipients within a day"), "{}", refused.body);
    assert_eq!(send(&mut browser, &[]).await.status, 303, "a link for anyone has no recipients");
    web.pass(24 * 60 * 60 + 1);
    let mut browser = web.logged_in("ada@example.org").await;
    assert_eq!(send(&mut browser, &[("recipients", "one@example.org")]).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn each_recipient_gets_a_mail_with_their_own_link_and_the_note() {
    let (web, mut browser) = ada().await;
    let note = "Dear both,\r\n\r\nhere it <b>is</b>.";
    let changed = [
        ("recipients", "bob@example.org\nkim@example.org"),
        ("mail", "yes"),
        ("note", note),
        ("uses", "2"),
        ("ends", "2027-01-20T12:00"),
    ];
    let made = make(&mut browser, &changed).await;
    let mails = web.mails().await;
    assert_eq!(mails.len(), 2);
    for (email, public) in [("bob@example.org", &made.public[0]), ("kim@example.org", &made.public[1])] {
        let mail = mails.iter().find(|mail| mail.header("to").contains(email)).unwrap();
        assert_eq!(mail.path(), *public);
        assert!(mail.header("subject").contains("Report"), "{:?}", mail.headers);
        assert!(mail.text.contains("> here it <b>is</b>."), "{}", mail.text);
        assert!(mail.html.contains("here it &#60;b&#62;is") && !mail.html.contains("<b>is"), "{}", mail.html);
        let end =
            "You can download it twice. The link expires in 5 days, on Wednesday 20 January, 12:00 UTC.";
        assert!(mail.prose().contains(end) && mail.html.contains(end), "{}", mail.text);
        assert!(mail.text.contains("file.txt"), "it names the file: {}", mail.text);
        assert!(mail.header("from").ends_with(" <noreply@localhost>"), "{:?}", mail.headers);
        assert_eq!(mail.header("reply-to"), "ada@example.org");
        assert!(mail.header("references").starts_with('<'), "{:?}", mail.headers);
    }
    let silent = make(&mut browser, &[("recipients", "bob@example.org")]).await;
    assert_eq!(web.mails().await.len(), 2, "without the checkbox nobody gets a mail");
    // A link that is revoked before its mail is sent is not sent.
    let last = make(&mut browser, &[("recipients", "bob@example.org"), ("mail", "yes")]).await;
    assert_eq!(browser.fill(&last.page, &format!("{}/revoke", last.page), &[]).await.status, 303);
    assert_eq!(web.mails().await.len(), 2);
    assert_ne!(silent.public, last.public);
    web.stop().await;
}

#[actix_web::test]
async fn a_link_without_files_leads_back_to_where_files_are_chosen() {
    let (web, mut browser) = ada().await;
    for (query, back) in [
        ("", "/files/"),
        ("?from=%2Ffiles%2Fopen", "/files/open"),
        ("?from=%2Ffiles%2F%3Fq%3Dfile", "/files/?q=file"),
        ("?from=https%3A%2F%2Fevil.example%2F", "/files/"),
        ("?from=%2F%2Fevil.example", "/files/"),
    ] {
        let answer = browser.get(&format!("/links/new{query}")).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some(back)), "{query}");
        let page = browser.get(back).await.body;
        assert!(page.contains("role=\"alert\">Choose at least one file or folder first"), "{query}: {page}");
        assert!(!browser.get(back).await.body.contains("Choose at least one"), "it is shown once");
    }
    let page = browser.get("/files/open").await.body;
    assert!(page.contains("name=\"from\" value=\"/files/open\""), "{page}");
    let chosen = browser.get("/links/new?from=%2Ffiles%2Fopen&file=%2Fopen%2Ffile.txt").await;
    assert_eq!(chosen.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn a_link_is_changed_paused_resumed_and_revoked_and_all_of_it_is_logged() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[("password", "a secret word"), ("uses", "2")]).await;
    let mut visitor = web.browser();
    let edit = |changed: &[(&'static str, &'static str)]| {
        let all = fields(changed).into_iter();
        all.filter(|(name, _)| !matches!(*name, "files" | "recipients")).collect::<Vec<_>>()
    };
    let wrong = browser.fill(&made.page, &made.page, &edit(&[("ends", "2020-01-01T00:00")])).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("Choose a time in the future"), "{}", wrong.body);
    let fields =
        edit(&[("title", "Another title"), ("uses", ""), ("note", "n"), ("ends", "2027-01-16T08:00")]);
    assert_eq!(browser.fill(&made.page, &made.page, &fields).await.status, 303);
    let page = browser.get(&made.page).await.body;
    assert!(page.contains("The link has been changed.") && page.contains("Another title"), "{page}");
    assert!(page.contains("<dd>Password</dd>"), "an empty field keeps the password: {page}");
    let public = visitor.get(&made.public[0]).await.body;
    assert!(
        public.contains(">Unlimited<")
            && public.contains("Another title")
            && public.contains("name=\"password\"")
    );
    let fields = edit(&[("remove_password", "yes"), ("uses", "1")]);
    assert_eq!(browser.fill(&made.page, &made.page, &fields).await.status, 303);
    assert!(!visitor.get(&made.public[0]).await.body.contains("name=\"password\""));

    for (action, status, word) in
        [("pause", 403, "paused"), ("resume", 200, "open"), ("revoke", 410, "no longer shared")]
    {
        let answer = browser.fill(&made.page, &format!("{}/{action}", made.page), &[]).await;
        assert_eq!((answer.status, answer.location.as_ref()), (303, Some(&made.page)), "{action}");
        assert_eq!(visitor.get(&made.public[0]).await.status, status, "{action}");
        assert!(browser.get("/links").await.body.contains(&format!(">{word}<")), "{action}");
    }
    // A revoked link stays revoked.
    for action in ["pause", "resume", "revoke"] {
        let answer = browser.fill("/account", &format!("{}/{action}", made.page), &[]).await;
        assert_eq!(answer.status, 303);
    }
    assert_eq!(browser.fill("/account", &made.page, &edit(&[])).await.status, 303);
    assert_eq!(visitor.get(&made.public[0]).await.status, 410);

    let (lines, _) = audit::list(&web.outside.db, "link", 0, 100).await.unwrap();
    let actions: Vec<&str> = lines.iter().rev().map(|line| line.action.as_str()).collect();
    let expected =
        ["link-made", "link-changed", "link-changed", "link-paused", "link-resumed", "link-revoked"];
    assert_eq!(actions, expected);
    assert!(lines.iter().all(|line| line.who == "ada@example.org" && line.subject.contains("(link ")));
    assert!(lines[5].subject.contains("on /open/file.txt, for anyone who has it"), "{:?}", lines[5]);
    assert!(matches!(
        chain::verify::<audit::AuditLine>(&web.outside.db, None).await.unwrap(),
        ChainVerdict::Whole { .. }
    ));
    web.stop().await;
}

#[actix_web::test]
async fn a_link_is_its_owners_alone() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[]).await;
    let recipient = browser.get(&made.page).await.body;
    let picture =
        recipient.split("class=\"qr\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    web.account("eve@example.org", &[]).await;
    let mut eve = web.logged_in("eve@example.org").await;
    assert_eq!(eve.get(&made.page).await.status, 404);
    assert_eq!(eve.get(&picture).await.status, 404);
    for action in ["", "/pause", "/resume", "/revoke"] {
        let fields = match action {
            "" => {
                fields(&[]).into_iter().filter(|(name, _)| !matches!(*name, "files" | "recipients")).collect()
            }
            _ => Vec::new(),
        };
        assert_eq!(
            eve.fill("/account", &format!("{}{action}", made.page), &fields).await.status,
            404,
            "{action}"
        );
    }
    assert!(eve.get("/links").await.body.contains("No links yet"));
    assert_eq!(web.browser().get(&made.page).await.location.unwrap().split('?').next(), Some("/login"));
    assert_eq!(web.browser().get(&made.public[0]).await.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn neither_the_database_nor_a_page_in_a_cache_opens_a_link() {
    let (web, mut browser) = ada().await;
    let made = make(&mut browser, &[("password", "a secret word")]).await;
    let code = made.public[0].strip_prefix("/l/").unwrap().to_owned();
    let data = web.settings.data_dir.join("web");
    for file in std::fs::read_dir(data).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [code.as_bytes(), b"a secret word"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
    assert_eq!(browser.get(&made.page).await.header("cache-control"), "no-store");
    assert_eq!(web.browser().get(&made.public[0]).await.header("cache-control"), "no-store");
    let key = web.settings.keys_dir().join("link-key");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    web.stop().await;
}

#[actix_web::test]
async fn the_list_of_links_has_pages() {
    let (web, mut browser) = ada().await;
    for _ in 0..101 {
        assert_eq!(send(&mut browser, &[]).await.status, 303);
    }
    let first = browser.get("/links").await.body;
    assert!(first.contains("/links?page=2") && !first.contains(">Newer<"));
    let second = browser.get("/links?page=2").await.body;
    assert!(second.contains("/links?page=1") && !second.contains(">Older<"));
    assert_eq!(
        (
            first.matches("<li>\n<span class=\"main\">").count(),
            second.matches("<li>\n<span class=\"main\">").count()
        ),
        (100, 1)
    );
    for odd in ["/links?page=0", "/links?page=x", "/links?page=99999999999"] {
        assert_eq!(browser.send(Method::GET, odd, None).await.status, 200, "{odd}");
    }
    web.stop().await;
}

struct Unreachable;

#[async_trait::async_trait]
impl oncelink::web::nodes::revoke::RevocationSink for Unreachable {
    async fn revoke(
        &self,
        _: &[oncelink::id::Jti],
        _: oncelink::clock::Timestamp,
    ) -> Result<(), oncelink::web::nodes::revoke::RevokeError> {
        Err(oncelink::web::nodes::revoke::RevokeError::Answer(503))
    }
}

#[actix_web::test]
async fn an_owner_who_stops_sharing_while_the_download_service_is_down_is_told_so() {
    let web = TestWeb::spawn().await;
    web.app.set_revocation_sink(std::sync::Arc::new(Unreachable));
    web.account("ada@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    for action in ["pause", "revoke"] {
        let made = make(&mut browser, &[]).await;
        assert_eq!(web.browser().post(&made.public[0], &[]).await.status, 303);
        browser.fill(&made.page, &format!("{}/{action}", made.page), &[]).await;
        let page = browser.get(&made.page).await.body;
        assert!(page.contains("could not be reached"), "{action}: {page}");
        assert!(!page.contains("are cut off."), "{action}: {page}");
    }
    web.stop().await;
}
