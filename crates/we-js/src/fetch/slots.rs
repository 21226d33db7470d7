//! How many connections the fetches of a program have at once.
//!
//! A slot is held from before the connection is made until the body of the answer has ended, or its connection is closed.
//! Who finds none waits, in the order of asking. So, as in browsers, a page that keeps six responses of an origin and reads
//! none of them to its end cannot fetch anything else from there; small bodies end without being read (`download.rs`).
//!
//! The agents of a program share the slots. Only `fetch()` needs them: `importScripts()` blocks its agent, which could
//! not give a slot back meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Origin;

/// How many connections there are to an origin at most: as many as all browsers have by HTTP/1.1.
const PER_ORIGIN: usize = 6;

/// How many there are to all origins together: Chromium's number for its pool of sockets.
const OVERALL: usize = 256;

/// The connections that there may be.
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    origins: Mutex<Origins>,
}

#[derive(Default)]
struct Origins {
    free: HashMap<Origin, Arc<Semaphore>>,
    purge_at: usize,
}

/// The leave to have one connection.
pub(super) struct Slot {
    _of_origin: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(OVERALL)),
            origins: Mutex::default(),
        }
    }
}

impl Slots {
    /// Waits for a slot. Who drops the future waits no longer.
    pub(super) async fn take(&self, origin: Origin) -> Slot {
        // That of the origin first: who waits for an origin takes nothing from the others. The semaphores are never closed.
        let of_origin = self.of_origin(origin).acquire_owned().await.ok();
        let of_all = self.all.clone().acquire_owned().await.ok();
        Slot {
            _of_origin: of_origin,
            _of_all: of_all,
        }
    }

    fn of_origin(&self, origin: Origin) -> Arc<Semaphore> {
        // Nothing panics while the lock is held, so a poisoned one is still good.
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if origins.free.len() >= origins.purge_at {
            // One that somebody holds or waits for is shared with him.
            origins.free.retain(|_, free| Arc::strong_count(free) > 1);
            origins.purge_at = 16.max(origins.free.len() * 2);
        }
        let free = origins.free.entry(origin);
        free.or_insert_with(|| Arc::new(Semaphore::new(PER_ORIGIN)))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::task::{Context, Waker};

    use url::Url;

    use super::*;

    /// A slot of an origin, if one is free.
    fn take(slots: &Slots, host: usize) -> Option<Slot> {
        let origin = Url::parse(&format!("http://{host}.example/"))
            .unwrap()
            .origin();
        let mut taking = std::pin::pin!(slots.take(origin));
        match taking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            std::task::Poll::Ready(slot) => Some(slot),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn there_are_six_slots_per_origin_and_256_overall() {
        let slots = Slots::default();
        let mut taken = Vec::new();
        for host in 0..42 {
            taken.extend((0..PER_ORIGIN).map(|_| take(&slots, host).unwrap()));
            assert!(take(&slots, host).is_none());
        }
        taken.extend((0..4).map(|_| take(&slots, 42).unwrap()));
        assert!(take(&slots, 42).is_none());
        taken.pop();
        assert!(take(&slots, 43).is_some());
        drop(taken);
        // Whoever has waited in vain holds nothing.
        assert_eq!(slots.all.available_permits(), OVERALL);
        for host in 100..400 {
            take(&slots, host).unwrap();
        }
        assert!(slots.origins.lock().unwrap().free.len() < 100);
    }
}
