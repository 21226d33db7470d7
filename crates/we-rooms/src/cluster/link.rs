//! [`Link`]: the connection of a node to the broker, which is lost and made again. Each is a [`Session`].
//!
//! What waits when a session ends is dropped: nothing is ever sent twice, and whoever misses something finds out by its
//! numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::lease::Session;
use super::outbox::{Item, Outbox};
use super::record::{NodeId, Record};
use super::takings::Takings;
use super::{ClusterOptions, jittered};

/// How long to wait before another attempt: twice as long each time, and half of it left to chance.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A session that has lived for so long was a good one, and the pauses are short again.
const A_WHILE: Duration = Duration::from_secs(10);

/// How long an attempt may take.
const TO_CONNECT: Duration = Duration::from_secs(5);

/// How long the broker may take to answer. (Mostly its silence is noticed before.)
const TO_ANSWER: Duration = Duration::from_secs(10);

/// What hears of packets.
pub(crate) type Receive = Arc<dyn Fn(Vec<u8>) + Send + Sync>;

pub(crate) struct Link {
    pub(crate) node: NodeId,
    pub(crate) options: ClusterOptions,
    client: redis::Client,
    session: watch::Sender<Option<Session>>,
    out: Mutex<Outbox>,
    queued: Notify,
    space: Notify,
    /// When something came from the broker.
    heard: Mutex<Instant>,
    generations: AtomicU64,
}

impl Link {
    pub(crate) fn new(node: NodeId, client: redis::Client, options: ClusterOptions) -> Self {
        Self {
            node,
            options,
            client,
            session: watch::Sender::new(None),
            out: Mutex::default(),
            queued: Notify::new(),
            space: Notify::new(),
            heard: Mutex::new(Instant::now()),
            generations: AtomicU64::new(0),
        }
    }

    /// The session, as it changes.
    pub(crate) fn sessions(&self) -> watch::Receiver<Option<Session>> {
        self.session.subscribe()
    }

    /// A number for an attempt to join a room. They grow.
    pub(crate) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Relaxed) + 1
    }

    /// The channel of all nodes.
    fn everywhere(&self) -> Arc<str> {
        self.options.name("nodes", "").into()
    }

    /// The channel of one node.
    pub(crate) fn channel_of(&self, node: NodeId) -> Arc<str> {
        self.options.name("node", &node.to_string()).into()
    }

    /// Puts a record behind what waits. Returns whether it will be sent, if nothing happens to the session: it is not if there is no
    /// session, nor if too much waits. (One that is longer than the limit by itself may wait alone.)
    pub(crate) fn publish(&self, channel: &Arc<str>, record: &Record) -> bool {
        let item = Item::publish(channel, record);
        let is_put = self.out().put(item, self.options.max_queue);
        if is_put {
            self.queued.notify_one();
        }
        is_put
    }

    /// Puts a record before what waits: however much that is, this node is alive.
    fn say_first(&self, channel: &Arc<str>, record: &Record) {
        self.out().put_first(Item::publish(channel, record));
        self.queued.notify_one();
    }

    pub(crate) fn taken(&self, takings: Arc<Takings>) {
        self.put(Item::Taken(takings));
    }

    pub(crate) fn release(&self, key: Arc<str>, value: String) {
        self.put(Item::Release { key, value });
    }

    pub(crate) fn unsubscribe(
        &self,
        channel: Arc<str>,
        is_over: impl Fn() -> bool + Send + 'static,
    ) {
        let is_over = Box::new(is_over);
        self.put(Item::Unsubscribe { channel, is_over });
    }

    /// Of these there are few.
    fn put(&self, item: Item) {
        self.out().put(item, usize::MAX);
        self.queued.notify_one();
    }

    /// Has it wait for a broker that never comes. Returns how many bytes wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        let mut out = self.out();
        out.is_open = true;
        out.bytes
    }

    pub(crate) fn say_bye(&self) {
        self.publish(&self.everywhere(), &Record::Bye);
    }

    /// Waits until there is a session, and no more than half of the queue is used. Cancel-safe.
    pub(crate) async fn ready(&self) {
        self.wait(|out| out.is_open && out.bytes <= self.options.max_queue / 2)
            .await;
    }

    /// Waits until the broker has all, or there is none.
    pub(crate) async fn flushed(&self) {
        self.wait(|out| !out.is_open || (out.is_empty() && !out.is_sending))
            .await;
    }

    async fn wait(&self, is_so: impl Fn(&Outbox) -> bool) {
        loop {
            let changed = self.space.notified();
            if is_so(&self.out()) {
                return;
            }
            changed.await;
        }
    }

    /// Connects, again and again, until this is dropped.
    pub(crate) async fn run(&self, receive: Receive) {
        let mut pause = FIRST_PAUSE;
        let mut number = 0;
        let mut has_told = false;
        loop {
            let is_alive = Arc::new(AtomicBool::new(true));
            let lost = Arc::new(Notify::new());
            let began = Instant::now();
            match self
                .connect(receive.clone(), is_alive.clone(), lost.clone())
                .await
            {
                Ok(connection) => {
                    has_told = false;
                    number += 1;
                    tracing::info!(target: "we::cluster", node = %self.node, "connected to the broker");
                    let ended = Ended {
                        link: self,
                        is_alive: &is_alive,
                    };
                    let problem = tokio::select! {
                        problem = self.speak(connection, number) => problem,
                        () = lost.notified() => "the connection has ended".to_owned(),
                    };
                    drop(ended);
                    tracing::warn!(
                        target: "we::cluster",
                        "lost the broker: {problem}. Each room goes on with the clients that are here, until it is there again"
                    );
                }
                Err(problem) if !has_told => {
                    has_told = true;
                    tracing::warn!(
                        target: "we::cluster",
                        "the broker cannot be reached: {problem}. This is tried again until it can"
                    );
                }
                Err(problem) => {
                    tracing::debug!(target: "we::cluster", "still no broker: {problem}")
                }
            }
            if began.elapsed() > A_WHILE {
                pause = FIRST_PAUSE;
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(
        &self,
        receive: Receive,
        is_alive: Arc<AtomicBool>,
        lost: Arc<Notify>,
    ) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TO_CONNECT))
            .set_response_timeout(Some(TO_ANSWER))
            .set_push_sender(move |push: PushInfo| match is_alive.load(Relaxed) {
                true => {
                    if push.kind == PushKind::Disconnection {
                        lost.notify_one();
                    }
                    if let Some(packet) = packet_of(push) {
                        receive(packet);
                    }
                    Ok(())
                }
                false => Err(SendError),
            });
        let connecting = async {
            let client = &self.client;
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let own = self.channel_of(self.node);
            connection.subscribe(&*self.everywhere()).await?;
            connection.subscribe(&*own).await?;
            Ok(connection)
        };
        match timeout(TO_CONNECT, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(redis::RedisError::to_string(&error)),
            Err(_) => Err(format!("no answer for {} s", TO_CONNECT.as_secs())),
        }
    }

    /// Something has come back from the broker.
    pub(crate) fn hear(&self) {
        *self.heard() = Instant::now();
    }

    /// Uses a connection until it is lost. Returns how.
    async fn speak(&self, connection: MultiplexedConnection, number: u64) -> String {
        self.out().is_open = true;
        self.hear();
        self.space.notify_waiters();
        let session = Session::new(number, connection.clone());
        self.session.send_replace(Some(session));
        tokio::select! {
            problem = self.write(connection) => problem,
            problem = self.beat() => problem,
        }
    }

    /// Tells others that this node is alive, and notices when that does not come back.
    async fn beat(&self) -> String {
        let everywhere = self.everywhere();
        let silence = self.options.silence();
        let mut ticks = interval(self.options.beat());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.heard().elapsed() > silence {
                return format!("it was silent for {} ms", silence.as_millis());
            }
            self.say_first(&everywhere, &Record::Beat);
        }
    }

    async fn write(&self, mut connection: MultiplexedConnection) -> String {
        loop {
            let (pipeline, unsubscribe) = self.out().next_batch(self.node);
            if pipeline.is_empty() && unsubscribe.is_empty() {
                self.space.notify_waiters();
                self.queued.notified().await;
                continue;
            }
            if !pipeline.is_empty()
                && let Err(error) = pipeline.query_async::<()>(&mut connection).await
            {
                return error.to_string();
            }
            for channel in unsubscribe {
                if let Err(error) = connection.unsubscribe(&*channel).await {
                    return error.to_string();
                }
            }
            self.out().is_sending = false;
            self.space.notify_waiters();
        }
    }

    fn out(&self) -> MutexGuard<'_, Outbox> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody has published, if it is that.
fn packet_of(push: PushInfo) -> Option<Vec<u8>> {
    match (push.kind, push.data.into_iter().nth(1)) {
        (PushKind::Message, Some(Value::BulkString(packet))) => Some(packet),
        _ => None,
    }
}

/// A session has ended, also when the runtime does.
struct Ended<'a> {
    link: &'a Link,
    is_alive: &'a AtomicBool,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.is_alive.store(false, Relaxed);
        let dropped = std::mem::take(&mut *self.link.out());
        self.link.session.send_replace(None);
        self.link.space.notify_waiters();
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_when_a_session_ends_is_dropped() {
        let client = redis::Client::open("redis://127.0.0.1:1").ok();
        let Some(client) = client else {
            panic!("this is a URL")
        };
        let link = Link::new(NodeId(1), client, ClusterOptions::default());
        let channel: Arc<str> = "x".into();
        assert!(!link.publish(&channel, &Record::Beat), "there is none yet");
        link.waiting();
        assert!(link.publish(&channel, &Record::Beat));
        assert!(link.waiting() > 0);
        drop(Ended {
            link: &link,
            is_alive: &AtomicBool::new(true),
        });
        assert!(!link.publish(&channel, &Record::Beat));
        assert_eq!(link.waiting(), 0);
    }
}
