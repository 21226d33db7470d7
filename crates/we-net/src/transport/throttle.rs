//! A pause before a connection that is likely to fail again: scripts that reconnect in a loop must not
//! wear a server down that has troubles enough.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3> ("recovering from abnormal closure")
//! with the numbers of Firefox. The first connection to a server is never delayed, nor is the next
//! after one that could be opened and did not break.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;
use url::Url;

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

/// A server and what is asked of it, as a number that tells nobody either. It takes the same room however
/// long the URL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place(u64);

/// The failures that a client remembers. Clones share them.
#[derive(Clone)]
pub(crate) struct Failures {
    throttle: Throttle,
    /// Nobody can choose URLs that fall together.
    hasher: RandomState,
    entries: Arc<Mutex<HashMap<Place, Failure>>>,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Instant,
    delay: Duration,
}

impl Failure {
    /// What is left to be waited.
    fn left(&self, now: Instant) -> Duration {
        self.delay
            .saturating_sub(now.saturating_duration_since(self.at))
    }

    fn is_forgotten(&self, now: Instant, max: Duration) -> bool {
        now.saturating_duration_since(self.at) >= self.delay.saturating_add(max)
    }
}

impl Failures {
    pub(crate) fn new(throttle: Throttle) -> Self {
        Self {
            throttle,
            hasher: RandomState::new(),
            entries: Arc::default(),
        }
    }

    /// Scheme, host, port and path count. The query does not: scripts like to put something new there
    /// each time.
    pub(crate) fn place(&self, url: &Url) -> Place {
        let port = url.port_or_known_default();
        let parts = (url.scheme(), url.host_str(), port, url.path());
        Place(self.hasher.hash_one(parts))
    }

    /// How long it is until it is time to connect to `place`, if not now.
    pub(crate) fn left(&self, place: Place) -> Option<Duration> {
        let now = Instant::now();
        let left = self.lock().get(&place)?.left(now);
        (!left.is_zero()).then_some(left)
    }

    /// A connection to `place` could not be opened, or has broken.
    pub(crate) fn failed(&self, place: Place) {
        let now = Instant::now();
        let Throttle { base, jitter, max } = self.throttle;
        let mut entries = self.lock();
        entries.retain(|_, failure| !failure.is_forgotten(now, max));
        let delay = match entries.get(&place) {
            Some(failure) => failure.delay.saturating_add(failure.delay / 2),
            None => {
                let drawn = jitter.as_secs_f64() * rand::rng().random::<f64>();
                base.saturating_add(Duration::try_from_secs_f64(drawn).unwrap_or(jitter))
            }
        };
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&place) {
            let oldest = entries.iter().min_by_key(|(_, failure)| failure.at);
            if let Some(oldest) = oldest.map(|(place, _)| *place) {
                entries.remove(&oldest);
            }
        }
        let delay = delay.min(max);
        entries.insert(place, Failure { at: now, delay });
    }

    /// A connection to `place` has been opened.
    pub(crate) fn succeeded(&self, place: Place) {
        self.lock().remove(&place);
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
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn url(resource: &str) -> Url {
        Url::parse(&format!("ws://h{resource}")).unwrap()
    }

    fn fail(failures: &Failures, resource: &str) {
        failures.failed(failures.place(&url(resource)));
    }

    /// How long one has to wait, in milliseconds, and waits.
    async fn waited(failures: &Failures, resource: &str) -> u128 {
        let before = Instant::now();
        while let Some(left) = failures.left(failures.place(&url(resource))) {
            tokio::time::sleep(left).await;
        }
        before.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_grows_by_half_from_a_random_start_up_to_its_limit() {
        let failures = Failures::new(Throttle::default());
        assert_eq!(waited(&failures, "/").await, 0);
        fail(&failures, "/");
        let mut last = waited(&failures, "/").await;
        assert!((200..=401).contains(&last), "{last}");
        assert_eq!(waited(&failures, "/").await, 0, "the time has passed");
        for _ in 0..16 {
            fail(&failures, "/");
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
            fail(&failures, "/");
        }
        failures.clone().succeeded(failures.place(&url("/")));
        assert_eq!(waited(&failures, "/").await, 0);
        for _ in 0..8 {
            fail(&failures, "/");
        }
        tokio::time::advance(Duration::from_secs(130)).await;
        fail(&failures, "/");
        assert!(waited(&failures, "/").await <= 401);
    }

    #[tokio::test(start_paused = true)]
    async fn the_starts_are_spread() {
        let mut delays = Vec::new();
        for number in 0..20 {
            let failures = Failures::new(Throttle::default());
            fail(&failures, "/");
            delays.push((waited(&failures, "/").await, number));
        }
        let (least, most) = (delays.iter().min(), delays.iter().max());
        assert!(least.map(|d| d.0) != most.map(|d| d.0), "{delays:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_and_the_oldest_goes() {
        let failures = Failures::new(Throttle::default());
        for number in 0..=MAX_ENTRIES {
            fail(&failures, &format!("/{number}"));
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        assert_eq!(failures.lock().len(), MAX_ENTRIES);
        assert_eq!(failures.left(failures.place(&url("/0"))), None);
        for number in [1, MAX_ENTRIES] {
            let place = failures.place(&url(&format!("/{number}")));
            assert!(failures.left(place).is_some(), "{number}");
        }
        // What has expired goes with the next failure.
        tokio::time::advance(Duration::from_secs(130)).await;
        fail(&failures, "/");
        assert_eq!(failures.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_server_and_path() {
        let failures = Failures::new(Throttle::default());
        let place = |url: &str| failures.place(&Url::parse(url).unwrap());
        failures.failed(place("ws://h/a?b"));
        for (url, same) in [
            ("ws://h/a", true),
            ("ws://h:80/a?c=d", true),
            ("ws://user:password@h/a", true),
            ("wss://h/a", false),
            ("ws://h:81/a", false),
            ("ws://i/a", false),
            ("ws://h/b", false),
        ] {
            assert_eq!(failures.left(place(url)).is_some(), same, "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_duration_is_too_long() {
        let failures = Failures::new(Throttle {
            base: Duration::MAX,
            jitter: Duration::MAX,
            max: Duration::MAX,
        });
        for _ in 0..3 {
            fail(&failures, "/");
            let left = failures.left(failures.place(&url("/")));
            assert_eq!(left, Some(Duration::MAX));
        }
    }
}
