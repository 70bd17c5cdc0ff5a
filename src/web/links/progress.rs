//! What a visitor has begun to download through a link: the tokens that they were given, and what the
//! download services have reported about each. Only reads. Decides whether a press of the button continues a
//! download, both for the request itself and for the page that shows the button.

use std::net::IpAddr;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};

use crate::clock::Timestamp;
use crate::config::Resume;
use crate::id::{FilePath, Jti, RecipientId};
use crate::receipt::DeliveryState;
use crate::web::db::columns::from_column;
use crate::web::links::use_state::UseState;
use crate::web::shares::archive_path;
use crate::web::tokens::link_key::LinkKey;

/// Maximum number of tokens of one visitor that are read, newest first.
const MAX_LOOKED_AT: i64 = 2_000;

/// How long a download can be continued, as configured for the download services.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRules {
    /// The lease ends this long after the last byte …
    pub lease: Duration,
    /// … and at the latest this long after the redemption.
    pub lease_max: Duration,
    /// Who may continue a download.
    pub resume: Resume,
}

/// A visitor of a link's page, as far as they can be recognized.
///
/// Invariant: a visitor with a mark is recognized by the mark alone. The address only counts for programs
/// and browsers that keep no cookies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visitor {
    /// The mark in the browser's cookie.
    pub mark: Option<String>,
    /// The keyed digest of the client's address; `None` if the address is unknown or must not be used.
    pub client: Option<String>,
}

impl Visitor {
    /// Creates the visitor with this mark and address for a link of this recipient.
    pub fn new(
        mark: Option<String>,
        address: Option<IpAddr>,
        recipient: &RecipientId,
        key: &LinkKey,
        rules: &LeaseRules,
    ) -> Visitor {
        let counts = address.filter(|_| rules.resume == Resume::SameClient);
        Visitor { mark, client: counts.map(|address| key.client(recipient, address)) }
    }

    /// Whether the visitor is recognized only by their address.
    pub fn is_program(&self) -> bool {
        self.mark.is_none() && self.client.is_some()
    }
}

/// How far the download with a token has progressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadProgress {
    /// The token is not known to be redeemed and can still be.
    Unredeemed,
    /// Bytes are being sent.
    Running,
    /// Nothing is being sent, the file is incomplete, and the lease has not ended.
    Interrupted,
    /// The file was sent completely.
    Whole,
    /// The token can no longer be redeemed or continued.
    Over,
}

/// A token that was given to a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunDownload {
    /// The token's id.
    pub jti: Jti,
    /// The id of the use that it belongs to.
    pub use_id: String,
    /// The path of the file.
    pub path: String,
    /// The file's size when the token was issued, in bytes.
    pub size: u64,
    /// The file's version when the token was issued; empty if unknown.
    pub version: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires and can no longer be redeemed.
    pub expires_at: Timestamp,
    /// Whether its first byte is known to have been sent.
    pub used: bool,
    /// Whether it is still valid, meaning it was not revoked.
    pub live: bool,
    /// What the download service last reported about it.
    pub reported: Option<ReportedDelivery>,
}

/// A download service's report about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedDelivery {
    /// The state of the delivery.
    pub state: DeliveryState,
    /// How many different bytes of the file were sent.
    pub bytes: u64,
    /// When the token was redeemed.
    pub redeemed_at: Timestamp,
    /// When the most recent byte was sent.
    pub last_at: Timestamp,
}

impl BegunDownload {
    /// Returns how far the download has progressed at `now`.
    pub fn progress(&self, rules: &LeaseRules, now: Timestamp) -> DownloadProgress {
        let Some(told) = &self.reported else {
            let can_be_redeemed = self.live && !self.used && now < self.expires_at;
            return if can_be_redeemed { DownloadProgress::Unredeemed } else { DownloadProgress::Over };
        };
        if told.state == DeliveryState::Complete {
            return DownloadProgress::Whole;
        }
        let idle_too_long = told.last_at.plus(rules.lease) <= now;
        let kept_too_long = self.continues_until(rules).is_none_or(|end| end <= now);
        match told.state {
            _ if !self.live || kept_too_long || rules.resume == Resume::Off => DownloadProgress::Over,
            DeliveryState::Running => DownloadProgress::Running,
            DeliveryState::Interrupted if !idle_too_long => DownloadProgress::Interrupted,
            DeliveryState::Interrupted | DeliveryState::Ended | DeliveryState::Complete => {
                DownloadProgress::Over
            }
        }
    }

    /// Returns when the download service deletes the lease, so that no continuation can start any more.
    /// `None` if the token was not redeemed.
    pub fn continues_until(&self, rules: &LeaseRules) -> Option<Timestamp> {
        self.reported.map(|told| told.redeemed_at.plus(rules.lease_max))
    }

    /// Whether the file is certainly not the one whose download was begun. A file that is larger now may have
    /// grown, which only the download service can tell. An archive is another one if its manifest is.
    pub fn is_of_another_file(&self, size: u64, version: &str) -> bool {
        if archive_path::is_archive(&self.path) {
            return self.version != version;
        }
        size < self.size || (size == self.size && !self.version.is_empty() && self.version != version)
    }
}

/// Whether `visitor` may continue a download with this progress by pressing the button again.
pub fn may_continue(visitor: &Visitor, progress: DownloadProgress) -> bool {
    match progress {
        DownloadProgress::Interrupted => true,
        // Without a mark, the bytes may be going to someone else with the same address.
        DownloadProgress::Running => visitor.mark.is_some(),
        DownloadProgress::Unredeemed | DownloadProgress::Whole | DownloadProgress::Over => false,
    }
}

/// Returns the tokens that `visitor` was given through the link of `recipient`, newest first; only those for
/// `file` if that is given.
///
/// # Errors
/// When the database fails.
pub async fn of<'e>(
    database: impl Executor<'e, Database = Any>,
    recipient: &RecipientId,
    visitor: &Visitor,
    file: Option<&FilePath>,
) -> Result<Vec<BegunDownload>, sqlx::Error> {
    let (column, value) = match (&visitor.mark, &visitor.client) {
        (Some(mark), _) => ("visitor", mark),
        (None, Some(client)) => ("client", client),
        (None, None) => return Ok(Vec::new()),
    };
    let of_file = if file.is_some() { "link_tokens.path = $3" } else { "$3 = ''" };
    // The order of a CROSS JOIN is fixed on SQLite: a visitor has few tokens, a recipient may have many uses.
    let query = format!(
        "SELECT link_tokens.jti, link_tokens.use_id, link_tokens.path, link_tokens.size, link_tokens.version, \
         link_tokens.issued_at, link_tokens.expires_at, link_tokens.state, receipts.state AS told, receipts.bytes, \
         receipts.redeemed_at, receipts.last_at, (SELECT COUNT(*) FROM issued_tokens \
         WHERE issued_tokens.jti = link_tokens.jti AND issued_tokens.revoke = 0) AS live \
         FROM link_tokens CROSS JOIN link_uses \
         LEFT JOIN receipts ON receipts.jti = link_tokens.jti \
         WHERE link_uses.id = link_tokens.use_id AND link_tokens.{column} = $1 AND link_tokens.{column} <> '' \
         AND link_uses.recipient = $2 AND link_tokens.state <> 'released' AND {of_file} \
         ORDER BY link_tokens.issued_at DESC, link_tokens.jti LIMIT $4"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(value)
        .bind(recipient.as_str())
        .bind(file.map(FilePath::as_str).unwrap_or_default())
        .bind(MAX_LOOKED_AT)
        .fetch_all(database)
        .await?;
    rows.iter().map(begun).collect()
}

fn begun(row: &AnyRow) -> Result<BegunDownload, sqlx::Error> {
    let bytes = |column: &str| -> Result<u64, sqlx::Error> {
        Ok(u64::try_from(row.try_get::<Option<i64>, _>(column)?.unwrap_or(0)).unwrap_or(0))
    };
    let moment = |column: &str| -> Result<Timestamp, sqlx::Error> {
        Ok(from_column(row.try_get::<Option<i64>, _>(column)?.unwrap_or(0)))
    };
    let state = row.try_get::<Option<String>, _>("told")?;
    let told = match state.as_deref().map(str::parse) {
        None => None,
        Some(Ok(state)) => Some(ReportedDelivery {
            state,
            bytes: bytes("bytes")?,
            redeemed_at: moment("redeemed_at")?,
            last_at: moment("last_at")?,
        }),
        Some(Err(_)) => return Err(sqlx::Error::Decode("unknown state of a delivery".into())),
    };
    let jti = row.try_get::<String, _>("jti")?;
    Ok(BegunDownload {
        jti: jti.parse().map_err(|_| sqlx::Error::Decode("this is not a jti".into()))?,
        use_id: row.try_get("use_id")?,
        path: row.try_get("path")?,
        size: bytes("size")?,
        version: row.try_get("version")?,
        issued_at: moment("issued_at")?,
        expires_at: moment("expires_at")?,
        used: row.try_get::<String, _>("state")?.parse() == Ok(UseState::Used),
        live: row.try_get::<i64, _>("live")? > 0,
        reported: told,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn rules() -> LeaseRules {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        LeaseRules { lease: hours(1), lease_max: hours(24), resume: Resume::SameClient }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(NOW.saturating_add_signed(seconds))
    }

    fn token(told: Option<(DeliveryState, i64, i64)>) -> BegunDownload {
        BegunDownload {
            jti: Jti::random().unwrap(),
            use_id: "use".to_owned(),
            path: "/books/a.txt".to_owned(),
            size: 100,
            version: "v".to_owned(),
            issued_at: at(-10),
            expires_at: at(110),
            used: told.is_some(),
            live: true,
            reported: told.map(|(state, redeemed, last)| ReportedDelivery {
                state,
                bytes: 9,
                redeemed_at: at(redeemed),
                last_at: at(last),
            }),
        }
    }

    #[test]
    fn progress_depends_on_the_last_report_and_the_lease() {
        use DeliveryState::{Complete, Ended, Interrupted, Running};
        let progress = |told| token(told).progress(&rules(), at(0));
        assert_eq!(progress(None), DownloadProgress::Unredeemed);
        assert_eq!(token(None).progress(&rules(), at(110)), DownloadProgress::Over, "its end has passed");
        let receipt_forgotten = BegunDownload { used: true, ..token(None) };
        assert_eq!(receipt_forgotten.progress(&rules(), at(0)), DownloadProgress::Over);
        assert_eq!(progress(Some((Running, -60, -1))), DownloadProgress::Running);
        assert_eq!(
            progress(Some((Running, -24 * 3_600, -1))),
            DownloadProgress::Over,
            "24 h after the redemption"
        );
        assert_eq!(progress(Some((Interrupted, -60, -1))), DownloadProgress::Interrupted);
        assert_eq!(progress(Some((Interrupted, -3_700, -3_599))), DownloadProgress::Interrupted);
        assert_eq!(
            progress(Some((Interrupted, -3_700, -3_600))),
            DownloadProgress::Over,
            "1 h after the last byte"
        );
        assert_eq!(progress(Some((Ended, -60, -1))), DownloadProgress::Over);
        assert_eq!(progress(Some((Complete, -90_000, -90_000))), DownloadProgress::Whole, "for good");
        let revoked = BegunDownload { live: false, ..token(Some((Interrupted, -60, -1))) };
        assert_eq!(revoked.progress(&rules(), at(0)), DownloadProgress::Over);
        let off = LeaseRules { resume: Resume::Off, ..rules() };
        assert_eq!(token(Some((Interrupted, -60, -1))).progress(&off, at(0)), DownloadProgress::Over);
    }

    #[test]
    fn a_mark_may_continue_a_running_download_and_an_address_only_an_interrupted_one() {
        let browser = Visitor { mark: Some("m".to_owned()), client: Some("c".to_owned()) };
        let program = Visitor { mark: None, client: Some("c".to_owned()) };
        for (progress, by_mark, by_address) in [
            (DownloadProgress::Unredeemed, false, false),
            (DownloadProgress::Running, true, false),
            (DownloadProgress::Interrupted, true, true),
            (DownloadProgress::Whole, false, false),
            (DownloadProgress::Over, false, false),
        ] {
            assert_eq!(may_continue(&browser, progress), by_mark, "{progress:?}");
            assert_eq!(may_continue(&program, progress), by_address, "{progress:?}");
        }
    }

    #[test]
    fn a_file_that_grew_may_be_the_same_and_one_that_shrank_or_was_replaced_is_not() {
        let begun = token(None);
        assert!(!begun.is_of_another_file(100, "v") && !begun.is_of_another_file(101, "w"));
        assert!(begun.is_of_another_file(99, "v") && begun.is_of_another_file(100, "w"));
        let unknown = BegunDownload { version: String::new(), ..begun };
        assert!(!unknown.is_of_another_file(100, "w"));
    }
}
