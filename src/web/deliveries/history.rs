//! What an owner sees of a link's deliveries: each recipient, whether he looked, and each download.

use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::id::{Jti, LinkId};
use crate::receipt::DeliveryState;
use crate::web::db::QueryError;
use crate::web::db::columns::from_column;
use crate::web::deliveries::receipts::DeliveryStore;
use crate::web::identity::AccountId;

/// Deliveries and recipients that are shown at most, the newest first.
const SHOWN: i64 = 500;

/// What is known of a link's recipients and deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkHistory {
    /// Whom the link is for.
    pub recipients: Vec<RecipientHistory>,
    /// What was delivered, the newest first.
    pub deliveries: Vec<DeliveryHistory>,
}

/// A recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecipientHistory {
    /// His address; `None` for whoever has the link's.
    pub email: Option<String>,
    /// How often the link's page was looked at.
    pub looks: u64,
    /// When it was last.
    pub looked_at: Option<Timestamp>,
    /// Uses that are reserved or used.
    pub taken: u64,
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryHistory {
    /// The token.
    pub jti: String,
    /// For whom; `None` for whoever has the link's address.
    pub email: Option<String>,
    /// The file path, where it is known.
    pub file: Option<String>,
    /// When the token was redeemed.
    pub redeemed_at: Timestamp,
    /// When the first byte left.
    pub started_at: Option<Timestamp>,
    /// When the last byte so far left.
    pub last_at: Timestamp,
    /// The file's size in bytes.
    pub size: u64,
    /// Different bytes of it that left.
    pub bytes: u64,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often the client came back.
    pub resumed: u32,
    /// To where, as far as that is kept.
    pub address: String,
}

impl DeliveryHistory {
    /// How much has left, in whole percent. 100 only when the delivery is complete.
    pub fn percent(&self) -> u64 {
        match self.state {
            DeliveryState::Complete => 100,
            _ => (u128::from(self.bytes) * 100 / u128::from(self.size.max(1))).min(99) as u64,
        }
    }
}

/// What the mail about a complete download says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerNotice {
    /// The link's id.
    pub link: LinkId,
    /// What the link is called.
    pub title: String,
    /// The file's name; empty where it is not known.
    pub file: String,
    /// For whom; empty for whoever has the link's address.
    pub recipient: String,
    /// When the last byte left.
    pub at: Timestamp,
    /// To where.
    pub address: String,
}

const DELIVERIES: &str = "SELECT receipts.jti, recipients.email, link_tokens.path, redeemed_at, started_at, \
    last_at, receipts.size, bytes, receipts.state, resumed, address FROM receipts \
    LEFT JOIN link_tokens ON link_tokens.jti = receipts.jti \
    LEFT JOIN link_uses ON link_uses.id = link_tokens.use_id \
    LEFT JOIN recipients ON recipients.id = link_uses.recipient \
    WHERE receipts.link = $1 ORDER BY redeemed_at DESC, receipts.jti LIMIT $2";

impl DeliveryStore {
    /// What is known of a link of that account; `None` where it has no such link.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_link(&self, owner: &AccountId, link: &LinkId) -> Result<Option<LinkHistory>, QueryError> {
        let own: Option<String> = sqlx::query_scalar("SELECT id FROM links WHERE id = $1 AND account = $2")
            .bind(link.as_str().replace('\0', ""))
            .bind(owner.as_str())
            .fetch_optional(self.db.reader())
            .await?;
        let Some(link) = own else { return Ok(None) };
        let recipients = sqlx::query(
            "SELECT email, looks, looked_at, taken FROM recipients WHERE link = $1 \
             ORDER BY position, id LIMIT $2",
        )
        .bind(&link)
        .bind(SHOWN)
        .fetch_all(self.db.reader())
        .await?;
        let deliveries = sqlx::query(DELIVERIES).bind(&link).bind(SHOWN).fetch_all(self.db.reader()).await?;
        Ok(Some(LinkHistory {
            recipients: recipients.iter().map(looked).collect::<Result<_, _>>()?,
            deliveries: deliveries.iter().map(delivered).collect::<Result<_, _>>()?,
        }))
    }

    /// What the mail about a complete download of a link of that account says; `None` where there is
    /// no such link any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn owner_notice(&self, owner: &AccountId, jti: Jti) -> Result<Option<OwnerNotice>, QueryError> {
        let row = sqlx::query(
            "SELECT links.id, links.title, recipients.email, link_tokens.path, receipts.last_at, \
             receipts.address FROM receipts JOIN links ON links.id = receipts.link \
             LEFT JOIN link_tokens ON link_tokens.jti = receipts.jti \
             LEFT JOIN link_uses ON link_uses.id = link_tokens.use_id \
             LEFT JOIN recipients ON recipients.id = link_uses.recipient \
             WHERE receipts.jti = $1 AND links.account = $2",
        )
        .bind(jti.to_string())
        .bind(owner.as_str())
        .fetch_optional(self.db.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let path: Option<String> = row.try_get("path")?;
        Ok(Some(OwnerNotice {
            link: LinkId::from_store(&row.try_get::<String, _>("id")?),
            title: row.try_get("title")?,
            file: path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned(),
            recipient: row.try_get::<Option<String>, _>("email")?.unwrap_or_default(),
            at: from_column(row.try_get("last_at")?),
            address: row.try_get("address")?,
        }))
    }
}

fn looked(row: &AnyRow) -> Result<RecipientHistory, sqlx::Error> {
    Ok(RecipientHistory {
        email: row.try_get("email")?,
        looks: number(row, "looks")?,
        looked_at: row.try_get::<Option<i64>, _>("looked_at")?.map(from_column),
        taken: number(row, "taken")?,
    })
}

fn delivered(row: &AnyRow) -> Result<DeliveryHistory, sqlx::Error> {
    let state: String = row.try_get("state")?;
    Ok(DeliveryHistory {
        jti: row.try_get("jti")?,
        email: row.try_get("email")?,
        file: row.try_get("path")?,
        redeemed_at: from_column(row.try_get("redeemed_at")?),
        started_at: row.try_get::<Option<i64>, _>("started_at")?.map(from_column),
        last_at: from_column(row.try_get("last_at")?),
        size: number(row, "size")?,
        bytes: number(row, "bytes")?,
        state: state.parse().map_err(|_| sqlx::Error::Decode("unknown state of a delivery".into()))?,
        resumed: u32::try_from(row.try_get::<i64, _>("resumed")?).unwrap_or(u32::MAX),
        address: row.try_get("address")?,
    })
}

fn number(row: &AnyRow, column: &str) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}
