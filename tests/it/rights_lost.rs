//! What was issued under a right ends when the right is lost, however that happens: unredeemed tokens,
//! running transfers and their leases, and what strangers downloaded through that person's links.

use std::collections::BTreeSet;
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::config::{Settings, ShareSettings};
use oncelink::id::{FilePath, Jti, LinkId};
use oncelink::server::{self, Role, RunningServices};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::audit::Actor;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::identity::{Account, NewAccount};
use oncelink::web::links::progress::Visitor;
use oncelink::web::links::uses::{self, UseDecision, UseRequest};
use oncelink::web::revocations::issued::{NewToken, TokenBasis};
use oncelink::web::services::Services;
use oncelink::web::tokens::signer;
use tempfile::TempDir;

use crate::support::client::{Client, Partial};
use crate::support::links::make;
use crate::support::web::{Browser, PASSWORD, START};
use crate::support::{on_free_ports, pattern, postgres, stop_and_free};

const MIB: usize = 1024 * 1024;

/// Both services in one process. Ada is in the group `bosses`, and may read `bosses`, `ada` and `open`.
struct Stage {
    running: Option<RunningServices>,
    desk: Services,
    settings: Settings,
    clock: Clock,
    ada: Browser,
    root: Browser,
    _folder: TempDir,
}

async fn account(desk: &Services, email: &str, admin: bool, groups: &[&str]) -> Account {
    let new = NewAccount {
        email: email.parse().unwrap(),
        name: "Somebody".parse().unwrap(),
        admin,
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        password: Some(
            desk.passwords.hash(Asker::Operator, Password::new(PASSWORD, 15).unwrap()).await.unwrap(),
        ),
    };
    match desk.accounts.add(new, START).await.unwrap() {
        AddOutcome::New(account) => account,
        other => panic!("{other:?}"),
    }
}

impl Stage {
    async fn start() -> Stage {
        Stage::start_on(None).await
    }

    /// One for each available database engine.
    async fn all() -> Vec<Stage> {
        let mut stages = vec![Stage::start().await];
        if let Some(database) = postgres::empty_schema().await {
            stages.push(Stage::start_on(Some(database)).await);
        }
        stages
    }

    async fn start_on(database: Option<String>) -> Stage {
        let folder = TempDir::new().unwrap();
        let mut settings = on_free_ports(folder.path());
        if let Some(database) = database {
            settings.web.database = database.into();
        }
        settings.download.stop_timeout = Duration::from_secs(1);
        let readers = [("bosses", "bosses"), ("ada", "ada@example.org"), ("open", "everyone")];
        settings.shares = readers
            .map(|(name, reader)| {
                let path = folder.path().join(name);
                std::fs::create_dir_all(&path).unwrap();
                std::fs::write(path.join("big.bin"), pattern(24 * MIB)).unwrap();
                std::fs::write(path.join("file.txt"), "content").unwrap();
                let read = vec![reader.to_owned()];
                ShareSettings { name: name.to_owned(), path, read, ..ShareSettings::default() }
            })
            .to_vec();
        let clock = Clock::manual(START);
        let running = server::start(settings, Role::Both, clock.clone()).await.unwrap();
        let mut settings = running.settings.clone();
        settings.web.listen = running.web.unwrap().into();
        settings.download.listen = running.download.unwrap().into();
        let desk = Services::open(&settings, clock.clone()).await.unwrap();
        account(&desk, "ada@example.org", false, &["bosses"]).await;
        account(&desk, "root@example.org", true, &[]).await;
        let base = settings.web.public_url.clone();
        let (mut ada, mut root) = (Browser::at(&base), Browser::at(&base));
        assert_eq!(ada.log_in("ada@example.org", PASSWORD).await.status, 303);
        assert_eq!(root.log_in("root@example.org", PASSWORD).await.status, 303);
        Stage { running: Some(running), desk, settings, clock, ada, root, _folder: folder }
    }

    async fn ada_now(&self) -> Account {
        self.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap()
    }

    /// Presses Ada's Download button, and returns the address that it leads to.
    async fn own(&mut self, file: &str) -> String {
        let answer = self.ada.fill("/files/open", "/download", &[("file", file)]).await;
        answer.location.unwrap_or_else(|| panic!("{}", answer.body))
    }

    /// The address that a stranger's press leads to.
    async fn press(&self, public: &str, fields: &[(&str, &str)]) -> String {
        let answer = Browser::at(&self.settings.web.public_url).post(public, fields).await;
        answer.location.unwrap_or_else(|| panic!("{} {}", answer.status, answer.body))
    }

    async fn set_groups(&mut self, groups: &str) {
        let path = format!("/admin/accounts/{}/rights", self.ada_now().await.id);
        assert_eq!(self.root.fill("/account", &path, &[("groups", groups)]).await.status, 303);
    }

    async fn restart(&mut self) {
        stop_and_free(self.running.take().unwrap()).await;
        let running = server::start(self.settings.clone(), Role::Both, self.clock.clone()).await;
        self.running = Some(running.unwrap());
    }

    async fn stop(mut self) {
        self.running.take().unwrap().stop().await;
        self.desk.db.close().await;
    }
}

/// A running transfer of 24 MiB.
struct Transfer {
    address: String,
    transfer: Partial,
    key: String,
}

async fn begin(address: String) -> Transfer {
    let transfer = Partial::open(1, &address, "", MIB).await;
    assert_eq!(transfer.status(), 200);
    let key = transfer.header("etag").unwrap().to_owned();
    Transfer { address, transfer, key }
}

impl Transfer {
    async fn assert_cut(mut self, why: &str) {
        let got = self.transfer.read_to_end().await;
        assert!(got < 24 * MIB, "{why}: the whole file arrived");
        let range = format!("bytes={got}-");
        let resumed =
            Client::at(1).get_with(&self.address, &[("range", &range), ("if-range", &self.key)]).await;
        assert_eq!(resumed.slug(), "revoked-token", "{why}: the lease has ended, too");
    }
}

#[actix_web::test]
async fn a_person_who_leaves_a_group_loses_what_it_granted_and_nothing_else() {
    for mut stage in Stage::all().await {
        let running = begin(stage.own("/bosses/big.bin").await).await;
        let waiting = stage.own("/bosses/file.txt").await;
        let elsewhere = stage.own("/ada/file.txt").await;
        let made = make(&mut stage.ada, &[("files", "/bosses/file.txt"), ("uses", "5")]).await;
        let strangers = stage.press(&made.public[0], &[]).await;
        let kept = stage.own("/bosses/file.txt").await;
        // Another group besides it changes nothing.
        stage.set_groups("bosses more").await;
        assert_eq!(Client::at(1).get(&kept).await.status, 200);
        stage.set_groups("more").await;
        running.assert_cut("the group is gone").await;
        assert_eq!(Client::at(1).get(&waiting).await.slug(), "revoked-token");
        assert_eq!(Client::at(2).get(&strangers).await.slug(), "revoked-token", "a stranger's token");
        assert_eq!(Client::at(1).get(&elsewhere).await.status, 200, "this was issued under another right");
        stage.stop().await;
    }
}

#[actix_web::test]
async fn an_archive_ends_with_the_right_to_any_of_its_files() {
    for mut stage in Stage::all().await {
        let files = "/bosses/file.txt /open/file.txt";
        let zip = async |stage: &mut Stage, files: &str| {
            let answer = stage.ada.fill("/account", "/zip", &[("files", files)]).await;
            answer.location.unwrap_or_else(|| panic!("{} {}", answer.status, answer.body))
        };
        let all = [("file", "zip")];
        let own = zip(&mut stage, files).await;
        let made = make(&mut stage.ada, &[("files", files), ("uses", "9")]).await;
        let strangers = stage.press(&made.public[0], &all).await;
        let elsewhere = zip(&mut stage, "/open/file.txt /ada/file.txt").await;
        // She leaves the group that may read one of the shares.
        stage.set_groups("more").await;
        assert_eq!(Client::at(1).get(&own).await.slug(), "revoked-token");
        assert_eq!(Client::at(2).get(&strangers).await.slug(), "revoked-token", "a stranger's archive");
        assert_eq!(Client::at(1).get(&elsewhere).await.status, 200, "no right to these was lost");

        // The share is removed from the settings.
        stage.set_groups("bosses").await;
        let own = zip(&mut stage, files).await;
        let strangers = stage.press(&made.public[0], &all).await;
        let elsewhere = zip(&mut stage, "/open/file.txt /ada/file.txt").await;
        let shares = stage.settings.shares.clone();
        stage.settings.shares.retain(|share| share.name != "bosses");
        stage.restart().await;
        crate::support::deliveries::eventually("the revocation", async || {
            stage.desk.issued.revocations.waiting().await.unwrap().is_empty()
        })
        .await;
        assert_eq!(Client::at(1).get(&elsewhere).await.status, 200);
        assert_eq!(Client::at(1).get(&own).await.status, 409, "its files can't be read");
        // The files are back, but what was issued before is not.
        stage.settings.shares = shares;
        stage.restart().await;
        assert_eq!(Client::at(1).get(&own).await.slug(), "revoked-token");
        assert_eq!(Client::at(2).get(&strangers).await.slug(), "revoked-token");

        // Her account is disabled.
        let own = zip(&mut stage, "/open/file.txt /ada/file.txt").await;
        let made = make(&mut stage.ada, &[("files", "/open/file.txt /ada/file.txt"), ("uses", "9")]).await;
        let strangers = stage.press(&made.public[0], &all).await;
        let path = format!("/admin/accounts/{}/disable", stage.ada_now().await.id);
        assert_eq!(stage.root.fill("/account", &path, &[]).await.status, 303);
        assert_eq!(Client::at(1).get(&own).await.slug(), "revoked-token");
        assert_eq!(Client::at(2).get(&strangers).await.slug(), "revoked-token");
        stage.stop().await;
    }
}

#[actix_web::test]
async fn changing_who_may_read_a_share_ends_what_it_granted_at_the_next_start() {
    let mut stage = Stage::start().await;
    let waiting = stage.own("/bosses/file.txt").await;
    let elsewhere = stage.own("/open/file.txt").await;
    stage.restart().await;
    let same = stage.own("/bosses/file.txt").await;
    assert_eq!(Client::at(1).get(&same).await.status, 200, "the same settings change nothing");
    stage.settings.shares[0].read = vec!["directors".to_owned()];
    stage.restart().await;
    crate::support::deliveries::eventually("the revocation", async || {
        stage.desk.issued.revocations.waiting().await.unwrap().is_empty()
    })
    .await;
    assert_eq!(Client::at(1).get(&waiting).await.slug(), "revoked-token");
    assert_eq!(Client::at(1).get(&elsewhere).await.status, 200);
    stage.stop().await;
}

#[actix_web::test]
async fn a_person_who_changes_the_address_that_a_share_names_loses_what_it_granted() {
    let mut stage = Stage::start().await;
    let waiting = stage.own("/ada/file.txt").await;
    let elsewhere = stage.own("/open/file.txt").await;
    let (ada, other) = (stage.ada_now().await, "ada.new@example.org".parse().unwrap());
    stage.desk.self_service.change_address(&ada, &other, &Actor::operator(), None, START).await.unwrap();
    crate::support::deliveries::eventually("the revocation", async || {
        stage.desk.issued.revocations.waiting().await.unwrap().is_empty()
    })
    .await;
    assert_eq!(Client::at(1).get(&waiting).await.slug(), "revoked-token");
    assert_eq!(Client::at(1).get(&elsewhere).await.status, 200);
    stage.stop().await;
}

/// The fields of the form that changes a link, with `others` replacing the usual ones.
fn changed<'f>(others: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let usual =
        [("title", "Report"), ("note", ""), ("uses", "5"), ("ends", "2027-03-01T00:00"), ("password", "")];
    let usual = usual.into_iter().chain([("notify", "never"), ("ends_zone", "0")]);
    let kept = usual.filter(|(name, _)| !others.iter().any(|(other, _)| other == name));
    kept.chain(others.iter().copied()).collect()
}

/// The changes, the link's password before, and whether they make the link stricter.
type Edit<'e> = (&'e [(&'e str, &'e str)], &'e str, bool);

#[actix_web::test]
async fn making_a_link_stricter_ends_what_was_issued_under_its_earlier_terms() {
    let mut stage = Stage::start().await;
    let (old, new) = ("an old link password", "a new link password");
    let edits: [Edit<'_>; 10] = [
        (&[("password", new)], "", true),
        (&[("password", new)], old, true),
        (&[("ends", "2027-02-01T00:00")], "", true),
        (&[("uses", "4")], "", true),
        (&[("mailed_code", "yes")], "", true),
        (&[("title", "Another title"), ("note", "And a note")], "", false),
        (&[("ends", "2027-04-01T00:00")], "", false),
        (&[("ends", "")], "", false),
        (&[("uses", ""), ("notify", "every")], "", false),
        (&[("remove_password", "yes")], old, false),
    ];
    for (edit, password, is_stricter) in edits {
        let named = if edit[0].0 == "mailed_code" { "bob@example.org" } else { "" };
        let ends = [("uses", "5"), ("ends", "2027-03-01T00:00"), ("ends_zone", "0"), ("recipients", named)];
        let fields = [&ends[..], &[("files", "/open/big.bin"), ("password", password)]].concat();
        let made = make(&mut stage.ada, &fields).await;
        let shown: &[(&str, &str)] = if password.is_empty() { &[] } else { &[("password", password)] };
        let running = begin(stage.press(&made.public[0], shown).await).await;
        let waiting = stage.press(&made.public[0], shown).await;
        let answer = stage.ada.fill(&made.page, &made.page, &changed(edit)).await;
        assert_eq!(answer.status, 303, "{edit:?}: {}", answer.body);
        if is_stricter {
            running.assert_cut(&format!("{edit:?}")).await;
            assert_eq!(Client::at(1).get(&waiting).await.slug(), "revoked-token", "{edit:?}");
        } else {
            assert_eq!(Client::at(2).get(&waiting).await.status, 200, "{edit:?}");
        }
    }
    stage.stop().await;
}

#[actix_web::test]
async fn a_right_that_is_lost_between_the_page_and_the_token_gives_no_token() {
    let mut stage = Stage::start().await;
    let ada = stage.ada_now().await;
    let made = make(&mut stage.ada, &[("files", "/bosses/file.txt"), ("uses", "5")]).await;
    let id = made.page.rsplit('/').next().unwrap().to_owned();
    let link = stage.desk.links.of_owner(&ada.id, &LinkId::from_store(&id)).await.unwrap().unwrap();
    let recipient = stage.desk.links.recipients(&link).await.unwrap().remove(0);
    let file: FilePath = "/bosses/file.txt".parse().unwrap();
    let basis =
        TokenBasis { node: &stage.desk.issuer.audience, kid: "", link: Some((&link.id, link.terms_version)) };
    let visitor = Visitor { mark: None, client: None };
    let press = UseRequest {
        owner: &ada.id,
        recipient: &recipient.id,
        named: false,
        visitor: &visitor,
        file: &file,
        size: 7,
        version: "v",
        expires_at: START.plus(Duration::from_secs(120)),
        basis,
    };
    let reserve = async || {
        uses::reserve(&stage.desk.db, &stage.desk.issued, &stage.desk.links.lease, &press, START)
            .await
            .unwrap()
    };
    let own = async || {
        let jti = Jti::random().unwrap();
        let basis = TokenBasis { link: None, ..basis };
        let token = NewToken { account: &ada.id, jti, file: &file, expires_at: START, basis };
        stage.desk.issued.record(&token, START).await.unwrap()
    };
    assert!(matches!(reserve().await, UseDecision::Token(_)));
    assert!(own().await);
    // A visitor who fulfilled the old conditions has not fulfilled the new ones.
    let actor = Actor::operator();
    stage.desk.links.set_paused(&link, true, &actor, START).await.unwrap();
    stage.desk.links.set_paused(&link, false, &actor, START).await.unwrap();
    assert_eq!(reserve().await, UseDecision::Closed);
    let link = stage.desk.links.of_owner(&ada.id, &LinkId::from_store(&id)).await.unwrap().unwrap();
    let press =
        UseRequest { basis: TokenBasis { link: Some((&link.id, link.terms_version)), ..basis }, ..press };
    let reserve = async || {
        uses::reserve(&stage.desk.db, &stage.desk.issued, &stage.desk.links.lease, &press, START)
            .await
            .unwrap()
    };
    assert!(matches!(reserve().await, UseDecision::Token(_)));
    stage.desk.account_admin.set_rights(&ada, &BTreeSet::new(), false, &actor, START).await.unwrap();
    assert_eq!(reserve().await, UseDecision::Closed);
    assert!(!own().await);
    stage.stop().await;
}

#[actix_web::test]
async fn removing_a_key_ends_what_it_signed_and_the_next_one_signs_at_once() {
    for mut stage in Stage::all().await {
        let mut running = begin(stage.own("/bosses/big.bin").await).await;
        let waiting = stage.own("/bosses/file.txt").await;
        let kid = stage.desk.issuer.signer.active_kid(START);
        let made = signer::remove(&stage.settings.keys_dir(), &kid, START).unwrap();
        stage.desk.end_key(&kid, &Actor::operator(), START).await.unwrap();
        crate::support::deliveries::eventually("the revocation", async || {
            stage.desk.issued.revocations.waiting().await.unwrap().is_empty()
        })
        .await;
        let got = running.transfer.read_to_end().await;
        assert!(got < 24 * MIB, "the whole file arrived");
        let refused = Client::at(1).get(&waiting).await.slug();
        assert!(["revoked-token", "invalid-token"].contains(&refused.as_str()), "{refused}");
        // Running processes check their keys once a second.
        stage.clock.set(START.plus(Duration::from_secs(1)));
        let newer = stage.own("/bosses/file.txt").await;
        assert_eq!(Client::at(1).get(&newer).await.status, 200);
        assert_eq!(stage.desk.issuer.signer.active_kid(stage.clock.now()), made);
        stage.stop().await;
    }
}
