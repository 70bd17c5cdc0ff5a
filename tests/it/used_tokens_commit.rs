//! Who commits claims: whoever claims while the disk is quick, a thread while it is slow. Either way an answer comes
//! after the fsync that covers it, and every claim is committed, whatever happens to its caller.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use oncelink::clock::Clock;
use oncelink::used_tokens::sled::{JournalFile, SledUsedTokens, Tuning};
use oncelink::used_tokens::{StoreError, Use, UsedToken, UsedTokens};
use tempfile::TempDir;

use crate::support::deliveries::in_time;
use crate::used_tokens::{NOW, at, jti, redeemed};

const THREAD: &str = "used-tokens-commit";

/// What the next fsyncs do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disk {
    /// Nothing: they take no time.
    Instant,
    /// They take five milliseconds.
    Slow,
    Fails,
    Panics,
}

/// What happened to a journal.
struct Seen {
    disk: Mutex<Disk>,
    /// The names of the threads that called fsync.
    syncs: Mutex<Vec<String>>,
    /// Records that were written, and those that an fsync covered which has returned.
    written: AtomicUsize,
    durable: AtomicUsize,
    sync_began: Sender<()>,
    /// Nobody ever sends: waiting for it takes a known time.
    never: Mutex<Receiver<()>>,
    _never: Sender<()>,
}

impl Seen {
    fn set(&self, disk: Disk) {
        *self.disk.lock().unwrap() = disk;
    }

    fn syncs(&self) -> Vec<String> {
        self.syncs.lock().unwrap().clone()
    }

    fn syncs_here(&self) -> usize {
        let here = here();
        self.syncs().iter().filter(|thread| **thread == here).count()
    }
}

fn here() -> String {
    std::thread::current().name().unwrap_or("a worker").to_owned()
}

struct Watched {
    file: File,
    seen: Arc<Seen>,
}

impl JournalFile for Watched {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.seen.written.fetch_add(bytes.len() / 256, Ordering::SeqCst);
        FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let written = self.seen.written.load(Ordering::SeqCst);
        self.seen.syncs.lock().unwrap().push(here());
        let _ = self.seen.sync_began.send(());
        let disk = *self.seen.disk.lock().unwrap();
        match disk {
            Disk::Instant => {}
            Disk::Slow => {
                let _ = self.seen.never.lock().unwrap().recv_timeout(Duration::from_millis(5));
            }
            Disk::Fails => return Err(io::Error::from_raw_os_error(5)),
            Disk::Panics => panic!("on the test's request"),
        }
        self.seen.durable.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }
}

struct Site {
    folder: TempDir,
    store: Arc<SledUsedTokens>,
    seen: Arc<Seen>,
    sync_began: Receiver<()>,
}

impl Site {
    /// A store on whose journal nobody has written yet.
    fn new(slots: u32, worker_limit: Duration) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let (sync_began, has_begun) = channel();
        let (sender, never) = channel();
        let seen = Arc::new(Seen {
            disk: Mutex::new(Disk::Instant),
            syncs: Mutex::default(),
            written: AtomicUsize::new(0),
            durable: AtomicUsize::new(0),
            sync_began,
            never: Mutex::new(never),
            _never: sender,
        });
        let watch = Arc::clone(&seen);
        let journal_file =
            move |file| -> Box<dyn JournalFile> { Box::new(Watched { file, seen: Arc::clone(&watch) }) };
        let journal_file = Arc::new(journal_file);
        let tuning = Tuning { slots, journal_file, worker_limit, ..Tuning::default() };
        let dir = folder.path().join("store");
        let store = SledUsedTokens::open_tuned(&dir, &Clock::manual(NOW), Some(NOW), &tuning).unwrap();
        Site { folder, store: Arc::new(store), seen, sync_began: has_begun }
    }

    /// The same after the first claims, of which the thread commits one. Whoever claims commits from now on.
    async fn on_workers(slots: u32) -> Site {
        let site = Site::new(slots, Duration::MAX);
        for _ in 0..100 {
            claim(&site.store).await;
            if site.seen.syncs_here() > 0 {
                assert_eq!(site.seen.syncs()[0], THREAD, "nothing is known about a disk at first");
                return site;
            }
        }
        panic!("the thread goes on committing: {:?}", site.seen.syncs());
    }

    /// Abandons the store, so that the next start reads its journal, and checks that these jtis are on record.
    async fn assert_on_record(self, claimed: &[UsedToken]) {
        drop(self.store);
        let dir = self.folder.path().join("store");
        let store = SledUsedTokens::open(&dir, &Clock::manual(at(60)), Some(NOW)).unwrap();
        assert_eq!(store.fence(), NOW, "nothing is in doubt");
        for used in claimed {
            assert_eq!(store.find(used.jti).await.unwrap(), Some(*used));
        }
    }
}

async fn claim(store: &SledUsedTokens) -> UsedToken {
    let used = redeemed(jti(), at(900));
    assert_eq!(store.claim(used).await.unwrap(), Use::First);
    used
}

#[actix_web::test]
async fn on_a_quick_disk_whoever_claims_commits() {
    let site = Site::on_workers(64).await;
    let before = site.seen.syncs_here();
    for count in 1..=20 {
        claim(&site.store).await;
        assert_eq!(site.seen.syncs_here(), before + count);
    }
    site.store.record_time(at(1)).await.unwrap();
    assert_eq!(site.seen.syncs_here(), before + 21);
}

#[actix_web::test]
async fn claims_that_are_ready_at_the_same_moment_are_one_group() {
    let site = Site::on_workers(4096).await;
    for _ in 0..3 {
        let before = site.seen.syncs().len();
        let claims: Vec<_> = (0..50)
            .map(|_| {
                let store = Arc::clone(&site.store);
                actix_web::rt::spawn(async move { claim(&store).await })
            })
            .collect();
        for claim in claims {
            claim.await.unwrap();
        }
        assert_eq!(site.seen.syncs().len(), before + 1);
    }
}

#[actix_web::test]
async fn a_slow_disk_never_stops_a_worker() {
    let site = Site::new(4096, Tuning::default().worker_limit);
    site.seen.set(Disk::Slow);
    for _ in 0..20 {
        claim(&site.store).await;
    }
    assert_eq!(site.seen.syncs(), vec![THREAD; 20]);
    // A disk that is quick for a long time and becomes slow: that is noticed the first time.
    site.seen.set(Disk::Instant);
    for _ in 0..100 {
        claim(&site.store).await;
    }
    let quick = site.seen.syncs_here();
    site.seen.set(Disk::Slow);
    for _ in 0..20 {
        claim(&site.store).await;
    }
    assert!(site.seen.syncs_here() <= quick + 1, "{:?}", site.seen.syncs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_comes_after_the_fsync_that_covers_it() {
    // Small segments, so that they are handed over all the time and workers meet the settler.
    for slots in [32, 4096] {
        let site = Site::on_workers(slots).await;
        let answers = Arc::new(AtomicUsize::new(site.seen.durable.load(Ordering::SeqCst)));
        let claims: Vec<_> = (0..16)
            .map(|_| {
                let (store, seen, answers) =
                    (Arc::clone(&site.store), Arc::clone(&site.seen), Arc::clone(&answers));
                tokio::spawn(async move {
                    let mut claimed = Vec::new();
                    for _ in 0..100 {
                        claimed.push(claim(&store).await);
                        let answered = answers.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(answered <= seen.durable.load(Ordering::SeqCst));
                    }
                    claimed
                })
            })
            .collect();
        let mut claimed = Vec::new();
        for claim in claims {
            claimed.extend(in_time("the claims", claim).await.unwrap());
        }
        let by_thread = site.seen.syncs().iter().filter(|thread| *thread == THREAD).count();
        assert!(by_thread < site.seen.syncs().len(), "no worker committed");
        site.assert_on_record(&claimed).await;
    }
}

#[actix_web::test]
async fn a_claim_whose_caller_goes_away_is_committed_by_the_thread() {
    let site = Site::on_workers(64).await;
    let before = site.sync_began.try_iter().count();
    let used = redeemed(jti(), at(900));
    assert!(site.store.claim(used).now_or_never().is_none(), "it waits for a turn");
    site.sync_began.recv_timeout(Duration::from_secs(60)).expect("nobody committed");
    assert_eq!(site.seen.syncs()[before..], [THREAD]);
    site.assert_on_record(&[used]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_is_closed_while_workers_commit_has_every_claim_that_it_confirmed() {
    for round in 0..20 {
        let site = Site::on_workers(32).await;
        let claims: Vec<_> = (0..8)
            .map(|_| {
                let store = Arc::clone(&site.store);
                tokio::spawn(async move {
                    let mut claimed = Vec::new();
                    loop {
                        let used = redeemed(jti(), at(900));
                        match store.claim(used).await {
                            Ok(first) => assert_eq!(first, Use::First),
                            Err(e) => {
                                assert!(matches!(e, StoreError::Closed), "{e:?}");
                                return claimed;
                            }
                        }
                        claimed.push(used);
                    }
                })
            })
            .collect();
        for _ in 0..round {
            claim(&site.store).await;
        }
        in_time("the end", site.store.close()).await;
        let mut claimed = Vec::new();
        for claim in claims {
            claimed.extend(in_time("a claim", claim).await.unwrap());
        }
        site.assert_on_record(&claimed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn purges_settle_what_workers_committed() {
    let site = Site::on_workers(4096).await;
    let over = Arc::new(AtomicBool::new(false));
    let claims: Vec<_> = (0..4)
        .map(|_| {
            let (store, over) = (Arc::clone(&site.store), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    claim(&store).await;
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let due = redeemed(jti(), at(100));
        assert_eq!(site.store.claim(due).await.unwrap(), Use::First);
        assert_eq!(in_time("a purge", site.store.purge(at(101))).await.unwrap(), 1);
        assert_eq!(site.store.find(due.jti).await.unwrap(), None);
    }
    over.store(true, Ordering::Relaxed);
    for claim in claims {
        claim.await.unwrap();
    }
}

#[actix_web::test]
async fn after_an_fsync_that_failed_on_a_worker_nothing_is_served() {
    let site = Site::on_workers(64).await;
    let before = (site.seen.syncs_here(), site.seen.syncs().len());
    site.seen.set(Disk::Fails);
    let claims: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&site.store);
            actix_web::rt::spawn(async move { store.claim(redeemed(jti(), at(900))).await })
        })
        .collect();
    for claim in claims {
        assert!(matches!(claim.await.unwrap(), Err(StoreError::Poisoned)));
    }
    site.seen.set(Disk::Instant);
    assert!(matches!(site.store.ready().await, Err(StoreError::Poisoned)));
    assert!(matches!(site.store.claim(redeemed(jti(), at(900))).await, Err(StoreError::Poisoned)));
    let after = (site.seen.syncs_here(), site.seen.syncs().len());
    assert_eq!(after, (before.0 + 1, before.1 + 1), "an fsync is never retried");
    in_time("the end", site.store.close()).await;
}

#[actix_web::test]
async fn after_a_panic_of_a_worker_that_commits_nothing_is_served() {
    let site = Site::on_workers(64).await;
    site.seen.set(Disk::Panics);
    let claims: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&site.store);
            actix_web::rt::spawn(async move { store.claim(redeemed(jti(), at(900))).await })
        })
        .collect();
    let mut panicked = 0;
    for claim in claims {
        match claim.await {
            Ok(answer) => assert!(matches!(answer, Err(StoreError::Poisoned))),
            Err(e) => panicked += usize::from(e.is_panic()),
        }
    }
    assert_eq!(panicked, 1);
    assert!(matches!(site.store.ready().await, Err(StoreError::Poisoned)));
    in_time("the end", site.store.close()).await;
}
