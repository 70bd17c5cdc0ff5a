//! Every mail that Oncelink sends, exactly as sent, for programs that read mails: with awkward names, titles
//! and files, and a browser with a user agent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oncelink::receipt::DeliveryState;
use oncelink::web::audit::Actor;
use oncelink::web::mail::test_mail;
use tempfile::TempDir;

use super::client::Client;
use super::deliveries::{BothServices, eventually};
use super::links::make;
use super::requests::{Guest, ask};
use super::web::{Browser, PASSWORD, TestWeb};
use super::webhooks::{self, Receiver};

/// User agents, one of them hostile.
pub(crate) const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
pub(crate) const HOSTILE: &str = "<a href=\"http://evil.example\">Call 555 0100</a> Android";

/// The name of the person who makes the links.
pub(crate) const OWNER: &str = "Ann \"Annie\" Ünal, Inc.";
/// A title that would show something else if it were sent unencoded.
pub(crate) const LOOKS_ENCODED: &str = "=?utf-8?b?4oCuZXhlLmdwag==?= and =?utf-8?q?evil?=";
const NEW: &str = "an entirely new password";

/// The mails in a folder, in the order in which they were sent: `01-activate.eml` and so on.
pub(crate) struct Letters {
    folder: TempDir,
    pub(crate) files: Vec<PathBuf>,
}

impl Letters {
    /// The file of the first mail with this name.
    pub(crate) fn of(&self, name: &str) -> &Path {
        let found = self.files.iter().find(|file| name_of(file) == name);
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.files))
    }

    /// The names of all mails.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.files.iter().map(|file| name_of(file)).collect()
    }

    /// Takes the mails that were written to the outbox since the last call.
    fn take(&mut self, outbox: &Path, names: &[&str]) {
        let mut new: Vec<PathBuf> =
            std::fs::read_dir(outbox).unwrap().map(|file| file.unwrap().path()).collect();
        new.retain(|file| file.extension().is_some_and(|kind| kind == "eml"));
        new.sort_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap());
        assert_eq!(new.len(), names.len(), "{names:?}: {new:?}");
        for (file, name) in new.iter().zip(names) {
            let place = self.folder.path().join(format!("{:02}-{name}.eml", self.files.len() + 1));
            std::fs::rename(file, &place).unwrap();
            self.files.push(place);
        }
    }
}

/// `activate` for `01-activate.eml`.
pub(crate) fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    stem.split_once('-').unwrap().1.to_owned()
}

/// Makes the services send every kind of mail.
pub(crate) async fn every_letter() -> Letters {
    let mut letters = Letters { folder: TempDir::new().unwrap(), files: Vec::new() };
    let web = TestWeb::spawn_with(|settings| {
        settings.mail.from = "Oncelink <noreply@files.example>".to_owned();
        settings.web.public_url = "https://files.example".to_owned();
        super::tus::writable(settings);
    })
    .await;
    web.account("ann@example.org", &["readers"]).await;
    of_accounts(&web, &mut letters).await;
    Box::pin(of_links(&web, &mut letters)).await;
    of_the_end(&web, &mut letters).await;
    of_requests(&web, &mut letters).await;
    of_webhooks(&web, &mut letters).await;
    web.stop().await;
    Box::pin(of_deliveries(&mut letters)).await;
    letters
}

async fn sent(web: &TestWeb, letters: &mut Letters, names: &[&str]) {
    web.app.send_due_mails().await.unwrap();
    letters.take(&web.settings.outbox_dir(), names);
}

/// A browser with this user agent.
fn browser(web: &TestWeb, agent: &str) -> Browser {
    let mut browser = web.browser();
    browser.headers.push(("user-agent", agent.to_owned()));
    browser
}

async fn fill(browser: &mut Browser, page: &str, fields: &[(&str, &str)]) {
    let answer = browser.fill(page, page, fields).await;
    assert_eq!(answer.status, 303, "{page}: {}", answer.body);
}

async fn of_accounts(web: &TestWeb, letters: &mut Letters) {
    for (email, letter) in [("new@example.org", "activate"), ("ann@example.org", "already-registered")] {
        let request = [("email", email), ("name", "Nia Ö"), ("password", NEW), ("password_again", NEW)];
        fill(&mut browser(web, FIREFOX), "/signup", &request).await;
        sent(web, letters, &[letter]).await;
    }
    let mut ann = browser(web, FIREFOX);
    fill(&mut ann, "/forgot", &[("email", "ann@example.org")]).await;
    sent(web, letters, &["reset"]).await;
    let reset = super::mail::Mail::parse(&std::fs::read_to_string(letters.of("reset")).unwrap()).path();
    let mut thief = browser(web, HOSTILE);
    fill(&mut thief, &reset, &[("password", PASSWORD), ("password_again", PASSWORD)]).await;
    sent(web, letters, &["password-changed"]).await;
    let root = web.account("root@example.org", &[]).await;
    let groups = BTreeSet::new();
    web.outside
        .account_admin
        .set_rights(&root, &groups, true, &Actor::operator(), web.clock.now())
        .await
        .unwrap();
    let mut root = web.logged_in("root@example.org").await;
    let named = root.fill("/account", "/account/name", &[("name", "שרה לוי")]).await;
    assert_eq!(named.status, 303);
    let request = [("email", "invited@bücher.example"), ("name", ""), ("groups", "")];
    fill(&mut root, "/admin/invite", &request).await;
    sent(web, letters, &["invite"]).await;
    let ann = web.outside.accounts.by_email(&"ann@example.org".parse().unwrap()).await.unwrap().unwrap();
    let page = format!("/admin/accounts/{}", ann.id.as_str());
    assert_eq!(root.fill(&page, &format!("{page}/link"), &[]).await.status, 303);
    sent(web, letters, &["reset-by-administrator"]).await;
    let to = "root@example.org".parse().unwrap();
    test_mail::send(&web.settings, &to, web.clock.now()).await.unwrap();
    letters.take(&web.settings.outbox_dir(), &["test"]);
}

async fn of_links(web: &TestWeb, letters: &mut Letters) {
    let mut ann = web.logged_in("ann@example.org").await;
    assert_eq!(ann.fill("/account", "/account/name", &[("name", OWNER)]).await.status, 303);
    let open = web.share("open");
    let long = format!("{}.pdf", "n".repeat(200));
    std::fs::write(open.join(&long), vec![0; 2_345_678]).unwrap();
    std::fs::create_dir(open.join("photos")).unwrap();
    for number in 0..3 {
        std::fs::write(open.join("photos").join(format!("{number}.jpg")), vec![0; 400_000]).unwrap();
    }
    let note = format!(
        "Dear both,\r\n\r\nas we said; see https://example.org/{} and {}.\r\nBest\r\n-- \r\nAnn",
        "p".repeat(140),
        "w".repeat(200)
    );
    let files = format!("/open/file.txt /open/photos /open/{long}");
    let title = "T".repeat(200);
    let usual = [("mail", "yes"), ("ends", "2027-01-22T08:00")];
    // Each to another recipient: one mailbox gets at most three links an hour.
    let several: [(&str, &str); 4] =
        [("recipients", "two@example.org"), ("files", &files), ("title", &title), ("note", &note)];
    for (letter, changed) in [
        ("link", [("recipients", "one@example.org"), ("title", "Plans for the new house")].as_slice()),
        ("link-to-several", &several),
        ("link-from-right-to-left", &[("recipients", "three@example.org"), ("title", "דוח שנתי 2026")]),
        ("link-that-looks-encoded", &[("recipients", "four@example.org"), ("title", LOOKS_ENCODED)]),
        ("link-with-password", &[("recipients", "five@example.org"), ("password", "the right word")]),
    ] {
        make(&mut ann, &[&usual[..], changed].concat()).await;
        sent(web, letters, &[letter]).await;
    }
    let changed = [("recipients", "six@example.org"), ("mailed_code", "yes"), ("title", "年度报告")];
    let coded = make(&mut ann, &[&usual[..], &changed].concat()).await;
    sent(web, letters, &["link-with-code"]).await;
    let mut visitor = web.browser();
    let public = &coded.public[0];
    assert_eq!(visitor.fill(public, &format!("{public}/code"), &[]).await.status, 303);
    sent(web, letters, &["link-code"]).await;
}

async fn of_the_end(web: &TestWeb, letters: &mut Letters) {
    let mut ann = browser(web, FIREFOX);
    assert_eq!(ann.log_in("ann@example.org", PASSWORD).await.status, 303);
    let request = [("email", "ann@new.example"), ("current_password", PASSWORD)];
    assert_eq!(ann.fill("/account", "/account/email", &request).await.status, 303);
    sent(web, letters, &["confirm-address"]).await;
    let mail = std::fs::read_to_string(letters.of("confirm-address")).unwrap();
    fill(&mut ann, &super::mail::Mail::parse(&mail).path(), &[]).await;
    sent(web, letters, &["address-changed"]).await;
    let gone = ann.fill("/account", "/account/delete", &[("current_password", PASSWORD)]).await;
    assert_eq!(gone.status, 303, "{}", gone.body);
    sent(web, letters, &["account-deleted"]).await;
}

async fn of_requests(web: &TestWeb, letters: &mut Letters) {
    web.account("kim@example.org", &[]).await;
    let mut kim = web.logged_in("kim@example.org").await;
    let asked = ask(&mut kim, &[("title", "年度报告 <b>"), ("notify", "yes")]).await;
    let guest = Guest::admitted(&web.base, &asked.public, &[("name", OWNER)]).await;
    for name in ["a<script>.pdf", "photos", "我这一辈子.pdf"] {
        guest.put(name, &[0; 2_345]).await;
    }
    web.pass(61);
    web.app.upkeep().tell_owners().await;
    sent(web, letters, &["received"]).await;
}

async fn of_webhooks(web: &TestWeb, letters: &mut Letters) {
    web.account("lee@example.org", &[]).await;
    let mut lee = web.logged_in("lee@example.org").await;
    let receiver = Receiver::start().await;
    let (page, _) = webhooks::make(&mut lee, "https://hooks.example.org/x").await;
    // A receiver on this machine, which the form doesn't accept here.
    sqlx::query("UPDATE webhooks SET url = $1, failing_since = 0")
        .bind(receiver.url())
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    webhooks::press(&mut lee, &page, "test").await;
    webhooks::deliver(web).await;
    sent(web, letters, &["webhook-disabled"]).await;
}

async fn of_deliveries(letters: &mut Letters) {
    let services = BothServices::start_with(|settings| {
        settings.mail.from = "Oncelink <noreply@files.example>".to_owned();
        settings.web.public_url = "https://files.example".to_owned();
    })
    .await;
    services.put("plan.pdf", b"a plan");
    services.access.link(Some("bob@example.org"), "first").await;
    let (jti, link) = services.access.token("plan.pdf", services.clock.now()).await;
    assert_eq!(Client::default().get(&link).await.status, 200);
    services.access.until_state(jti, DeliveryState::Complete).await;
    let outbox = services.settings.outbox_dir();
    eventually("the mail", async || !super::mail::outbox(&outbox).is_empty()).await;
    letters.take(&outbox, &["taken"]);
    services.stop().await;
}
