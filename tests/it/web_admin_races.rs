//! Concurrent changes: nobody is locked out for good, no two changes deadlock, and no token is left after an
//! account is disabled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::Settings;
use oncelink::id::Jti;
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::audit::chain::{self, ChainVerdict};
use oncelink::web::audit::{self, Actor, AuditEvent};
use oncelink::web::identity::passwords::StoredPassword;
use oncelink::web::identity::{Account, NewAccount};
use oncelink::web::membership::self_service::ChangeOutcome;
use oncelink::web::nodes::revoke::{RevocationSink, RevokeError};
use oncelink::web::revocations::issued::{NewToken, TokenBasis};
use oncelink::web::services::Services;
use sqlx::{Any, Transaction};
use tempfile::TempDir;

use crate::support::postgres::empty_schema;
use crate::support::web::START;

/// The services of two processes on one database.
struct Desks {
    here: Services,
    there: Services,
    _folder: TempDir,
}

impl Desks {
    async fn sqlite() -> Desks {
        Desks::open(|_| {}).await
    }

    async fn postgres() -> Option<Desks> {
        let address = empty_schema().await?;
        Some(Desks::open(|settings| settings.web.database = address.into()).await)
    }

    async fn open(change: impl FnOnce(&mut Settings)) -> Desks {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        change(&mut settings);
        let open = || Services::open(&settings, Clock::manual(START));
        let here = open().await.unwrap();
        Desks { here, there: open().await.unwrap(), _folder: folder }
    }

    async fn account(&self, email: &str, admin: bool) -> Account {
        let new = NewAccount {
            email: email.parse().unwrap(),
            name: "Somebody".parse().unwrap(),
            admin,
            groups: BTreeSet::new(),
            password: Some(StoredPassword::from_store("none".into())),
        };
        match self.here.accounts.add(new, START).await.unwrap() {
            AddOutcome::New(account) => account,
            other => panic!("{other:?}"),
        }
    }

    async fn close(&self) {
        self.here.db.close().await;
        self.there.db.close().await;
    }
}

/// Two administrators demote, disable and delete each other at the same time.
async fn one_administrator_is_left(desks: &Desks) {
    let actor = Actor::operator();
    for round in 0..12 {
        let one = desks.account(&format!("one{round}@example.org"), true).await;
        let two = desks.account(&format!("two{round}@example.org"), true).await;
        let (groups, operator) = (BTreeSet::new(), &actor);
        let take = async |desk: &Services, from: &Account| match round % 3 {
            0 => desk.account_admin.set_rights(from, &groups, false, operator, START).await.unwrap(),
            1 => desk.account_admin.set_disabled(from, true, operator, START).await.unwrap(),
            _ => desk.account_admin.delete(from, operator, START).await.unwrap(),
        };
        let (first, second) = tokio::join!(take(&desks.here, &one), take(&desks.there, &two));
        let refused = [first, second].into_iter().filter(|done| *done == ChangeOutcome::LastAdministrator);
        assert_eq!(refused.count(), 1, "{first:?} {second:?}");
        // The remaining administrator is removed before the next round.
        sqlx::query("DELETE FROM accounts").execute(desks.here.db.writer()).await.unwrap();
    }
    let ChainVerdict::Whole { lines: 12, .. } =
        chain::verify::<audit::AuditLine>(&desks.here.db, None).await.unwrap()
    else {
        panic!("{:?}", chain::verify::<audit::AuditLine>(&desks.here.db, None).await)
    };
    desks.close().await;
}

#[actix_web::test]
async fn of_two_administrators_who_remove_each_other_one_is_left_in_sqlite() {
    one_administrator_is_left(&Desks::sqlite().await).await;
}

#[actix_web::test]
async fn of_two_administrators_who_remove_each_other_one_is_left_in_postgresql() {
    let Some(desks) = Desks::postgres().await else { return };
    one_administrator_is_left(&desks).await;
}

/// The first half of a login or a change of password: it locks the account.
async fn hold(desk: &Services, account: &Account) -> (Transaction<'static, Any>, i32) {
    let mut transaction = desk.db.begin().await.unwrap();
    sqlx::query("UPDATE accounts SET last_login_at = 1 WHERE id = $1")
        .bind(account.id.as_str())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let process: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *transaction).await.unwrap();
    (transaction, process)
}

/// Waits until another transaction waits for this one.
async fn until_somebody_waits_for(process: i32, desk: &Services) {
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))";
    let waited = async {
        loop {
            let query = sqlx::query_scalar(waiting).bind(process);
            let count: i64 = query.fetch_one(desk.db.reader()).await.unwrap();
            if count > 0 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("nothing waits for the account");
}

#[actix_web::test]
async fn administration_and_a_login_never_deadlock() {
    let Some(desks) = Desks::postgres().await else { return };
    desks.account("root@example.org", true).await;
    for what in ["rights", "disable", "enable", "delete"] {
        let bob = desks.account("bob@example.org", false).await;
        let (mut log_in, process) = hold(&desks.here, &bob).await;
        let there = desks.there.account_admin.clone();
        let change = tokio::spawn(async move {
            let actor = Actor::operator();
            match what {
                "rights" => there.set_rights(&bob, &BTreeSet::new(), false, &actor, START).await,
                "disable" => there.set_disabled(&bob, true, &actor, START).await,
                "enable" => there.set_disabled(&bob, false, &actor, START).await,
                _ => there.delete(&bob, &actor, START).await,
            }
        });
        until_somebody_waits_for(process, &desks.here).await;
        let actor = Actor::stranger("192.0.2.1".parse().unwrap());
        audit::append(&mut log_in, &actor, AuditEvent::LoggedIn, "", START).await.unwrap();
        desks.here.db.commit(log_in).await.unwrap();
        assert_eq!(change.await.unwrap().unwrap(), ChangeOutcome::Done, "{what}");
        sqlx::query("DELETE FROM accounts WHERE admin = 0").execute(desks.here.db.writer()).await.unwrap();
    }
    desks.close().await;
}

/// Records what it is told to revoke.
#[derive(Default)]
struct RecordingSink(std::sync::Mutex<BTreeSet<Jti>>);

#[async_trait]
impl RevocationSink for RecordingSink {
    async fn revoke(&self, jtis: &[Jti], _: Timestamp) -> Result<(), RevokeError> {
        self.0.lock().unwrap().extend(jtis);
        Ok(())
    }
}

/// Tokens are requested from two processes while the account is disabled.
async fn no_token_escapes(desks: &Desks) {
    let actor = Actor::operator();
    let sink = Arc::new(RecordingSink::default());
    desks.here.issued.revocations.set_own_sink(sink.clone());
    let file = "/books/a.txt".parse().unwrap();
    let basis = TokenBasis { node: &desks.here.issuer.audience, kid: "", link: None };
    let ends = START.plus(Duration::from_secs(120));
    for round in 0..10 {
        let bob = desks.account(&format!("bob{round}@example.org"), false).await;
        let tokens = (0..16).map(|n| {
            let desk = if n % 2 == 0 { &desks.here } else { &desks.there };
            let jti = Jti::random().unwrap();
            let token = NewToken { account: &bob.id, jti, file: &file, expires_at: ends, basis };
            async move { desk.issued.record(&token, START).await.unwrap().then_some(jti) }
        });
        let tokens = tokens.collect::<Vec<_>>();
        let disable = desks.there.account_admin.set_disabled(&bob, true, &actor, START);
        let (given, disabled) = tokio::join!(join_all(tokens), disable);
        assert_eq!(disabled.unwrap(), ChangeOutcome::Done);
        for delivered in desks.here.issued.revocations.deliver(true, START).await {
            delivered.outcome.unwrap();
        }
        let revoked = std::mem::take(&mut *sink.0.lock().unwrap());
        assert_eq!(revoked, given.into_iter().flatten().collect(), "all issued tokens, and no others");
    }
    desks.close().await;
}

#[actix_web::test]
async fn no_token_survives_a_simultaneous_disabling_in_sqlite() {
    no_token_escapes(&Desks::sqlite().await).await;
}

#[actix_web::test]
async fn no_token_survives_a_simultaneous_disabling_in_postgresql() {
    let Some(desks) = Desks::postgres().await else { return };
    no_token_escapes(&desks).await;
}

#[actix_web::test]
async fn an_account_that_became_the_last_administrator_meanwhile_stays_one() {
    let desks = Desks::sqlite().await;
    let actor = Actor::operator();
    let seen_before = desks.account("bob@example.org", false).await;
    let none = BTreeSet::new();
    desks.here.account_admin.set_rights(&seen_before, &none, true, &actor, START).await.unwrap();
    let admin = &desks.there.account_admin;
    for changed in [
        admin.set_disabled(&seen_before, true, &actor, START).await,
        admin.set_rights(&seen_before, &none, false, &actor, START).await,
        admin.delete(&seen_before, &actor, START).await,
    ] {
        assert_eq!(changed.unwrap(), ChangeOutcome::LastAdministrator);
    }
    let ChainVerdict::Whole { lines: 1, .. } =
        chain::verify::<audit::AuditLine>(&desks.here.db, None).await.unwrap()
    else {
        panic!()
    };
    desks.close().await;
}
