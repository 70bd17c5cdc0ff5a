//! Messages to webhooks: signed, in order, at least once, and tried for three days.

use oncelink::web::audit;
use sqlx::{AssertSqlSafe, Row};

use crate::support::postgres::empty_schema;
use crate::support::web::{Browser, TestWeb};
use crate::support::webhooks::{Receiver, allowed, answer, deliver, make, press};

const DAY: u64 = 24 * 60 * 60;

/// Ada with a webhook.
struct Stage {
    web: TestWeb,
    ada: Browser,
    receiver: Receiver,
    page: String,
    secret: String,
}

impl Stage {
    /// On each database.
    async fn all() -> Vec<Stage> {
        let mut stages = Vec::new();
        for web in TestWeb::on_each_database(allowed).await {
            stages.push(Stage::of(web).await);
        }
        stages
    }

    async fn one() -> Stage {
        Stage::of(TestWeb::spawn_with(allowed).await).await
    }

    async fn of(web: TestWeb) -> Stage {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let receiver = Receiver::start().await;
        let (page, secret) = make(&mut ada, &receiver.url()).await;
        Stage { web, ada, receiver, page, secret }
    }

    async fn press(&mut self, button: &str) {
        press(&mut self.ada, &self.page, button).await;
    }

    async fn test(&mut self) {
        self.press("test").await;
    }

    async fn body(&mut self) -> String {
        self.ada.get(&self.page).await.body
    }

    /// A column of the webhook.
    async fn number(&self, column: &str) -> i64 {
        let query = format!("SELECT COALESCE({column}, 0) AS number FROM webhooks");
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(self.web.outside.db.reader()).await.unwrap();
        row.get("number")
    }
}

#[actix_web::test]
async fn a_message_is_signed_by_the_specification_and_accepted_once() {
    for mut stage in Stage::all().await {
        stage.test().await;
        deliver(&stage.web).await;
        let received = stage.receiver.received();
        assert_eq!(received.len(), 1);
        let message = &received[0];
        assert_eq!(message.line, "POST /hook?key=1 HTTP/1.1");
        assert_eq!(message.header("content-type"), "application/json");
        assert_eq!(message.header("webhook-timestamp"), stage.web.clock.now().secs().to_string());
        assert!(
            message.header("webhook-id").len() >= 20 && message.header("user-agent").starts_with("oncelink/")
        );
        assert_eq!(message.signatures().len(), 1);
        assert!(message.is_signed_by(&stage.secret));
        let told = message.json();
        assert_eq!(
            (&told["type"], &told["timestamp"]),
            (&"webhook.test".into(), &"2027-01-15T08:00:00Z".into())
        );
        assert_eq!(told.as_object().unwrap().len(), 3);
        deliver(&stage.web).await;
        assert_eq!(stage.receiver.received().len(), 1, "an accepted message isn't sent again");
        let page = stage.body().await;
        assert!(page.contains("status 204") && page.contains(">delivered<"), "{page}");
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn after_a_rotation_both_secrets_are_valid_for_a_day() {
    let mut stage = Stage::one().await;
    let rotated = stage.ada.fill(&stage.page, &format!("{}/rotate", stage.page), &[]).await;
    assert_eq!(rotated.status, 200);
    let new =
        rotated.body.split("<p class=\"key\"><code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_ne!(new, stage.secret);
    assert!(stage.body().await.contains("Previous secret"));
    stage.test().await;
    deliver(&stage.web).await;
    stage.web.pass(DAY - 1);
    let mut again = stage.web.logged_in("ada@example.org").await;
    press(&mut again, &stage.page, "test").await;
    deliver(&stage.web).await;
    stage.web.pass(1);
    press(&mut again, &stage.page, "test").await;
    deliver(&stage.web).await;
    let received = stage.receiver.received();
    assert_eq!(received.iter().map(|one| one.signatures().len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert!(received.iter().all(|one| one.is_signed_by(&new)));
    assert!(received[..2].iter().all(|one| one.is_signed_by(&stage.secret)));
    stage.web.stop().await;
}

#[actix_web::test]
async fn messages_wait_in_order_while_the_receiver_has_trouble() {
    for mut stage in Stage::all().await {
        let mut left = 2;
        stage.receiver.answers(move |_| {
            left -= 1;
            if left >= 0 { answer(503) } else { answer(200) }
        });
        for _ in 0..3 {
            stage.test().await;
        }
        deliver(&stage.web).await;
        assert_eq!(stage.receiver.received().len(), 1, "the others wait behind the first");
        deliver(&stage.web).await;
        assert_eq!(stage.receiver.received().len(), 1, "and it waits, too");
        assert!(stage.body().await.contains("It has been failing since"));
        stage.web.pass(6);
        deliver(&stage.web).await;
        assert_eq!(stage.receiver.received().len(), 2);
        stage.web.pass(36);
        deliver(&stage.web).await;
        let received = stage.receiver.received();
        let sequences = stage.receiver.sequences();
        assert_eq!(sequences, [sequences[0], sequences[0], sequences[0], sequences[0] + 1, sequences[0] + 2]);
        let ids: Vec<&str> = received[..3].iter().map(|one| one.header("webhook-id")).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "a repeated message keeps its id: {ids:?}");
        let times: Vec<&str> = received[..3].iter().map(|one| one.header("webhook-timestamp")).collect();
        assert!(times[0] < times[1] && times[1] < times[2], "each attempt has its own time: {times:?}");
        assert_eq!((stage.number("waiting").await, stage.number("failures").await), (0, 0));
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn a_message_that_is_refused_holds_up_no_other() {
    let mut stage = Stage::one().await;
    let mut first = None;
    stage.receiver.answers(move |message| {
        let id = message.header("webhook-id").to_owned();
        let first = first.get_or_insert_with(|| id.clone());
        answer(if *first == id { 400 } else { 200 })
    });
    for _ in 0..3 {
        stage.test().await;
    }
    deliver(&stage.web).await;
    assert_eq!(stage.receiver.received().len(), 3);
    assert_eq!(stage.number("waiting").await, 1);
    stage.web.pass(6);
    deliver(&stage.web).await;
    assert_eq!(stage.receiver.received().len(), 4, "it is tried again by itself");
    stage.web.stop().await;
}

#[actix_web::test]
async fn after_several_failures_only_probes_are_sent_and_a_success_sends_everything() {
    let mut stage = Stage::one().await;
    stage.receiver.answers(|_| answer(404));
    for _ in 0..20 {
        stage.test().await;
    }
    deliver(&stage.web).await;
    assert_eq!(stage.receiver.received().len(), 5, "five failures open the breaker");
    for _ in 0..3 {
        let wait = u64::try_from(stage.number("next_at").await).unwrap();
        stage.web.clock.set(oncelink::clock::Timestamp::from_secs(wait));
        let before = stage.receiver.received().len();
        deliver(&stage.web).await;
        assert_eq!(stage.receiver.received().len(), before + 1, "one probe at a time");
    }
    let ids: std::collections::BTreeSet<String> =
        stage.receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert!(ids.len() >= 6, "probes don't stick to the first message");
    stage.receiver.answers(|_| answer(200));
    stage.web.pass(8 * 60 * 60);
    deliver(&stage.web).await;
    assert_eq!((stage.number("waiting").await, stage.number("failures").await), (0, 0));
    stage.web.stop().await;
}

#[actix_web::test]
async fn after_three_days_of_failure_it_is_turned_off_and_its_owner_is_mailed() {
    for mut stage in Stage::all().await {
        stage.receiver.answers(|_| answer(500));
        stage.test().await;
        stage.test().await;
        let began = stage.web.clock.now();
        let mut attempts = 0;
        while stage.number("waiting").await > 0 {
            let next = u64::try_from(stage.number("next_at").await).unwrap();
            stage.web.clock.set(stage.web.clock.now().max(oncelink::clock::Timestamp::from_secs(next)));
            deliver(&stage.web).await;
            attempts += 1;
            assert!(attempts < 60, "it never ends");
        }
        let lasted = stage.web.clock.now().since(began).as_secs();
        assert!((3 * DAY..3 * DAY + 8 * 3_600).contains(&lasted), "{lasted} s");
        assert!((15..30).contains(&attempts), "{attempts} attempts");
        assert!(stage.web.mails().await.iter().any(|mail| {
            mail.header("subject").contains("Your webhook at 127.0.0.1") && mail.link().ends_with(&stage.page)
        }));
        let mut ada = stage.web.logged_in("ada@example.org").await;
        let page = ada.get(&stage.page).await.body;
        assert!(
            page.contains("turned off") && page.contains("given up") && page.contains("Turn on"),
            "{page}"
        );
        // Nothing is recorded for it, until it is turned on.
        let message = page.matches("number ").count();
        stage.receiver.answers(|_| answer(200));
        press(&mut ada, &stage.page, "resume").await;
        deliver(&stage.web).await;
        let body = ada.get(&stage.page).await.body;
        assert!(message > 0 && !body.contains("failing since"), "{body}");
        let resent =
            body.split("name=\"message\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let before = stage.receiver.received().len();
        let answer = ada.fill(&stage.page, &format!("{}/resend", stage.page), &[("message", &resent)]).await;
        assert_eq!(answer.status, 303);
        deliver(&stage.web).await;
        let received = stage.receiver.received();
        assert_eq!(received.len(), before + 1);
        assert_eq!(received[before].header("webhook-id"), resent);
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn a_receiver_that_says_it_is_gone_is_not_tried_again() {
    let mut stage = Stage::one().await;
    stage.receiver.answers(|_| answer(410));
    stage.test().await;
    stage.web.mails().await;
    deliver(&stage.web).await;
    stage.web.pass(DAY);
    deliver(&stage.web).await;
    assert_eq!(stage.receiver.received().len(), 1);
    assert_eq!(stage.web.mails().await.len(), 1);
    stage.web.stop().await;
}

#[actix_web::test]
async fn a_redirect_is_not_followed_and_a_long_answer_is_not_read() {
    let mut stage = Stage::one().await;
    let other = Receiver::start().await;
    let to = other.url();
    stage.receiver.answers(move |_| format!("HTTP/1.1 307 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    stage.test().await;
    deliver(&stage.web).await;
    assert!(other.received().is_empty());
    assert!(stage.body().await.contains("status 307"));
    let long = format!("HTTP/1.1 200 X\r\ncontent-length: 4000000000\r\n\r\n{}", "x".repeat(100_000));
    stage.receiver.answers(move |_| long.clone());
    stage.web.pass(10);
    deliver(&stage.web).await;
    assert_eq!(stage.number("waiting").await, 0, "the status counts");
    let page = stage.body().await;
    assert!(page.contains("status 200") && !page.contains("xxxx"), "{page}");
    let head = format!("HTTP/1.1 200 X\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    stage.receiver.answers(move |_| head.clone());
    stage.test().await;
    deliver(&stage.web).await;
    assert!(stage.body().await.contains("no valid response"));
    stage.receiver.answers(|_| String::new());
    stage.web.pass(10);
    deliver(&stage.web).await;
    assert_eq!(stage.number("waiting").await, 1);
    stage.web.stop().await;
}

#[actix_web::test]
async fn a_receiver_asks_for_a_pause_and_gets_it() {
    let mut stage = Stage::one().await;
    stage.receiver.answers(|_| "HTTP/1.1 429 X\r\nretry-after: 1000\r\ncontent-length: 0\r\n\r\n".to_owned());
    stage.test().await;
    deliver(&stage.web).await;
    stage.web.pass(999);
    deliver(&stage.web).await;
    assert_eq!(stage.receiver.received().len(), 1);
    stage.web.pass(202);
    deliver(&stage.web).await;
    assert_eq!(stage.receiver.received().len(), 2);
    stage.web.stop().await;
}

#[actix_web::test]
async fn a_paused_webhook_gets_everything_later_and_a_deleted_one_nothing() {
    for mut stage in Stage::all().await {
        stage.press("pause").await;
        stage.test().await;
        deliver(&stage.web).await;
        assert!(stage.receiver.received().is_empty());
        assert!(stage.body().await.contains("1 message is waiting"));
        stage.press("resume").await;
        deliver(&stage.web).await;
        assert_eq!(stage.receiver.received().len(), 1);
        stage.test().await;
        stage.press("delete").await;
        deliver(&stage.web).await;
        assert_eq!(stage.receiver.received().len(), 1);
        assert_eq!(stage.ada.get(&stage.page).await.status, 404);
        let (lines, _) = audit::list(&stage.web.outside.db, "webhook", 0, 10).await.unwrap();
        let actions: Vec<&str> = lines.iter().rev().map(|line| line.action.as_str()).collect();
        assert_eq!(actions, ["webhook-made", "webhook-paused", "webhook-resumed", "webhook-deleted"]);
        assert!(lines.iter().all(|line| !line.subject.contains("key=1")), "the path may be a secret");
        stage.web.stop().await;
    }
}

#[actix_web::test]
async fn two_processes_send_each_message_once_and_in_order() {
    let Some(address) = empty_schema().await else { return };
    let web = TestWeb::spawn_with(|settings| {
        allowed(settings);
        settings.web.database = address.into();
    })
    .await;
    let mut stage = Stage::of(web).await;
    for _ in 0..60 {
        stage.test().await;
    }
    let folders = oncelink::files::ShareFolders::open(&stage.web.settings.shares).unwrap();
    let app = oncelink::web::WebApp::open(&stage.web.settings, stage.web.clock.clone(), folders);
    let twin = Box::pin(app).await.unwrap();
    let (one, other) = tokio::join!(stage.web.app.send_due_webhooks(), twin.send_due_webhooks());
    one.and(other).unwrap();
    deliver(&stage.web).await;
    let sequences = stage.receiver.sequences();
    assert_eq!(sequences.len(), 60);
    assert!(sequences.is_sorted(), "{sequences:?}");
    stage.web.stop().await;
}

#[actix_web::test]
async fn at_most_ten_thousand_messages_wait_and_the_rest_is_counted() {
    let mut stage = Stage::one().await;
    let db = &stage.web.outside.db;
    sqlx::query("UPDATE webhooks SET waiting = 9999").execute(db.writer()).await.unwrap();
    stage.test().await;
    let refused = stage.ada.fill(&stage.page, &format!("{}/test", stage.page), &[]).await;
    assert_eq!(refused.status, 303);
    assert!(stage.body().await.contains("too many messages are waiting"));
    assert_eq!(stage.number("waiting").await, 10_000);
    stage.web.stop().await;
}

#[actix_web::test]
async fn old_messages_are_deleted() {
    let mut stage = Stage::one().await;
    stage.test().await;
    deliver(&stage.web).await;
    stage.press("pause").await;
    stage.test().await;
    let count = async |stage: &Stage| -> i64 {
        let db = stage.web.outside.db.reader();
        sqlx::query_scalar("SELECT COUNT(*) FROM webhook_messages").fetch_one(db).await.unwrap()
    };
    stage.web.pass(6 * DAY);
    stage.web.app.upkeep().prune().await;
    assert_eq!(count(&stage).await, 2);
    stage.web.pass(2 * DAY);
    stage.web.app.upkeep().prune().await;
    assert_eq!(count(&stage).await, 1, "what was delivered is kept for a week");
    stage.web.pass(25 * DAY);
    stage.web.app.upkeep().prune().await;
    assert_eq!(stage.number("waiting").await, 0, "what waited for a month is given up");
    stage.web.pass(31 * DAY);
    stage.web.app.upkeep().prune().await;
    assert_eq!(count(&stage).await, 0);
    stage.web.stop().await;
}

#[actix_web::test]
async fn nobody_touches_the_webhook_of_another() {
    let mut stage = Stage::one().await;
    stage.web.account("eve@example.org", &[]).await;
    let mut eve = stage.web.logged_in("eve@example.org").await;
    assert_eq!(eve.get(&stage.page).await.status, 404);
    for button in ["pause", "resume", "rotate", "test", "delete"] {
        let answer = eve.fill("/account", &format!("{}/{button}", stage.page), &[]).await;
        assert_eq!(answer.status, 404, "{button}");
    }
    let fields = [("message", "any")];
    assert_eq!(eve.fill("/account", &format!("{}/resend", stage.page), &fields).await.status, 404);
    assert!(!eve.get("/account/webhooks").await.body.contains("/hook"));
    assert!(stage.body().await.contains("/hook"));
    // A disabled account's webhooks are told nothing, and send nothing.
    stage.test().await;
    sqlx::query("UPDATE accounts SET disabled = 1").execute(stage.web.outside.db.writer()).await.unwrap();
    deliver(&stage.web).await;
    assert!(stage.receiver.received().is_empty());
    stage.web.stop().await;
}
