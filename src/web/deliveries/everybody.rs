//! The deliveries of all links, for administrators: the newest first, a page at a time, or those of one link.

use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::web::db::position::Position;
use crate::web::db::{Database, QueryError};
use crate::web::deliveries::history::{DELIVERY, DELIVERY_TABLES, DeliveryHistory, delivered};

/// A delivery with its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnedDelivery {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryHistory,
    /// The id of the link.
    pub link: String,
    /// The title of the link; `None` if the link no longer exists.
    pub title: Option<String>,
    /// The email address of the link's owner; `None` if the link no longer exists.
    pub owner: Option<String>,
    /// The download service that reported it.
    pub node: String,
}

/// Returns up to `most` deliveries after `from`, the newest first, and where the next page begins, if there is
/// one. `of` is the id of a link or the jti of a token, and may be any text; empty for all.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &Database,
    of: &str,
    from: &Position,
    most: u32,
) -> Result<(Vec<OwnedDelivery>, Option<Position>), QueryError> {
    let of = of.trim().replace('\0', "");
    let jti: Option<String> = match of.is_empty() {
        true => None,
        false => {
            let query = sqlx::query_scalar("SELECT jti FROM receipts WHERE jti = $1").bind(&of);
            query.fetch_optional(db.reader()).await?
        }
    };
    let filter = match (of.as_str(), jti) {
        ("", _) => "",
        (_, Some(_)) => "receipts.jti = $4 AND",
        (_, None) => "receipts.link = $4 AND",
    };
    let query = format!(
        "SELECT {DELIVERY}, receipts.link, receipts.node, links.title, accounts.email AS owner \
         FROM {DELIVERY_TABLES} LEFT JOIN links ON links.id = receipts.link \
         LEFT JOIN accounts ON accounts.id = links.account \
         WHERE {filter} redeemed_at <= $1 AND (redeemed_at < $1 OR receipts.jti > $2) \
         ORDER BY redeemed_at DESC, receipts.jti LIMIT $3"
    );
    let query =
        sqlx::query(sqlx::AssertSqlSafe(query)).bind(from.time()).bind(from.id()).bind(i64::from(most) + 1);
    let query = if filter.is_empty() { query } else { query.bind(of) };
    let rows = query.fetch_all(db.reader()).await?;
    let deliveries = rows.iter().take(most as usize).map(owned_of).collect::<Result<_, _>>()?;
    Ok((deliveries, Position::after(&rows, most, "redeemed_at", "jti")?))
}

fn owned_of(row: &AnyRow) -> Result<OwnedDelivery, sqlx::Error> {
    Ok(OwnedDelivery {
        delivery: delivered(row)?,
        link: row.try_get("link")?,
        title: row.try_get("title")?,
        owner: row.try_get("owner")?,
        node: row.try_get("node")?,
    })
}
