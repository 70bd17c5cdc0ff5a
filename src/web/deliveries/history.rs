//! What the owner of a link sees about its deliveries: the recipients, whether they opened the page, and the
//! downloads.

use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use crate::clock::Timestamp;
use crate::id::{Jti, LinkId};
use crate::receipt::DeliveryState;
use crate::web::db::QueryError;
use crate::web::db::columns::from_column;
use crate::web::deliveries::receipts::DeliveryStore;
use crate::web::identity::AccountId;
use crate::web::mail::letters::NoticedDownload;
use crate::web::shares::archive_path;

/// Maximum number of deliveries (newest first), and of recipients, that are shown.
const SHOWN: i64 = 500;

/// What is known about a link's recipients and deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkHistory {
    /// The recipients of the link.
    pub recipients: Vec<RecipientHistory>,
    /// The deliveries, newest first.
    pub deliveries: Vec<DeliveryHistory>,
}

/// A recipient and their use of the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecipientHistory {
    /// The recipient's email address; `None` if the link is for anyone who has it.
    pub email: Option<String>,
    /// How often the recipient's page was opened.
    #[serde(rename = "looks")]
    pub views: u64,
    /// When it was last opened.
    #[serde(rename = "looked_at")]
    pub viewed_at: Option<Timestamp>,
    /// Uses that are reserved or used.
    pub taken: u64,
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryHistory {
    /// The jti of the token.
    pub jti: String,
    /// The recipient's email address; `None` if the link is for anyone who has it.
    pub email: Option<String>,
    /// The path of the file, if known. `None` for an archive.
    pub file: Option<String>,
    /// Whether all files were downloaded as one archive.
    pub zip: bool,
    /// How many files the archive has, if known.
    pub files: Option<u64>,
    /// When the token was redeemed.
    pub redeemed_at: Timestamp,
    /// When the first byte was sent.
    pub started_at: Option<Timestamp>,
    /// When the most recent byte was sent.
    pub last_at: Timestamp,
    /// The file's size in bytes.
    pub size: u64,
    /// How many different bytes of it were sent.
    pub bytes: u64,
    /// The state of the delivery.
    pub state: DeliveryState,
    /// How often the client resumed.
    pub resumed: u32,
    /// The client's address, as far as it is recorded.
    pub address: String,
}

impl DeliveryHistory {
    /// Returns how much was sent, in whole percent; 100 only when the delivery is complete.
    pub fn percent(&self) -> u64 {
        match self.state {
            DeliveryState::Complete => 100,
            _ => (u128::from(self.bytes) * 100 / u128::from(self.size.max(1))).min(99) as u64,
        }
    }
}

/// The contents of the mail about a complete download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerNotice {
    /// The link's id.
    pub link: LinkId,
    /// The title of the link.
    pub title: String,
    /// The download that caused the mail.
    pub download: NoticedDownload,
}

/// The columns of one delivery, as [`delivered`] reads them, …
pub(super) const DELIVERY: &str = "receipts.jti, recipients.email, link_tokens.path, redeemed_at, started_at, \
    last_at, receipts.size, receipts.bytes, receipts.state, resumed, address, manifests.files";

/// … and where they are.
pub(super) const DELIVERY_TABLES: &str = "receipts LEFT JOIN link_tokens ON link_tokens.jti = receipts.jti \
    LEFT JOIN manifests ON manifests.digest = link_tokens.version \
    LEFT JOIN link_uses ON link_uses.id = link_tokens.use_id \
    LEFT JOIN recipients ON recipients.id = link_uses.recipient";

impl DeliveryStore {
    /// Returns what is known about a link of this account; `None` if it has no such link.
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
        let deliveries = format!(
            "SELECT {DELIVERY} FROM {DELIVERY_TABLES} WHERE receipts.link = $1 \
             ORDER BY redeemed_at DESC, receipts.jti LIMIT $2"
        );
        let deliveries = sqlx::query(AssertSqlSafe(deliveries))
            .bind(&link)
            .bind(SHOWN)
            .fetch_all(self.db.reader())
            .await?;
        Ok(Some(LinkHistory {
            recipients: recipients.iter().map(recipient).collect::<Result<_, _>>()?,
            deliveries: deliveries.iter().map(delivered).collect::<Result<_, _>>()?,
        }))
    }

    /// Returns the contents of the mail about a complete download of a link of this account; `None` if the
    /// link no longer exists.
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
            download: NoticedDownload {
                file: match path.as_deref() {
                    Some(path) if archive_path::is_archive(path) => "all files (ZIP)",
                    path => path.and_then(|path| path.rsplit('/').next()).unwrap_or_default(),
                }
                .to_owned(),
                recipient: row.try_get::<Option<String>, _>("email")?.unwrap_or_default(),
                at: from_column(row.try_get("last_at")?),
                address: row.try_get("address")?,
            },
        }))
    }
}

fn recipient(row: &AnyRow) -> Result<RecipientHistory, sqlx::Error> {
    Ok(RecipientHistory {
        email: row.try_get("email")?,
        views: number(row, "looks")?,
        viewed_at: row.try_get::<Option<i64>, _>("looked_at")?.map(from_column),
        taken: number(row, "taken")?,
    })
}

pub(super) fn delivered(row: &AnyRow) -> Result<DeliveryHistory, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let path: Option<String> = row.try_get("path")?;
    let zip = path.as_deref().is_some_and(archive_path::is_archive);
    let files = row.try_get::<Option<i64>, _>("files")?.and_then(|files| u64::try_from(files).ok());
    Ok(DeliveryHistory {
        jti: row.try_get("jti")?,
        email: row.try_get("email")?,
        file: path.filter(|_| !zip),
        zip,
        files: files.filter(|_| zip),
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
