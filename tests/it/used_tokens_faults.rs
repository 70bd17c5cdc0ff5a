//! The used-token store when its disk fails, lies or is tampered with.
//!
//! One rule covers all of it: a jti that was claimed is either still on record, or the fence has risen past
//! the second in which its token was issued. It never becomes valid again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use oncelink::clock::Clock;
use oncelink::id::Jti;
use oncelink::used_tokens::sled::{JournalFile, SledUsedTokens, StoreOpenError, Tuning};
use oncelink::used_tokens::{Mark, StoreError, Use, UsedToken, UsedTokens};

use crate::support::deliveries::in_time;
use crate::used_tokens::{NOW, at, jti, redeemed};

/// Slots in a segment: few, so that there are records in the database, in a full segment and in the current
/// one.
const SLOTS: u32 = 32;

/// A store in its own folder, with jtis that were claimed in it at [`NOW`].
struct Site {
    folder: tempfile::TempDir,
    claimed: Vec<Jti>,
}

impl Site {
    fn new() -> Site {
        Site { folder: tempfile::tempdir().unwrap(), claimed: Vec::new() }
    }

    /// A store with 150 claimed jtis that was closed, or abandoned without a stop.
    async fn used(orderly: bool) -> Site {
        let mut site = Site::new();
        let store = site.open();
        site.claim(&store, 150).await;
        if orderly {
            store.close().await;
        }
        site
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn try_open(&self, tuning: &Tuning) -> Result<SledUsedTokens, StoreOpenError> {
        // A minute later; a damaged store must not use the minimum issue time that is given for a new one.
        let clock = Clock::manual(if self.claimed.is_empty() { NOW } else { at(60) });
        SledUsedTokens::open_tuned(&self.dir(), &clock, Some(NOW), tuning)
    }

    fn open(&self) -> SledUsedTokens {
        self.try_open(&Tuning { slots: SLOTS, ..Tuning::default() }).unwrap()
    }

    async fn claim(&mut self, store: &SledUsedTokens, count: usize) {
        let jtis: Vec<Jti> = (0..count).map(|_| jti()).collect();
        for first in join_all(jtis.iter().map(|jti| store.claim(redeemed(*jti, at(900))))).await {
            assert_eq!(first.unwrap(), Use::First);
        }
        self.claimed.extend(jtis);
    }

    /// Opens the store and checks the rule; then that the store is undamaged again. Returns whether the fence
    /// rose.
    async fn nothing_works_twice(&self, what: &str) -> bool {
        let store = self.open();
        let fence = store.fence();
        let refused = fence > NOW;
        for jti in &self.claimed {
            let found = store.claim(redeemed(*jti, at(900))).await.unwrap();
            assert!(refused || found != Use::First, "{what}: {jti} is valid again");
        }
        assert!(!refused || fence == at(61), "{what}: the fence is the next second, not {fence}");
        let used = redeemed(jti(), at(900));
        assert_eq!(store.claim(used).await.unwrap(), Use::First, "{what}");
        drop(store);
        let store = self.open();
        assert_eq!(store.fence(), fence, "{what}: the fence rises only once");
        assert_eq!(store.claim(used).await.unwrap(), Use::Replay(used), "{what}");
        for jti in &self.claimed {
            assert!(store.find(*jti).await.unwrap().is_some(), "{what}: {jti} was lost in the repair");
        }
        refused
    }

    /// The same, where the fence must rise because records may have been lost.
    async fn the_fence_rises(&self, what: &str) {
        assert!(self.nothing_works_twice(what).await, "{what}: the fence did not rise");
    }

    /// The same, where all records are still there and must be found.
    async fn all_are_on_record(&self) {
        let store = self.open();
        for jti in &self.claimed {
            assert!(store.find(*jti).await.unwrap().is_some(), "{jti} is lost");
        }
    }

    /// The store's files and its witness, relative to the folder above.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![PathBuf::from("store.witness")];
        for folder in ["store", "store/sled"] {
            for entry in fs::read_dir(self.folder.path().join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() && entry.file_name() != "lock" {
                    files.push(Path::new(folder).join(entry.file_name()));
                }
            }
        }
        files.sort();
        files
    }
}

fn flip(path: &Path, offsets: impl Iterator<Item = u64>) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    for offset in offsets {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        FileExt::write_all_at(&file, &[byte[0] ^ 0x10], offset).unwrap();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_sound_store_raises_no_fence() {
    for orderly in [true, false] {
        let site = Site::used(orderly).await;
        assert!(!site.nothing_works_twice("nothing is wrong").await);
        site.all_are_on_record().await;
    }
}

/// Flips one byte at a time, in the parts of a file that hold data.
async fn flip_one_by_one(file: &str, orderly: bool, count: u64) {
    for round in 0..count {
        let site = Site::used(orderly).await;
        if file == "snap" {
            // sled writes a snapshot at its second start.
            drop(site.open());
        }
        let found = site.files().into_iter().find(|path| path.to_string_lossy().contains(file)).unwrap();
        let path = site.folder.path().join(&found);
        let bytes = fs::read(&path).unwrap();
        let written: Vec<u64> =
            (0..).zip(bytes.chunks(64)).filter(|(_, c)| c.iter().any(|b| *b != 0)).map(|(n, _)| n).collect();
        let chunk =
            written[written.len() * usize::try_from(round).unwrap() / usize::try_from(count).unwrap()];
        let length = (bytes.len() as u64 - chunk * 64).min(64);
        let offset = chunk * 64 + (round * 7) % length;
        flip(&path, std::iter::once(offset));
        site.nothing_works_twice(&format!("byte {offset} of {} flipped", found.display())).await;
    }
}

macro_rules! flips {
    ($($name:ident: $file:literal $orderly:literal $count:literal;)*) => {
        mod one_flipped_byte_never_makes_a_jti_good_again {
            $(
                #[tokio::test]
                async fn $name() {
                    super::flip_one_by_one($file, $orderly, $count).await;
                }
            )*
        }
    };
}

flips! {
    in_journal_0: "journal.0" false 24;
    in_journal_1: "journal.1" false 24;
    in_journal_0_after_an_orderly_end: "journal.0" true 12;
    in_the_database: "sled/db" false 40;
    in_the_database_after_an_orderly_end: "sled/db" true 40;
    in_the_databases_settings: "sled/conf" false 6;
    in_the_databases_snapshot: "snap" true 10;
    in_the_witness: "witness" true 6;
}

#[tokio::test]
async fn a_byte_flipped_every_64_bytes_never_makes_a_jti_valid_again() {
    for orderly in [true, false] {
        let files = Site::used(orderly).await.files().len();
        for n in 0..files {
            let site = Site::used(orderly).await;
            // A snapshot has a number in its name, so the file is found by its index.
            let Some(name) = site.files().into_iter().nth(n) else { continue };
            let path = site.folder.path().join(&name);
            let length = fs::metadata(&path).unwrap().len();
            flip(&path, (0..length).step_by(64));
            site.nothing_works_twice(&format!("every 64th byte of {} flipped", name.display())).await;
        }
    }
}

#[tokio::test]
async fn a_damaged_record_in_the_journal_raises_the_fence_and_spares_the_others() {
    let site = Site::used(false).await;
    let journal = site.path("journal.0");
    flip(&journal, std::iter::once(4096 + 3 * 256 + 40));
    site.the_fence_rises("a record is damaged").await;
    let store = site.open();
    let mut kept = 0;
    for jti in &site.claimed {
        kept += usize::from(store.find(*jti).await.unwrap().is_some_and(|used| used.mark != Mark::Revoked));
    }
    assert_eq!(kept, site.claimed.len());
    let aside = fs::read_dir(site.dir()).unwrap().filter_map(Result::ok);
    assert!(
        aside.map(|e| e.file_name()).any(|name| name.to_string_lossy().starts_with("journal.0.damaged-"))
    );
}

#[tokio::test]
async fn what_is_missing_raises_the_fence() {
    for orderly in [true, false] {
        for missing in [
            &["store/sled"][..],
            &["store/sled/db"],
            &["store/journal.0"],
            &["store/journal.1"],
            &["store/journal.0", "store/journal.1"],
            &["store.witness"],
            &["store"],
            &["store/sled", "store.witness"],
            &["store/sled", "store/journal.0", "store/journal.1"],
        ] {
            let site = Site::used(orderly).await;
            for name in missing {
                let path = site.folder.path().join(name);
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
            }
            site.the_fence_rises(&format!("{missing:?} is missing")).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_is_gone_without_a_trace_is_a_new_one_with_a_fence() {
    let site = Site::used(true).await;
    fs::remove_dir_all(site.dir()).unwrap();
    fs::remove_file(site.folder.path().join("store.witness")).unwrap();
    let store = SledUsedTokens::open(&site.dir(), &Clock::manual(at(60)), None).unwrap();
    assert_eq!(store.fence(), at(61));
}

#[tokio::test]
async fn a_journal_of_another_length_raises_the_fence() {
    for length in [0, 100, 4096, 4096 + 5 * 256, 4096 + 32 * 256 - 1, 4096 + 33 * 256] {
        let site = Site::used(false).await;
        for name in ["journal.0", "journal.1"] {
            OpenOptions::new().write(true).open(site.path(name)).unwrap().set_len(length).unwrap();
        }
        site.the_fence_rises(&format!("cut to {length} bytes")).await;
    }
}

#[tokio::test]
async fn a_restored_older_copy_raises_the_fence() {
    for (witness_too, in_place) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut site = Site::used(true).await;
        let backup = site.folder.path().join("backup");
        copy_folder(&site.dir(), &backup);
        fs::copy(site.folder.path().join("store.witness"), site.folder.path().join("backup.witness"))
            .unwrap();
        let store = site.open();
        site.claim(&store, 5).await;
        drop(store);
        if !in_place {
            fs::remove_dir_all(site.dir()).unwrap();
        }
        copy_folder(&backup, &site.dir());
        if witness_too {
            fs::copy(site.folder.path().join("backup.witness"), site.folder.path().join("store.witness"))
                .unwrap();
        }
        site.the_fence_rises(&format!("copy with witness: {witness_too}, in place: {in_place}")).await;
    }
}

#[tokio::test]
async fn a_part_of_an_older_copy_raises_the_fence() {
    for part in ["sled", "journal.0", "journal.1"] {
        let mut site = Site::used(true).await;
        let backup = site.folder.path().join("backup");
        copy_folder(&site.dir(), &backup);
        let store = site.open();
        site.claim(&store, 100).await;
        drop(store);
        if part == "sled" {
            fs::remove_dir_all(site.path(part)).unwrap();
            copy_folder(&backup.join(part), &site.path(part));
        } else {
            fs::copy(backup.join(part), site.path(part)).unwrap();
        }
        site.the_fence_rises(&format!("{part} is of yesterday")).await;
    }
}

#[tokio::test]
async fn a_part_of_another_store_raises_the_fence() {
    for part in ["sled", "journal.0", "journal.1"] {
        let site = Site::used(true).await;
        let other = Site::used(true).await;
        let (from, to) = (other.path(part), site.path(part));
        if part == "sled" { fs::remove_dir_all(&to) } else { fs::remove_file(&to) }.unwrap();
        fs::rename(from, to).unwrap();
        site.the_fence_rises(&format!("{part} is of another store")).await;
    }
}

#[tokio::test]
async fn journal_files_that_changed_places_raise_the_fence() {
    let site = Site::used(false).await;
    fs::rename(site.path("journal.0"), site.path("x")).unwrap();
    fs::rename(site.path("journal.1"), site.path("journal.0")).unwrap();
    fs::rename(site.path("x"), site.path("journal.1")).unwrap();
    site.the_fence_rises("swapped").await;
}

/// Rewrites a journal in the format of earlier releases: slots of half the length, and leases without the
/// file's identity and the reserved bytes.
fn to_first_format(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let (header, slots) = bytes.split_at(4096);
    let checksummed = |body: &[u8]| [&crc32fast::hash(body).to_le_bytes()[..], body].concat();
    let mut first = b"OLJRNL01".to_vec();
    first.extend_from_slice(&header[8..52]);
    first.extend_from_slice(&crc32fast::hash(&first).to_le_bytes());
    first.resize(4096, 0);
    for slot in slots.chunks(256) {
        let mut body = slot[4..128].to_vec();
        if body[28] == 5 {
            body[28] = 2;
            body[117..].fill(0);
        }
        let is_empty = slot.iter().all(|byte| *byte == 0);
        first.extend_from_slice(&if is_empty { vec![0; 128] } else { checksummed(&body) });
    }
    // In place, because a journal is identified by its inode.
    let file = OpenOptions::new().write(true).open(path).unwrap();
    FileExt::write_all_at(&file, &first, 0).unwrap();
    file.set_len(first.len() as u64).unwrap();
}

#[tokio::test]
async fn a_journal_of_the_first_format_is_read_and_rewritten() {
    for made_again in [&[][..], &[0], &[1]] {
        let site = Site::used(false).await;
        for name in ["journal.0", "journal.1"] {
            to_first_format(&site.path(name));
        }
        if let [number] = made_again {
            // The start that creates them again was interrupted between the two.
            let old = [site.path("journal.0"), site.path("journal.1")];
            let aside = [site.path("0"), site.path("1")];
            for (old, aside) in old.iter().zip(&aside) {
                fs::hard_link(old, aside).unwrap();
            }
            drop(site.open());
            let old: usize = 1 - number;
            fs::rename(&aside[old], site.path(&format!("journal.{old}"))).unwrap();
        }
        assert!(!site.nothing_works_twice(&format!("{made_again:?} made again")).await);
        site.all_are_on_record().await;
        let header = fs::read(site.path("journal.0")).unwrap();
        assert!(header.starts_with(b"OLJRNL02"));
    }
}

#[tokio::test]
async fn a_second_process_is_kept_out() {
    let site = Site::new();
    let _store = site.open();
    let second = site.try_open(&Tuning::default()).err().unwrap();
    assert!(matches!(&second, StoreOpenError::InUse { .. }), "{second}");
    assert!(second.to_string().ends_with("is already in use by another process"));
}

/// Checks that a copy of the journal, made during claims, has every claim acknowledged before the copy began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_in_the_files_at_once() {
    let mut site = Site::new();
    let store = Arc::new(site.try_open(&Tuning { slots: 4_096, ..Tuning::default() }).unwrap());
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let claims: Vec<_> = (0..16)
        .map(|_| {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for _ in 0..200 {
                    let used = redeemed(jti(), at(900));
                    assert_eq!(store.claim(used).await.unwrap(), Use::First);
                    acknowledged.lock().unwrap().push(used.jti);
                }
            })
        })
        .collect();
    let mut copies = Vec::new();
    for wanted in [10, 200, 1_000, 2_500] {
        in_time("the claims", async {
            while acknowledged.lock().unwrap().len() < wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let before = acknowledged.lock().unwrap().clone();
        let copy = Site { folder: tempfile::tempdir().unwrap(), claimed: before };
        copy_folder(&site.dir(), &copy.dir());
        copies.push(copy);
    }
    for claim in claims {
        claim.await.unwrap();
    }
    for copy in copies {
        copy.all_are_on_record().await;
        copy.the_fence_rises("a copy").await;
    }
    site.claimed.clone_from(&acknowledged.lock().unwrap());
    drop(store);
    assert!(!site.nothing_works_twice("the original").await);
}

/// A journal whose fsync waits until the test decides how it ends.
struct Gate {
    file: File,
    begun: Sender<()>,
    end: Arc<Mutex<Receiver<io::Result<()>>>>,
    fail_write: bool,
}

impl JournalFile for Gate {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.fail_write {
            return Err(io::Error::from_raw_os_error(5));
        }
        FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.begun.send(()).unwrap();
        self.end.lock().unwrap().recv().unwrap_or(Ok(()))?;
        self.file.sync_data()
    }
}

fn gated(fail_write: bool) -> (Tuning, Receiver<()>, Sender<io::Result<()>>) {
    let (begun, has_begun) = channel();
    let (let_go, end) = channel();
    let end = Arc::new(Mutex::new(end));
    let journal_file = move |file| -> Box<dyn JournalFile> {
        Box::new(Gate { file, begun: begun.clone(), end: Arc::clone(&end), fail_write })
    };
    (Tuning { slots: SLOTS, journal_file: Arc::new(journal_file), ..Tuning::default() }, has_begun, let_go)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_acknowledged_only_after_its_fsync_has_returned() {
    let site = Site::new();
    let (tuning, has_begun, let_go) = gated(false);
    let store = Arc::new(site.try_open(&tuning).unwrap());
    let claim = |used: UsedToken| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.claim(used).await })
    };
    let (one, two) = (redeemed(jti(), at(900)), redeemed(jti(), at(900)));
    let first = claim(one);
    has_begun.recv().unwrap();
    // The fsync of the first claim is running: it is written, but not acknowledged; the next claim waits.
    assert_eq!(claim(one).await.unwrap().unwrap(), Use::Replay(one));
    let second = claim(two);
    in_time("the second claim", async {
        while store.find(two.jti).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!first.is_finished() && !second.is_finished());
    let_go.send(Ok(())).unwrap();
    assert_eq!(first.await.unwrap().unwrap(), Use::First);
    has_begun.recv().unwrap();
    assert!(!second.is_finished(), "the second claim has its own fsync");
    let_go.send(Ok(())).unwrap();
    assert_eq!(second.await.unwrap().unwrap(), Use::First);
    drop(let_go);
}

async fn is_poisoned(store: &SledUsedTokens) {
    let used = redeemed(jti(), at(900));
    assert!(matches!(store.claim(used).await, Err(StoreError::Poisoned)));
    assert!(matches!(store.find(used.jti).await, Err(StoreError::Poisoned)));
    assert!(matches!(store.revoke(used.jti, NOW, at(900)).await, Err(StoreError::Poisoned)));
    assert!(matches!(store.purge(NOW).await, Err(StoreError::Poisoned)));
    assert!(matches!(store.record_time(NOW).await, Err(StoreError::Poisoned)));
    assert!(matches!(store.ready().await, Err(StoreError::Poisoned)));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_fsync_nothing_is_served_until_the_next_start() {
    let mut site = Site::new();
    let (tuning, has_begun, let_go) = gated(false);
    let store = site.try_open(&tuning).unwrap();
    let_go.send(Ok(())).unwrap();
    site.claim(&store, 1).await;
    let_go.send(Err(io::Error::from_raw_os_error(5))).unwrap();
    let used = redeemed(jti(), at(900));
    assert!(matches!(store.claim(used).await, Err(StoreError::Poisoned)));
    // The disk works again, but what the failed fsync left behind is unknown.
    let_go.send(Ok(())).unwrap();
    is_poisoned(&store).await;
    assert!(matches!(store.claim(used).await, Err(StoreError::Poisoned)), "not even the same claim");
    assert_eq!(has_begun.try_iter().count(), 2, "an fsync is never retried");
    drop(store);
    assert!(!site.nothing_works_twice("restarted").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_write_nothing_is_served_until_the_next_start() {
    let site = Site::new();
    let (tuning, has_begun, _let_go) = gated(true);
    let store = site.try_open(&tuning).unwrap();
    let used = redeemed(jti(), at(900));
    assert!(matches!(store.claim(used).await, Err(StoreError::Poisoned)));
    is_poisoned(&store).await;
    assert_eq!(has_begun.try_iter().count(), 0);
    store.close().await;
}

/// A journal that panics.
struct Panicking;

impl JournalFile for Panicking {
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        panic!("on the test's request")
    }

    fn sync_data(&self) -> io::Result<()> {
        unreachable!("nothing was written")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_panic_of_its_thread_nothing_is_served_until_the_next_start() {
    let site = Site::new();
    let journal_file = |_| -> Box<dyn JournalFile> { Box::new(Panicking) };
    let store = site
        .try_open(&Tuning { slots: SLOTS, journal_file: Arc::new(journal_file), ..Tuning::default() })
        .unwrap();
    assert!(store.ready().await.is_ok());
    let used = redeemed(jti(), at(900));
    assert!(matches!(store.claim(used).await, Err(StoreError::Poisoned)));
    is_poisoned(&store).await;
    store.close().await;
    assert_eq!(site.open().claim(used).await.unwrap(), Use::First);
}

/// A journal on a disk that can be full.
struct Limited {
    file: File,
    full: Arc<AtomicBool>,
    fsync_fails: Arc<AtomicBool>,
}

impl JournalFile for Limited {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            // A part of it was still written; a slot is within one block.
            FileExt::write_all_at(&self.file, &bytes[..bytes.len() / 512 * 256], offset)?;
            return Err(io::Error::from_raw_os_error(28));
        }
        FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.fsync_fails.load(Ordering::SeqCst) {
            true => Err(io::Error::from_raw_os_error(28)),
            false => self.file.sync_data(),
        }
    }
}

fn limited() -> (Tuning, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (full, fsync_fails) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (is_full, fails) = (Arc::clone(&full), Arc::clone(&fsync_fails));
    let journal_file = move |file| -> Box<dyn JournalFile> {
        Box::new(Limited { file, full: Arc::clone(&is_full), fsync_fails: Arc::clone(&fails) })
    };
    (Tuning { slots: SLOTS, journal_file: Arc::new(journal_file), ..Tuning::default() }, full, fsync_fails)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_disk_was_full_opens_again_by_itself_and_has_lost_nothing() {
    let mut site = Site::new();
    let (tuning, full, _) = limited();
    let store = site.try_open(&tuning).unwrap();
    site.claim(&store, 100).await;
    for _ in 0..2 {
        full.store(true, Ordering::SeqCst);
        let refused: Vec<UsedToken> = (0..9).map(|_| redeemed(jti(), at(900))).collect();
        for answer in join_all(refused.iter().map(|used| store.claim(*used))).await {
            assert!(matches!(answer, Err(StoreError::Full)), "{answer:?}");
        }
        assert!(matches!(store.find(site.claimed[0]).await, Err(StoreError::Full)));
        assert!(matches!(store.ready().await, Err(StoreError::Full)));
        full.store(false, Ordering::SeqCst);
        crate::support::deliveries::eventually("the store", async || store.ready().await.is_ok()).await;
        assert_eq!(store.fence(), NOW, "nothing was lost, so the fence stays");
        for jti in &site.claimed {
            assert!(store.find(*jti).await.unwrap().is_some(), "{jti} is lost");
        }
        site.claim(&store, 10).await;
        // A refused claim may be on record or not; from now on it stays the same.
        for used in refused {
            let first = store.claim(used).await.unwrap();
            assert!(matches!(store.claim(used).await.unwrap(), Use::Replay(_)), "{first:?}");
            site.claimed.push(used.jti);
        }
    }
    store.close().await;
    assert!(matches!(store.ready().await, Err(StoreError::Closed)));
    drop(store);
    assert!(!site.nothing_works_twice("restarted").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_that_finds_the_disk_full_is_a_failed_fsync() {
    let mut site = Site::new();
    let (tuning, full, fsync_fails) = limited();
    let store = site.try_open(&tuning).unwrap();
    site.claim(&store, 3).await;
    fsync_fails.store(true, Ordering::SeqCst);
    assert!(matches!(store.claim(redeemed(jti(), at(900))).await, Err(StoreError::Poisoned)));
    full.store(false, Ordering::SeqCst);
    fsync_fails.store(false, Ordering::SeqCst);
    is_poisoned(&store).await;
    drop(store);
    assert!(!site.nothing_works_twice("restarted").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_take_the_journal_stops_the_store_and_loses_nothing() {
    let mut site = Site::new();
    let store = site.open();
    site.claim(&store, 1).await;
    // The witness can't be replaced while a folder is in its place.
    let in_the_way = site.folder.path().join("store.witness.new");
    fs::create_dir(&in_the_way).unwrap();
    let jtis: Vec<Jti> = (0..200).map(|_| jti()).collect();
    let claims = join_all(jtis.iter().map(|jti| store.claim(redeemed(*jti, at(900))))).await;
    for (jti, claim) in jtis.iter().zip(claims) {
        match claim {
            Ok(found) => {
                assert_eq!(found, Use::First);
                site.claimed.push(*jti);
            }
            Err(e) => assert!(matches!(e, StoreError::Poisoned)),
        }
    }
    assert!(site.claimed.len() < 201, "the journal was full before all were claimed");
    is_poisoned(&store).await;
    drop(store);
    fs::remove_dir(in_the_way).unwrap();
    assert!(!site.nothing_works_twice("restarted").await);
}

#[tokio::test]
async fn a_purge_records_its_time_before_it_deletes() {
    let mut site = Site::used(true).await;
    let store = site.open();
    assert_eq!(store.purge(at(5_000)).await.unwrap(), 150);
    drop(store);
    site.claimed.clear();
    let clock = Clock::manual(NOW);
    let store = SledUsedTokens::open(&site.dir(), &clock, None).unwrap();
    assert!(clock.now() >= at(5_000), "no token of that time can become valid again");
    assert_eq!(store.fence(), NOW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_continue_while_a_purge_runs() {
    let mut site = Site::used(false).await;
    let store = Arc::new(site.open());
    for _ in 0..20 {
        site.claim(&store, 500).await;
    }
    let due = site.claimed.len() as u64;
    let purge = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.purge(at(900)).await })
    };
    let mut later = Vec::new();
    in_time("the purge", async {
        while !purge.is_finished() {
            let used = redeemed(jti(), at(9_000));
            assert_eq!(store.claim(used).await.unwrap(), Use::First);
            assert_eq!(store.claim(used).await.unwrap(), Use::Replay(used));
            later.push(used);
        }
    })
    .await;
    assert_eq!(purge.await.unwrap().unwrap(), due);
    for used in later {
        assert_eq!(store.find(used.jti).await.unwrap(), Some(used));
    }
    for jti in &site.claimed {
        assert_eq!(store.find(*jti).await.unwrap(), None);
    }
}
