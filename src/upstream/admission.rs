//! How many requests an upstream is given at once, and how many may wait for that.
//!
//! A slot is held until the last byte of the answer (or until its body is dropped), not only until its head: an
//! export of an hour is an hour's load. Whoever finds no free slot waits in a queue of stated length for a stated
//! time; the queue is tower's load shedding over a concurrency limit over a timeout.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use super::error::UpstreamError;

/// A place at the upstream; given back when dropped.
pub(super) type Slot = OwnedSemaphorePermit;

/// The slots of one upstream and the queue before them.
pub(super) struct Admission {
    capacity: usize,
    slots: Arc<Semaphore>,
    queue_capacity: usize,
    queue_places: Arc<Semaphore>,
    queue: BoxCloneSyncService<(), Slot, BoxError>,
}

impl Admission {
    pub(super) fn new(capacity: usize, queue_capacity: usize, patience: Duration) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        let queue_capacity = queue_capacity.min(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(capacity));
        let queue_places = Arc::new(Semaphore::new(queue_capacity));
        let waiting = Arc::clone(&slots);
        let queue = ServiceBuilder::new()
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&queue_places)))
            .timeout(patience)
            .service(service_fn(move |()| Arc::clone(&waiting).acquire_owned()));
        Self { capacity, slots, queue_capacity, queue_places, queue: BoxCloneSyncService::new(queue) }
    }

    /// Waits for a slot; [`UpstreamError::Busy`] if the queue is full or the wait too long.
    pub(super) async fn enter(&self) -> Result<Slot, UpstreamError> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        self.queue.clone().oneshot(()).await.map_err(|_| UpstreamError::Busy)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.capacity.saturating_sub(self.slots.available_permits())
    }

    pub(super) fn pending(&self) -> usize {
        self.queue_capacity.saturating_sub(self.queue_places.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn gives_out_as_many_slots_as_it_has() {
        let admission = Admission::new(2, 0, LONG);
        let first = admission.enter().await.unwrap();
        let _second = admission.enter().await.unwrap();
        assert_eq!(admission.in_flight(), 2);
        assert!(matches!(admission.enter().await, Err(UpstreamError::Busy)));
        drop(first);
        assert!(admission.enter().await.is_ok());
    }

    #[tokio::test]
    async fn lets_only_the_stated_number_wait() {
        let admission = Arc::new(Admission::new(1, 1, LONG));
        let held = admission.enter().await.unwrap();
        let queued = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await.map(drop) }
        });
        while admission.pending() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(admission.enter().await, Err(UpstreamError::Busy)));
        drop(held);
        assert!(queued.await.unwrap().is_ok());
        assert_eq!(admission.pending(), 0);
    }

    #[tokio::test]
    async fn gives_up_waiting_after_the_stated_time() {
        let admission = Admission::new(1, 1, Duration::from_millis(1));
        let _held = admission.enter().await.unwrap();
        assert!(matches!(admission.enter().await, Err(UpstreamError::Busy)));
        assert_eq!(admission.pending(), 0);
    }

    #[tokio::test]
    async fn a_caller_that_leaves_the_queue_frees_its_place() {
        let admission = Admission::new(1, 1, LONG);
        let _held = admission.enter().await.unwrap();
        let mut waiting = Box::pin(admission.enter());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(admission.pending(), 1);
        drop(waiting);
        assert_eq!(admission.pending(), 0);
    }
}
