//! A pause before a connection that is likely to fail again: scripts that reconnect in a loop must not
//! wear a server down that has troubles enough.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3> ("recovering from abnormal closure")
//! with the numbers of Firefox. The first connection to a server is never delayed, nor is the next
//! after one that could be opened and did not break.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{Instant, sleep_until};

use super::gate::Door;

/// More URLs than this are not remembered at a time.
const MAX_ENTRIES: usize = 1024;

/// How long a client waits before it connects again to a URL to which a connection has just failed.
///
/// The time runs from the failure, and only what is left of it is waited. After `base` and up to
/// `jitter` more, drawn at random, it grows by half with each further failure, to `max` at most. A
/// connection that opens, or `max` without a failure, makes good for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// After the first failure, at least. Default 200 ms.
    pub base: Duration,
    /// How much is added to that, at most. Default 200 ms.
    pub jitter: Duration,
    /// What the time grows to. Default 60 s.
    pub max: Duration,
}

impl Default for Throttle {
    /// Firefox's. (Chromium delays by the number of a page's pending and failed connections, whatever
    /// their servers: hardly at all below twelve, then by up to 5 s.)
    fn default() -> Self {
        Self {
            base: Duration::from_millis(200),
            jitter: Duration::from_millis(200),
            max: Duration::from_secs(60),
        }
    }
}

/// A server, by address, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) door: Door,
    pub(crate) resource: String,
}

/// The failures that a client remembers. Clones share them.
#[derive(Clone)]
pub(crate) struct Failures {
    throttle: Throttle,
    entries: Arc<Mutex<HashMap<Place, Failure>>>,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Instant,
    delay: Duration,
}

impl Failure {
    fn end(&self) -> Instant {
        self.at + self.delay
    }
}

impl Failures {
    pub(crate) fn new(throttle: Throttle) -> Self {
        Self {
            throttle,
            entries: Arc::default(),
        }
    }

    /// Waits until it is time to connect to `place`.
    pub(crate) async fn wait(&self, place: &Place) {
        let end = self.lock().get(place).map(Failure::end);
        if let Some(end) = end.filter(|end| *end > Instant::now()) {
            let delay = end - Instant::now();
            tracing::debug!(target: "we::net", ?delay, "a connection has just failed; waiting before the next");
            sleep_until(end).await;
        }
    }

    /// A connection to `place` could not be opened, or has broken.
    pub(crate) fn failed(&self, place: Place) {
        let now = Instant::now();
        let Throttle { base, jitter, max } = self.throttle;
        let mut entries = self.lock();
        let forgotten = |failure: &Failure| failure.end() + max <= now;
        let delay = match entries.get(&place) {
            Some(failure) if !forgotten(failure) => failure.delay * 3 / 2,
            _ => base + jitter.mul_f64(rand::rng().random()),
        };
        let failure = Failure {
            at: now,
            delay: delay.min(max),
        };
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, failure| !forgotten(failure));
        }
        if entries.len() < MAX_ENTRIES || entries.contains_key(&place) {
            entries.insert(place, failure);
        }
    }

    /// A connection to `place` has been opened.
    pub(crate) fn succeeded(&self, place: &Place) {
        self.lock().remove(place);
    }

    /// Nothing panics while the lock is held.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Failure>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failures").field(&self.throttle).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(resource: &str) -> Place {
        Place {
            door: Door::Name("h".into()),
            resource: resource.into(),
        }
    }

    /// How long `wait` takes, in milliseconds.
    async fn waited(failures: &Failures, resource: &str) -> u128 {
        let before = Instant::now();
        failures.wait(&place(resource)).await;
        before.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_grows_by_half_from_a_random_start_up_to_its_limit() {
        let failures = Failures::new(Throttle::default());
        assert_eq!(waited(&failures, "/").await, 0);
        failures.failed(place("/"));
        let mut last = waited(&failures, "/").await;
        assert!((200..=401).contains(&last), "{last}");
        assert_eq!(waited(&failures, "/").await, 0, "the time has passed");
        for _ in 0..16 {
            failures.failed(place("/"));
            let next = waited(&failures, "/").await;
            let expected = (last * 3 / 2).min(60_000);
            assert!(next.abs_diff(expected) <= 3, "{next} after {last}");
            last = next;
        }
        assert_eq!(last, 60_000);
        assert_eq!(waited(&failures, "/other").await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_opened_connection_and_time_make_good() {
        let failures = Failures::new(Throttle::default());
        for _ in 0..8 {
            failures.failed(place("/"));
        }
        failures.clone().succeeded(&place("/"));
        assert_eq!(waited(&failures, "/").await, 0);
        for _ in 0..8 {
            failures.failed(place("/"));
        }
        tokio::time::advance(Duration::from_secs(130)).await;
        failures.failed(place("/"));
        assert!(waited(&failures, "/").await <= 401);
    }

    #[tokio::test(start_paused = true)]
    async fn the_starts_are_spread() {
        let mut delays = Vec::new();
        for number in 0..20 {
            let failures = Failures::new(Throttle::default());
            failures.failed(place("/"));
            delays.push((waited(&failures, "/").await, number));
        }
        let (least, most) = (delays.iter().min(), delays.iter().max());
        assert!(least.map(|d| d.0) != most.map(|d| d.0), "{delays:?}");
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let failures = Failures::new(Throttle::default());
        for number in 0..2 * MAX_ENTRIES {
            failures.failed(place(&number.to_string()));
        }
        assert_eq!(failures.lock().len(), MAX_ENTRIES);
    }
}
