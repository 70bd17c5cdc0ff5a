//! When keys were last used, and from where. Uses are noted in memory, so that no request waits for a write, and a
//! background task writes them to the database.

use std::net::IpAddr;
use std::sync::Arc;

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::web::api_keys::key::ApiKeyId;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};

/// Number of keys that are written per transaction.
const PER_TRANSACTION: usize = 500;

/// Uses that are not in the database yet. Clones share them.
#[derive(Clone, Default)]
pub(super) struct LastUses(Arc<DashMap<ApiKeyId, (Timestamp, IpAddr)>>);

impl LastUses {
    pub(super) fn note(&self, key: &ApiKeyId, address: IpAddr, now: Timestamp) {
        self.0.insert(key.clone(), (now, address));
    }

    /// Writes the uses to the database. If that fails, they are kept for the next time.
    pub(super) async fn flush(&self, db: &Database) -> Result<(), QueryError> {
        let keys: Vec<ApiKeyId> = self.0.iter().map(|entry| entry.key().clone()).collect();
        for some in keys.chunks(PER_TRANSACTION) {
            let uses: Vec<_> = some.iter().filter_map(|key| self.0.remove(key)).collect();
            if let Err(error) = write(db, &uses).await {
                for (key, used) in uses {
                    self.0.entry(key).or_insert(used);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

async fn write(db: &Database, uses: &[(ApiKeyId, (Timestamp, IpAddr))]) -> Result<(), QueryError> {
    let mut transaction = db.begin().await?;
    for (key, (at, address)) in uses {
        sqlx::query(
            "UPDATE api_keys SET last_used_at = $1, last_address = $2 \
             WHERE id = $3 AND COALESCE(last_used_at, 0) <= $1",
        )
        .bind(to_column(*at))
        .bind(address.to_string())
        .bind(key.as_str())
        .execute(&mut *transaction)
        .await?;
    }
    db.commit(transaction).await
}
