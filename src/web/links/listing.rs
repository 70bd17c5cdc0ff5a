//! The list of a link's files for a mail: names, numbers and sizes at the time when the mail is sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::files::{EntryKind, Shares};
use crate::human;
use crate::id::LinkId;
use crate::web::identity::Account;
use crate::web::links::contents::{self, ContentsQuery, LinkContents, LinkFile};
use crate::web::links::link::Link;
use crate::web::mail::letters::LinkListing;
use crate::web::mail::wording::{LISTED, ListedFile};
use crate::web::shares::drop_folder;
use crate::web::shares::rights::{Readable, Rights};

/// How long a listing is reused for other mails of the same link, so that a folder is not walked once for
/// each of a thousand recipients.
const FRESH: Duration = Duration::from_secs(60);

/// Lists the files of links for mails. Clones share the most recent listing.
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
    /// Creates listings of files in `shares`, limited to what the links' owners may read according to
    /// `rights`.
    pub fn new(shares: Shares, rights: Rights) -> LinkListings {
        LinkListings { shares, rights, last: Arc::default() }
    }

    /// Returns the listing of `link`, which `owner` created.
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
        let hidden_files = link.hidden_files;
        let looked = tokio::task::spawn_blocking(move || look(&shares, &places, hidden_files)).await;
        // If listing fails, the mail is sent without a list.
        let listing = looked.unwrap_or_default();
        let seen =
            Seen { link: link.id.clone(), terms: link.terms_version, at: now, listing: listing.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        listing
    }
}

/// Blocks on disk I/O.
fn look(shares: &Shares, places: &[(usize, Readable)], hidden_files: bool) -> LinkListing {
    let view = ContentsQuery { hidden_files, ..ContentsQuery::default() };
    let all = contents::look_at(shares, places, &view);
    let about = |(position, place): &(usize, Readable)| match shares.entry(place.path()).ok()?.kind {
        EntryKind::File(version) => Some(human::size(version.len)),
        EntryKind::Folder => {
            let within = contents::look_at(shares, &[(*position, place.clone())], &view);
            Some(counted(&within).map_or("folder".to_owned(), |total| format!("folder, {total}")))
        }
    };
    if let [(_, only)] = places
        && drop_folder::is_one(only)
    {
        let file = |item: &LinkFile| ListedFile { name: item.name.clone(), about: human::size(item.size) };
        let names: Vec<ListedFile> = all.items.iter().take(LISTED).map(file).collect();
        return LinkListing {
            unlisted: all.total.saturating_sub(names.len()),
            names,
            total: counted(&all).unwrap_or_default(),
            is_several: all.total > 1,
        };
    }
    // Entries that are not listed by name need no description.
    let names = places.iter().enumerate().filter_map(|(at, place)| {
        let about = if at < LISTED { about(place)? } else { String::new() };
        Some(ListedFile { name: place.1.path().name().to_owned(), about })
    });
    LinkListing {
        names: names.collect(),
        unlisted: 0,
        total: counted(&all).unwrap_or_default(),
        is_several: all.total > 1,
    }
}

/// Returns the number of files, with their total size if all of them were visited.
fn counted(contents: &LinkContents) -> Option<String> {
    if contents.more || contents.total == 0 {
        return None;
    }
    let files = human::counted(u64::try_from(contents.total).unwrap_or(u64::MAX), "file");
    let is_whole = contents.pages == 1 && contents.items.len() == contents.total;
    let size = contents.items.iter().fold(0_u64, |sum, item| sum.saturating_add(item.size));
    Some(if is_whole { format!("{files}, {}", human::size(size)) } else { files })
}
