//! What webhooks are told, and that nothing of it opens anything.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oncelink::id::{Jti, LinkId};
use oncelink::receipt::{DeliveryState, Receipt, Report};
use serde_json::{Value, json};

use crate::support::links::{self, Made};
use crate::support::requests::{Guest, ask};
use crate::support::tus::{Uploader, writable};
use crate::support::web::{Browser, TestWeb};
use crate::support::webhooks::{Receiver, allowed, deliver, make, make_for};

const NODE: &str = "http://download.example";

struct Stage {
    web: TestWeb,
    ada: Browser,
    receiver: Receiver,
}

impl Stage {
    async fn all() -> Vec<Stage> {
        let change = |settings: &mut oncelink::config::Settings| {
            allowed(settings);
            writable(settings);
        };
        let mut stages = Vec::new();
        for web in TestWeb::on_each_database(change).await {
            web.account("ada@example.org", &[]).await;
            let mut ada = web.logged_in("ada@example.org").await;
            let receiver = Receiver::start().await;
            make(&mut ada, &receiver.url()).await;
            stages.push(Stage { web, ada, receiver });
        }
        stages
    }

    /// What has been told since the last call, without the sequence.
    async fn told(&self) -> Vec<(String, Value)> {
        let before = self.receiver.received().len();
        deliver(&self.web).await;
        let received = self.receiver.received();
        let new = received[before..].iter().map(|one| {
            let mut data = one.json()["data"].clone();
            assert!(data.as_object_mut().unwrap().remove("sequence").is_some());
            (one.kind(), data)
        });
        new.collect()
    }

    /// Presses the button of a link as a program, and returns the jti of the token.
    async fn press(&self, public: &str) -> Jti {
        let answer = self.web.browser().post(public, &[]).await;
        let location = answer.location.unwrap_or_else(|| panic!("{}", answer.body));
        let token = location.split_once("/d/").unwrap().1.split('/').next().unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        claims["jti"].as_str().unwrap().parse().unwrap()
    }

    /// Reports a delivery, as the download service does.
    async fn report(&self, link: &str, jti: Jti, sequence: u64, state: DeliveryState) {
        let now = self.web.clock.now();
        let receipt = Receipt {
            jti,
            link: LinkId::from_store(link),
            sequence,
            redeemed_at: now,
            started_at: Some(now),
            last_at: now,
            size: 12,
            bytes: 12,
            state,
            resumed: 0,
            address: None,
        };
        let report = Report {
            node: NODE.to_owned(),
            reported_since: now.minus(Duration::from_secs(3_600)),
            reported_until: now,
            receipts: vec![receipt],
            store: None,
            database: None,
        };
        self.web.app.receipts().accept(report).await.unwrap();
    }
}

fn id(made: &Made) -> String {
    made.page.strip_prefix("/links/").unwrap().to_owned()
}

#[actix_web::test]
async fn a_delivery_is_told_when_it_begins_and_when_it_is_complete() {
    for mut stage in Stage::all().await {
        let made = links::make(&mut stage.ada, &[("uses", "2")]).await;
        let link = id(&made);
        let one = stage.press(&made.public[0]).await;
        assert!(stage.told().await.is_empty(), "a press alone is nothing");
        stage.report(&link, one, 1, DeliveryState::Running).await;
        let data = |jti: Jti| json!({ "link": link, "delivery": jti.to_string(), "size": 12 });
        assert_eq!(stage.told().await, [("delivery.started".to_owned(), data(one))]);
        stage.report(&link, one, 2, DeliveryState::Complete).await;
        stage.report(&link, one, 2, DeliveryState::Complete).await;
        assert_eq!(stage.told().await, [("delivery.completed".to_owned(), data(one))], "once");
        // The last download, reported as a whole.
        let other = stage.press(&made.public[0]).await;
        stage.report(&link, other, 1, DeliveryState::Complete).await;
        let told = stage.told().await;
        let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["delivery.started", "link.used_up", "delivery.completed"]);
        assert_eq!(told[1].1, json!({ "link": link }));
        stage.report(&link, other, 2, DeliveryState::Complete).await;
        assert!(stage.told().await.is_empty(), "nothing is told twice");
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn a_link_is_used_up_when_all_its_recipients_have_used_it() {
    for mut stage in Stage::all().await {
        let made = links::make(&mut stage.ada, &[("recipients", "bob@example.org, kim@example.org")]).await;
        let link = id(&made);
        let mut kinds = Vec::new();
        for public in &made.public {
            let jti = stage.press(public).await;
            stage.report(&link, jti, 1, DeliveryState::Running).await;
            kinds.extend(stage.told().await.into_iter().map(|(kind, _)| kind));
        }
        assert_eq!(kinds, ["delivery.started", "delivery.started", "link.used_up"]);
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn views_of_a_link_are_told_at_most_once_a_minute() {
    for mut stage in Stage::all().await {
        let made = links::make(&mut stage.ada, &[]).await;
        let other = links::make(&mut stage.ada, &[]).await;
        let look = async |public: &str| {
            let mut stranger = stage.web.browser();
            stranger.headers.push(("sec-fetch-dest", "document".to_owned()));
            assert_eq!(stranger.get(public).await.status, 200);
            stage.web.app.upkeep().flush_views().await;
        };
        look(&made.public[0]).await;
        look(&made.public[0]).await;
        let viewed = |made: &Made| ("link.viewed".to_owned(), json!({ "link": id(made) }));
        assert_eq!(stage.told().await, [viewed(&made)]);
        look(&other.public[0]).await;
        assert_eq!(stage.told().await, [viewed(&other)], "each link by itself");
        stage.web.pass(59);
        look(&made.public[0]).await;
        assert!(stage.told().await.is_empty());
        stage.web.pass(1);
        look(&made.public[0]).await;
        assert_eq!(stage.told().await, [viewed(&made)]);
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn the_end_of_a_link_is_told_once_whatever_ended_it() {
    for mut stage in Stage::all().await {
        let stopped = links::make(&mut stage.ada, &[]).await;
        for _ in 0..2 {
            stage.ada.fill(&stopped.page, &format!("{}/revoke", stopped.page), &[]).await;
        }
        let ended =
            |made: &Made, why: &str| ("link.ended".to_owned(), json!({ "link": id(made), "reason": why }));
        assert_eq!(stage.told().await, [ended(&stopped, "stopped")]);
        // Ten minutes after the tests begin.
        let expires = links::make(&mut stage.ada, &[("ends", "2027-01-15T08:10")]).await;
        let both = links::make(&mut stage.ada, &[("ends", "2027-01-15T08:10")]).await;
        stage.ada.fill(&both.page, &format!("{}/revoke", both.page), &[]).await;
        assert_eq!(stage.told().await, [ended(&both, "stopped")]);
        stage.web.pass(599);
        stage.web.app.upkeep().tell_expired().await;
        assert!(stage.told().await.is_empty());
        stage.web.pass(16);
        for _ in 0..3 {
            stage.web.app.upkeep().tell_expired().await;
        }
        assert_eq!(stage.told().await, [ended(&expires, "expired")]);
        // A webhook that is made later isn't told of what ended before.
        let late = Receiver::start().await;
        make(&mut stage.ada, &late.url()).await;
        sqlx::query("UPDATE webhook_ends SET told_until = 0")
            .execute(stage.web.outside.db.writer())
            .await
            .unwrap();
        stage.web.app.upkeep().tell_expired().await;
        deliver(&stage.web).await;
        assert!(late.received().is_empty());
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn many_links_that_expire_in_one_second_are_all_told() {
    for stage in Stage::all().await {
        let owner =
            stage.web.outside.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
        let ends = stage.web.clock.now().secs() + 60;
        let mut transaction = stage.web.outside.db.begin().await.unwrap();
        for n in 0..1_203 {
            let at = if n < 3 { ends - 1 } else { ends };
            sqlx::query(
                "INSERT INTO links (id, account, title, note, ends_at, mailed_code, notify, paused, created_at) \
                 VALUES ($1, $2, '', '', $3, 0, 'never', 0, 0)",
            )
            .bind(format!("link-{n}"))
            .bind(owner.id.as_str())
            .bind(i64::try_from(at).unwrap())
            .execute(&mut *transaction)
            .await
            .unwrap();
        }
        stage.web.outside.db.commit(transaction).await.unwrap();
        stage.web.pass(90);
        stage.web.app.upkeep().tell_expired().await;
        stage.web.app.upkeep().tell_expired().await;
        let told: Vec<String> = sqlx::query_scalar("SELECT body FROM webhook_messages")
            .fetch_all(stage.web.outside.db.reader())
            .await
            .unwrap();
        let links: std::collections::BTreeSet<String> = told
            .iter()
            .map(|body| {
                serde_json::from_str::<Value>(body).unwrap()["data"]["link"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!((told.len(), links.len()), (1_203, 1_203));
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn uploads_are_told_to_who_owns_them_and_those_of_guests_to_who_asked() {
    for mut stage in Stage::all().await {
        let ada = Uploader::of(stage.ada.clone()).await;
        assert_eq!(ada.put("/open", "own.txt", b"0123456789").await.status, 204);
        let told = stage.told().await;
        assert_eq!(told, [("upload.completed".to_owned(), json!({ "file": "/open/own.txt", "size": 10 }))]);
        let asked = ask(&mut stage.ada, &[]).await;
        let guest = Guest::admitted(&stage.web.base, &asked.public, &[]).await;
        guest.put("theirs.txt", b"0123").await;
        let told = stage.told().await;
        assert_eq!(told.len(), 1, "{told:?}");
        let (kind, data) = &told[0];
        assert_eq!(kind, "request.received");
        assert_eq!(data["request"], asked.page.strip_prefix("/requests/").unwrap());
        assert!(data["size"] == 4 && data["file"].as_str().unwrap().ends_with("/theirs.txt"), "{data}");
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn accounts_are_told_to_administrators_alone() {
    for mut stage in Stage::all().await {
        stage.web.account("boss@example.org", &[]).await;
        let db = &stage.web.outside.db;
        sqlx::query("UPDATE accounts SET admin = 1 WHERE email = 'boss@example.org'")
            .execute(db.writer())
            .await
            .unwrap();
        let mut boss = stage.web.logged_in("boss@example.org").await;
        let bosses = Receiver::start().await;
        make_for(&mut boss, &bosses.url(), &["account.created"]).await;
        let refused =
            crate::support::webhooks::send(&mut stage.ada, &bosses.url(), &["account.created"]).await;
        assert!(refused.status == 422 && refused.body.contains("Choose at least one."), "{}", refused.body);
        let new = stage.web.account("new@example.org", &[]).await;
        assert!(stage.told().await.is_empty());
        assert_eq!(bosses.kinds(), ["account.created"]);
        assert_eq!(bosses.received()[0].json()["data"]["account"], new.id.as_str());
        // Someone who is no administrator any more isn't told what was recorded before.
        stage.web.account("other@example.org", &[]).await;
        sqlx::query("UPDATE accounts SET admin = 0").execute(db.writer()).await.unwrap();
        deliver(&stage.web).await;
        assert_eq!(bosses.received().len(), 1);
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn a_change_that_is_undone_tells_nothing_and_one_that_is_made_loses_nothing() {
    for mut stage in Stage::all().await {
        let made = links::make(&mut stage.ada, &[]).await;
        let link = id(&made);
        let jti = stage.press(&made.public[0]).await;
        // The receipt can't be recorded, and then neither can the event.
        let db = &stage.web.outside.db;
        sqlx::query("ALTER TABLE receipt_log RENAME TO away").execute(db.writer()).await.unwrap();
        let now = stage.web.clock.now();
        let report = Report {
            node: NODE.to_owned(),
            reported_since: now,
            reported_until: now,
            receipts: vec![Receipt {
                jti,
                link: LinkId::from_store(&link),
                sequence: 1,
                redeemed_at: now,
                started_at: Some(now),
                last_at: now,
                size: 1,
                bytes: 1,
                state: DeliveryState::Complete,
                resumed: 0,
                address: None,
            }],
            store: None,
            database: None,
        };
        assert!(stage.web.app.receipts().accept(report.clone()).await.is_err());
        assert!(stage.told().await.is_empty());
        sqlx::query("ALTER TABLE away RENAME TO receipt_log").execute(db.writer()).await.unwrap();
        stage.web.app.receipts().accept(report).await.unwrap();
        assert_eq!(stage.told().await.len(), 3);
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn no_message_contains_the_address_of_a_link_or_a_token() {
    for mut stage in Stage::all().await {
        let made = links::make(&mut stage.ada, &[("password", "a password for it")]).await;
        let asked = ask(&mut stage.ada, &[]).await;
        Guest::admitted(&stage.web.base, &asked.public, &[]).await.put("x.txt", b"x").await;
        stage.ada.fill(&made.page, &format!("{}/revoke", made.page), &[]).await;
        deliver(&stage.web).await;
        let code = |public: &str| public.rsplit('/').next().unwrap().to_owned();
        for received in stage.receiver.received() {
            for secret in [&*code(&made.public[0]), &*code(&asked.public), "password", "/l/", "/r/", "/d/"] {
                assert!(!received.body.contains(secret), "{}", received.body);
            }
        }
        assert_eq!(stage.receiver.kinds(), ["request.received", "link.ended"]);
        stage.web.stop().await;
    }
}
