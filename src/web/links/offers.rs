//! What the page of a link offers a visitor: for each file, what its button would do now.

use std::collections::{HashMap, HashSet};

use sqlx::{AssertSqlSafe, Row};

use crate::clock::Timestamp;
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::links::link::{Link, Links, Recipient};
use crate::web::links::open_uses;
use crate::web::links::progress::{self, BegunDownload, DownloadProgress, LeaseRules, Visitor};
use crate::web::shares::archive_path;

/// Maximum number of rows that are read for a visitor's uses.
const MAX_ROWS: i64 = 20_000;

/// Below this file size, in bytes, a percentage is meaningless: the whole file is in buffers at once.
const SMALLEST_WITH_PERCENT: u64 = 64 * 1024;

/// What the button for a file would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Start a download.
    Download,
    /// Start a download that was already requested.
    Starting,
    /// A download is running; the button continues it if it is interrupted.
    Running(SentBytes),
    /// Continue an interrupted download.
    Interrupted(SentBytes),
    /// The visitor has the file and may download it again.
    DoneAgain,
    /// The visitor has the file, and no use is left.
    Done,
    /// The download can no longer be continued, but a new one can start.
    LostAgain,
    /// The download can no longer be continued, and no use is left.
    Lost,
    /// No use is left.
    Gone,
    /// The named recipient has begun this file in another browser, and no use is left.
    Elsewhere,
}

/// How much of a file was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentBytes {
    /// How many different bytes were sent.
    pub bytes: u64,
    /// The size of the file in bytes.
    pub size: u64,
}

impl SentBytes {
    /// Returns the progress in whole percent; `None` for small files. Never 100, because only
    /// [`DownloadProgress::Whole`] means complete.
    pub fn percent(&self) -> Option<u64> {
        let percent = u128::from(self.bytes) * 100 / u128::from(self.size.max(1));
        (self.size >= SMALLEST_WITH_PERCENT).then(|| u64::try_from(percent.min(99)).unwrap_or(99))
    }
}

/// What a link offers one visitor.
#[derive(Clone, Debug)]
pub struct LinkOffers {
    begun: HashMap<String, Vec<BegunDownload>>,
    /// The visitor's uses: for each use's id, the files that it already has tokens for.
    uses: HashMap<String, HashSet<String>>,
    /// The files for which another browser of the named recipient has a token that it hasn't redeemed.
    unbegun_elsewhere: HashSet<String>,
    /// Whether the uses are those of a named recipient.
    is_named: bool,
    /// Whether a new use can be taken.
    has_left: bool,
    is_program: bool,
    rules: LeaseRules,
    /// Whether the link has expired, so that nothing new can start.
    ended: bool,
    now: Timestamp,
}

impl Links {
    /// Returns what the link offers this visitor at `now`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn offers(
        &self,
        link: &Link,
        recipient: &Recipient,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<LinkOffers, QueryError> {
        let mut begun: HashMap<String, Vec<BegunDownload>> = HashMap::new();
        for one in progress::of(self.db.reader(), &recipient.id, visitor, None).await? {
            begun.entry(one.path.clone()).or_default().push(one);
        }
        let (uses, unbegun_elsewhere) = self.open_uses(link, recipient, visitor, now).await?;
        Ok(LinkOffers {
            begun,
            uses,
            unbegun_elsewhere,
            is_named: recipient.email.is_some(),
            has_left: recipient.left(link.uses_per_recipient) != Some(0),
            is_program: visitor.is_program(),
            rules: self.lease,
            ended: link.ends_at.is_some_and(|end| now >= end),
            now,
        })
    }

    /// Returns the visitor's uses: those of their browser, or all uses of a recipient with an email address. And
    /// the files of these for which another browser has a token that this one can take over.
    async fn open_uses(
        &self,
        link: &Link,
        recipient: &Recipient,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(HashMap<String, HashSet<String>>, HashSet<String>), QueryError> {
        let named = recipient.email.is_some();
        let mark = visitor.mark.as_deref().unwrap_or_default();
        if mark.is_empty() && !named {
            return Ok((HashMap::new(), HashSet::new()));
        }
        let query = format!(
            "SELECT newest.id, link_tokens.path, CAST(CASE WHEN link_tokens.visitor <> $2 AND {} THEN 1 ELSE 0 END \
             AS BIGINT) AS unbegun FROM ({}) AS newest JOIN link_tokens \
             ON link_tokens.use_id = newest.id AND link_tokens.state <> 'released' LIMIT $4",
            open_uses::unbegun("$5", "$6"),
            open_uses::newest(named)
        );
        let rows = sqlx::query(AssertSqlSafe(query))
            .bind(recipient.id.as_str())
            .bind(mark)
            .bind(open_uses::looked_at(link.uses_per_recipient))
            .bind(MAX_ROWS)
            .bind(to_column(now))
            .bind(to_column(now.minus(open_uses::NEWS)))
            .fetch_all(self.db.reader())
            .await?;
        let mut uses: HashMap<String, HashSet<String>> = HashMap::new();
        let mut unbegun = HashSet::new();
        for row in rows {
            let path: String = row.try_get("path")?;
            // Without a mark, nobody could continue what they begin.
            if named && !mark.is_empty() && row.try_get::<i64, _>("unbegun")? > 0 {
                unbegun.insert(path.clone());
            }
            uses.entry(row.try_get("id")?).or_default().insert(path);
        }
        Ok((uses, unbegun))
    }
}

impl LinkOffers {
    /// Returns what the button for the file at `path` would do. `file` is its current size and version, if
    /// known.
    pub fn of(&self, path: &str, file: Option<(u64, &str)>) -> Offer {
        let can_begin = self.can_begin(path);
        let mut best = match can_begin {
            true => Offer::Download,
            false if self.is_begun_elsewhere(path) => Offer::Elsewhere,
            false => Offer::Gone,
        };
        for begun in self.begun.get(path).into_iter().flatten() {
            let other = file.is_some_and(|(size, version)| begun.is_of_another_file(size, version));
            let sent = SentBytes { bytes: begun.reported.map_or(0, |told| told.bytes), size: begun.size };
            let offer = match begun.progress(&self.rules, self.now) {
                DownloadProgress::Running if !other => Offer::Running(sent),
                DownloadProgress::Interrupted if !other => Offer::Interrupted(sent),
                // A program gets a new token each time, because two programs may share one address.
                DownloadProgress::Unredeemed if !other && !self.ended && !self.is_program => Offer::Starting,
                DownloadProgress::Unredeemed => continue,
                DownloadProgress::Whole if can_begin => Offer::DoneAgain,
                DownloadProgress::Whole => Offer::Done,
                DownloadProgress::Running | DownloadProgress::Interrupted | DownloadProgress::Over
                    if can_begin =>
                {
                    Offer::LostAgain
                }
                DownloadProgress::Running | DownloadProgress::Interrupted | DownloadProgress::Over => {
                    Offer::Lost
                }
            };
            if rank(offer) > rank(best) {
                best = offer;
            }
        }
        best
    }

    /// Returns the files that the visitor has begun, or that one of their uses includes. All others have the
    /// same offer.
    pub fn touched(&self) -> Vec<&str> {
        let paths = self.begun.keys().chain(self.uses.values().flatten());
        let mut paths: Vec<&str> = paths.map(String::as_str).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Returns what the buttons of all files that the visitor hasn't begun would do.
    pub fn for_untouched_file(&self) -> Offer {
        let goes_on = self.uses.values().any(|files| !has_archive(files));
        if !self.ended && (self.has_left || goes_on) { Offer::Download } else { Offer::Gone }
    }

    /// Whether the link offers this visitor something that it would not offer to a new one.
    pub fn has_own(&self) -> bool {
        let has = |path: &str| {
            let offer = self.of(path, None);
            match offer {
                Offer::Running(_) | Offer::Interrupted(_) | Offer::Starting => true,
                Offer::Done | Offer::DoneAgain => !self.is_program,
                Offer::Download | Offer::LostAgain => !self.has_left,
                Offer::Lost | Offer::Gone | Offer::Elsewhere => false,
            }
        };
        let goes_on = !self.ended && !self.has_left && self.for_untouched_file() == Offer::Download;
        self.begun.keys().any(|path| has(path)) || (goes_on && !self.is_program)
    }

    /// Whether this visitor was given a token for any file of the link before.
    pub fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Whether this visitor has downloaded a file of the link completely.
    pub fn has_downloaded(&self) -> bool {
        self.begun
            .values()
            .flatten()
            .any(|begun| begun.progress(&self.rules, self.now) == DownloadProgress::Whole)
    }

    fn can_begin(&self, path: &str) -> bool {
        // An archive has all files, so it is a use of its own.
        let goes_on = !archive_path::is_archive(path)
            && self.uses.values().any(|files| !files.contains(path) && !has_archive(files));
        !self.ended && (self.has_left || goes_on || self.unbegun_elsewhere.contains(path))
    }

    /// Whether the named recipient has a token for the file in another browser, which can't be taken over.
    fn is_begun_elsewhere(&self, path: &str) -> bool {
        self.is_named && !self.ended && self.uses.values().any(|files| files.contains(path))
    }
}

fn has_archive(files: &HashSet<String>) -> bool {
    files.iter().any(|file| archive_path::is_archive(file))
}

/// Returns the priority of an offer. If several downloads of one file were begun, the highest one counts.
fn rank(offer: Offer) -> u8 {
    match offer {
        Offer::Download | Offer::Gone | Offer::Elsewhere => 0,
        Offer::Lost | Offer::LostAgain => 1,
        Offer::Done | Offer::DoneAgain => 2,
        Offer::Starting => 3,
        Offer::Running(_) => 4,
        Offer::Interrupted(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_never_100_and_not_shown_for_a_small_file() {
        assert_eq!(SentBytes { bytes: 3, size: 4 }.percent(), None);
        assert_eq!(SentBytes { bytes: 65_535, size: 65_536 }.percent(), Some(99));
        assert_eq!(SentBytes { bytes: 100_000, size: 100_000 }.percent(), Some(99));
        assert_eq!(SentBytes { bytes: 9_000, size: 100_000 }.percent(), Some(9));
        assert_eq!(SentBytes { bytes: u64::MAX, size: u64::MAX }.percent(), Some(99));
    }
}
