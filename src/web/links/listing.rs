//! What a link is on, in the words of a letter: names, numbers and sizes, as they are when the letter leaves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::files::{EntryKind, Shares};
use crate::human;
use crate::id::LinkId;
use crate::web::identity::Account;
use crate::web::links::contents::{self, ContentsQuery, LinkContents};
use crate::web::links::link::Link;
use crate::web::mail::letters::LinkListing;
use crate::web::mail::wording::{LISTED, ListedFile};
use crate::web::shares::rights::{Readable, Rights};

/// A listing serves the letters of one link that leave within this time: a folder is not walked through once
/// for each of a thousand recipients.
const FRESH: Duration = Duration::from_secs(60);

/// Looks at the files of links. Clones share what was seen last.
#[derive(Clone)]
pub struct LinkListings {
    shares: Shares,
    rights: Rights,
    last: Arc<Mutex<Option<Seen>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    link: LinkId,
    terms: i64,
    at: Timestamp,
    listing: LinkListing,
}

impl LinkListings {
    /// Of files in `shares`, as far as the links' owners have the `rights` to read them.
    pub fn new(shares: Shares, rights: Rights) -> LinkListings {
        LinkListings { shares, rights, last: Arc::default() }
    }

    /// What `link` of `owner` is on.
    pub async fn of(&self, link: &Link, owner: &Account, now: Timestamp) -> LinkListing {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(seen) = last
            && (&seen.link, seen.terms) == (&link.id, link.terms_version)
            && now.since(seen.at) < FRESH
            && seen.at <= now
        {
            return seen.listing;
        }
        let readable = |(place, file)| Some((place, self.rights.readable(owner, file)?));
        let places: Vec<_> = link.files.iter().cloned().enumerate().filter_map(readable).collect();
        let shares = self.shares.clone();
        let looked = tokio::task::spawn_blocking(move || look(&shares, &places)).await;
        // A letter without a list is better than none.
        let listing = looked.unwrap_or_default();
        let seen =
            Seen { link: link.id.clone(), terms: link.terms_version, at: now, listing: listing.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        listing
    }
}

/// Blocks on the disk.
fn look(shares: &Shares, places: &[(usize, Readable)]) -> LinkListing {
    let all = contents::look_at(shares, places, &ContentsQuery::default());
    let about = |(position, place): &(usize, Readable)| match shares.entry(place.path()).ok()?.kind {
        EntryKind::File(version) => Some(human::size(version.len)),
        EntryKind::Folder => {
            let within = contents::look_at(shares, &[(*position, place.clone())], &ContentsQuery::default());
            Some(counted(&within).map_or("folder".to_owned(), |total| format!("folder, {total}")))
        }
    };
    // Those that are only counted need not be looked at.
    let names = places.iter().enumerate().filter_map(|(at, place)| {
        let about = if at < LISTED { about(place)? } else { String::new() };
        Some(ListedFile { name: place.1.path().name().to_owned(), about })
    });
    LinkListing {
        names: names.collect(),
        total: counted(&all).unwrap_or_default(),
        is_several: all.total > 1,
    }
}

/// How many files there are, and their size where all of them were looked at.
fn counted(contents: &LinkContents) -> Option<String> {
    if contents.more || contents.total == 0 {
        return None;
    }
    let files = human::counted(u64::try_from(contents.total).unwrap_or(u64::MAX), "file");
    let is_whole = contents.pages == 1 && contents.items.len() == contents.total;
    let size = contents.items.iter().fold(0_u64, |sum, item| sum.saturating_add(item.size));
    Some(if is_whole { format!("{files}, {}", human::size(size)) } else { files })
}
