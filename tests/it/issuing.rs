//! Tokens that accounts request for themselves, recorded in groups, on SQLite and on PostgreSQL.

use futures_util::FutureExt;
use futures_util::future::join_all;
use oncelink::id::{FilePath, Jti};
use oncelink::web::audit::Actor;
use oncelink::web::db::GroupedQueryError;
use oncelink::web::identity::AccountId;
use oncelink::web::revocations::issued::{NewToken, TokenBasis};

use crate::link_uses::{LinkDatabase, later};
use crate::support::web::START;

impl LinkDatabase {
    async fn record(
        &self,
        process: usize,
        account: &AccountId,
        jti: Jti,
        file: &str,
    ) -> Result<bool, GroupedQueryError> {
        let services = &self.processes[process];
        let file: FilePath = file.parse().unwrap();
        let basis = TokenBasis { node: &services.issuer.audience, kid: "", link: None };
        let token = NewToken { account, jti, file: &file, expires_at: later(120), basis };
        services.issued.record(&token, START).await
    }

    /// Adds an account and returns its id.
    async fn add_account(&self, id: &str, disabled: bool) -> AccountId {
        self.sql(&format!(
            "INSERT INTO accounts (id, email, email_key, name, admin, disabled, created_at, activated_at) \
             VALUES ('{id}', '{id}@example.org', '{id}@example.org', '{id}', 0, {}, 0, 0)",
            i64::from(disabled)
        ))
        .await;
        AccountId::from_store(id)
    }
}

#[actix_web::test]
async fn requests_at_once_get_each_their_own_result_and_only_what_is_allowed_is_recorded() {
    for database in LinkDatabase::all(None).await {
        let (bob, eve) = (database.add_account("bob", false).await, database.add_account("eve", true).await);
        let nobody = AccountId::from_store("nobody");
        let wanted = [
            (&database.owner, "/books/a.txt", true),
            (&bob, "/books/b.txt", true),
            (&eve, "/books/a.txt", false),
            (&nobody, "/books/a.txt", false),
            (&bob, "/no share of ours/a.txt", false),
        ];
        let records = join_all((0..300).map(|number: usize| {
            let (account, file, expected) = wanted[number % wanted.len()];
            let database = &database;
            async move {
                let recorded = database.record(number % 2, account, Jti::random().unwrap(), file).await;
                assert_eq!(recorded.unwrap(), expected, "{} for {}", file, account.as_str());
            }
        }));
        records.await;
        assert_eq!(database.number("SELECT COUNT(*) FROM issued_tokens WHERE revoke = 0").await, 120);
        assert_eq!(
            database.number("SELECT COUNT(*) FROM accounts WHERE last_download_at IS NOT NULL").await,
            2,
            "only those who got a token"
        );
    }
}

#[actix_web::test]
async fn a_token_that_the_database_refuses_fails_alone() {
    for database in LinkDatabase::all(None).await {
        let taken = Jti::random().unwrap();
        assert!(database.record(0, &database.owner, taken, "/books/a.txt").await.unwrap());
        let records = join_all((0..100).map(|number: usize| {
            let jti = if number == 50 { taken } else { Jti::random().unwrap() };
            database.record(0, &database.owner, jti, "/books/a.txt")
        }));
        let failed: Vec<bool> = records.await.iter().map(Result::is_err).collect();
        assert_eq!(failed.iter().filter(|failed| **failed).count(), 1);
        assert!(failed[50]);
        assert_eq!(database.number("SELECT COUNT(*) FROM issued_tokens").await, 100);
    }
}

#[actix_web::test]
async fn callers_who_give_up_disturb_nobody() {
    for database in LinkDatabase::all(None).await {
        for patience in 0..40 {
            let mut impatient: Vec<_> = (0..10)
                .map(|_| {
                    Box::pin(database.record(0, &database.owner, Jti::random().unwrap(), "/books/a.txt"))
                })
                .collect();
            for _ in 0..patience {
                for record in &mut impatient {
                    // Those that are ready must not be polled again.
                    if (&mut *record).now_or_never().is_some() {
                        *record = Box::pin(database.record(
                            0,
                            &database.owner,
                            Jti::random().unwrap(),
                            "/books/a.txt",
                        ));
                    }
                }
                tokio::task::yield_now().await;
            }
            let stays = database.record(0, &database.owner, Jti::random().unwrap(), "/books/a.txt");
            drop(impatient);
            assert!(stays.await.unwrap());
        }
    }
}

#[actix_web::test]
async fn no_token_survives_a_disabling_that_comes_between() {
    for database in LinkDatabase::all(None).await {
        for round in 0..10 {
            let bob = database.add_account(&format!("bob{round}"), false).await;
            let records = join_all(
                (0..40)
                    .map(|number| database.record(number % 2, &bob, Jti::random().unwrap(), "/books/a.txt")),
            );
            let disable = async {
                for _ in 0..round * 5 {
                    tokio::task::yield_now().await;
                }
                let services = &database.processes[0];
                let account = services.accounts.by_id(&bob).await.unwrap().unwrap();
                services.account_admin.set_disabled(&account, true, &Actor::system(), START).await.unwrap();
            };
            let (records, ()) = tokio::join!(records, disable);
            let recorded = records.into_iter().filter(|record| matches!(record, Ok(true))).count();
            let marked =
                format!("SELECT COUNT(*) FROM issued_tokens WHERE account = 'bob{round}' AND revoke = 1");
            let marked: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(marked))
                .fetch_one(database.processes[0].db.reader())
                .await
                .unwrap();
            assert_eq!(marked, i64::try_from(recorded).unwrap());
        }
    }
}
