//! The state of a store as a whole, and its branches, as stored in the database.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Executor, Row};

use crate::standing::{BRANCHES, Branch};
use crate::used_tokens::known::StoreState;
use crate::used_tokens::sql::columns::from_column;

/// Reads the state of the store at one time.
pub(super) async fn read_state(connection: &mut AnyConnection) -> Result<StoreState, sqlx::Error> {
    let rows = sqlx::query("SELECT name, moment FROM used_tokens_state").fetch_all(&mut *connection).await?;
    let (mut store, mut fence, mut mark, mut epoch, mut position) = (0_i64, i64::MAX, 0, 0, 0);
    for row in &rows {
        let value: i64 = row.try_get("moment")?;
        match row.try_get::<String, _>("name")?.as_str() {
            "store" => store = value,
            "fence" => fence = value,
            "mark" => mark = value,
            "epoch" => epoch = value,
            "position" => position = value,
            _ => {}
        }
    }
    // Read later: a position on a branch that began since then also belongs to the branch before.
    let branch = "SELECT name FROM used_tokens_branches ORDER BY from_position DESC LIMIT 1";
    let branch = sqlx::query_scalar(branch).fetch_optional(&mut *connection).await?.unwrap_or_default();
    Ok(StoreState {
        id: format!("sql-{store:016x}"),
        fence: from_column(fence),
        mark: from_column(mark),
        epoch,
        position,
        branch,
    })
}

/// Begins a branch: this opening continues from the current state of the store.
pub(super) async fn begin_branch(connection: &mut AnyConnection, name: &str) -> Result<(), sqlx::Error> {
    let rise = "UPDATE used_tokens_state SET moment = moment + 1 WHERE name = 'position'";
    connection.execute(rise).await?;
    let begin = "INSERT INTO used_tokens_branches (from_position, name) \
                 SELECT moment, CAST($1 AS TEXT) FROM used_tokens_state WHERE name = 'position' \
                 ON CONFLICT (from_position) DO UPDATE SET name = excluded.name";
    sqlx::query(begin).bind(name).execute(&mut *connection).await?;
    let forget = "DELETE FROM used_tokens_branches WHERE from_position NOT IN \
                  (SELECT from_position FROM used_tokens_branches ORDER BY from_position DESC LIMIT $1)";
    sqlx::query(forget).bind(BRANCHES as i64).execute(&mut *connection).await?;
    Ok(())
}

pub(super) async fn read_branches(connection: &mut AnyConnection) -> Result<Vec<Branch>, sqlx::Error> {
    let rows = sqlx::query("SELECT from_position, name FROM used_tokens_branches ORDER BY from_position")
        .fetch_all(&mut *connection)
        .await?;
    let branch = |row: &AnyRow| -> Result<Branch, sqlx::Error> {
        Ok(Branch {
            name: row.try_get("name")?,
            from: row.try_get::<i64, _>("from_position")?.unsigned_abs(),
        })
    };
    rows.iter().map(branch).collect()
}
