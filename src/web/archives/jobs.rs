//! All archives that are being made. A request waits for its archive only briefly; the archive is made in the
//! background meanwhile. Few are made at once, and of one client's only one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::id::FilePath;
use crate::web::archives::job::{ArchiveJob, ArchiveProgress};
use crate::web::archives::order::{ArchiveJobId, ArchiveOrder};

/// How many archives are made at once, each of which takes some 60 MB if it is as large as it may be.
const AT_ONCE: usize = 2;

/// How many archives may wait for their turn: of all clients, …
const WAITING: usize = 1_000;
/// … and of one.
const WAITING_OF_CLIENT: usize = 100;

/// The archives that are being made. Clones share them.
#[derive(Clone)]
pub(super) struct ArchiveJobs {
    jobs: Arc<DashMap<ArchiveJobId, Arc<ArchiveJob>>>,
    pub(super) turns: Arc<Semaphore>,
    /// One turn for each client with an archive that is being made or waits.
    clients: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
    /// What is prepared in the background, and how many checksums of it were calculated.
    queued: Arc<DashMap<FilePath, u64>>,
}

/// A job as a request finds it.
pub(super) enum JoinedJob {
    /// It was begun before.
    Known(Arc<ArchiveJob>),
    /// The request must begin it, and drop the sender when it has ended.
    New(Arc<ArchiveJob>, watch::Sender<()>, Arc<Semaphore>),
    /// Too many are being made.
    Full,
}

impl ArchiveJobs {
    pub(super) fn new() -> ArchiveJobs {
        ArchiveJobs {
            jobs: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            clients: Arc::default(),
            queued: Arc::default(),
        }
    }

    /// Finds the job for that order, or creates it.
    pub(super) fn join(&self, id: &ArchiveJobId, order: &ArchiveOrder) -> JoinedJob {
        if let Some(known) = self.jobs.get(id).map(|job| Arc::clone(&job)).filter(|job| self.is_of_use(job)) {
            return JoinedJob::Known(known);
        }
        self.jobs.retain(|_, job| self.is_of_use(job));
        let client = self.turns_of(&order.client);
        // Each of its jobs holds one reference, and so does this function.
        if self.jobs.len() >= WAITING || Arc::strong_count(&client) > WAITING_OF_CLIENT {
            return JoinedJob::Full;
        }
        match self.jobs.entry(id.clone()) {
            Entry::Occupied(known) => JoinedJob::Known(Arc::clone(known.get())),
            Entry::Vacant(free) => {
                let (job, end) = ArchiveJob::new();
                let job = Arc::clone(&free.insert(Arc::new(job)));
                JoinedJob::New(job, end, client)
            }
        }
    }

    /// Returns how far an archive is; `None` if it isn't being made, or is ready.
    pub(super) fn progress(&self, id: &ArchiveJobId) -> Option<ArchiveProgress> {
        let job = self.jobs.get(id).map(|job| Arc::clone(&job))?;
        if !job.has_ended() {
            return Some(job.progress());
        }
        self.progress_of_queued(&job)
    }

    /// Returns how far a job is whose checksums are calculated in the background.
    pub(super) fn progress_of_queued(&self, job: &ArchiveJob) -> Option<ArchiveProgress> {
        let paths = job.queued()?;
        let calculated = paths.iter().map(|path| self.queued.get(path).map(|count| *count));
        let calculated: Vec<u64> = calculated.flatten().collect();
        let (begun, new) = (job.progress(), calculated.iter().sum::<u64>());
        let ready = begun.ready.saturating_add(new).min(begun.files);
        (!calculated.is_empty()).then_some(ArchiveProgress { ready, ..begun })
    }

    /// Forgets a job.
    pub(super) fn remove(&self, id: &ArchiveJobId, job: &Arc<ArchiveJob>) {
        self.jobs.remove_if(id, |_, other| Arc::ptr_eq(other, job));
    }

    /// Records that these files and folders are prepared in the background.
    pub(super) fn queue(&self, paths: &[FilePath]) {
        for path in paths {
            self.queued.entry(path.clone()).or_default();
        }
    }

    /// Counts checksums that were calculated for what is queued.
    pub(super) fn calculated(&self, path: &FilePath, checksums: usize) {
        if let Some(mut count) = self.queued.get_mut(path) {
            *count = count.saturating_add(checksums as u64);
        }
    }

    /// Records that nothing is left to do for what was queued; without a path, for anything.
    pub(super) fn prepared(&self, path: Option<&FilePath>) {
        match path {
            Some(path) => drop(self.queued.remove(path)),
            None => self.queued.clear(),
        }
    }

    /// Waits for a client's turn, and then for one of all.
    pub(super) async fn turn(
        &self,
        client: Arc<Semaphore>,
    ) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let own = client.acquire_owned().await.ok()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some((own, turn))
    }

    fn is_of_use(&self, job: &ArchiveJob) -> bool {
        !job.is_stale() && (job.queued().is_none() || self.progress_of_queued(job).is_some())
    }

    fn turns_of(&self, client: &str) -> Arc<Semaphore> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, turns| turns.strong_count() > 0);
        if let Some(turns) = clients.get(client).and_then(Weak::upgrade) {
            return turns;
        }
        let turns = Arc::new(Semaphore::new(1));
        clients.insert(client.to_owned(), Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::web::archives::job::JobResult;
    use crate::web::archives::order::{ArchiveReaders, HiddenFiles};

    fn order(requester: &str, client: &str) -> ArchiveOrder {
        ArchiveOrder {
            places: Vec::new(),
            readers: ArchiveReaders::Recipients,
            hidden: HiddenFiles::LeftOut,
            requester: requester.to_owned(),
            client: client.to_owned(),
        }
    }

    fn begin(
        jobs: &ArchiveJobs,
        order: &ArchiveOrder,
    ) -> (Arc<ArchiveJob>, watch::Sender<()>, Arc<Semaphore>) {
        match jobs.join(&order.id(), order) {
            JoinedJob::New(job, running, client) => (job, running, client),
            JoinedJob::Known(_) => panic!("it was begun before"),
            JoinedJob::Full => panic!("too many"),
        }
    }

    #[actix_web::test]
    async fn a_client_has_one_turn_and_leaves_the_other_to_others() {
        let jobs = ArchiveJobs::new();
        let (_, _first, one) = begin(&jobs, &order("a", "one"));
        let (_, _second, same) = begin(&jobs, &order("b", "one"));
        let (_, _third, other) = begin(&jobs, &order("c", "two"));
        let turn = jobs.turn(one).now_or_never().unwrap();
        assert!(jobs.turn(same).now_or_never().is_none(), "its other archive waits");
        let others = jobs.turn(other).now_or_never().unwrap();
        let (_, _fourth, third) = begin(&jobs, &order("d", "three"));
        assert!(jobs.turn(Arc::clone(&third)).now_or_never().is_none(), "two are made at once");
        drop((turn, others));
        assert!(jobs.turn(third).now_or_never().is_some());
    }

    #[actix_web::test]
    async fn so_many_of_a_client_may_wait_and_no_more() {
        let jobs = ArchiveJobs::new();
        let requester = |n: usize| n.to_string();
        let waiting: Vec<_> =
            (0..WAITING_OF_CLIENT).map(|n| begin(&jobs, &order(&requester(n), "one"))).collect();
        let one_more = order("one more", "one");
        assert!(matches!(jobs.join(&one_more.id(), &one_more), JoinedJob::Full));
        let other = order("other", "two");
        assert!(matches!(jobs.join(&other.id(), &other), JoinedJob::New(..)));
        drop(waiting);
        assert!(matches!(jobs.join(&one_more.id(), &one_more), JoinedJob::New(..)), "those have ended");
    }

    #[actix_web::test]
    async fn progress_is_that_of_the_job_and_then_of_what_is_calculated_in_the_background() {
        let (jobs, order) = (ArchiveJobs::new(), order("a", "one"));
        let id = order.id();
        let path: FilePath = "/books/many".parse().unwrap();
        assert_eq!(jobs.progress(&id), None);
        let (job, running, _client) = begin(&jobs, &order);
        assert_eq!(jobs.progress(&id), Some(ArchiveProgress { ready: 0, files: 0 }));
        job.found(70);
        job.reached(12);
        assert_eq!(jobs.progress(&id), Some(ArchiveProgress { ready: 12, files: 70 }));
        jobs.queue(std::slice::from_ref(&path));
        job.finish(Ok(JobResult::Queued(vec![path.clone()])));
        drop(running);
        jobs.calculated(&path, 30);
        assert_eq!(jobs.progress(&id), Some(ArchiveProgress { ready: 42, files: 70 }));
        jobs.prepared(Some(&path));
        assert_eq!(jobs.progress(&id), None, "now it is put together");
        assert!(matches!(jobs.join(&id, &order), JoinedJob::New(..)));
    }
}
