//! Used-token tables that an earlier release created.

use oncelink::clock::Clock;
use oncelink::id::Jti;
use oncelink::used_tokens::sql::SqlUsedTokens;
use oncelink::used_tokens::{Mark, Reservation, Use, UsedTokens};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor};

use crate::support::postgres::empty_schema;
use crate::used_tokens::{NOW, at, jti, redeemed};

const EARLIER: &str = "
    CREATE TABLE used_tokens (
        jti               TEXT   NOT NULL PRIMARY KEY,
        marked_at         BIGINT NOT NULL,
        forget_at         BIGINT NOT NULL,
        revoked           BIGINT NOT NULL,
        resume_key        TEXT,
        lease_until       BIGINT,
        file_len          BIGINT,
        file_modified_ns  BIGINT
    );
    CREATE TABLE used_tokens_state (
        name    TEXT   NOT NULL PRIMARY KEY,
        moment  BIGINT NOT NULL
    );
    INSERT INTO used_tokens_state VALUES ('fence', 1799000000), ('mark', 1799000000);";

async fn is_read_and_continued(pool: AnyPool) {
    pool.execute(sqlx::raw_sql(EARLIER)).await.unwrap();
    let known: Jti = jti();
    sqlx::query("INSERT INTO used_tokens VALUES ($1, $2, $3, 0, $4, $5, 77, 123)")
        .bind(known.to_string())
        .bind(NOW.secs() as i64)
        .bind(at(9_000).secs() as i64)
        .bind("A".repeat(43))
        .bind(at(5_000).secs() as i64)
        .execute(&pool)
        .await
        .unwrap();
    for round in 1..=2 {
        let store = SqlUsedTokens::open(pool.clone(), pool.clone(), &Clock::manual(NOW), None).await.unwrap();
        assert_eq!(store.fence().secs(), 1_799_000_000, "nothing is lost, so the fence stays");
        let Use::Replay(used) = store.claim(redeemed(known, at(9_000))).await.unwrap() else {
            panic!("{known} is valid again")
        };
        let Mark::Redeemed(Some(lease)) = used.mark else { panic!("{used:?}") };
        assert_eq!((lease.version.len, lease.version.modified_ns, lease.trace), (77, 123, None));
        assert_eq!(lease.active_at, if round == 1 { NOW } else { at(1) });
        let granted = Reservation::Granted { reserved: round * 10 };
        assert_eq!(store.reserve(known, 10, 100, at(round)).await.unwrap(), granted);
        let used = redeemed(jti(), at(9_000));
        assert_eq!(store.claim(used).await.unwrap(), Use::First);
        assert_eq!(store.find(used.jti).await.unwrap(), Some(used));
        store.close().await;
    }
    pool.close().await;
}

#[actix_web::test]
async fn tables_of_an_earlier_release_are_read_and_continued_in_sqlite() {
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite://{}?mode=rwc", folder.path().join("tokens").display());
    is_read_and_continued(AnyPoolOptions::new().max_connections(1).connect(&address).await.unwrap()).await;
}

#[actix_web::test]
async fn tables_of_an_earlier_release_are_read_and_continued_in_postgresql() {
    let Some(address) = empty_schema().await else { return };
    is_read_and_continued(AnyPoolOptions::new().max_connections(2).connect(&address).await.unwrap()).await;
}
