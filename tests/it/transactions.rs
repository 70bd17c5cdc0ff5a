//! Requests that are given up at any moment of a transaction leave no connection within one.

use futures_util::FutureExt;

use crate::link_uses::LinkDatabase;

/// More turns of the runtime than a `BEGIN` or a `COMMIT` takes.
const TURNS: usize = 150;

#[actix_web::test]
async fn a_transaction_that_is_given_up_at_any_moment_leaves_no_connection_within_one() {
    for database in LinkDatabase::all(None).await {
        let db = &database.processes[0].db;
        let (mut begun, mut committed) = (0, 0);
        for turns in 0..TURNS {
            let mut begin = Box::pin(db.begin());
            if let Some(transaction) = poll_for(&mut begin, turns).await {
                begun += 1;
                drop(transaction.unwrap());
            }
            drop(begin);
            let mut transaction = db.begin().await.unwrap();
            let id = format!("INSERT INTO instance (name, value) VALUES ('cut {turns}', '')");
            sqlx::query(sqlx::AssertSqlSafe(id)).execute(&mut *transaction).await.unwrap();
            let mut commit = Box::pin(db.commit(transaction));
            if let Some(done) = poll_for(&mut commit, turns).await {
                committed += 1;
                done.unwrap();
            }
            drop(commit);
            // If the connection were in a transaction, this would be written into it.
            database.sql(&format!("INSERT INTO instance (name, value) VALUES ('kept {turns}', '')")).await;
            let kept = format!("SELECT COUNT(*) FROM instance WHERE name IN ('kept {turns}', 'cut {turns}')");
            let kept: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(kept))
                .fetch_one(database.processes[1].db.reader())
                .await
                .unwrap();
            assert!(kept >= 1, "what was written after {turns} turns is not there");
        }
        assert!(begun < TURNS && committed < TURNS, "some were given up");
        // A commit that was begun is carried to its end, whoever waits for it. The first one was not begun.
        while database.number("SELECT COUNT(*) FROM instance WHERE name LIKE 'cut %'").await + 1
            < TURNS as i64
        {
            tokio::task::yield_now().await;
        }
        let transactions = open_transactions(&database).await;
        assert_eq!(transactions, 0, "connections were returned within a transaction");
    }
}

async fn poll_for<F: Future + Unpin>(future: &mut F, turns: usize) -> Option<F::Output> {
    for _ in 0..turns {
        if let Some(result) = (&mut *future).now_or_never() {
            return Some(result);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// How many connections of the pool are within a transaction although nobody uses them.
async fn open_transactions(database: &LinkDatabase) -> i64 {
    let pool = database.processes[0].db.writer();
    if sqlx::query("SELECT 1 FROM pg_class LIMIT 1").fetch_optional(pool).await.is_err() {
        return 0;
    }
    let mut connections = Vec::new();
    for _ in 0..pool.size() {
        connections.push(pool.acquire().await.unwrap());
    }
    let mut open = 0;
    for connection in &mut connections {
        let id: i64 = sqlx::query_scalar("SELECT CAST(pg_backend_pid() AS BIGINT)")
            .fetch_one(&mut **connection)
            .await
            .unwrap();
        open += sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = $1 AND state LIKE 'idle in transaction%'",
        )
        .bind(id)
        .fetch_one(database.processes[1].db.reader())
        .await
        .unwrap();
    }
    open
}
